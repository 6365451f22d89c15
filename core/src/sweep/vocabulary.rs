//! The names and types of a sweep's settings: those of the built-in networks, or the user's own of a program.

use serde_json::Value;

use super::{
    diagnostic::{Problems, Span},
    raw::{Node, Raw},
    scalar,
};
use crate::{settings::schema::Field, text::is_unprintable};

/// Maximum length of the name of a user's own setting, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 64;
/// Maximum length of a user's own text, in bytes.
pub(super) const MAX_OWN_TEXT_BYTES: usize = 4096;
/// Maximum number of values in a list that is one value.
pub(super) const MAX_OWN_LIST: usize = 1000;
/// Whole numbers up to this one are exact as floats.
const MAX_WHOLE: f64 = 9_007_199_254_740_992.0;

/// The names of a sweep's settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vocabulary {
    /// The settings of the built-in networks.
    Networks,
    /// The user's own settings of a program.
    Own,
}

/// The type of a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum SettingType {
    /// That of a row of the settings table.
    Field(&'static Field),
    /// Any: a number, a text, a boolean, null, or a list of such values.
    Own,
}

impl Vocabulary {
    /// The type of the setting of this name; an error if it cannot be the name of one.
    pub(crate) fn type_of(self, path: &str, span: Span, problems: &mut Problems<'_>) -> Option<SettingType> {
        match self {
            Self::Networks => scalar::path_field(path, span, problems).map(SettingType::Field),
            Self::Own => is_own_name(path, span, problems).then_some(SettingType::Own),
        }
    }
}

impl SettingType {
    /// The row of the settings table.
    pub(crate) fn field(self) -> Option<&'static Field> {
        match self {
            Self::Field(field) => Some(field),
            Self::Own => None,
        }
    }

    /// The value of a setting of this type; anything else is an error at the value.
    pub(crate) fn read(self, path: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Value> {
        match self {
            Self::Field(field) => scalar::setting(field, path, node, problems),
            Self::Own => own_value(path, node, problems),
        }
    }
}

fn is_own_name(name: &str, span: Span, problems: &mut Problems<'_>) -> bool {
    if matches!(name, "seed" | "seeds") {
        problems
            .error(span, format!("`{name}` cannot be a setting: the seeds are given by `seeds`"))
            .help("the program gets its seed as `--seed=N` from `${args}`, or by `${seed}`");
        return false;
    }
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let good = begins && name.chars().all(fits) && name.len() <= MAX_NAME_BYTES;
    if !good || name.starts_with("program.") {
        problems.error(span, format!("`{name}` cannot be the name of a setting")).help(format!(
            "a name has up to {MAX_NAME_BYTES} letters, digits, `_`, `-` and `.`, begins with a letter or `_`, and not with `program.`"
        ));
        return false;
    }
    true
}

/// A user's own value, with one form for each number: one without a fractional part is an integer.
fn own_value(path: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Value> {
    let refuse = |problems: &mut Problems<'_>, found: String, help: &str| {
        let message =
            format!("`{path}` must be a number, a text, a boolean, null or a list of these, found {found}");
        problems.error(node.span, message).help(help);
        None
    };
    match &node.value {
        Raw::Null => Some(Value::Null),
        Raw::Bool(value) => Some((*value).into()),
        Raw::Integer(value) => {
            let integer =
                i64::try_from(*value).map(Value::from).or_else(|_| u64::try_from(*value).map(Value::from));
            integer.map_or_else(
                |_| refuse(problems, "an integer of more than 64 bits".to_owned(), "put it in quotes"),
                Some,
            )
        }
        // Values that are not finite were already refused.
        Raw::Float(value) => value.is_finite().then(|| number(*value)),
        Raw::Text(text) if text.len() > MAX_OWN_TEXT_BYTES || text.chars().any(is_unprintable) => {
            let help = format!("a text has at most {MAX_OWN_TEXT_BYTES} bytes on one line");
            refuse(problems, "another text".to_owned(), &help)
        }
        Raw::Text(text) => Some(text.as_str().into()),
        Raw::List(items) if items.len() > MAX_OWN_LIST => {
            refuse(problems, format!("a list of {}", items.len()), "name a file with them instead")
        }
        Raw::List(items) => items.iter().map(|item| own_value(path, item, problems)).collect(),
        Raw::Map(_) => refuse(
            problems,
            "a mapping".to_owned(),
            "give each of its values a name of its own, such as `optimizer.lr`",
        ),
    }
}

/// A finite number as JSON: an integer if it has no fractional part, so that 2 and 2.0 are the same setting.
#[expect(clippy::cast_possible_truncation, reason = "it is a whole number that a 64-bit integer holds")]
pub(crate) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < MAX_WHOLE { (value as i64).into() } else { value.into() }
}

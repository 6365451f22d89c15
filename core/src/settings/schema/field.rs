//! The table of settings: one row a field, with its path in a sweep file, its bounds, default and meaning.
//!
//! Everything that knows the fields by name reads this table: the reader of sweep files, what can be swept,
//! "did you mean", the identity of a cohort and the printed reference. The rows and the types of
//! [`TaskSettings`](super::TaskSettings) are two views of the same thing; a test compares them.

use std::fmt;

use serde_json::Value;

use super::fields::MAX_INTEGER;
pub use super::fields::{FIELDS, MODEL_KINDS};

/// One field of the settings.
#[derive(Debug)]
pub struct Field {
    /// Its dotted path, as in `parameters:`.
    pub path: &'static str,
    /// What it can be.
    pub kind: Kind,
    /// What it is when the file does not say; a field without must be given.
    pub default: Option<Preset>,
    /// What it means, in a line.
    pub doc: &'static str,
    /// Whether all members of a cohort must have the same value: it decides shapes or the length of the loop.
    pub shared_in_cohort: bool,
    /// The kinds of model that have this field; empty for all.
    pub models: &'static [&'static str],
}

/// What a field can be.
#[derive(Debug)]
pub enum Kind {
    /// `true` or `false`.
    Bool,
    /// An integer from `min` to `max`.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A finite number within bounds.
    Number {
        /// Below.
        min: Bound,
        /// Above.
        max: Bound,
    },
    /// One of these words.
    Word(&'static [&'static str]),
    /// The name of a modality: a letter or `_`, then letters, digits, `_` or `-`; at most 64 bytes.
    Modality,
    /// A text that is not empty; at most [`MAX_TEXT_BYTES`] bytes.
    Text,
    /// A list of sets of modalities, none of them empty; at most [`MAX_SUBSETS`].
    Subsets,
}

/// Where a number's range ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Nowhere.
    None,
    /// At this value, which belongs to the range.
    Including(f64),
    /// At this value, which does not belong to the range.
    Excluding(f64),
}

/// A default.
#[derive(Clone, Copy, Debug)]
pub enum Preset {
    /// Of a [`Kind::Bool`].
    Bool(bool),
    /// Of a [`Kind::Integer`].
    Integer(u64),
    /// Of a [`Kind::Number`].
    Number(f64),
    /// Of a [`Kind::Word`].
    Word(&'static str),
    /// Of [`Kind::Subsets`]: none.
    Empty,
}

/// Longest text of a setting, in bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// Most subsets of modalities that one configuration can be tested with.
pub const MAX_SUBSETS: usize = 16;

/// Most bytes of the names in one of them, with what joins them.
pub const MAX_SUBSET_BYTES: usize = 900;

/// Most modalities that one sweep can name.
pub const MAX_MODALITIES: usize = 64;

/// What the paths of modality dropouts begin with; the modality's name follows.
pub const MODALITY_DROPOUT: &str = "modality_dropout.";

impl Field {
    /// Whether a model of this kind has the field.
    #[must_use]
    pub fn belongs_to(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.contains(&model)
    }

    /// Of a row that stands for one setting of each modality: what the paths begin with; the modality follows.
    /// A modality that is not named has the default.
    #[must_use]
    pub fn by_modality(&self) -> Option<&'static str> {
        self.path.strip_suffix(MODALITY)
    }

    /// The modality in a path of this row, if it stands for one setting of each.
    #[must_use]
    pub fn modality<'p>(&self, path: &'p str) -> Option<&'p str> {
        path.strip_prefix(self.by_modality()?)
    }

    /// The section of the sweep file it stands in, if any.
    #[must_use]
    pub fn section(&self) -> Option<&'static str> {
        self.path.split_once('.').map(|(section, _)| section)
    }
}

/// What stands for a modality's name in the path of a row.
const MODALITY: &str = "<modality>";

/// The row of a dotted path, such as `training.epochs` or `modality_dropout.audio`.
#[must_use]
pub fn field(path: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| match field.by_modality() {
        Some(_) => field.modality(path).is_some_and(is_modality),
        None => field.path == path,
    })
}

/// Whether this can be the name of a modality.
#[must_use]
pub fn is_modality(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    first && name.len() <= 64 && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

impl Preset {
    /// As JSON.
    #[must_use]
    pub fn value(self) -> Value {
        match self {
            Self::Bool(value) => value.into(),
            Self::Integer(value) => value.into(),
            Self::Number(value) => value.into(),
            Self::Word(word) => word.into(),
            Self::Empty => Value::Array(Vec::new()),
        }
    }
}

/// What must be written: fits "expected ...".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer { min, max } if *max >= MAX_INTEGER => write!(f, "an integer of at least {min}"),
            Self::Integer { min, max } => write!(f, "an integer from {min} to {max}"),
            Self::Number { min, max } => {
                let (left, from) = match min {
                    Bound::None => ('(', "-inf".to_owned()),
                    Bound::Including(value) => ('[', value.to_string()),
                    Bound::Excluding(value) => ('(', value.to_string()),
                };
                let (right, to) = match max {
                    Bound::None => (')', "inf".to_owned()),
                    Bound::Including(value) => (']', value.to_string()),
                    Bound::Excluding(value) => (')', value.to_string()),
                };
                write!(f, "a number in {left}{from}, {to}{right}")
            }
            Self::Word(words) => {
                for (index, word) in words.iter().enumerate() {
                    let between = match index {
                        0 => "",
                        last if last + 1 == words.len() => " or ",
                        _ => ", ",
                    };
                    write!(f, "{between}`{word}`")?;
                }
                Ok(())
            }
            Self::Modality => f.write_str("the name of a modality"),
            Self::Text => f.write_str("a text"),
            Self::Subsets => f.write_str("a list of lists of modalities"),
        }
    }
}

/// The table as text, a field a line, for people.
#[must_use]
pub fn reference() -> String {
    use fmt::Write as _;
    let mut text = String::new();
    let widest = FIELDS.iter().map(|field| field.path.len()).max().unwrap_or(0);
    for field in FIELDS {
        let default = match field.default.map(Preset::value) {
            None => "required".to_owned(),
            Some(Value::String(word)) => format!("default {word}"),
            Some(value) => format!("default {value}"),
        };
        let models = match field.models {
            [] => String::new(),
            models => format!("; {}", models.join(", ")),
        };
        // Writing to a String can not fail.
        let _ = writeln!(text, "{:widest$}  {}; {} ({default}{models})", field.path, field.doc, field.kind);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::settings::{ModelSettings, TrainingSettings, resolve, types::DEFAULT_HIDDEN};

    /// Values for the fields that have no default.
    fn required() -> BTreeMap<String, Value> {
        FIELDS
            .iter()
            .filter(|field| field.default.is_none())
            .map(|field| (field.path.to_owned(), "x".into()))
            .collect()
    }

    #[test]
    fn the_table_has_exactly_the_fields_of_the_types() {
        for kind in MODEL_KINDS {
            let mut values = required();
            values.insert("model.kind".to_owned(), (*kind).into());
            values.insert("modality_dropout.audio".to_owned(), 0.5.into());
            values.insert("model.hidden.audio".to_owned(), 64.into());
            // Fields that the types lack would be refused, those that the table lacks would be missing.
            let flat = resolve(&values).flat();
            let found: BTreeSet<_> = flat.keys().map(String::as_str).collect();
            let described: BTreeSet<_> = FIELDS
                .iter()
                .filter(|field| field.belongs_to(kind))
                .map(|field| field.path.replace(MODALITY, "audio"))
                .collect();
            assert_eq!(found, described.iter().map(String::as_str).collect());
        }
    }

    /// What an old journal does not say is what a new file that does not say it means.
    #[test]
    fn the_types_have_the_defaults_of_the_table() {
        assert_eq!(resolve(&required()).training, TrainingSettings::default());
        let mut values = required();
        values.insert("model.kind".to_owned(), "mfn".into());
        values.insert("model.hidden.audio".to_owned(), DEFAULT_HIDDEN.into());
        let ModelSettings::Mfn(model) = resolve(&values).model else { panic!("the kind is mfn") };
        assert!(model.hidden.is_empty(), "{DEFAULT_HIDDEN} is the default and need not be said");
        let hidden = field("model.hidden.audio").unwrap().default.unwrap().value();
        assert_eq!(hidden, DEFAULT_HIDDEN);
    }

    #[test]
    fn each_value_a_row_allows_fits_its_type() {
        for field in FIELDS {
            let path = field.path.replace(MODALITY, "audio");
            let extremes: Vec<Value> = match field.kind {
                Kind::Bool => vec![true.into(), false.into()],
                Kind::Integer { min, max } => vec![min.into(), max.into()],
                Kind::Number { .. } => vec![0.25.into()],
                Kind::Word(words) => words.iter().map(|word| (*word).into()).collect(),
                Kind::Modality | Kind::Text => vec!["x".into()],
                Kind::Subsets => vec![serde_json::json!([]), serde_json::json!([["audio"], ["audio", "x"]])],
            };
            for value in extremes {
                let mut values = required();
                if let Some(model) = field.models.first() {
                    values.insert("model.kind".to_owned(), (*model).into());
                }
                values.insert("training.schedule".to_owned(), "plateau".into());
                values.insert("training.modality_part".to_owned(), "steps".into());
                values.insert(path.clone(), value.clone());
                assert_eq!(resolve(&values).flat()[&path], value, "{path}");
            }
        }
    }

    #[test]
    fn fields_of_one_kind_of_model_do_not_belong_to_others() {
        let hidden = field("model.hidden").unwrap();
        assert!(hidden.belongs_to("bi-eflstm") && !hidden.belongs_to("another"));
        assert!(field("training.epochs").unwrap().belongs_to("another"));
    }

    #[test]
    fn dropouts_are_open_for_every_modality() {
        let dropout = field("modality_dropout.eye-tracking_2").unwrap();
        assert_eq!(dropout.modality("modality_dropout.eye-tracking_2"), Some("eye-tracking_2"));
        assert_eq!(field("model.hidden.audio").unwrap().models, ["mfn"]);
        assert_eq!(field("model.hidden").unwrap().models, ["bi-eflstm"]);
        for path in
            ["modality_dropout", "modality_dropout.", "modality_dropout.2d", "modality_dropout.a.b", "model"]
        {
            assert!(field(path).is_none(), "{path}");
        }
        assert!(!is_modality(&"x".repeat(65)));
    }

    #[test]
    fn the_reference_names_each_field_with_its_range_and_default() {
        let text = reference();
        assert_eq!(text.lines().count(), FIELDS.len());
        assert!(text.contains("model.dropout                  dropout between the layers and in the head; a number in [0, 1) (default 0.5; bi-eflstm)"));
        assert!(text.contains("a number in (0, inf)"));
        assert!(text.contains("`once` or `every_epoch` (default every_epoch)"));
    }
}

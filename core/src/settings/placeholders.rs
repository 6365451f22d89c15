//! Placeholders such as `${args}` in the command of a program, its environment and the paths of its result.
//!
//! `${args}`, `${seed}`, `${task}`, `${attempt}`, `${checkpoint_dir}` and `${param.NAME}` are replaced; `$$` stands for
//! one `$`. Any other `$` stays as it is, so that `sh -c "echo $HOME"` means what it says; but `${` always begins a
//! placeholder, and an unknown one is an error: the shell's own `${HOME}` is written `$${HOME}`.

use std::{borrow::Cow, fmt::Write as _, ops::Range};

use serde_json::Value;

use super::Parameter;
use crate::{id::TaskId, sweep::did_you_mean};

/// A placeholder in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placeholder<'t> {
    /// `${args}`: all parameters and the seed as arguments.
    Args,
    /// `${param.NAME}`: the value of one parameter.
    Parameter(&'t str),
    /// `${seed}`.
    Seed,
    /// `${task}`: the task as a name for files, see [`task_name`].
    Task,
    /// `${attempt}`: the number of the attempt, counting from 1.
    Attempt,
    /// `${checkpoint_dir}`: the task's own folder, which survives its attempts.
    CheckpointDir,
}

/// The names of the placeholders without a parameter's name.
const NAMES: [(&str, Placeholder<'static>); 5] = [
    ("args", Placeholder::Args),
    ("seed", Placeholder::Seed),
    ("task", Placeholder::Task),
    ("attempt", Placeholder::Attempt),
    ("checkpoint_dir", Placeholder::CheckpointDir),
];
/// What stands before a parameter's name.
const PARAMETER: &str = "param.";

/// A text with a placeholder that cannot be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct PlaceholderError {
    /// The bytes of the text that are wrong.
    pub range: Range<usize>,
    /// What is wrong, in one line.
    pub what: String,
    /// The remedy, in one line.
    pub help: String,
}

/// One piece of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece<'t> {
    Text(&'t str),
    Placeholder(Placeholder<'t>),
}

/// Splits a text into pieces, each with its position in bytes.
fn pieces(text: &str) -> Result<Vec<(Range<usize>, Piece<'_>)>, PlaceholderError> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (length, piece) = if rest.starts_with("$$") {
            (2, Piece::Text("$"))
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((name, _)) = after.split_once('}') else {
                return Err(PlaceholderError {
                    range: start..text.len(),
                    what: "the placeholder has no closing `}`".to_owned(),
                    help: "close it, or write `$${` for the two characters `${`".to_owned(),
                });
            };
            let length = name.len() + "${}".len();
            let placeholder = named(name).ok_or_else(|| unknown(name, start..start + length))?;
            (length, Piece::Placeholder(placeholder))
        } else {
            // A lone `$` is text like the characters after it.
            let length = rest.find("$$").into_iter().chain(rest.find("${")).min().unwrap_or(rest.len());
            (length, Piece::Text(&rest[..length]))
        };
        pieces.push((start..start + length, piece));
        start += length;
        rest = &rest[length..];
    }
    Ok(pieces)
}

fn named(name: &str) -> Option<Placeholder<'_>> {
    if let Some(parameter) = name.strip_prefix(PARAMETER) {
        return (!parameter.is_empty()).then_some(Placeholder::Parameter(parameter));
    }
    NAMES.iter().find(|(own, _)| *own == name).map(|(_, placeholder)| *placeholder)
}

fn unknown(name: &str, range: Range<usize>) -> PlaceholderError {
    let known = NAMES.map(|(name, _)| name);
    let help = did_you_mean(name, known.iter().copied()).unwrap_or_else(|| {
        let known = known.map(|name| format!("`${{{name}}}`")).join(", ");
        format!(
            "there are {known} and `${{{PARAMETER}NAME}}`; a variable of the shell is written `$${{{name}}}`"
        )
    });
    PlaceholderError { range, what: format!("there is no placeholder `${{{name}}}`"), help }
}

/// The placeholders of a text, each with its position in bytes. `$$` is none.
///
/// # Errors
/// Names the first placeholder that is not closed or not known.
pub fn placeholders(text: &str) -> Result<Vec<(Range<usize>, Placeholder<'_>)>, PlaceholderError> {
    let placeholder = |(range, piece)| match piece {
        Piece::Placeholder(placeholder) => Some((range, placeholder)),
        Piece::Text(_) => None,
    };
    Ok(pieces(text)?.into_iter().filter_map(placeholder).collect())
}

/// Checks that every placeholder of a text can be replaced when the parameters have these names.
///
/// # Errors
/// Names the first placeholder that is not closed, not known, or names a parameter that does not exist.
pub fn check_placeholders<'n>(
    text: &str,
    parameters: impl Iterator<Item = &'n str> + Clone,
) -> Result<(), PlaceholderError> {
    for (range, placeholder) in placeholders(text)? {
        if let Placeholder::Parameter(name) = placeholder
            && !parameters.clone().any(|own| own == name)
        {
            return Err(no_parameter(name, range, parameters));
        }
    }
    Ok(())
}

fn no_parameter<'n>(
    name: &str,
    range: Range<usize>,
    parameters: impl Iterator<Item = &'n str>,
) -> PlaceholderError {
    let help = did_you_mean(name, parameters).unwrap_or_else(|| {
        format!("name one of the `parameters` or `settings` of the sweep, or add `{name}` to them")
    });
    PlaceholderError { range, what: format!("there is no parameter `{name}`"), help }
}

/// A name for a task that is safe in files: `3-00abcdef01234567-2` of sweep, configuration and seed.
#[must_use]
pub fn task_name(TaskId { sweep, configuration, seed }: TaskId) -> String {
    format!("{sweep}-{configuration}-{seed}")
}

/// What the placeholders stand for in one attempt at a task.
#[derive(Clone, Copy, Debug)]
pub struct PlaceholderValues<'v> {
    /// The parameters, in the order of the sweep file.
    pub parameters: &'v [Parameter],
    /// The task.
    pub task: TaskId,
    /// Number of the attempt, counting from 1.
    pub attempt: u32,
    /// Path of the task's own folder.
    pub checkpoint_dir: &'v str,
}

impl PlaceholderValues<'_> {
    /// `${args}` as separate arguments: `--name=value` for each parameter that is not null, then `--seed=N`.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let given = self.parameters.iter().filter(|Parameter(_, value)| !value.is_null());
        let given = given.map(|Parameter(name, value)| format!("--{name}={}", value_text(value)));
        given.chain([format!("--seed={}", self.task.seed)]).collect()
    }

    /// The arguments that stand for one word of the command: several for a word that is exactly `${args}`, one for any
    /// other word.
    ///
    /// # Errors
    /// As [`Self::text`].
    pub fn word(&self, word: &str) -> Result<Vec<String>, PlaceholderError> {
        if word == "${args}" { Ok(self.arguments()) } else { Ok(vec![self.text(word)?]) }
    }

    /// A text with its placeholders replaced. `${args}` becomes one text, in which each argument is quoted for a POSIX
    /// shell where that is needed. Nothing else is quoted.
    ///
    /// # Errors
    /// As [`check_placeholders`].
    pub fn text(&self, text: &str) -> Result<String, PlaceholderError> {
        let mut replaced = String::new();
        for (range, piece) in pieces(text)? {
            match piece {
                Piece::Text(text) => replaced.push_str(text),
                Piece::Placeholder(placeholder) => self.append(&mut replaced, placeholder, range)?,
            }
        }
        Ok(replaced)
    }

    fn append(
        &self,
        to: &mut String,
        placeholder: Placeholder<'_>,
        range: Range<usize>,
    ) -> Result<(), PlaceholderError> {
        let number: &dyn std::fmt::Display = match placeholder {
            Placeholder::Args => {
                let arguments = self.arguments();
                let quoted: Vec<Cow<'_, str>> =
                    arguments.iter().map(|argument| shell_quoted(argument)).collect();
                to.push_str(&quoted.join(" "));
                return Ok(());
            }
            Placeholder::Parameter(name) => {
                let mut own = self.parameters.iter();
                let Some(Parameter(_, value)) = own.find(|Parameter(own, _)| own == name) else {
                    let names = self.parameters.iter().map(|Parameter(name, _)| name.as_str());
                    return Err(no_parameter(name, range, names));
                };
                to.push_str(&value_text(value));
                return Ok(());
            }
            Placeholder::Task => &task_name(self.task),
            Placeholder::CheckpointDir => &self.checkpoint_dir,
            Placeholder::Seed => &self.task.seed,
            Placeholder::Attempt => &self.attempt,
        };
        // Writing to a text cannot fail.
        let _ = write!(to, "{number}");
        Ok(())
    }
}

/// The value of a parameter as text: a text as it is, null as nothing, everything else as JSON without spaces.
#[must_use]
pub fn value_text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::String(text) => Cow::Borrowed(text),
        value => Cow::Owned(value.to_string()),
    }
}

/// A text as one word of a POSIX shell: as it is if no character means anything to a shell, otherwise in single
/// quotes.
#[must_use]
pub fn shell_quoted(text: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::{ConfigurationId, SweepId};

    fn parameters() -> Vec<Parameter> {
        [
            ("lr", json!(0.001)),
            ("epochs", json!(20)),
            ("optimizer", json!("adam w")),
            ("layers", json!([64, 64])),
            ("amp", json!(true)),
            ("warmup", Value::Null),
        ]
        .map(|(name, value)| Parameter(name.to_owned(), value))
        .into()
    }

    fn replaced(text: &str) -> Result<String, PlaceholderError> {
        values(&parameters()).text(text)
    }

    fn values(parameters: &[Parameter]) -> PlaceholderValues<'_> {
        let configuration = ConfigurationId(0x00ab_cdef_0123_4567);
        let task = TaskId { sweep: SweepId(3), configuration, seed: 2 };
        PlaceholderValues { parameters, task, attempt: 4, checkpoint_dir: "/kept/it" }
    }

    #[test]
    fn args_are_one_argument_per_parameter_that_is_not_null_and_the_seed() {
        let own = parameters();
        let expected =
            ["--lr=0.001", "--epochs=20", "--optimizer=adam w", "--layers=[64,64]", "--amp=true", "--seed=2"];
        assert_eq!(values(&own).word("${args}").unwrap(), expected);
        assert_eq!(values(&[]).word("${args}").unwrap(), ["--seed=2"]);
        let one = "python3 train.py --lr=0.001 --epochs=20 '--optimizer=adam w' '--layers=[64,64]' --amp=true --seed=2";
        assert_eq!(values(&own).word("python3 train.py ${args}").unwrap(), [one]);
    }

    #[test]
    fn every_placeholder_has_its_value() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("out/${task}.json", "out/3-00abcdef01234567-2.json"),
            ("${seed}-${attempt}", "2-4"),
            ("${checkpoint_dir}/x", "/kept/it/x"),
            ("${param.optimizer}|${param.warmup}|${param.layers}", "adam w||[64,64]"),
            ("5$ is $$5, $HOME, $${HOME}, $$$$", "5$ is $5, $HOME, ${HOME}, $$"),
            ("$$${seed}$", "$2$"),
            ("ä${seed}ö", "ä2ö"),
        ] {
            assert_eq!(replaced(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let parameters = parameters();
        let names = || parameters.iter().map(|Parameter(name, _)| name.as_str());
        for (text, wrong, what, help) in [
            ("ä ${sed} x", "${sed}", "no placeholder `${sed}`", "did you mean `seed`?"),
            ("${HOME}", "${HOME}", "no placeholder `${HOME}`", "`$${HOME}`"),
            ("${}", "${}", "no placeholder `${}`", "`${args}`"),
            ("${param.}", "${param.}", "no placeholder `${param.}`", "`${param.NAME}`"),
            ("a $$ ${seed", "${seed", "closing `}`", "`$${`"),
            ("${seed} ${param.epoch}", "${param.epoch}", "no parameter `epoch`", "did you mean `epochs`?"),
            ("${param.depth}", "${param.depth}", "no parameter `depth`", "add `depth`"),
        ] {
            let error = check_placeholders(text, names()).unwrap_err();
            assert_eq!(&text[error.range.clone()], wrong);
            assert!(error.what.contains(what) && error.help.contains(help), "{error:?}");
            assert_eq!(replaced(text), Err(error));
        }
        assert_eq!(check_placeholders("${args} ${param.lr} $$ $x", names()), Ok(()));
        assert_eq!(
            placeholders("$${seed} ${param.lr}${task}").unwrap(),
            [(9..20, Placeholder::Parameter("lr")), (20..27, Placeholder::Task)]
        );
    }

    #[test]
    fn words_for_a_shell_are_quoted_where_needed() {
        for (text, expected) in [
            ("--lr=0.1", "--lr=0.1"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$(rm x)", "'$(rm x)'"),
            ("ä", "'ä'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(shell_quoted(text), expected);
        }
    }
}

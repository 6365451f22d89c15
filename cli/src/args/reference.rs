//! Names of tasks and configurations on the command line.

use std::str::FromStr;

use colearn_core::id::{IdError, SweepName};

/// Number of digits that identify a configuration: fewer than four are more likely a typing error than an id.
const DIGITS: std::ops::RangeInclusive<usize> = 4..=16;

/// An invalid name of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// The number of parts is wrong. Holds the expected form.
    #[error("it must be {0}, as `colearn tasks NAME` lists them")]
    Parts(&'static str),
    /// The configuration is not the beginning of an id.
    #[error(
        "`{0}` is not a configuration: give the first 4 to 16 hexadecimal digits of its id, as `colearn tasks NAME` lists it"
    )]
    Configuration(String),
    /// The seed is not a number.
    #[error("`{0}` is not a seed")]
    Seed(String),
    /// The sweep's name is not of the allowed form.
    #[error(transparent)]
    Sweep(#[from] IdError),
}

/// The beginning of a configuration's id: 4 to 16 hexadecimal digits, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigurationPrefix(String);

impl ConfigurationPrefix {
    /// The digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ConfigurationPrefix {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if digits && DIGITS.contains(&text.len()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(ReferenceError::Configuration(text.to_owned()))
        }
    }
}

/// A task within a given sweep: `CONFIGURATION/SEED`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskReference {
    /// The configuration.
    pub(crate) configuration: ConfigurationPrefix,
    /// The seed.
    pub(crate) seed: u64,
}

impl TaskReference {
    fn of(configuration: &str, seed: &str) -> Result<Self, ReferenceError> {
        Ok(Self {
            configuration: configuration.parse()?,
            seed: seed.parse().map_err(|_| ReferenceError::Seed(seed.to_owned()))?,
        })
    }
}

impl FromStr for TaskReference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [configuration, seed] => Self::of(configuration, seed),
            _ => Err(ReferenceError::Parts("CONFIGURATION/SEED")),
        }
    }
}

/// A task: `NAME/CONFIGURATION/SEED`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskPath {
    /// The sweep of the task.
    pub(crate) sweep: SweepName,
    /// The task within the sweep.
    pub(crate) task: TaskReference,
}

impl FromStr for TaskPath {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        match text.split('/').collect::<Vec<_>>()[..] {
            [sweep, configuration, seed] => {
                Ok(Self { sweep: SweepName::new(sweep)?, task: TaskReference::of(configuration, seed)? })
            }
            _ => Err(ReferenceError::Parts("NAME/CONFIGURATION/SEED")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_named_by_the_beginning_of_their_configuration() {
        let path: TaskPath = "small/01AB/7".parse().unwrap();
        assert_eq!(path.sweep.as_str(), "small");
        assert_eq!((path.task.configuration.as_str(), path.task.seed), ("01ab", 7));
        assert_eq!("01ab/7".parse::<TaskReference>().unwrap(), path.task);
        assert!("0123456789abcdef/0".parse::<TaskReference>().is_ok());
    }

    #[test]
    fn what_is_no_task_is_refused_for_what_is_wrong_with_it() {
        for (text, word) in [
            ("01ab", "CONFIGURATION/SEED"),
            ("a/01ab/7", "CONFIGURATION/SEED"),
            ("", "CONFIGURATION/SEED"),
            ("01a/7", "`01a`"),
            ("01ag/7", "`01ag`"),
            ("0123456789abcdef0/7", "4 to 16"),
            ("01ab/-7", "`-7`"),
            ("01ab/", "``"),
        ] {
            let error = text.parse::<TaskReference>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        for (text, word) in [("01ab/7", "NAME/CONFIGURATION/SEED"), ("sm all/01ab/7", "sweep name")] {
            let error = text.parse::<TaskPath>().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}

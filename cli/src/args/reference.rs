//! Names of tasks and configurations on the command line.

use std::str::FromStr;

use colearn_core::{
    id::{IdError, SweepName},
    names::Criteria,
};

/// An invalid name of a task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReferenceError {
    /// The number of parts is wrong. Holds the expected form.
    #[error("it must be {0}, as `colearn tasks NAME` lists them")]
    Parts(&'static str),
    /// Nothing names the configuration.
    #[error(
        "it names no configuration: give the values that differ, such as `audio=0.8,video=0.8`, or the first digits of its id"
    )]
    Configuration,
    /// The seed is not a number.
    #[error("`{0}` is not a seed")]
    Seed(String),
    /// The sweep's name is not of the allowed form.
    #[error(transparent)]
    Sweep(#[from] IdError),
}

/// A task within a given sweep: `CONFIGURATION/SEED`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskReference {
    /// The configuration.
    pub(crate) configuration: Criteria,
    /// The seed.
    pub(crate) seed: u64,
}

impl TaskReference {
    fn of(configuration: &str, seed: &str) -> Result<Self, ReferenceError> {
        Ok(Self {
            configuration: Criteria::new(configuration).ok_or(ReferenceError::Configuration)?,
            seed: seed.parse().map_err(|_| ReferenceError::Seed(seed.to_owned()))?,
        })
    }
}

/// Reads what names a configuration.
pub(super) fn configuration(text: &str) -> Result<Criteria, ReferenceError> {
    Criteria::new(text).ok_or(ReferenceError::Configuration)
}

impl FromStr for TaskReference {
    type Err = ReferenceError;
    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        // A value may have a slash, as a path has.
        let (configuration, seed) =
            text.rsplit_once('/').ok_or(ReferenceError::Parts("CONFIGURATION/SEED"))?;
        Self::of(configuration, seed)
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
        let parts = || ReferenceError::Parts("NAME/CONFIGURATION/SEED");
        let (sweep, task) = text.split_once('/').ok_or_else(parts)?;
        let (configuration, seed) = task.rsplit_once('/').ok_or_else(parts)?;
        Ok(Self { sweep: SweepName::new(sweep)?, task: TaskReference::of(configuration, seed)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_named_by_values_or_by_the_beginning_of_an_id() {
        let path: TaskPath = "small/01AB/7".parse().unwrap();
        assert_eq!(path.sweep.as_str(), "small");
        assert_eq!((path.task.configuration.as_str(), path.task.seed), ("01AB", 7));
        assert_eq!("01AB/7".parse::<TaskReference>().unwrap(), path.task);
        let path: TaskPath = "small/audio=0.8,data=a/b/7".parse().unwrap();
        assert_eq!((path.task.configuration.as_str(), path.task.seed), ("audio=0.8,data=a/b", 7));
    }

    #[test]
    fn what_is_no_task_is_refused_for_what_is_wrong_with_it() {
        for (text, word) in [
            ("01ab", "CONFIGURATION/SEED"),
            ("", "CONFIGURATION/SEED"),
            (" ,/7", "names no configuration"),
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

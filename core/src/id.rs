//! Names and numbers of things. Each has its own type, so that they cannot be confused.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// An invalid name or identifier.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A sweep's name has an invalid form.
    #[error(
        "`{0}` is not a sweep name: use 1 to 64 letters, digits, `.`, `_` or `-`, beginning with a letter or digit"
    )]
    SweepName(String),
    /// A worker's identifier has an invalid form.
    #[error("`{0}` is not a worker id: use 1 to 128 letters, digits, `.`, `_` or `-`")]
    WorkerId(String),
    /// A configuration's identifier is not 16 hexadecimal digits.
    #[error("`{0}` is not a configuration id: it has 16 hexadecimal digits")]
    ConfigurationId(String),
}

fn is_word(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

/// The name that a person gave a sweep; unique within a store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SweepName(String);

impl SweepName {
    /// Checks and wraps a name.
    ///
    /// # Errors
    /// If the name is empty, longer than 64 bytes or has characters other than letters, digits, `.`, `_`, `-`.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        let starts_well = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if starts_well && is_word(&text, 64) { Ok(Self(text)) } else { Err(IdError::SweepName(text)) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SweepName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl TryFrom<String> for SweepName {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl From<SweepName> for String {
    fn from(name: SweepName) -> Self {
        name.0
    }
}

impl fmt::Display for SweepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The number that a coordinator gave a sweep at its submission, counting from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SweepId(pub u64);

impl fmt::Display for SweepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A hash of a configuration's resolved settings without the seed; 16 hexadecimal digits as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConfigurationId(pub u64);

impl fmt::Display for ConfigurationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for ConfigurationId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let hexadecimal = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !hexadecimal {
            return Err(IdError::ConfigurationId(text.to_owned()));
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| IdError::ConfigurationId(text.to_owned()))
    }
}

impl TryFrom<String> for ConfigurationId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<ConfigurationId> for String {
    fn from(id: ConfigurationId) -> Self {
        id.to_string()
    }
}

/// One (configuration, seed) of one sweep. Written `sweep/configuration/seed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The sweep of the task.
    pub sweep: SweepId,
    /// The configuration of the task.
    pub configuration: ConfigurationId,
    /// The seed of the task.
    pub seed: u64,
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.sweep, self.configuration, self.seed)
    }
}

/// One run of one worker process. A restarted worker has a new id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WorkerId(String);

impl WorkerId {
    /// Checks and wraps an identifier.
    ///
    /// # Errors
    /// If it is empty, longer than 128 bytes or has characters other than letters, digits, `.`, `_`, `-`.
    pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
        let text = text.into();
        if is_word(&text, 128) { Ok(Self(text)) } else { Err(IdError::WorkerId(text)) }
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for WorkerId {
    type Error = IdError;
    fn try_from(text: String) -> Result<Self, IdError> {
        Self::new(text)
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.0
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A fencing token. It grows with every lease that a store ever granted, so that a report under an older lease of a
/// task can be distinguished from one under a newer lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeaseToken(pub u64);

impl fmt::Display for LeaseToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_names_are_words() {
        assert!(SweepName::new("utd-mhad.v2_b").is_ok());
        for bad in ["", "-x", "a b", "a/b", "ä", &"x".repeat(65)] {
            assert!(SweepName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn configuration_ids_survive_text() {
        let id = ConfigurationId(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string(), "00abcdef01234567");
        assert_eq!(id.to_string().parse::<ConfigurationId>(), Ok(id));
        assert!("+0abcdef01234567".parse::<ConfigurationId>().is_err());
        assert!("ab".parse::<ConfigurationId>().is_err());
    }
}

//! What a row is averaged over.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{id::ConfigurationId, names::word};

/// One value that a row is averaged over: that of a seed and, with `report.replicates`, of one of the row's
/// configurations. Its text is `3`, or `fold=0 seed=3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Replicate {
    /// The name of the configuration among those of its row, such as `fold=0`; empty without replicates.
    pub of: String,
    /// The seed.
    pub seed: u64,
}

/// One of the configurations of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Id of the configuration.
    pub id: ConfigurationId,
    /// Its values of the parameters in `report.replicates`.
    pub values: BTreeMap<String, Value>,
}

impl Member {
    /// The values as text: `fold=0`. Other values have another text.
    #[must_use]
    pub fn name(&self) -> String {
        let pairs = self.values.iter().map(|(path, value)| format!("{path}={}", word(value)));
        pairs.collect::<Vec<_>>().join(" ")
    }
}

impl fmt::Display for Replicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, seed } = self;
        if of.is_empty() { write!(f, "{seed}") } else { write!(f, "{of} seed={seed}") }
    }
}

impl From<Replicate> for String {
    fn from(replicate: Replicate) -> Self {
        replicate.to_string()
    }
}

impl TryFrom<String> for Replicate {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (of, seed) = text.rsplit_once(" seed=").unwrap_or(("", &text));
        Ok(Self { of: of.to_owned(), seed: seed.parse()? })
    }
}

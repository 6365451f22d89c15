//! The words for the outcome of a comparison.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The paper's terms for the effect of training with several modalities, with the unimodal variant as baseline, and a
/// word for what is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Positive co-learning: better than the baseline, and the test finds a difference.
    #[serde(rename = "PCL")]
    Positive,
    /// Negative co-learning: worse than the baseline, and the test finds a difference.
    #[serde(rename = "NCL")]
    Negative,
    /// The interval of the difference lies within the margin of equivalence: the paper's "neutral".
    #[serde(rename = "equivalent")]
    Equivalent,
    /// None of these is shown: the difference may be zero, or larger than the margin.
    #[serde(rename = "inconclusive", alias = "neutral")]
    Inconclusive,
}

impl Verdict {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 4] = [Self::Positive, Self::Equivalent, Self::Inconclusive, Self::Negative];

    /// The word for it in tables and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "PCL",
            Self::Negative => "NCL",
            Self::Equivalent => "equivalent",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a comparison has no test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Untested {
    /// Fewer than [`MIN_PAIRS`](super::MIN_PAIRS) seeds have both results.
    TooFewSeeds,
    /// The difference is the same at every seed: its deviation, by which a test divides, is zero.
    NoVariance,
}

impl Untested {
    /// The words for it in tables and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooFewSeeds => "too few seeds",
            Self::NoVariance => "no variance",
        }
    }
}

/// How a simultaneous interval and its p-value were computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// The paired t-test: the configuration is the only one that is compared with its baseline.
    Paired,
    /// Dunnett's maximum with the deviation of all configurations of the group, and seeds as blocks.
    Dunnett,
    /// Holm's correction of the paired t-tests, with Bonferroni's interval.
    Holm,
}

impl Method {
    /// The word for it in tables and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Paired => "paired t",
            Self::Dunnett => "Dunnett",
            Self::Holm => "Holm",
        }
    }
}

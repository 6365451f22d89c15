//! The names that the format uses.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The value of the header's `format` entry that this crate reads and writes.
pub(crate) const FORMAT: &str = "colearn-dataset/1";

/// The last part of the names of the label tensors. A modality cannot have this name.
pub(crate) const LABELS: &str = "labels";

/// One part of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// Samples for training.
    Train,
    /// Samples that select the epoch whose weights are tested.
    Valid,
    /// Samples for the reported metrics.
    Test,
}

impl Split {
    /// All splits, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Train, Self::Valid, Self::Test];

    /// The split's name as in tensor names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One named stream of features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Modality {
    /// Letters, digits, `-` and `_`: sweep files name it in dotted paths.
    pub name: String,
    /// Features per time step (D).
    pub dim: usize,
}

/// What the labels mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Task {
    /// A label is an index into the class names.
    Classification {
        /// At least two distinct names.
        classes: Vec<String>,
    },
    /// A label is a finite number.
    Regression,
}

/// The origin of a data set, as texts for people. Texts may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The people who recorded it, and where to obtain it.
    pub source: String,
    /// The licence of the data.
    pub licence: String,
    /// How the features were computed from the source.
    pub preparation: String,
}

/// The name of a tensor, such as `train/audio`.
pub(crate) fn tensor_name(split: Split, part: &str) -> String {
    format!("{split}/{part}")
}

/// The names of the samples, by split in the order of [`Split::ALL`], for the files that tasks keep. Training does not
/// use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The id of each sample.
    pub ids: Option<[Vec<String>; 3]>,
    /// The group of each sample, such as its speaker.
    pub groups: Option<[Vec<String>; 3]>,
}

impl Names {
    /// The lists with their keys in the header.
    pub(crate) fn lists(&self) -> impl Iterator<Item = (&'static str, &[Vec<String>; 3])> {
        let lists = [("ids", &self.ids), ("groups", &self.groups)];
        lists.into_iter().filter_map(|(key, list)| Some((key, list.as_ref()?)))
    }
}

/// A list of names as the header has it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BySplit {
    pub(crate) train: Vec<String>,
    pub(crate) valid: Vec<String>,
    pub(crate) test: Vec<String>,
}

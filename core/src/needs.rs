//! What a task needs of a slot, and what a slot offers.

use std::{collections::BTreeSet, fmt};

use serde::{Deserialize, Serialize};

use crate::text::{bytes, counted};

/// A kind of trainer: the program that a slot runs for a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrainerKind {
    /// Trains the built-in networks.
    #[default]
    Networks,
    /// Runs programs of users.
    Programs,
}

/// What each task of a sweep needs of the slot that it runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// The kind of trainer.
    pub trainer: TrainerKind,
    /// Whether the slot must have a GPU.
    pub gpu: bool,
    /// Memory of the host for the slot, in bytes.
    pub memory: u64,
    /// Threads of the slot.
    pub threads: u32,
    /// Labels that the worker must have.
    pub labels: BTreeSet<String>,
}

/// What a slot offers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Offers {
    /// The kinds of trainers that it can run.
    pub trainers: BTreeSet<TrainerKind>,
    /// Whether it has a GPU.
    pub gpu: bool,
    /// Its share of the host's memory, in bytes; `None` if it is not known.
    pub memory: Option<u64>,
    /// Its threads; `None` if they are not known.
    pub threads: Option<u32>,
    /// Labels of its worker.
    pub labels: BTreeSet<String>,
}

impl Default for Offers {
    /// The offer of a worker whose version does not describe its slots: the built-in networks, on anything.
    fn default() -> Self {
        Self {
            trainers: [TrainerKind::Networks].into(),
            gpu: false,
            memory: None,
            threads: None,
            labels: BTreeSet::new(),
        }
    }
}

/// Maximum number of labels of a worker.
pub const MAX_LABELS: usize = 64;
/// Maximum length of a label, in bytes.
pub const MAX_LABEL_BYTES: usize = 64;

/// Whether a text can be a label: a word of at most [`MAX_LABEL_BYTES`] ASCII letters, digits, `.`, `_`, `-`.
#[must_use]
pub fn is_label(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= MAX_LABEL_BYTES && text.chars().all(allowed)
}

impl Needs {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What the slot lacks; empty if the tasks can run on it.
    #[must_use]
    pub fn missing_in(&self, offers: &Offers) -> Vec<Lack> {
        let mut lacks = Vec::new();
        if !offers.trainers.contains(&self.trainer) {
            lacks.push(Lack::Trainer(self.trainer));
        }
        if self.gpu && !offers.gpu {
            lacks.push(Lack::Gpu);
        }
        if self.memory > offers.memory.unwrap_or(0) {
            lacks.push(Lack::Memory { needed: self.memory, offered: offers.memory });
        }
        if self.threads > offers.threads.unwrap_or(0) {
            lacks.push(Lack::Threads { needed: self.threads, offered: offers.threads });
        }
        lacks.extend(self.labels.difference(&offers.labels).cloned().map(Lack::Label));
        lacks
    }

    /// Whether the tasks can run on a slot.
    #[must_use]
    pub fn are_met_by(&self, offers: &Offers) -> bool {
        offers.trainers.contains(&self.trainer)
            && (offers.gpu || !self.gpu)
            && self.memory <= offers.memory.unwrap_or(0)
            && self.threads <= offers.threads.unwrap_or(0)
            && self.labels.is_subset(&offers.labels)
    }
}

/// One thing that a slot lacks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lack {
    /// It does not run this kind of trainer.
    Trainer(TrainerKind),
    /// It has no GPU.
    Gpu,
    /// It has less memory, in bytes.
    Memory {
        /// What is needed.
        needed: u64,
        /// What the slot has, if it is known.
        offered: Option<u64>,
    },
    /// It has fewer threads.
    Threads {
        /// What is needed.
        needed: u32,
        /// What the slot has, if it is known.
        offered: Option<u32>,
    },
    /// Its worker does not have this label.
    Label(String),
}

impl fmt::Display for Lack {
    /// For people, after "the slot": `has no GPU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trainer(TrainerKind::Programs) => {
                f.write_str("runs no programs of users (start the worker with --allow-programs)")
            }
            Self::Trainer(TrainerKind::Networks) => f.write_str("trains no built-in networks"),
            Self::Gpu => f.write_str("has no GPU"),
            Self::Memory { needed, offered: Some(offered) } => {
                write!(f, "has {} of memory, not {}", bytes(*offered), bytes(*needed))
            }
            Self::Memory { needed, offered: None } => {
                write!(f, "does not say whether it has {} of memory", bytes(*needed))
            }
            Self::Threads { needed, offered: Some(offered) } => {
                write!(f, "has {}, not {needed}", counted(u64::from(*offered), "thread"))
            }
            Self::Threads { needed, offered: None } => {
                write!(f, "does not say whether it has {}", counted(u64::from(*needed), "thread"))
            }
            Self::Label(label) => write!(f, "has no label `{label}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_told_everything_that_it_lacks() {
        let needs = Needs {
            trainer: TrainerKind::Programs,
            gpu: true,
            memory: 8_000_000_000,
            threads: 2,
            labels: ["big".to_owned()].into(),
        };
        let offers = Offers {
            memory: Some(4_000_000_000),
            threads: Some(1),
            labels: ["small".to_owned()].into(),
            ..Offers::default()
        };
        let told: Vec<String> = needs.missing_in(&offers).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "runs no programs of users (start the worker with --allow-programs)",
                "has no GPU",
                "has 4.0 GB of memory, not 8.0 GB",
                "has 1 thread, not 2",
                "has no label `big`",
            ]
        );
        assert!(!needs.are_met_by(&offers));
        let enough = Offers {
            trainers: [TrainerKind::Networks, TrainerKind::Programs].into(),
            gpu: true,
            memory: Some(8_000_000_000),
            threads: Some(2),
            labels: ["big".to_owned(), "small".to_owned()].into(),
        };
        assert!(needs.are_met_by(&enough) && needs.missing_in(&enough).is_empty());
    }

    #[test]
    fn labels_are_words() {
        for good in ["big", "gpu-80gb", "rack_7.b", &"x".repeat(64)] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "two words", "a,b", "gr\u{f6}\u{df}e", &"x".repeat(65)] {
            assert!(!is_label(bad), "{bad}");
        }
    }

    #[test]
    fn a_slot_of_an_older_worker_trains_networks() {
        assert!(Needs::default().are_met_by(&Offers::default()));
        assert!(!Needs { threads: 1, ..Needs::default() }.are_met_by(&Offers::default()));
    }
}

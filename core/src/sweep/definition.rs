//! A validated sweep: expanded, resolved, and not able to be wrong.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{ConfigurationId, SweepName},
    settings::TaskSettings,
};

/// A sweep as it is meant: what the coordinator journals and everything later reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Its name.
    pub name: SweepName,
    /// The dotted paths that are swept, in the order of the file; columns of every table.
    pub parameters: Vec<String>,
    /// The points of the grid, in order, without duplicates; at least one.
    pub configurations: Vec<Configuration>,
    /// The replicates, in order, without duplicates; at least one.
    pub seeds: Vec<u64>,
    /// How results are shown.
    pub report: ReportSettings,
    /// When a failed attempt is tried again.
    pub retries: RetrySettings,
    /// When training is written down to go on from. Sweeps journaled before it existed have the default.
    #[serde(default)]
    pub checkpoint: CheckpointSettings,
    /// Which of its tasks go out when. Sweeps journaled before it existed have the default.
    #[serde(default, skip_serializing_if = "ScheduleSettings::is_default")]
    pub schedule: ScheduleSettings,
}

/// One point of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Hash of `settings`.
    pub id: ConfigurationId,
    /// What is trained, fully resolved.
    pub settings: TaskSettings,
    /// What distinguishes it: the swept paths it sets, with their values. Keys beyond
    /// [`Sweep::parameters`] come from `include`.
    pub values: BTreeMap<String, Value>,
    /// Whether the others are compared with this one.
    pub baseline: bool,
    /// Tasks of equal key can be trained in one cohort: everything that decides shapes and the loop's length.
    pub cohort_key: u64,
}

/// How results are shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSettings {
    /// Metric names, in column order. The first is the one that verdicts are about.
    pub metrics: Vec<String>,
    /// Confidence level of the intervals, in (0, 1).
    pub confidence: f64,
    /// File of published means to show beside the results, relative to the sweep file. Only its name is kept
    /// here: whoever makes a report reads it then. Sweeps journaled before it existed have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// When a failed attempt is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrySettings {
    /// Attempts a task has in all; at least 1.
    pub max_attempts: u32,
    /// Wait before the second attempt; doubled for each further one.
    pub initial_backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
}

/// When training is written down, so that another attempt goes on from there. No part of what a
/// configuration is: results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Epochs between one checkpoint and the next; 0 means that there are none.
    pub every_epochs: u32,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every_epochs: 5 }
    }
}

/// Which tasks of a sweep go out when. No part of what a configuration is: results do not depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// In which order.
    pub order: Order,
    /// Sweeps of a higher priority go first; those of equal priority share the slots evenly. From
    /// [`Self::LOWEST`] to [`Self::HIGHEST`].
    pub priority: i32,
    /// The most tasks that run at a time; `None` for as many as there is room for.
    pub max_concurrent_tasks: Option<u32>,
}

impl ScheduleSettings {
    /// The lowest priority.
    pub const LOWEST: i32 = -1000;
    /// The highest priority.
    pub const HIGHEST: i32 = 1000;

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The order in which the tasks of a sweep go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Seed by seed over all configurations: a whole table stands at n = 1 first.
    #[default]
    BySeed,
    /// Configuration by configuration, each with all its seeds.
    ByConfiguration,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::BySeed, Self::ByConfiguration];

    /// The word for it in sweep files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BySeed => "by_seed",
            Self::ByConfiguration => "by_configuration",
        }
    }
}

impl Sweep {
    /// Number of tasks: configurations times seeds.
    #[must_use]
    pub fn task_count(&self) -> u64 {
        self.configurations.len() as u64 * self.seeds.len() as u64
    }
}

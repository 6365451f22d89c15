//! A validated sweep: expanded, resolved, and always consistent.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{ConfigurationId, SweepName},
    needs::Needs,
    result::Direction,
    settings::{NetworkSettings, TaskSettings},
};

/// A validated sweep. The coordinator journals it, and all later code reads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// Its name.
    pub name: SweepName,
    /// The swept dotted paths, in the order of the file; they are columns of every table.
    pub parameters: Vec<String>,
    /// The points of the grid, in order, without duplicates; at least one.
    pub configurations: Vec<Configuration>,
    /// The seeds, in order, without duplicates; at least one.
    pub seeds: Vec<u64>,
    /// Settings for reports.
    pub report: ReportSettings,
    /// Settings for repeating failed attempts.
    pub retries: RetrySettings,
    /// Settings for checkpoints. Sweeps from older journals have the default.
    #[serde(default)]
    pub checkpoint: CheckpointSettings,
    /// The files that each task keeps. Sweeps from older journals keep none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep: BTreeSet<Kept>,
    /// Order and priority of its tasks. Sweeps from older journals have the default.
    #[serde(default, skip_serializing_if = "ScheduleSettings::is_default")]
    pub schedule: ScheduleSettings,
    /// What each task needs of a slot. Sweeps from older journals need a slot that trains networks.
    #[serde(default, skip_serializing_if = "Needs::is_default")]
    pub needs: Needs,
}

/// One point of the grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// Hash of `settings`.
    pub id: ConfigurationId,
    /// The fully resolved settings, which the rows of a table share.
    pub settings: Arc<TaskSettings>,
    /// The swept paths that this configuration sets, with their values. Paths beyond [`Sweep::parameters`] come from
    /// `include`.
    pub values: Arc<BTreeMap<String, Value>>,
    /// Whether other configurations are compared with this one.
    pub baseline: bool,
    /// The baseline that this configuration is compared with. If it is unset, it is compared with the only one, or
    /// with nothing; see [`ReportSettings::matched`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<ConfigurationId>,
    /// Tasks with equal keys can be trained in one cohort. The key covers all settings that decide shapes and the
    /// length of the loop.
    pub cohort_key: u64,
}

impl Configuration {
    /// The settings of the network that it trains, if it trains one, to change them. They are shared no longer.
    pub fn network_mut(&mut self) -> Option<&mut NetworkSettings> {
        Arc::make_mut(&mut self.settings).network_mut()
    }
}

/// Settings for reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportSettings {
    /// Metric names, in column order. Verdicts are about the first one.
    pub metrics: Vec<String>,
    /// Confidence level of the intervals, in (0, 1).
    pub confidence: f64,
    /// File of published means to show beside the results, relative to the sweep file. Only the name is stored; the
    /// file is read when a report is made. Sweeps from older journals have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// Whether higher or lower values of a metric are better, where the name alone does not say it right; see
    /// [`Direction::of`]. Sweeps from older journals have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub better: BTreeMap<String, Direction>,
    /// Parameters that the table averages over, as it does over seeds; see [`Sweep::rows`]. Sweeps from older journals
    /// have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicates: Vec<String>,
    /// By metric, the largest difference to the baseline that does not matter; above 0. A difference whose interval
    /// lies within it is called equivalent. Sweeps from older journals have none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub margin: BTreeMap<String, f64>,
    /// What verdicts hold their error rate over. Sweeps from older journals have the default.
    #[serde(default, skip_serializing_if = "Adjustment::is_default")]
    pub adjustment: Adjustment,
    /// Whether a configuration without [`Configuration::compared_with`] is compared with nothing, even if there is only
    /// one baseline. Unset in sweeps from older journals.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub matched: bool,
    /// The metric by which configurations are chosen. Without it, a network is chosen by the first metric on the
    /// validation split, and a program is not chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose_by: Option<String>,
}

/// What the error rate of verdicts and of their intervals is held over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adjustment {
    /// All comparisons of a metric together: with probability `confidence` all intervals hold their true differences.
    #[default]
    Simultaneous,
    /// Each comparison alone.
    None,
}

impl Adjustment {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Simultaneous, Self::None];

    /// The word for it in sweep files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simultaneous => "simultaneous",
            Self::None => "none",
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Settings for repeating failed attempts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrySettings {
    /// Total number of attempts of a task; at least 1.
    pub max_attempts: u32,
    /// Wait before the second attempt; doubled for each further attempt.
    pub initial_backoff: Duration,
    /// The longest wait.
    pub max_backoff: Duration,
}

/// Settings for checkpoints, from which another attempt continues. They are not part of a configuration's identity,
/// because results do not depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointSettings {
    /// Epochs between two checkpoints; 0 means that none are written.
    pub every_epochs: u32,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every_epochs: 5 }
    }
}

/// A file that a network's task keeps beside its checkpoints. It is not part of a configuration's identity, because
/// results do not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// Truth, outputs and prediction of each sample of the validation and the test split.
    Predictions,
    /// The tested weights.
    Weights,
}

impl Kept {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Predictions, Self::Weights];

    /// The word for it in sweep files and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Predictions => "predictions",
            Self::Weights => "weights",
        }
    }

    /// The name of the file.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Predictions => "predictions.csv",
            Self::Weights => "weights.safetensors",
        }
    }
}

/// Order and priority of a sweep's tasks. They are not part of a configuration's identity, because results do not
/// depend on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Order of the tasks.
    pub order: Order,
    /// Sweeps with a higher priority come first; those of equal priority share the slots evenly. From
    /// [`Self::LOWEST`] to [`Self::HIGHEST`].
    pub priority: i32,
    /// Maximum number of tasks that run at a time; `None` for no limit.
    pub max_concurrent_tasks: Option<u32>,
    /// The number of failed tasks after which no other begins; `None` for never.
    // Left out without a value, because earlier versions refuse keys that they do not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_after_failures: Option<u32>,
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

/// The order in which the tasks of a sweep are handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// All configurations with the first seed, then with the next: a complete table with n = 1 comes first.
    #[default]
    BySeed,
    /// One configuration after the other, each with all its seeds.
    ByConfiguration,
}

impl Order {
    /// All orders.
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

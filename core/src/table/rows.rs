//! The table and its rows.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    failure::FailureReason,
    id::{ConfigurationId, SweepName},
    result::{TaskResult, metric},
    settings::TaskSettings,
    statistics::{Comparison, Summary, Verdict},
};

/// What became of one task, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every outcome is a result, and a box for each saves nothing"
)]
pub enum TaskOutcome {
    /// It has its result.
    Done(TaskResult),
    /// It has failed for good.
    Failed(FailureReason),
}

/// All configurations of a sweep with what is known of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultsTable {
    /// The sweep's name.
    pub sweep: SweepName,
    /// The swept paths: the columns that tell configurations apart.
    pub parameters: Vec<String>,
    /// The metrics shown, in column order. The first is the one that verdicts are about.
    pub metrics: Vec<String>,
    /// Confidence level of the intervals.
    pub confidence: f64,
    /// In the order of the grid.
    pub configurations: Vec<ConfigurationRow>,
    /// The files that results were trained on, as SHA-256, by the data set's name. More than one of a name means
    /// that the file was changed in between, and that the means are of different things.
    #[serde(default)]
    pub data_digests: BTreeMap<String, BTreeSet<String>>,
}

/// One configuration of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRow {
    /// Its id.
    pub id: ConfigurationId,
    /// The resolved settings.
    pub settings: TaskSettings,
    /// The swept paths it sets, with their values.
    pub values: BTreeMap<String, Value>,
    /// Whether the others are compared with it.
    pub baseline: bool,
    /// Seeds that have a result.
    pub n: usize,
    /// Seeds there are.
    pub expected: usize,
    /// Whether the means can be taken at their word.
    pub state: RowState,
    /// Seeds without a result that have failed for good, with the reason.
    pub failed_seeds: BTreeMap<u64, FailureReason>,
    /// Metric name to its summary over the `n` seeds. A metric that a result lacks is absent.
    pub metrics: BTreeMap<String, Summary>,
    /// Metric name to how it compares with the baseline, over the seeds that both have. Empty for the baseline
    /// itself, without a baseline, and where no seed has both.
    #[serde(default)]
    pub comparisons: BTreeMap<String, Comparison>,
}

/// How complete a configuration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Every seed has its result.
    Complete,
    /// Some seeds have none (yet).
    Partial,
    /// Every seed has failed.
    Failed,
}

impl RowState {
    /// The word for it in tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Partial => "partial",
            Self::Failed => "failed",
        }
    }
}

impl ResultsTable {
    /// The data sets of which results were trained on several different files, and the number of files. Means over
    /// such results mix different data.
    pub fn mixed_data(&self) -> impl Iterator<Item = (&str, usize)> {
        let counted = self.data_digests.iter().map(|(name, digests)| (name.as_str(), digests.len()));
        counted.filter(|(_, files)| *files > 1)
    }

    /// The metric that verdicts are about: the first of those shown.
    #[must_use]
    pub fn verdict_metric(&self) -> Option<&str> {
        self.metrics.first().map(String::as_str)
    }

    /// Whether the results are those of a regression, whose metrics of the same name mean something else.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.configurations.iter().any(|row| row.metrics.contains_key(metric::MAE))
    }

    /// What the others are compared with.
    #[must_use]
    pub fn baseline(&self) -> Option<&ConfigurationRow> {
        self.configurations.iter().find(|row| row.baseline)
    }

    /// The verdict on a row, about [`Self::verdict_metric`]. `None` for the baseline, where fewer than two
    /// seeds have both results, and where more than the modalities differs from the baseline: the paper's
    /// words are about the same network with and without the others.
    #[must_use]
    pub fn verdict(&self, row: &ConfigurationRow) -> Option<Verdict> {
        row.comparisons.get(self.verdict_metric()?)?.verdict
    }
}

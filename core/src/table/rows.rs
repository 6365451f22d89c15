//! The table and its rows.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    chosen::ChosenRow,
    class_scores::ClassScore,
    replicate::{Member, Replicate},
};
use crate::{
    failure::FailureReason,
    id::{ConfigurationId, SweepName},
    names::Named,
    result::{Direction, TaskResult, metric},
    settings::TaskSettings,
    statistics::{Comparison, Group, Summary, Verdict},
    sweep::Adjustment,
};

/// The outcome of one task, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every outcome is a result, and a box for each saves nothing"
)]
pub enum TaskOutcome {
    /// The task has its result.
    Done(TaskResult),
    /// The task has failed and is not tried again.
    Failed(FailureReason),
    /// A person cancelled the task, or its sweep; or the sweep was stopped because its tasks fail.
    Cancelled,
}

/// All configurations of a sweep, with their results so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultsTable {
    /// The sweep's name.
    pub sweep: SweepName,
    /// The swept paths except `replicates`: the columns that distinguish rows.
    pub parameters: Vec<String>,
    /// The metrics shown, in column order. Verdicts are about the first one.
    pub metrics: Vec<String>,
    /// Confidence level of the intervals.
    pub confidence: f64,
    /// One row per configuration, in the order of the grid. Configurations that differ in `replicates` alone share one.
    pub configurations: Vec<ConfigurationRow>,
    /// For each data set name, the SHA-256 digests of the files that results were trained on. More than one digest
    /// means that the file was changed in between, and that means mix different data.
    #[serde(default)]
    pub data_digests: BTreeMap<String, BTreeSet<String>>,
    /// The directions that the sweep gives to metrics; see [`Self::direction`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub better: BTreeMap<String, Direction>,
    /// The swept paths whose values are replicates, as the seeds are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicates: Vec<String>,
    /// The margins of equivalence, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub margin: BTreeMap<String, f64>,
    /// What verdicts hold their error rate over.
    #[serde(default)]
    pub adjustment: Adjustment,
    /// How the configurations were judged that are compared with each baseline, by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judged: BTreeMap<String, Vec<Group>>,
    /// The metric by which configurations are chosen; `None` if nothing is chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choose_by: Option<String>,
    /// The row with the best mean of `choose_by`, the first one on ties. `None` without such a metric, and if a row with
    /// results lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<ConfigurationId>,
    /// For each baseline with several configurations: what is chosen among them on validation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chosen: Vec<ChosenRow>,
}

/// One configuration of the table, or several that differ in the values of [`ResultsTable::replicates`] alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRow {
    /// Id of the configuration, or of the first one.
    pub id: ConfigurationId,
    /// The name of the row: the values that differ from other rows, such as `audio=0.8 video=0.8`; see
    /// [`crate::names`].
    #[serde(default)]
    pub name: String,
    /// The resolved settings of that configuration.
    pub settings: Arc<TaskSettings>,
    /// The swept paths that the configuration sets, with their values; without the replicates.
    pub values: Arc<BTreeMap<String, Value>>,
    /// Whether the others are compared with it.
    pub baseline: bool,
    /// Number of replicates that have a result. Without [`ResultsTable::replicates`] these are the seeds.
    pub n: usize,
    /// Number of all replicates.
    pub expected: usize,
    /// Whether the means are complete.
    pub state: RowState,
    /// Replicates without a result that have failed, with the reason.
    pub failed_seeds: BTreeMap<Replicate, FailureReason>,
    /// Replicates without a result whose tasks were cancelled.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub cancelled_seeds: BTreeSet<Replicate>,
    /// Summary over the `n` replicates, by metric name. A metric that a result lacks is absent.
    pub metrics: BTreeMap<String, Summary>,
    /// Comparison with the baseline over the replicates that both have, by metric name. Empty for the baseline
    /// itself, without a baseline, and if no replicate has both results.
    #[serde(default)]
    pub comparisons: BTreeMap<String, Comparison>,
    /// The F1 of each class; empty for a regression and for a program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<ClassScore>,
    /// The configurations of the row, in the order of the grid; empty without [`ResultsTable::replicates`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Member>,
}

/// The completeness of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Every replicate has its result.
    Complete,
    /// Some replicates have no result, or none yet.
    Partial,
    /// Every replicate has failed.
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

impl<'a> From<&'a ConfigurationRow> for Named<'a> {
    fn from(row: &'a ConfigurationRow) -> Self {
        Self { id: row.id, values: &row.values, settings: &row.settings }
    }
}

impl ConfigurationRow {
    /// The configurations of the row; without replicates one, which has no values of them.
    pub fn configurations(&self) -> impl Iterator<Item = Member> {
        let only = self.members.is_empty().then(|| Member { id: self.id, values: BTreeMap::new() });
        only.into_iter().chain(self.members.iter().cloned())
    }

    /// The names of the data sets that its results were trained on, or the name of the program.
    #[must_use]
    pub fn data_sets(&self) -> BTreeSet<String> {
        let replicated = |member: &Member| member.values.get("dataset")?.as_str().map(str::to_owned);
        let named: BTreeSet<String> = match self.settings.network() {
            Some(_) => self.members.iter().filter_map(replicated).collect(),
            None => BTreeSet::new(),
        };
        if named.is_empty() { [self.settings.data_set().into_owned()].into() } else { named }
    }
}

impl ResultsTable {
    /// The data sets whose results were trained on several different files, and the number of files. Means over such
    /// results mix different data.
    pub fn mixed_data(&self) -> impl Iterator<Item = (&str, usize)> {
        let counted = self.data_digests.iter().map(|(name, digests)| (name.as_str(), digests.len()));
        counted.filter(|(_, files)| *files > 1)
    }

    /// Whether higher or lower values of this metric are better.
    #[must_use]
    pub fn direction(&self, name: &str) -> Direction {
        Direction::of(name, &self.better)
    }

    /// The metric of the verdicts: the first of the shown metrics.
    #[must_use]
    pub fn verdict_metric(&self) -> Option<&str> {
        self.metrics.first().map(String::as_str)
    }

    /// Whether the results are those of the built-in networks, whose metrics have fixed meanings. The metrics of a
    /// program mean what its author says. All rows are of one kind; the first one tells, because views ask for each
    /// row.
    #[must_use]
    pub fn is_of_networks(&self) -> bool {
        self.configurations.first().is_none_or(|row| row.settings.network().is_some())
    }

    /// Whether the results are those of a network's regression. Its metrics have other meanings under the same names.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.is_of_networks() && self.configurations.iter().any(|row| row.metrics.contains_key(metric::MAE))
    }

    /// The row of a configuration.
    #[must_use]
    pub fn row_of(&self, configuration: ConfigurationId) -> Option<&ConfigurationRow> {
        self.configurations.iter().find(|row| {
            row.id == configuration || row.members.iter().any(|member| member.id == configuration)
        })
    }

    /// The rows of the baselines. With several, each configuration is compared with the one that is like it otherwise.
    pub fn baselines(&self) -> impl Iterator<Item = &ConfigurationRow> {
        self.configurations.iter().filter(|row| row.baseline)
    }

    /// The row of the baseline; `None` without a baseline, and with several.
    #[must_use]
    pub fn baseline(&self) -> Option<&ConfigurationRow> {
        let mut baselines = self.baselines();
        baselines.next().filter(|_| baselines.next().is_none())
    }

    /// Whether verdicts and the intervals that are shown hold for all comparisons at once.
    #[must_use]
    pub fn is_simultaneous(&self) -> bool {
        self.adjustment == Adjustment::Simultaneous
    }

    /// The verdict on a row, for [`Self::verdict_metric`]. `None` for the baseline, if there is no test, and if more than
    /// the modalities differs from the baseline: the paper's terms are about the same network with and without the
    /// other modalities.
    #[must_use]
    pub fn verdict(&self, row: &ConfigurationRow) -> Option<Verdict> {
        row.comparisons.get(self.verdict_metric()?)?.verdict
    }
}

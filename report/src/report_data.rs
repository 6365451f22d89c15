//! The input of a report.

use std::collections::{BTreeMap, HashMap};

use colearn_core::{
    id::ConfigurationId,
    result::TaskResult,
    sweep::Sweep,
    table::{ConfigurationRow, ResultsTable, TaskOutcome},
};

use crate::reference::Reference;

/// The reason of a task that has no result because a person cancelled it.
pub(crate) const CANCELLED: &str = "cancelled";

/// The input of a report.
#[derive(Clone, Debug)]
pub struct Material {
    /// The sweep as it was resolved.
    pub sweep: Sweep,
    /// The outcomes of its tasks, as far as they are known.
    pub outcomes: HashMap<(ConfigurationId, u64), TaskOutcome>,
    /// Attempts that failed.
    pub failures: Vec<FailureNote>,
    /// Published means to show beside the results.
    pub reference: Option<Reference>,
    /// The origin of all this.
    pub provenance: Provenance,
}

/// One failed attempt, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureNote {
    /// The configuration.
    pub configuration: ConfigurationId,
    /// The seed.
    pub seed: u64,
    /// Number of the attempt, counting from 1.
    pub attempt: u32,
    /// Whether no further attempt follows.
    pub last: bool,
    /// The type of the failure, as a word.
    pub reason: String,
    /// What happened.
    pub message: String,
}

/// Who delivered a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Number of the attempt, counting from 1.
    pub attempt: u32,
    /// The worker's id.
    pub worker: String,
    /// When the coordinator recorded it, in the form of RFC 3339.
    pub recorded_at: String,
}

/// The origin of results. Times are text in the form in which they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Provenance {
    /// The version of colearn that made the report.
    pub version: String,
    /// The commit that it was built from, if it is known.
    pub commit: Option<String>,
    /// The path of the sweep file, as it was given.
    pub sweep_file: Option<String>,
    /// When the sweep was submitted.
    pub submitted_at: Option<String>,
    /// When the report was made.
    pub made_at: Option<String>,
    /// Who delivered each result, as far as it is known.
    pub records: HashMap<(ConfigurationId, u64), Record>,
}

impl Material {
    /// The table of averaged results.
    #[must_use]
    pub fn table(&self) -> ResultsTable {
        ResultsTable::of(&self.sweep, &self.outcomes)
    }

    /// The results of a configuration, in the order of the seeds.
    pub(crate) fn results(&self, configuration: ConfigurationId) -> Vec<(u64, &TaskResult)> {
        self.sweep
            .seeds
            .iter()
            .filter_map(|seed| match self.outcomes.get(&(configuration, *seed)) {
                Some(TaskOutcome::Done(result)) => Some((*seed, result)),
                _ => None,
            })
            .collect()
    }

    /// The results of a row, in the order of the grid and the seeds.
    pub(crate) fn results_of(&self, row: &ConfigurationRow) -> Vec<&TaskResult> {
        let results = row.configurations().flat_map(|member| self.results(member.id));
        results.map(|(_, result)| result).collect()
    }

    /// The tasks that continued from a checkpoint, with the epochs after which they did, in the order of the grid.
    pub(crate) fn resumed(&self) -> Vec<(ConfigurationId, u64, &[u32])> {
        let of = |configuration: ConfigurationId| {
            let results = self.results(configuration).into_iter();
            results.map(move |(seed, result)| (configuration, seed, result.resumed_after.as_slice()))
        };
        let all = self.sweep.configurations.iter().flat_map(|it| of(it.id));
        all.filter(|(_, _, epochs)| !epochs.is_empty()).collect()
    }

    /// For each device, the number of tasks it trained and the sum of their seconds.
    pub(crate) fn devices(&self) -> BTreeMap<&str, (usize, f64)> {
        let mut devices: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
        for result in self.done() {
            let device = devices.entry(&result.device).or_default();
            device.0 += 1;
            device.1 += result.seconds;
        }
        devices
    }

    /// All results, in no order.
    pub(crate) fn done(&self) -> impl Iterator<Item = &TaskResult> {
        self.outcomes.values().filter_map(|outcome| match outcome {
            TaskOutcome::Done(result) => Some(result),
            TaskOutcome::Failed(_) | TaskOutcome::Cancelled => None,
        })
    }
}

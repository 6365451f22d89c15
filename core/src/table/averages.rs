//! From the outcomes of tasks to the rows of the table.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    comparisons::{comparisons, correct},
    rows::{ConfigurationRow, ResultsTable, RowState, TaskOutcome},
};
use crate::{
    failure::FailureReason,
    id::ConfigurationId,
    result::TaskResult,
    statistics::Summary,
    sweep::{Configuration, Sweep},
};

impl ResultsTable {
    /// Averages `outcomes` over the seeds of each configuration of `sweep`. Outcomes of tasks that the sweep does not
    /// have are ignored.
    #[must_use]
    pub fn of(sweep: &Sweep, outcomes: &HashMap<(ConfigurationId, u64), TaskOutcome>) -> Self {
        let known = Known { sweep, outcomes };
        let baselines: BTreeMap<ConfigurationId, &Configuration> =
            sweep.configurations.iter().filter(|it| it.baseline).map(|it| (it.id, it)).collect();
        let only = if baselines.len() == 1 { baselines.values().next() } else { None };
        let row = |configuration: &Configuration| {
            let compared = match configuration.compared_with {
                _ if configuration.baseline => None,
                Some(id) => baselines.get(&id),
                None => only,
            };
            known.row(configuration, compared.copied())
        };
        let mut configurations: Vec<ConfigurationRow> = sweep.configurations.iter().map(row).collect();
        correct(&mut configurations);
        Self {
            sweep: sweep.name.clone(),
            parameters: sweep.parameters.clone(),
            metrics: sweep.report.metrics.clone(),
            confidence: sweep.report.confidence,
            configurations,
            data_digests: known.data_digests(),
            better: sweep.report.better.clone(),
        }
    }
}

/// A sweep with what is known of its tasks.
struct Known<'a> {
    sweep: &'a Sweep,
    outcomes: &'a HashMap<(ConfigurationId, u64), TaskOutcome>,
}

impl<'a> Known<'a> {
    fn row(&self, configuration: &Configuration, baseline: Option<&Configuration>) -> ConfigurationRow {
        let confidence = self.sweep.report.confidence;
        let done: Vec<&TaskResult> = self.results(configuration).collect();
        let failed_seeds = self.failed_seeds(configuration);
        let expected = self.sweep.seeds.len();
        let comparisons = baseline.map(|baseline| {
            let pairs = self.pairs(configuration, baseline);
            comparisons(configuration, baseline, &pairs, &self.sweep.report)
        });
        ConfigurationRow {
            id: configuration.id,
            settings: configuration.settings.clone(),
            values: configuration.values.clone(),
            baseline: configuration.baseline,
            n: done.len(),
            expected,
            state: state(done.len(), failed_seeds.len(), expected),
            failed_seeds,
            metrics: summaries(&done, confidence),
            comparisons: comparisons.unwrap_or_default(),
        }
    }

    fn result(&self, configuration: &Configuration, seed: u64) -> Option<&'a TaskResult> {
        match self.outcomes.get(&(configuration.id, seed))? {
            TaskOutcome::Done(result) => Some(result),
            TaskOutcome::Failed(_) => None,
        }
    }

    /// The results of a configuration, in the order of the seeds.
    fn results(&self, configuration: &Configuration) -> impl Iterator<Item = &'a TaskResult> {
        self.sweep.seeds.iter().filter_map(|seed| self.result(configuration, *seed))
    }

    /// The results of two configurations at each seed that both have.
    fn pairs(&self, left: &Configuration, right: &Configuration) -> Vec<(&'a TaskResult, &'a TaskResult)> {
        let pair = |seed: &u64| Some((self.result(left, *seed)?, self.result(right, *seed)?));
        self.sweep.seeds.iter().filter_map(pair).collect()
    }

    fn failed_seeds(&self, configuration: &Configuration) -> BTreeMap<u64, FailureReason> {
        let failed = |seed: &u64| match self.outcomes.get(&(configuration.id, *seed))? {
            TaskOutcome::Failed(reason) => Some((*seed, *reason)),
            TaskOutcome::Done(_) => None,
        };
        self.sweep.seeds.iter().filter_map(failed).collect()
    }

    /// See [`ResultsTable::data_digests`]. A result of an older version has no digest.
    fn data_digests(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut digests = BTreeMap::<String, BTreeSet<String>>::new();
        for configuration in &self.sweep.configurations {
            let known = self.results(configuration).map(|result| &result.data_digest);
            for digest in known.filter(|digest| !digest.is_empty()) {
                let of_data_set = digests.entry(configuration.settings.data_set().into_owned()).or_default();
                of_data_set.insert(digest.clone());
            }
        }
        digests
    }
}

fn state(done: usize, failed: usize, expected: usize) -> RowState {
    if done == expected {
        RowState::Complete
    } else if failed == expected {
        RowState::Failed
    } else {
        RowState::Partial
    }
}

/// Summaries of every metric that all results have.
fn summaries(done: &[&TaskResult], confidence: f64) -> BTreeMap<String, Summary> {
    let Some(first) = done.first() else { return BTreeMap::new() };
    first
        .metrics
        .keys()
        .filter_map(|name| {
            let values: Option<Vec<f64>> =
                done.iter().map(|result| result.metrics.get(name).copied()).collect();
            Some((name.clone(), Summary::of(&values?, confidence)?))
        })
        .collect()
}

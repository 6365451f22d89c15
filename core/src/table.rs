//! The results table: every configuration's metrics averaged over its seeds, and how many seeds that were.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    failure::FailureReason,
    id::{ConfigurationId, SweepName},
    result::TaskResult,
    settings::TaskSettings,
    statistics::Summary,
    sweep::Sweep,
};

/// What became of one task, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
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
    /// The metrics shown, in column order.
    pub metrics: Vec<String>,
    /// Confidence level of the intervals.
    pub confidence: f64,
    /// In the order of the grid.
    pub configurations: Vec<ConfigurationRow>,
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
    /// Averages `outcomes` over the seeds of each configuration of `sweep`. Outcomes of tasks that the sweep
    /// does not have are ignored.
    #[must_use]
    pub fn of(sweep: &Sweep, outcomes: &HashMap<(ConfigurationId, u64), Outcome>) -> Self {
        let configurations = sweep
            .configurations
            .iter()
            .map(|configuration| {
                let mut done = Vec::new();
                let mut failed_seeds = BTreeMap::new();
                for seed in &sweep.seeds {
                    match outcomes.get(&(configuration.id, *seed)) {
                        Some(Outcome::Done(result)) => done.push(result),
                        Some(Outcome::Failed(reason)) => {
                            failed_seeds.insert(*seed, *reason);
                        }
                        None => {}
                    }
                }
                let expected = sweep.seeds.len();
                let state = if done.len() == expected {
                    RowState::Complete
                } else if failed_seeds.len() == expected {
                    RowState::Failed
                } else {
                    RowState::Partial
                };
                ConfigurationRow {
                    id: configuration.id,
                    settings: configuration.settings.clone(),
                    values: configuration.values.clone(),
                    baseline: configuration.baseline,
                    n: done.len(),
                    expected,
                    state,
                    failed_seeds,
                    metrics: summaries(&done, sweep.report.confidence),
                }
            })
            .collect();
        Self {
            sweep: sweep.name.clone(),
            parameters: sweep.parameters.clone(),
            metrics: sweep.report.metrics.clone(),
            confidence: sweep.report.confidence,
            configurations,
        }
    }
}

/// Every metric that all results have.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::{BiEflstmSettings, ModalityDraw, ModelSettings, Shuffle, TrainingSettings},
        sweep::{Configuration, ReportSettings, RetrySettings},
    };
    use std::time::Duration;

    fn sweep(configurations: u64, seeds: u64) -> Sweep {
        let settings = TaskSettings {
            dataset: "demo".into(),
            primary: "language".into(),
            unimodal: false,
            model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 8, layers: 1, dropout: 0.0 }),
            training: TrainingSettings {
                epochs: 1,
                batch_size: 2,
                learning_rate: 0.1,
                shuffle: Shuffle::Once,
                drop_last: true,
                modality_draw: ModalityDraw::Shared,
            },
            modality_dropout: BTreeMap::new(),
        };
        Sweep {
            name: SweepName::new("t").unwrap(),
            parameters: vec![],
            configurations: (0..configurations)
                .map(|id| Configuration {
                    id: ConfigurationId(id),
                    settings: settings.clone(),
                    values: BTreeMap::new(),
                    baseline: id == 0,
                    cohort_key: 0,
                })
                .collect(),
            seeds: (0..seeds).collect(),
            report: ReportSettings { metrics: vec!["accuracy".into()], confidence: 0.95 },
            retries: RetrySettings {
                max_attempts: 3,
                initial_backoff: Duration::ZERO,
                max_backoff: Duration::ZERO,
            },
        }
    }

    fn done(accuracy: f64) -> Outcome {
        Outcome::Done(TaskResult {
            metrics: [("accuracy".to_owned(), accuracy)].into(),
            confusion: vec![],
            history: vec![],
            best_epoch: 1,
            parameters: 1,
            seconds: 0.0,
            device: "cpu x1".into(),
        })
    }

    #[test]
    fn a_mean_never_hides_a_missing_seed() {
        let mut outcomes = HashMap::new();
        for seed in 0..3 {
            outcomes.insert((ConfigurationId(0), seed), done(0.5));
        }
        outcomes.insert((ConfigurationId(1), 0), done(0.2));
        outcomes.insert((ConfigurationId(1), 1), Outcome::Failed(FailureReason::Diverged));
        for seed in 0..3 {
            outcomes.insert((ConfigurationId(2), seed), Outcome::Failed(FailureReason::Crash));
        }
        let table = ResultsTable::of(&sweep(4, 3), &outcomes);
        let rows = &table.configurations;
        let shown: Vec<_> = rows.iter().map(|row| (row.n, row.expected, row.state)).collect();
        assert_eq!(
            shown,
            [
                (3, 3, RowState::Complete),
                (1, 3, RowState::Partial),
                (0, 3, RowState::Failed),
                (0, 3, RowState::Partial),
            ]
        );
        assert_eq!(rows[1].failed_seeds, [(1, FailureReason::Diverged)].into());
        assert_eq!(rows[1].metrics["accuracy"].std, None);
        assert!(rows[2].metrics.is_empty());
    }
}

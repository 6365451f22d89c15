//! The results table: the metrics of every configuration averaged over its seeds, with the number of seeds.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    failure::FailureReason,
    id::{ConfigurationId, SweepName},
    result::{TaskResult, metric},
    settings::{TaskSettings, TrainingSettings},
    statistics::{Comparison, Summary, Verdict, holm},
    sweep::{Configuration, Sweep},
};

/// The outcome of one task, as far as it is known.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every outcome is a result, and a box for each saves nothing"
)]
pub enum Outcome {
    /// The task has its result.
    Done(TaskResult),
    /// The task has failed and is not tried again.
    Failed(FailureReason),
}

/// All configurations of a sweep, with their results so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultsTable {
    /// The sweep's name.
    pub sweep: SweepName,
    /// The swept paths: the columns that distinguish configurations.
    pub parameters: Vec<String>,
    /// The metrics shown, in column order. Verdicts are about the first one.
    pub metrics: Vec<String>,
    /// Confidence level of the intervals.
    pub confidence: f64,
    /// One row per configuration, in the order of the grid.
    pub configurations: Vec<ConfigurationRow>,
    /// For each data set name, the SHA-256 digests of the files that results were trained on. More than one digest
    /// means that the file was changed in between, and that means mix different data.
    #[serde(default)]
    pub data_digests: BTreeMap<String, BTreeSet<String>>,
}

/// One configuration of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationRow {
    /// Id of the configuration.
    pub id: ConfigurationId,
    /// The resolved settings.
    pub settings: TaskSettings,
    /// The swept paths that the configuration sets, with their values.
    pub values: BTreeMap<String, Value>,
    /// Whether the other configurations are compared with this one.
    pub baseline: bool,
    /// Number of seeds that have a result.
    pub n: usize,
    /// Number of all seeds.
    pub expected: usize,
    /// Whether the means are complete.
    pub state: RowState,
    /// Seeds without a result that have failed, with the reason.
    pub failed_seeds: BTreeMap<u64, FailureReason>,
    /// Summary over the `n` seeds, by metric name. A metric that a result lacks is absent.
    pub metrics: BTreeMap<String, Summary>,
    /// Comparison with the baseline over the seeds that both have, by metric name. Empty for the baseline itself,
    /// without a baseline, and if no seed has both results.
    #[serde(default)]
    pub comparisons: BTreeMap<String, Comparison>,
}

/// The completeness of a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowState {
    /// Every seed has its result.
    Complete,
    /// Some seeds have no result, or none yet.
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
    /// Averages `outcomes` over the seeds of each configuration of `sweep`. Outcomes of tasks that the sweep does not
    /// have are ignored.
    #[must_use]
    pub fn of(sweep: &Sweep, outcomes: &HashMap<(ConfigurationId, u64), Outcome>) -> Self {
        let baseline = sweep.configurations.iter().find(|configuration| configuration.baseline);
        let result = |configuration, seed| match outcomes.get(&(configuration, seed)) {
            Some(Outcome::Done(result)) => Some(result),
            _ => None,
        };
        let mut data_digests = BTreeMap::<String, BTreeSet<String>>::new();
        let mut configurations: Vec<ConfigurationRow> = sweep
            .configurations
            .iter()
            .map(|configuration| {
                let pairs: Vec<(&TaskResult, &TaskResult)> = baseline
                    .filter(|baseline| baseline.id != configuration.id)
                    .into_iter()
                    .flat_map(|baseline| {
                        sweep.seeds.iter().filter_map(|seed| {
                            Some((result(configuration.id, *seed)?, result(baseline.id, *seed)?))
                        })
                    })
                    .collect();
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
                for digest in
                    done.iter().map(|result| &result.data_digest).filter(|digest| !digest.is_empty())
                {
                    data_digests
                        .entry(configuration.settings.dataset.clone())
                        .or_default()
                        .insert(digest.clone());
                }
                let mut comparisons = comparisons(&pairs, sweep.report.confidence);
                if baseline.is_some_and(|baseline| !same_but_for_modalities(baseline, configuration)) {
                    // The difference is kept, but co-learning is not its only cause.
                    comparisons.values_mut().for_each(|comparison| comparison.verdict = None);
                }
                for (name, comparison) in &mut comparisons {
                    // A unimodal baseline gets only its primary modality, for every subset. The difference is
                    // therefore caused by the input as well as by the training.
                    if metric::split(name).1.is_some() {
                        comparison.verdict = None;
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
                    comparisons,
                }
            })
            .collect();
        correct(&mut configurations);
        Self {
            sweep: sweep.name.clone(),
            parameters: sweep.parameters.clone(),
            metrics: sweep.report.metrics.clone(),
            confidence: sweep.report.confidence,
            configurations,
            data_digests,
        }
    }

    /// The data sets whose results were trained on several different files, and the number of files. Means over such
    /// results mix different data.
    pub fn mixed_data(&self) -> impl Iterator<Item = (&str, usize)> {
        let counted = self.data_digests.iter().map(|(name, digests)| (name.as_str(), digests.len()));
        counted.filter(|(_, files)| *files > 1)
    }

    /// The metric of the verdicts: the first of the shown metrics.
    #[must_use]
    pub fn verdict_metric(&self) -> Option<&str> {
        self.metrics.first().map(String::as_str)
    }

    /// Whether the results are those of a regression. Its metrics have other meanings under the same names.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.configurations.iter().any(|row| row.metrics.contains_key(metric::MAE))
    }

    /// The row of the baseline.
    #[must_use]
    pub fn baseline(&self) -> Option<&ConfigurationRow> {
        self.configurations.iter().find(|row| row.baseline)
    }

    /// The verdict on a row, for [`Self::verdict_metric`]. `None` for the baseline, if fewer than two seeds have both
    /// results, and if more than the modalities differs from the baseline: the paper's terms are about the same
    /// network with and without the other modalities.
    #[must_use]
    pub fn verdict(&self, row: &ConfigurationRow) -> Option<Verdict> {
        row.comparisons.get(self.verdict_metric()?)?.verdict
    }
}

/// Whether two configurations train the same network in the same way, except for the modalities it sees.
fn same_but_for_modalities(left: &Configuration, right: &Configuration) -> bool {
    let bare = |configuration: &Configuration| {
        let mut settings = configuration.settings.clone();
        settings.unimodal = false;
        settings.modality_dropout.clear();
        let usual = TrainingSettings::default();
        settings.training.modality_draw = usual.modality_draw;
        settings.training.modality_granularity = usual.modality_granularity;
        settings.training.modality_part = usual.modality_part;
        settings.training.modality_fraction = usual.modality_fraction;
        settings
    };
    bare(left) == bare(right)
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

/// Comparisons of every metric that both results of all pairs (configuration, baseline) have.
fn comparisons(pairs: &[(&TaskResult, &TaskResult)], confidence: f64) -> BTreeMap<String, Comparison> {
    let Some((first, _)) = pairs.first() else { return BTreeMap::new() };
    first
        .metrics
        .keys()
        .filter_map(|name| {
            let values: Option<Vec<(f64, f64)>> = pairs
                .iter()
                .map(|(ours, baseline)| Some((*ours.metrics.get(name)?, *baseline.metrics.get(name)?)))
                .collect();
            let comparison = Comparison::of(&values?, metric::higher_is_better(name), confidence)?;
            Some((name.clone(), comparison))
        })
        .collect()
}

/// Fills in the corrected p-values. One family is one metric and one test over all compared rows.
fn correct(rows: &mut [ConfigurationRow]) {
    let names: BTreeSet<String> = rows.iter().flat_map(|row| row.comparisons.keys().cloned()).collect();
    let plain: [fn(&Comparison) -> Option<f64>; 2] = [|it| it.t_p, |it| it.wilcoxon_p];
    let corrected: [fn(&mut Comparison) -> &mut Option<f64>; 2] =
        [|it| &mut it.t_p_holm, |it| &mut it.wilcoxon_p_holm];
    for name in names {
        for (plain, corrected) in plain.iter().zip(corrected) {
            let mut family: Vec<&mut Comparison> = rows
                .iter_mut()
                .filter_map(|row| row.comparisons.get_mut(&name))
                .filter(|comparison| plain(comparison).is_some())
                .collect();
            let p_values: Vec<f64> = family.iter().filter_map(|comparison| plain(comparison)).collect();
            for (comparison, p) in family.iter_mut().zip(holm(&p_values)) {
                *corrected(comparison) = Some(p);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        settings::{BiEflstmSettings, ModalityDraw, ModelSettings, Shuffle},
        sweep::{CheckpointSettings, Configuration, ReportSettings, RetrySettings},
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
                ..TrainingSettings::default()
            },
            modality_dropout: BTreeMap::new(),
            evaluate: Vec::new(),
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
            report: ReportSettings { metrics: vec!["accuracy".into()], confidence: 0.95, reference: None },
            retries: RetrySettings {
                max_attempts: 3,
                initial_backoff: Duration::ZERO,
                max_backoff: Duration::ZERO,
            },
            checkpoint: CheckpointSettings::default(),
            schedule: Default::default(),
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
            ..TaskResult::default()
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

    #[test]
    fn the_papers_words_are_about_one_network() {
        let mut sweep = sweep(3, 3);
        sweep.configurations[0].settings.unimodal = true;
        sweep.configurations[1].settings.modality_dropout.insert("audio".into(), 0.9);
        sweep.configurations[2].settings.training.epochs = 2;
        let mut outcomes = HashMap::new();
        for seed in 0..3 {
            outcomes.insert((ConfigurationId(0), seed), done(0.5));
            outcomes.insert((ConfigurationId(1), seed), done(0.7));
            outcomes.insert((ConfigurationId(2), seed), done(0.7));
        }
        let table = ResultsTable::of(&sweep, &outcomes);
        let rows = &table.configurations;
        assert_eq!(table.verdict(&rows[1]), Some(Verdict::Positive));
        assert_eq!(table.verdict(&rows[2]), None, "longer training is not co-learning");
        assert!(
            (rows[2].comparisons["accuracy"].mean_difference - 0.2).abs() < 1e-12,
            "the difference stands"
        );
    }

    #[test]
    fn results_of_different_files_of_one_name_are_told_apart() {
        let with = |digest: &str| {
            let Outcome::Done(mut result) = done(0.5) else { unreachable!("it is done") };
            result.data_digest = digest.to_owned();
            Outcome::Done(result)
        };
        let outcomes = [
            ((ConfigurationId(0), 0), with("aa")),
            ((ConfigurationId(0), 1), with("bb")),
            ((ConfigurationId(1), 0), with("")),
        ];
        let table = ResultsTable::of(&sweep(2, 2), &outcomes.into());
        assert_eq!(
            table.data_digests,
            [("demo".to_owned(), ["aa".to_owned(), "bb".to_owned()].into())].into()
        );
    }

    #[test]
    fn compares_seed_with_seed_over_those_that_both_have() {
        let mut outcomes = HashMap::new();
        // The baseline has seeds 0 to 3, configuration 1 has 1 to 4: three pairs, each better by 0.1 or slightly
        // more.
        for seed in 0..4 {
            outcomes.insert((ConfigurationId(0), seed), done(0.5 + 0.05 * seed as f64));
        }
        for seed in 1..5 {
            outcomes.insert((ConfigurationId(1), seed), done(0.6 + 0.051 * seed as f64));
        }
        // Configuration 2 shares one seed with the baseline, configuration 3 none.
        outcomes.insert((ConfigurationId(2), 0), done(0.1));
        outcomes.insert((ConfigurationId(2), 4), done(0.1));
        outcomes.insert((ConfigurationId(3), 4), done(0.1));
        let table = ResultsTable::of(&sweep(4, 5), &outcomes);
        let compared = |row: usize| table.configurations[row].comparisons.get("accuracy");
        assert!(table.configurations[0].comparisons.is_empty(), "the baseline is not compared with itself");
        let one = compared(1).unwrap();
        assert_eq!(one.pairs, 3);
        assert!((one.mean_difference - 0.102).abs() < 1e-12, "{one:?}");
        assert_eq!(table.verdict(&table.configurations[1]), Some(Verdict::Positive));
        assert_eq!((compared(2).unwrap().pairs, compared(2).unwrap().verdict), (1, None));
        assert!((compared(2).unwrap().mean_difference + 0.4).abs() < 1e-12);
        assert_eq!(compared(3), None);
        // Only configuration 1 has a t-test: a family of one. Its Wilcoxon p-value is 0.25, that of configuration 2
        // is 1.
        assert_eq!(one.t_p_holm, one.t_p);
        assert_eq!((one.wilcoxon_p, one.wilcoxon_p_holm), (Some(0.25), Some(0.5)));
    }

    #[test]
    fn nothing_is_compared_without_a_baseline() {
        let mut plain = sweep(2, 2);
        plain.configurations[0].baseline = false;
        let outcomes: HashMap<_, _> = (0..2)
            .flat_map(|id| {
                (0..2).map(move |seed| ((ConfigurationId(id), seed), done(0.5 + id as f64 / 10.0)))
            })
            .collect();
        let table = ResultsTable::of(&plain, &outcomes);
        assert!(table.configurations.iter().all(|row| row.n == 2 && row.comparisons.is_empty()));
        assert!(table.baseline().is_none());
    }
}

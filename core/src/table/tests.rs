mod chosen;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use super::*;
use crate::{
    failure::FailureReason,
    id::{ConfigurationId, SweepName},
    result::TaskResult,
    settings::{
        BiEflstmSettings, ModalityDraw, ModelSettings, NetworkSettings, Shuffle, TaskSettings,
        TrainingSettings,
    },
    statistics::{Untested, Verdict},
    sweep::{Adjustment, CheckpointSettings, Configuration, ReportSettings, RetrySettings, Sweep},
};

fn sweep(configurations: u64, seeds: u64) -> Sweep {
    let settings = NetworkSettings {
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
                settings: TaskSettings::Network(settings.clone()).into(),
                values: Arc::default(),
                baseline: id == 0,
                compared_with: None,
                cohort_key: 0,
            })
            .collect(),
        seeds: (0..seeds).collect(),
        report: ReportSettings {
            metrics: vec!["accuracy".into()],
            confidence: 0.95,
            reference: None,
            better: Default::default(),
            replicates: Vec::new(),
            margin: BTreeMap::new(),
            adjustment: Adjustment::default(),
            matched: false,
            choose_by: None,
        },
        retries: RetrySettings {
            max_attempts: 3,
            initial_backoff: Duration::ZERO,
            max_backoff: Duration::ZERO,
        },
        checkpoint: CheckpointSettings::default(),
        keep: Default::default(),
        schedule: Default::default(),
        needs: Default::default(),
    }
}

fn done(accuracy: f64) -> TaskOutcome {
    TaskOutcome::Done(TaskResult {
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
    outcomes.insert((ConfigurationId(1), 1), TaskOutcome::Failed(FailureReason::Diverged));
    for seed in 0..3 {
        outcomes.insert((ConfigurationId(2), seed), TaskOutcome::Failed(FailureReason::Crash));
    }
    outcomes.insert((ConfigurationId(3), 1), TaskOutcome::Cancelled);
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
    let failed = Replicate { of: String::new(), seed: 1 };
    assert_eq!(rows[1].failed_seeds, [(failed, FailureReason::Diverged)].into());
    assert_eq!(rows[3].cancelled_seeds, [Replicate { of: String::new(), seed: 1 }].into());
    assert_eq!(rows[1].metrics["accuracy"].std, None);
    assert!(rows[2].metrics.is_empty());
}

#[test]
fn the_papers_words_are_about_one_network() {
    let mut sweep = sweep(3, 3);
    sweep.configurations[0].network_mut().unwrap().unimodal = true;
    sweep.configurations[1].network_mut().unwrap().modality_dropout.insert("audio".into(), 0.9);
    sweep.configurations[2].network_mut().unwrap().training.epochs = 2;
    let mut outcomes = HashMap::new();
    for seed in 0..3 {
        let slightly = 0.01 * seed as f64;
        outcomes.insert((ConfigurationId(0), seed), done(0.5));
        outcomes.insert((ConfigurationId(1), seed), done(0.69 + slightly));
        outcomes.insert((ConfigurationId(2), seed), done(0.71 - slightly));
    }
    let table = ResultsTable::of(&sweep, &outcomes);
    let rows = &table.configurations;
    assert_eq!(table.verdict(&rows[1]), Some(Verdict::Positive));
    assert_eq!(table.verdict(&rows[2]), None, "longer training is not co-learning");
    assert!((rows[2].comparisons["accuracy"].mean_difference - 0.2).abs() < 1e-12, "the difference stands");
}

#[test]
fn results_of_different_files_of_one_name_are_told_apart() {
    let with = |digest: &str| {
        let TaskOutcome::Done(mut result) = done(0.5) else { unreachable!("it is done") };
        result.data_digest = digest.to_owned();
        TaskOutcome::Done(result)
    };
    let outcomes = [
        ((ConfigurationId(0), 0), with("aa")),
        ((ConfigurationId(0), 1), with("bb")),
        ((ConfigurationId(1), 0), with("")),
    ];
    let table = ResultsTable::of(&sweep(2, 2), &outcomes.into());
    assert_eq!(table.data_digests, [("demo".to_owned(), ["aa".to_owned(), "bb".to_owned()].into())].into());
}

#[test]
fn compares_seed_with_seed_over_those_that_both_have() {
    let mut outcomes = HashMap::new();
    // The baseline has seeds 0 to 3, configuration 1 has 1 to 4: three pairs, each better by 0.1 or slightly more.
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
    // Configuration 2 has no test, but is one of the two that are compared.
    assert_eq!(compared(2).unwrap().untested, Some(Untested::TooFewSeeds));
    assert_eq!(one.t_p_holm, one.t_p.map(|p| 2.0 * p));
    let judged = &table.judged["accuracy"];
    assert_eq!((judged.len(), judged[0].compared, judged[0].replicates), (1, 2, 3));
}

/// One configuration is slightly better, the other often perfect; all intervals are within a wide margin.
#[test]
fn verdicts_follow_the_settings_of_the_report() {
    let mut sweep = sweep(3, 5);
    let mut outcomes = HashMap::new();
    for seed in 0..5 {
        let way = [-1.0, 0.5, 0.0, -0.5, 1.0][seed as usize];
        outcomes.insert((ConfigurationId(0), seed), done(0.9));
        outcomes.insert((ConfigurationId(1), seed), done(0.91 + 0.009 * way));
        outcomes.insert((ConfigurationId(2), seed), done(if seed == 0 { 0.7 } else { 1.0 }));
    }
    let verdicts = |sweep: &Sweep| {
        let table = ResultsTable::of(sweep, &outcomes);
        table.configurations.iter().filter_map(|row| table.verdict(row)).collect::<Vec<_>>()
    };
    let table = ResultsTable::of(&sweep, &outcomes);
    assert_eq!(table.configurations[2].metrics["accuracy"].ci_high, Some(1.0), "no accuracy is above 1");
    assert_eq!(verdicts(&sweep), [Verdict::Inconclusive; 2]);
    sweep.report.margin.insert("accuracy".into(), 0.5);
    assert_eq!(verdicts(&sweep), [Verdict::Equivalent; 2]);
    sweep.report.margin.clear();
    sweep.report.adjustment = Adjustment::None;
    assert_eq!(verdicts(&sweep), [Verdict::Positive, Verdict::Inconclusive]);
}

#[test]
fn nothing_is_compared_without_a_baseline() {
    let mut plain = sweep(2, 2);
    plain.configurations[0].baseline = false;
    let outcomes: HashMap<_, _> = (0..2)
        .flat_map(|id| (0..2).map(move |seed| ((ConfigurationId(id), seed), done(0.5 + id as f64 / 10.0))))
        .collect();
    let table = ResultsTable::of(&plain, &outcomes);
    assert!(table.configurations.iter().all(|row| row.n == 2 && row.comparisons.is_empty()));
    assert!(table.baseline().is_none());
}

#[test]
fn the_classes_have_their_scores() {
    let with = |confusion: [[u64; 2]; 2]| {
        let TaskOutcome::Done(result) = done(0.5) else { unreachable!("it is done") };
        let confusion = confusion.map(Vec::from).to_vec();
        TaskOutcome::Done(TaskResult { confusion, classes: vec!["a".into(), "b".into()].into(), ..result })
    };
    let mut outcomes: HashMap<_, _> = [[[3, 1], [0, 4]], [[4, 0], [0, 4]]]
        .into_iter()
        .zip(0..)
        .map(|(confusion, seed)| ((ConfigurationId(0), seed), with(confusion)))
        .collect();
    let scores =
        |outcomes: &HashMap<_, _>| ResultsTable::of(&sweep(1, 2), outcomes).configurations[0].classes.clone();
    let [a, b] = scores(&outcomes).try_into().unwrap();
    assert_eq!((a.class.as_str(), a.support, b.class.as_str(), b.support), ("a", 8, "b", 8));
    assert!(
        (a.f1.mean - (6.0 / 7.0 + 1.0) / 2.0).abs() < 1e-12
            && (b.f1.mean - (8.0 / 9.0 + 1.0) / 2.0).abs() < 1e-12
    );
    outcomes.insert((ConfigurationId(0), 1), done(0.5));
    assert!(scores(&outcomes).is_empty(), "a result without a matrix");
}

//! What is chosen on validation.

use std::collections::{BTreeMap, HashMap};

use super::{super::*, done, sweep};
use crate::{
    failure::FailureReason,
    id::ConfigurationId,
    result::TaskResult,
    statistics::{Reason, Verdict},
    sweep::Sweep,
};

/// A result with an accuracy on each split.
fn both(valid: f64, test: f64) -> TaskOutcome {
    let TaskOutcome::Done(mut result) = done(test) else { unreachable!("it is done") };
    result.metrics.insert("valid/accuracy", valid);
    TaskOutcome::Done(result)
}

/// Results of (configuration, seed), each on (validation, test).
fn outcomes(values: &[&[(f64, f64)]]) -> HashMap<(ConfigurationId, u64), TaskOutcome> {
    let of = |(id, seeds): (u64, &&[(f64, f64)])| {
        let results = (0..).zip(seeds.iter());
        results.map(move |(seed, (valid, test))| ((ConfigurationId(id), seed), both(*valid, *test))).collect()
    };
    (0..).zip(values).flat_map(|it| -> Vec<_> { of(it) }).collect()
}

fn replicate(seed: u64) -> Replicate {
    Replicate { of: String::new(), seed }
}

/// A sweep whose configurations differ in their dropout from a unimodal baseline.
fn levels(configurations: u64, seeds: u64) -> Sweep {
    let mut sweep = sweep(configurations, seeds);
    for (id, configuration) in (0_u32..).zip(&mut sweep.configurations) {
        let network = configuration.network_mut().unwrap();
        network.unimodal = id == 0;
        network.modality_dropout.insert("audio".into(), 0.1 * f64::from(id));
    }
    sweep
}

/// The configuration that is best on test is never chosen here.
#[test]
fn each_seed_chooses_by_validation() {
    let values: [&[(f64, f64)]; 4] = [
        &[(0.9, 0.50), (0.9, 0.51), (0.9, 0.50)],
        &[(0.7, 0.60), (0.5, 0.10), (0.6, 0.63)],
        &[(0.6, 0.20), (0.6, 0.62), (0.6, 0.20)],
        &[(0.1, 0.99), (0.1, 0.99), (0.1, 0.99)],
    ];
    let table = ResultsTable::of(&levels(4, 3), &outcomes(&values));
    assert_eq!(table.choose_by.as_deref(), Some("valid/accuracy"));
    let [chosen] = table.chosen.as_slice() else { panic!("{:?}", table.chosen) };
    // On the split of the choice it is too good, so that nothing is compared there.
    assert!(chosen.row.metrics.contains_key("valid/accuracy"));
    assert_eq!(Vec::from_iter(chosen.row.comparisons.keys()), ["accuracy"]);
    // Of equal ones the first is taken.
    let choices: Vec<_> = chosen.choices.iter().map(|it| (it.id.0, it.times)).collect();
    assert_eq!(choices, [(1, 2), (2, 1)]);
    let picks: Vec<_> = chosen.picks.iter().map(|(replicate, id)| (replicate.seed, id.0)).collect();
    assert_eq!(picks, [(0, 1), (1, 2), (2, 1)]);
    assert!((chosen.row.metrics["accuracy"].mean - (0.60 + 0.62 + 0.63) / 3.0).abs() < 1e-12);
    assert_eq!((chosen.row.n, chosen.row.expected, chosen.row.state), (3, 3, RowState::Complete));
    assert_eq!((chosen.baseline.0, chosen.row.baseline), (0, false));

    // Its comparison is paired by seed, is one of its own, and leaves the family as it is.
    let comparison = chosen.row.comparisons["accuracy"];
    assert!((comparison.mean_difference - (0.10 + 0.11 + 0.13) / 3.0).abs() < 1e-12);
    assert_eq!((comparison.pairs, comparison.verdict), (3, Some(Verdict::Positive)));
    assert_eq!(comparison.adjusted_p, comparison.t_p);
    let [group] = table.judged["accuracy"].as_slice() else { panic!("one baseline") };
    assert_eq!(group.compared, 3);
    assert_ne!(group.reason, Reason::OneComparison);
    assert_eq!(table.configurations.len(), 4);

    // The baseline is best on validation, as a mean.
    assert_eq!(table.chosen_row().unwrap().id.0, 0);
    assert!(table.configurations[0].baseline);
}

#[test]
fn a_choice_waits_for_all_candidates_and_passes_over_failed_ones() {
    let values: [&[(f64, f64)]; 3] =
        [&[(0.5, 0.5); 3], &[(0.6, 0.6), (0.6, 0.6), (0.6, 0.6)], &[(0.7, 0.7), (0.7, 0.7)]];
    let mut known = outcomes(&values);
    known.insert((ConfigurationId(2), 1), TaskOutcome::Failed(FailureReason::Diverged));
    let table = ResultsTable::of(&levels(3, 3), &known);
    let chosen = &table.chosen[0];
    // Configuration 2 failed with seed 1, and is not yet known with seed 2.
    assert_eq!(chosen.picks, [(replicate(0), ConfigurationId(2)), (replicate(1), ConfigurationId(1))].into());
    assert_eq!((chosen.row.n, chosen.row.expected, chosen.row.state), (2, 3, RowState::Partial));
}

#[test]
fn without_validation_nothing_is_chosen() {
    let mut known = outcomes(&[&[(0.5, 0.5); 2], &[(0.6, 0.6); 2], &[(0.7, 0.7); 2]]);
    let chosen = |sweep: &Sweep, known: &HashMap<_, _>| {
        let table = ResultsTable::of(sweep, known);
        (table.chosen.len(), table.chosen_row().map(|row| row.id.0))
    };
    assert_eq!(chosen(&levels(3, 2), &known), (1, Some(2)));
    // One configuration leaves no choice.
    assert_eq!(chosen(&levels(2, 2), &known), (0, Some(1)));
    // A result of an earlier version.
    known.insert((ConfigurationId(1), 1), done(0.6));
    assert_eq!(chosen(&levels(3, 2), &known), (0, None));

    let mut by_loss = levels(3, 2);
    by_loss.report.choose_by = Some("valid/loss".to_owned());
    let mut known = HashMap::new();
    for (id, loss) in [(0, 0.5), (1, 0.3), (2, 0.4)] {
        for seed in 0..2 {
            let metrics = [("accuracy".to_owned(), 0.5), ("valid/loss".to_owned(), loss)].into();
            let result = TaskResult { metrics, ..TaskResult::default() };
            known.insert((ConfigurationId(id), seed), TaskOutcome::Done(result));
        }
    }
    assert_eq!(chosen(&by_loss, &known), (1, Some(1)), "of a loss the lower is better");
}

/// A choice among networks of another size is compared, but is no co-learning.
#[test]
fn a_choice_has_a_verdict_if_every_candidate_has_one() {
    let values: [&[(f64, f64)]; 3] =
        [&[(0.5, 0.5); 3], &[(0.6, 0.61), (0.6, 0.62), (0.6, 0.6)], &[(0.1, 0.1); 3]];
    let mut sweep = levels(3, 3);
    sweep.configurations[2].network_mut().unwrap().training.epochs = 9;
    let table = ResultsTable::of(&sweep, &outcomes(&values));
    let comparison = table.chosen[0].row.comparisons["accuracy"];
    assert!(comparison.mean_difference > 0.1 && comparison.verdict.is_none());
}

/// Normal draws, the same in every run: splitmix64 and Box-Muller's transform.
struct Draws(u64);

impl Draws {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (radius, angle) = (1.0 - self.uniform(), self.uniform());
        (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }
}

/// The figures of docs/choosing.md. Eight equal configurations with a standard deviation of 0.03 between seeds, five
/// seeds: the best on test is 0.019 too good (0.03 / sqrt(5) times 1.42, the mean of the largest of eight normal
/// values). What is chosen on validation is as good as they are, whether it is chosen for each seed or by the mean.
#[test]
fn the_best_on_test_is_too_good_and_the_one_chosen_on_validation_is_not() {
    const SWEEPS: u32 = 400;
    let (mut draws, mut errors) = (Draws(11), BTreeMap::<&str, f64>::new());
    let sweep = levels(9, 5);
    for _ in 0..SWEEPS {
        let mut value = || (0.6 + 0.03 * draws.normal(), 0.6 + 0.03 * draws.normal());
        let values: Vec<Vec<(f64, f64)>> = (0..9).map(|_| (0..5).map(|_| value()).collect()).collect();
        // The baseline has no results: comparisons would cost most of the time.
        let slices: Vec<&[(f64, f64)]> = values
            .iter()
            .enumerate()
            .map(|(id, of_id)| if id == 0 { &[] } else { of_id.as_slice() })
            .collect();
        let table = ResultsTable::of(&sweep, &outcomes(&slices));
        let test = |row: &ConfigurationRow| row.metrics["accuracy"].mean - 0.6;
        let valid = |row: &&ConfigurationRow| row.metrics["valid/accuracy"].mean;
        let candidates = || table.configurations.iter().filter(|row| !row.baseline);
        *errors.entry("on test").or_default() += candidates().map(test).fold(f64::NEG_INFINITY, f64::max);
        let by_mean = candidates().max_by(|a, b| valid(a).total_cmp(&valid(b))).unwrap();
        *errors.entry("by the mean").or_default() += test(by_mean);
        *errors.entry("for each seed").or_default() += test(&table.chosen[0].row);
    }
    let mean = |what| errors[what] / f64::from(SWEEPS);
    // The standard error of each is below 0.0007.
    assert!((mean("on test") - 0.019).abs() < 0.002, "{}", mean("on test"));
    for what in ["by the mean", "for each seed"] {
        assert!(mean(what).abs() < 0.0025, "{what}: {}", mean(what));
    }
}

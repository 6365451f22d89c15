//! Simulated error rates: how often a sweep without any effect has a false PCL or NCL, and how often a configuration
//! that differs by the margin is called equivalent. `docs/statistics.md` has the table that `error_rates` prints.

use colearn_core::statistics::{Comparison, CriticalValues, Method, Question, Verdict};

use crate::{QUESTION, Values, judged, random::Random};

/// How results are distributed. All configurations have the same mean.
#[derive(Clone, Copy, Debug)]
enum Scenario {
    /// Equal deviations, independent of each other.
    Null,
    /// The last of the compared configurations has this multiple of the deviation of the others.
    OneVaries(f64),
    /// So have the last two.
    TwoVary(f64),
    /// The baseline has it.
    BaselineVaries(f64),
    /// This many of the configurations have collapsed: they vary a thousandth of the others.
    Collapsed(usize),
    /// All but one have collapsed.
    AllButOneCollapsed,
    /// The compared configurations have this correlation with each other, and none with the baseline.
    Alike(f64),
    /// The deviations grow evenly, up to this multiple.
    Growing(f64),
    /// Skewed accuracies near 0.95: a beta distribution with shapes 38 and 2.
    Skewed,
    /// Accuracies over 43 test samples, each right with probability 0.95: many ties, and constant configurations.
    FewSamples,
    /// Log-normal, as losses with outliers.
    HeavyTail,
}

impl Scenario {
    const ALL: [(Self, &'static str); 14] = [
        (Self::Null, "no effect, equal deviations"),
        (Self::OneVaries(3.0), "one configuration with 3 times the deviation"),
        (Self::OneVaries(10.0), "one with 10 times"),
        (Self::TwoVary(3.0), "two with 3 times"),
        (Self::TwoVary(10.0), "two with 10 times"),
        (Self::BaselineVaries(3.0), "baseline with 3 times the deviation"),
        (Self::Collapsed(1), "one configuration collapsed"),
        (Self::Collapsed(3), "three collapsed"),
        (Self::AllButOneCollapsed, "all but one collapsed"),
        (Self::Alike(0.8), "configurations alike (correlation .8), unlike the baseline"),
        (Self::Growing(10.0), "deviations from 1 to 10 times"),
        (Self::Skewed, "beta(38, 2): skewed accuracies near .95"),
        (Self::FewSamples, "accuracy over 43 samples near .95"),
        (Self::HeavyTail, "log-normal, deviation 0.5 of the logarithm"),
    ];

    fn values(self, rows: usize, seeds: usize, random: &mut Random) -> Values {
        let shared: Vec<f64> = (0..seeds).map(|_| random.normal()).collect();
        let mut value = |row: usize, seed: usize| match self {
            Self::Skewed => random.beta(38, 2),
            Self::FewSamples => random.share(43, 0.95),
            Self::HeavyTail => (0.5 * random.normal()).exp(),
            Self::Alike(r) if row > 0 => r.sqrt() * shared[seed] + (1.0 - r).sqrt() * random.normal(),
            _ => self.deviation(row, rows) * random.normal(),
        };
        (0..=rows).map(|row| (0..seeds).map(|seed| value(row, seed)).collect()).collect()
    }

    /// The deviation of a configuration; that of row 0 is the baseline's.
    fn deviation(self, row: usize, rows: usize) -> f64 {
        let grown = |to: f64| to.powf(row as f64 / rows as f64);
        match self {
            Self::OneVaries(times) if row == rows => times,
            Self::TwoVary(times) if row + 2 > rows => times,
            Self::BaselineVaries(times) if row == 0 => times,
            Self::Collapsed(number) if row + number > rows => 0.001,
            Self::AllButOneCollapsed if row > 1 => 0.001,
            Self::Growing(to) => grown(to),
            _ => 1.0,
        }
    }
}

/// Shares of simulated sweeps.
#[derive(Debug, Default)]
struct Rates {
    /// With a false PCL or NCL.
    wrong: f64,
    /// The same by the tests of each configuration alone.
    wrong_alone: f64,
    /// With a false "equivalent", where every configuration differs by the margin.
    wrongly_equivalent: f64,
    /// Judged by Dunnett's maximum.
    pooled: f64,
}

fn rates(scenario: Scenario, rows: usize, seeds: usize, sweeps: u32) -> Rates {
    let mut random = Random(u64::from(sweeps) << 32 | (rows * 100 + seeds) as u64);
    let mut known = CriticalValues::default();
    let mut counted = [0_u32; 4];
    for _ in 0..sweeps {
        let values = scenario.values(rows, seeds, &mut random);
        let (comparisons, how) = judged(&values, &QUESTION, &mut known);
        let differs = |it: &Comparison| matches!(it.verdict, Some(Verdict::Positive | Verdict::Negative));
        let differs_alone = |it: &Comparison| it.t_p.is_some_and(|p| p <= 0.05);
        counted[0] += u32::from(comparisons.iter().any(differs));
        counted[1] += u32::from(comparisons.iter().any(differs_alone));
        counted[3] += u32::from(how.method == Method::Dunnett);
        counted[2] += u32::from(is_called_equivalent(&values, &mut known));
    }
    let [wrong, wrong_alone, wrongly_equivalent, pooled] =
        counted.map(|count| f64::from(count) / f64::from(sweeps));
    Rates { wrong, wrong_alone, wrongly_equivalent, pooled }
}

/// Moves every configuration by a margin of some deviations, so that none is equivalent: whether one is called so.
fn is_called_equivalent(values: &Values, known: &mut CriticalValues) -> bool {
    let all: Vec<f64> = values.concat();
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let variance = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / all.len() as f64;
    [1.5, 3.0].iter().any(|deviations| {
        let margin = deviations * variance.sqrt();
        let mut moved = values.clone();
        for value in moved.iter_mut().skip(1).flatten() {
            *value += margin;
        }
        let question = Question { margin: Some(margin), ..QUESTION };
        let (comparisons, _) = judged(&moved, &question, known);
        comparisons.iter().any(|it| it.within_margin == Some(true))
    })
}

/// Over 500 sweeps, a true rate of 0.06 is found above 0.1 once in two thousand times.
#[test]
fn a_family_without_effects_has_few_false_verdicts() {
    for (scenario, rows, seeds) in [
        (Scenario::Null, 7, 5),
        (Scenario::Null, 20, 3),
        (Scenario::OneVaries(3.0), 7, 5),
        (Scenario::OneVaries(10.0), 7, 5),
        (Scenario::BaselineVaries(3.0), 7, 5),
        (Scenario::Collapsed(3), 7, 5),
        (Scenario::Alike(0.8), 7, 5),
        (Scenario::Skewed, 7, 5),
        (Scenario::FewSamples, 7, 5),
    ] {
        let found = rates(scenario, rows, seeds, 500);
        assert!(found.wrong < 0.1, "{scenario:?}, {rows} configurations, {seeds} seeds: {found:?}");
        assert!(found.wrongly_equivalent < 0.1, "{scenario:?}: {found:?}");
        // The test can tell: what is tested is not that nothing is ever found.
        assert!(found.wrong_alone > 0.1, "{scenario:?}: {found:?}");
    }
}

/// Where variances allow, few of the differences that a test of one configuration finds are lost.
#[test]
fn a_true_difference_is_found_about_as_often_as_by_a_test_of_one_configuration() {
    let mut random = Random(7);
    let mut known = CriticalValues::default();
    let mut found = [0_u32; 3];
    for _ in 0..1000 {
        let mut values = Scenario::Null.values(7, 5, &mut random);
        values[1].iter_mut().for_each(|value| *value += 3.0);
        let (comparisons, _) = judged(&values, &QUESTION, &mut known);
        let (alone, _) = judged(&values, &Question { simultaneous: false, ..QUESTION }, &mut known);
        let is_found = |it: Option<Verdict>| u32::from(it == Some(Verdict::Positive));
        let by_holm = comparisons[0].t_p_holm.is_some_and(|p| p <= 0.05);
        let all = [is_found(comparisons[0].verdict), is_found(alone[0].verdict), u32::from(by_holm)];
        for (count, is) in found.iter_mut().zip(all) {
            *count += is;
        }
    }
    let [simultaneous, alone, by_holm] = found;
    assert!(simultaneous > 730 && alone > 900 && by_holm < 600, "{found:?}");
}

/// The table of `docs/statistics.md`:
/// `cargo test --release -p colearn-core --test statistics -- --ignored --nocapture error_rates`
#[test]
#[ignore = "takes minutes; prints the table of docs/statistics.md"]
fn error_rates() {
    const SWEEPS: u32 = 4_000;
    println!("| results | levels | n | false verdict | of each alone | false equivalent | Dunnett |");
    println!("|---|---|---|---|---|---|---|");
    let mut worst = 0.0_f64;
    for (scenario, name) in Scenario::ALL {
        for (rows, seeds) in [(7, 3), (7, 5), (7, 10), (20, 3), (20, 5), (20, 10)] {
            let Rates { wrong, wrong_alone, wrongly_equivalent, pooled } =
                rates(scenario, rows, seeds, SWEEPS);
            println!(
                "| {name} | {rows} | {seeds} | {wrong:.3} | {wrong_alone:.3} | {wrongly_equivalent:.3} | {pooled:.2} |"
            );
            worst = worst.max(wrong).max(wrongly_equivalent);
        }
    }
    assert!(worst < 0.075, "{worst}");
}

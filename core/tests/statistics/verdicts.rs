//! What verdicts say, and numbers of scipy for them.

use colearn_core::statistics::{Comparison, CriticalValues, Method, Question, Reason, Untested, Verdict};

use crate::{QUESTION, Values, judged, judged_groups, random::Random};

fn judge_all(values: &Values, question: &Question) -> Vec<Comparison> {
    judged(values, question, &mut CriticalValues::default()).0
}

fn verdicts(values: &Values, question: &Question) -> Vec<Option<Verdict>> {
    judge_all(values, question).iter().map(|it| it.verdict).collect()
}

/// A baseline around 0.5 and configurations that differ by these means from it, with deviations of about 0.01.
fn configurations(differences: &[f64], seeds: usize) -> Values {
    let mut random = Random(3);
    let mut row = |mean: f64| (0..seeds).map(|_| mean + 0.01 * random.normal()).collect();
    [0.0].iter().chain(differences).map(|difference| row(0.5 + difference)).collect()
}

#[test]
fn the_verdict_knows_the_direction_and_the_margin() {
    let values = configurations(&[0.1, -0.1, 0.0, 0.002], 8);
    let [better, worse, open] = [Verdict::Positive, Verdict::Negative, Verdict::Inconclusive].map(Some);
    assert_eq!(
        verdicts(&values, &QUESTION),
        [better, worse, open, open],
        "without a margin nothing is equivalent"
    );
    let lower = Question { higher_is_better: false, ..QUESTION };
    assert_eq!(verdicts(&values, &lower), [worse, better, open, open]);
    let same = Some(Verdict::Equivalent);
    let wide = Question { margin: Some(0.03), ..QUESTION };
    assert_eq!(verdicts(&values, &wide), [better, worse, same, same]);
    let narrow = Question { margin: Some(0.005), ..QUESTION };
    assert_eq!(verdicts(&values, &narrow), [better, worse, open, open], "the interval decides, not the mean");
}

/// A difference that is found comes first, and is said to be within the margin.
#[test]
fn a_difference_within_the_margin_is_both() {
    let wide = Question { margin: Some(0.3), ..QUESTION };
    let found = judge_all(&configurations(&[0.1, 0.0, 0.4], 8), &wide);
    let said: Vec<_> = found.iter().map(|it| (it.verdict, it.within_margin)).collect();
    let [better, same] = [Verdict::Positive, Verdict::Equivalent].map(Some);
    assert_eq!(said, [(better, Some(true)), (same, Some(true)), (better, Some(false))]);
}

#[test]
fn what_cannot_be_tested_gets_no_verdict() {
    // Two equal differences are no proof, and neither are three.
    let two = judge_all(&vec![vec![0.5, 0.6], vec![0.4, 0.5]], &QUESTION);
    assert_eq!((two[0].verdict, two[0].untested, two[0].t_p), (None, Some(Untested::TooFewSeeds), None));
    assert_eq!((two[0].adjusted_p, two[0].method, two[0].pairs_needed), (None, None, None));
    let three = judge_all(&vec![vec![0.5, 0.6, 0.7], vec![0.4, 0.5, 0.6]], &QUESTION);
    assert_eq!((three[0].verdict, three[0].untested), (None, Some(Untested::NoVariance)));
}

/// Y has the baseline in row 0. R: Y less the means of rows and columns; mse = (R ** 2).sum() / (m * (n - 1));
/// t = (Y[i] - Y[0]).mean() / sqrt(2 * mse / n); p by scipy.integrate.quad over Dunnett's integral;
/// Bartlett's statistic of (R ** 2).sum(1) / (n - 1) with scipy.stats.chi2.sf; scipy.stats.f.sf for the baseline.
#[test]
fn agrees_with_scipy() {
    let values = vec![
        vec![0.45, 0.44, 0.455, 0.46, 0.48],
        vec![0.47, 0.48, 0.46, 0.49, 0.475],
        vec![0.43, 0.455, 0.45, 0.44, 0.49],
        vec![0.50, 0.49, 0.515, 0.49, 0.53],
    ];
    let (found, how) = judged(&values, &QUESTION, &mut CriticalValues::default());
    assert_eq!((how.method, how.reason, how.compared), (Method::Dunnett, Reason::SimilarVariances, 3));
    let near = |found: Option<f64>, expected: f64| {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{found:?} is not {expected}");
    };
    near(how.mean_square, 0.000_187_291_666_666_666_74);
    near(how.bartlett_p, 0.384_276_136_237_330_2);
    near(how.baseline_p, 0.927_378_252_707_980_4);
    near(how.critical, 2.682_870_062_8);
    // The last is so clear that its own p-value, from its own deviation, is the larger one.
    for (it, low, high, p) in [
        (&found[0], -0.005_221_424_742_550_586, 0.041_221_424_742_550_55, 0.141_454_020_515_254_13),
        (&found[1], -0.027_221_424_742_550_57, 0.019_221_424_742_550_564, 0.937_729_988_516_722_1),
        (&found[2], 0.024_778_575_257_449_434, 0.071_221_424_742_550_57, 0.000_608_184_944_463_338_5),
    ] {
        near(it.simultaneous_ci_low, low);
        near(it.simultaneous_ci_high, high);
        near(it.adjusted_p, p);
    }
    let said = found.iter().map(|it| it.verdict).collect::<Vec<_>>();
    assert_eq!(said, [Verdict::Inconclusive, Verdict::Inconclusive, Verdict::Positive].map(Some));
}

/// A configuration alone is judged by its paired t-test.
#[test]
fn one_comparison_needs_no_adjustment() {
    let (found, how) = judged(&configurations(&[0.01], 6), &QUESTION, &mut CriticalValues::default());
    assert_eq!((how.method, how.reason), (Method::Paired, Reason::OneComparison));
    let it = found[0];
    for (adjusted, own) in [
        (it.adjusted_p, it.t_p),
        (it.simultaneous_ci_low, it.ci_low),
        (it.simultaneous_ci_high, it.ci_high),
        (it.t_p_holm, it.t_p),
    ] {
        assert!((adjusted.unwrap() - own.unwrap()).abs() < 1e-12, "{it:?}");
    }
}

/// Why deviations are not pooled: the test of its own is what remains for each configuration.
#[test]
fn deviations_are_pooled_only_where_they_may_be() {
    let usual = configurations(&[0.0, 0.01, 0.02, 0.0], 6);
    let how = |values: &Values| {
        let (found, how) = judged(values, &QUESTION, &mut CriticalValues::default());
        (found, how.method, how.reason)
    };
    assert_eq!(how(&usual).1, Method::Dunnett);
    let stretched = |row: usize, times: f64| {
        let mut values = usual.clone();
        let mean = values[row].iter().sum::<f64>() / 6.0;
        values[row].iter_mut().for_each(|value| *value = mean + times * (*value - mean));
        values
    };
    assert_eq!(how(&stretched(2, 10.0)).2, Reason::UnequalVariances);
    assert_eq!(how(&stretched(0, 1.8)).2, Reason::BaselineVaries);
    assert_eq!(how(&stretched(3, 0.0)).2, Reason::ConstantResults);
    let mut gaps = usual.clone();
    for seed in 0..4 {
        gaps[1 + seed % 2][seed] = f64::NAN;
    }
    let (found, method, reason) = how(&gaps);
    assert_eq!((method, reason), (Method::Holm, Reason::TooFewReplicates));
    let p_values: Vec<f64> = found.iter().map(|it| it.t_p.unwrap()).collect();
    let least = p_values.iter().copied().fold(1.0, f64::min);
    for it in &found {
        let adjusted = it.adjusted_p.unwrap();
        assert!((adjusted - it.t_p_holm.unwrap()).abs() < 1e-12 && adjusted >= 4.0 * least - 1e-12, "{it:?}");
        // Bonferroni's interval is wider than its own.
        assert!(it.simultaneous_ci_low < it.ci_low && it.simultaneous_ci_high > it.ci_high, "{it:?}");
    }
}

/// Configurations without a test make those of the others no weaker or stronger than they are with results.
#[test]
fn what_is_not_tested_stays_in_the_family() {
    let usual = configurations(&[0.0, 0.01, 0.02, 0.0], 6);
    let mut same = usual.clone();
    same[4] = same[0].clone();
    let (found, how) = judged(&same, &QUESTION, &mut CriticalValues::default());
    assert_eq!((how.compared, how.method, how.replicates), (4, Method::Dunnett, 6));
    assert_eq!((found[3].untested, found[3].verdict), (Some(Untested::NoVariance), None));
    // scipy as in `agrees_with_scipy`: the maximum is over four, the degrees of freedom are those of three.
    assert_eq!(how.degrees, Some(15.0));
    let p_values: Vec<f64> = found[..3].iter().map(|it| it.t_p.unwrap()).collect();
    let least = p_values.iter().copied().fold(1.0, f64::min);
    assert!(found.iter().any(|it| it.t_p_holm.is_some_and(|p| (p - 4.0 * least).abs() < 1e-12)), "{found:?}");
}

/// With several baselines the error is split by Sidak's rule, by the size of each group.
#[test]
fn the_family_is_over_all_baselines() {
    let groups = [configurations(&[0.01, 0.02, 0.0], 6), configurations(&[0.01], 6)];
    let (found, how) = judged_groups(&[&groups[0], &groups[1]], &QUESTION, &mut CriticalValues::default());
    assert!((how[0].confidence - 0.95_f64.powf(0.75)).abs() < 1e-12, "{how:?}");
    assert!((how[1].confidence - 0.95_f64.powf(0.25)).abs() < 1e-12, "{how:?}");
    let alone = found[1][0];
    assert!((alone.adjusted_p.unwrap() - (1.0 - (1.0 - alone.t_p.unwrap()).powi(4))).abs() < 1e-12);
    assert!(alone.simultaneous_ci_low < alone.ci_low);
}

/// An interval and its p-value say the same, with either method.
#[test]
fn intervals_and_p_values_agree() {
    let mut random = Random(11);
    for round in 0..200 {
        let spread = if round % 2 == 0 { 1.0 } else { 6.0 };
        let mut row = |times: f64| -> Vec<f64> { (0..5).map(|_| times * random.normal()).collect() };
        let mut values = vec![row(1.0), row(1.0), row(spread), row(1.0)];
        values[1].iter_mut().for_each(|value| *value += 2.0);
        let (found, how) = judged(&values, &QUESTION, &mut CriticalValues::default());
        for it in found.iter().filter(|_| how.method == Method::Dunnett) {
            let (low, high) = it.interval(true).unwrap();
            assert_eq!(it.adjusted_p.unwrap() <= 0.05, low > 0.0 || high < 0.0, "{it:?}");
            // Nothing is found that the configuration's own test does not find.
            assert!(it.adjusted_p >= it.t_p && it.simultaneous_ci_low <= it.ci_low, "{it:?}");
        }
    }
}

/// The order of magnitude does not matter, up to rounding.
#[test]
fn numbers_of_any_size_are_judged() {
    let usual = configurations(&[0.1, 0.0, 0.02], 6);
    let expected = judge_all(&usual, &QUESTION);
    for factor in [2.0_f64.powi(1000), 2.0_f64.powi(-900)] {
        let values: Values =
            usual.iter().map(|row| row.iter().map(|value| value * factor).collect()).collect();
        for (found, expected) in judge_all(&values, &QUESTION).iter().zip(&expected) {
            assert_eq!((found.verdict, found.pairs_needed), (expected.verdict, expected.pairs_needed));
            assert!((found.adjusted_p.unwrap() - expected.adjusted_p.unwrap()).abs() < 1e-9);
            let low = found.simultaneous_ci_low.unwrap() / factor;
            assert!((low - expected.simultaneous_ci_low.unwrap()).abs() < 1e-9, "{found:?}");
        }
    }
}

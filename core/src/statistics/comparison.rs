//! Compares a configuration with the baseline, paired by seed.

use serde::{Deserialize, Serialize};

use super::{
    pairing::{correlation, t_test, welch},
    summary::{Summary, scale_of},
    verdict::{Method, Untested, Verdict},
    wilcoxon::signed_rank,
};

/// Fewer pairs are not tested: two agree by chance, and an interval of two is useless.
pub const MIN_PAIRS: usize = 3;
/// With fewer pairs the signed-rank test cannot reach 0.05.
const MIN_PAIRS_SIGNED_RANK: usize = 6;
/// Values that differ by less than this share of the largest one are equal: the difference is rounding.
pub(super) const NOISE: f64 = 1e-12;

/// Comparison of one metric of a configuration with the baseline, over the seeds that both have.
///
/// Differences are always configuration minus baseline, whether larger or smaller is better; the verdict takes the
/// direction into account. A value that cannot be computed is `None`, never zero. `docs/statistics.md` has the formulas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of seeds that both have; at least 1.
    pub pairs: usize,
    /// Mean of the differences.
    pub mean_difference: f64,
    /// Lower end of the two-sided Student's t interval of the mean difference, of this configuration alone; `None` if
    /// it is not tested.
    pub ci_low: Option<f64>,
    /// Upper end of the same interval.
    pub ci_high: Option<f64>,
    /// Sample standard deviation of the differences (n - 1 in the denominator); `None` for one pair.
    #[serde(default)]
    pub deviation: Option<f64>,
    /// Cohen's d_z: the mean difference over the sample standard deviation of the differences. (Not d_s or
    /// d_av, which divide by the deviations of the two groups and ignore that seeds are paired.) `None` for
    /// one pair, or when all differences are the same.
    pub effect_size: Option<f64>,
    /// Pearson's correlation of the pairs: what pairing by seed is worth. `None` for fewer than three pairs, or when
    /// either side is constant.
    #[serde(default)]
    pub correlation: Option<f64>,
    /// Two-sided p-value of the paired t-test (`scipy.stats.ttest_rel`); `None` if the configuration is not tested.
    pub t_p: Option<f64>,
    /// The p-value of the t-test after Holm's correction over all configurations of the sweep that are compared.
    pub t_p_holm: Option<f64>,
    /// Two-sided p-value of Welch's t-test of the same values without their pairing (`scipy.stats.ttest_ind` with
    /// `equal_var=False`); `None` for fewer than three pairs, or when both sides are constant.
    #[serde(default)]
    pub welch_p: Option<f64>,
    /// Two-sided p-value of Wilcoxon's signed-rank test (`scipy.stats.wilcoxon`); `None` for fewer than six pairs,
    /// with which it cannot be below 0.0625.
    pub wilcoxon_p: Option<f64>,
    /// The p-value of the signed-rank test after Holm's correction over all configurations of the sweep that are
    /// compared.
    pub wilcoxon_p_holm: Option<f64>,
    /// Why there is no test; `None` if there is one.
    #[serde(default)]
    pub untested: Option<Untested>,
    /// How the simultaneous interval and the adjusted p-value were computed; `None` if there is no test.
    #[serde(default)]
    pub method: Option<Method>,
    /// Two-sided p-value that accounts for all comparisons of the sweep in this metric.
    #[serde(default)]
    pub adjusted_p: Option<f64>,
    /// Lower end of the interval of the mean difference that holds for all comparisons of the sweep at once.
    #[serde(default)]
    pub simultaneous_ci_low: Option<f64>,
    /// Upper end of the same interval.
    #[serde(default)]
    pub simultaneous_ci_high: Option<f64>,
    /// Whether the interval that the verdict is about lies within the margin of equivalence; `None` without a margin.
    #[serde(default)]
    pub within_margin: Option<bool>,
    /// The verdict in the paper's terms; `None` if there is no test, and if more than the modalities differs.
    pub verdict: Option<Verdict>,
    /// With an inconclusive test: the number of pairs with which it would probably decide. `None` then means more than
    /// [`MAX_NEEDED`](super::MAX_NEEDED).
    #[serde(default)]
    pub pairs_needed: Option<usize>,
}

impl Comparison {
    /// Compares pairs of (configuration, baseline), one per seed, at confidence level `confidence` in (0, 1). `None`
    /// without pairs, and if the mean difference exceeds the range of f64. What needs the other configurations is not
    /// filled in, see [`judge`](super::judge): the corrected p-values, the simultaneous interval and the verdict.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)], confidence: f64) -> Option<Self> {
        let values: Vec<f64> = pairs.iter().flat_map(|(ours, baseline)| [*ours, *baseline]).collect();
        let scale = scale_of(&values);
        if scale != 1.0 {
            let scaled: Vec<_> =
                pairs.iter().map(|(ours, baseline)| (ours * scale, baseline * scale)).collect();
            return Self::of(&scaled, confidence)?.scaled(1.0 / scale);
        }
        let differences: Vec<f64> = pairs.iter().map(|(ours, baseline)| ours - baseline).collect();
        let Summary { mean, std, ci_low, ci_high } = Summary::of(&differences, confidence)?;
        let noise = NOISE * values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        // Equal differences may be slightly unequal because of rounding. Dividing by that rounding would give effects
        // of 10^15.
        let std = std.map(|std| if std <= noise { 0.0 } else { std });
        let varied = std.filter(|std| *std > 0.0);
        let untested = match varied {
            _ if pairs.len() < MIN_PAIRS => Some(Untested::TooFewSeeds),
            None => Some(Untested::NoVariance),
            Some(_) => None,
        };
        let tested = varied.filter(|_| untested.is_none());
        let ends = ci_low.zip(ci_high).filter(|_| tested.is_some());
        let enough = pairs.len() >= MIN_PAIRS;
        let (ours, baseline): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
        let is_ranked = pairs.len() >= MIN_PAIRS_SIGNED_RANK;
        Some(Self {
            pairs: pairs.len(),
            mean_difference: mean,
            ci_low: ends.map(|(low, _)| low),
            ci_high: ends.map(|(_, high)| high),
            deviation: std,
            effect_size: varied.map(|std| mean / std),
            correlation: enough.then(|| correlation(&ours, &baseline, noise)).flatten(),
            t_p: tested.and_then(|std| t_test(mean, std, pairs.len() as f64)),
            welch_p: enough.then(|| welch(&ours, &baseline, noise)).flatten(),
            wilcoxon_p: is_ranked.then(|| signed_rank(&differences, noise)).flatten(),
            untested,
            ..Self::default()
        })
    }

    /// The interval and the p-value that hold for all comparisons at once, or those of this configuration alone.
    #[must_use]
    pub fn interval(&self, simultaneous: bool) -> Option<(f64, f64)> {
        match simultaneous {
            true => self.simultaneous_ci_low.zip(self.simultaneous_ci_high),
            false => self.ci_low.zip(self.ci_high),
        }
    }

    /// Cuts the intervals at the largest differences that a metric within `bounds` can have.
    #[must_use]
    pub fn clipped(self, (lowest, highest): (f64, f64)) -> Self {
        let most = highest - lowest;
        let cut = |end: Option<f64>| end.map(|end| end.clamp(-most, most));
        Self {
            ci_low: cut(self.ci_low),
            ci_high: cut(self.ci_high),
            simultaneous_ci_low: cut(self.simultaneous_ci_low),
            simultaneous_ci_high: cut(self.simultaneous_ci_high),
            ..self
        }
    }

    /// Multiplies the values that have a unit; others are unchanged.
    fn scaled(self, factor: f64) -> Option<Self> {
        let finite = |value: f64| Some(value * factor).filter(|value| value.is_finite());
        let ends = self.ci_low.and_then(finite).zip(self.ci_high.and_then(finite));
        Some(Self {
            mean_difference: finite(self.mean_difference)?,
            deviation: self.deviation.and_then(finite),
            ci_low: ends.map(|(low, _)| low),
            ci_high: ends.map(|(_, high)| high),
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [f64; 5] = [0.47, 0.48, 0.46, 0.49, 0.475];
    const BASELINE: [f64; 5] = [0.45, 0.44, 0.455, 0.46, 0.48];

    fn pairs(ours: &[f64], baseline: &[f64]) -> Vec<(f64, f64)> {
        ours.iter().copied().zip(baseline.iter().copied()).collect()
    }

    fn close(left: Option<f64>, right: f64) -> bool {
        left.is_some_and(|left| (left - right).abs() < 1e-9)
    }

    /// d = x - y
    /// scipy.stats.ttest_rel(x, y).pvalue, .confidence_interval(0.95); d.mean() / d.std(ddof=1); d.std(ddof=1)
    /// numpy.corrcoef(x, y)[0, 1]; scipy.stats.ttest_ind(x, y, equal_var=False).pvalue
    #[test]
    fn agrees_with_scipy() {
        let found = Comparison::of(&pairs(&OURS, &BASELINE), 0.95).unwrap();
        assert_eq!((found.pairs, found.untested), (5, None));
        assert!(close(Some(found.mean_difference), 0.018), "{found:?}");
        assert!(close(found.ci_low, -0.004_641_224_648_299_313), "{found:?}");
        assert!(close(found.ci_high, 0.040_641_224_648_299_13), "{found:?}");
        assert!(close(found.deviation, 0.018_234_582_528_810_456), "{found:?}");
        assert!(close(found.effect_size, 0.987_135_294_792_746_9), "{found:?}");
        assert!(close(found.t_p, 0.091_901_862_518_785_32), "{found:?}");
        assert!(close(found.correlation, 0.037_688_918_072_220_41), "{found:?}");
        assert!(close(found.welch_p, 0.064_659_362_953_413_1), "{found:?}");
    }

    /// Five pairs cannot reach 0.05. scipy.stats.wilcoxon(x, y).pvalue for six.
    #[test]
    fn the_signed_rank_test_needs_six_pairs() {
        assert_eq!(Comparison::of(&pairs(&OURS, &BASELINE), 0.95).unwrap().wilcoxon_p, None);
        let six = [&pairs(&OURS, &BASELINE)[..], &[(0.5, 0.44)]].concat();
        assert!(close(Comparison::of(&six, 0.95).unwrap().wilcoxon_p, 0.09375));
    }

    #[test]
    fn numbers_of_any_size_are_compared_or_left_out() {
        let usual = Comparison::of(&pairs(&OURS, &BASELINE), 0.95).unwrap();
        // Powers of two cause no rounding: equal differences stay equal.
        for factor in [1020, 500, 340, -340, -500, -1000].map(|power| 2.0_f64.powi(power)) {
            let by = |values: &[f64]| values.iter().map(|value| value * factor).collect::<Vec<_>>();
            let found = Comparison::of(&pairs(&by(&OURS), &by(&BASELINE)), 0.95).unwrap();
            assert!((found.mean_difference / factor / usual.mean_difference - 1.0).abs() < 1e-9, "{found:?}");
            assert!((found.effect_size.unwrap() - usual.effect_size.unwrap()).abs() < 1e-9, "{found:?}");
            for (found, usual) in [(found.t_p, usual.t_p), (found.welch_p, usual.welch_p)] {
                assert!((found.unwrap() - usual.unwrap()).abs() < 1e-9, "{found:?}");
            }
        }
        assert_eq!(Comparison::of(&[(1.7e308, -1.7e308), (1.7e308, -1.7e308)], 0.95), None);
    }

    /// Two equal differences say nothing, and have no p-value of zero.
    #[test]
    fn what_few_pairs_do_not_tell_is_left_out() {
        assert_eq!(Comparison::of(&[], 0.95), None);
        for few in [&[(0.6, 0.5)][..], &[(0.75, 0.5), (0.5, 0.25)], &[(0.6, 0.5), (0.8, 0.5)]] {
            let found = Comparison::of(few, 0.95).unwrap();
            assert_eq!(found.untested, Some(Untested::TooFewSeeds));
            let tests = [found.t_p, found.welch_p, found.wilcoxon_p, found.ci_low, found.correlation];
            assert_eq!(tests, [None; 5], "{found:?}");
        }
        assert_eq!(Comparison::of(&[(0.6, 0.5)], 0.95).unwrap().deviation, None);
    }

    #[test]
    fn equal_differences_have_no_test() {
        // Those of the second are not equal to the last bit.
        for same in [[(0.5, 0.5), (0.6, 0.6), (0.7, 0.7)], [(0.3, 0.2), (0.4, 0.3), (0.7, 0.6)]] {
            let found = Comparison::of(&same, 0.95).unwrap();
            assert_eq!((found.untested, found.effect_size), (Some(Untested::NoVariance), None));
            assert_eq!(
                (found.t_p, found.ci_low, found.ci_high, found.deviation),
                (None, None, None, Some(0.0))
            );
            assert!(close(found.correlation, 1.0), "{found:?}");
        }
        let constant = Comparison::of(&[(0.3, 0.1 + 0.2), (0.3, 0.25), (0.3, 0.28)], 0.95).unwrap();
        assert_eq!((constant.correlation, constant.untested), (None, None), "{constant:?}");
    }

    #[test]
    fn intervals_end_where_the_metric_does() {
        let found = Comparison::of(&[(0.9, 0.1), (0.2, 0.3), (0.8, 0.1)], 0.95).unwrap();
        assert!(found.ci_high.unwrap() > 1.0, "{found:?}");
        let clipped = found.clipped((0.0, 1.0));
        assert_eq!((clipped.ci_low, clipped.ci_high), (Some(found.ci_low.unwrap().max(-1.0)), Some(1.0)));
        assert_eq!(found.clipped((0.0, f64::INFINITY)), found, "a loss has no largest difference");
    }
}

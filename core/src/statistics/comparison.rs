//! Compares a configuration with the baseline, paired by seed.

use std::fmt;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{
    summary::{Summary, scale_of},
    wilcoxon::signed_rank,
};

/// Comparison of one metric of a configuration with the baseline, over the seeds that both have.
///
/// Differences are always configuration minus baseline, whether larger or smaller is better; the verdict takes the
/// direction into account. A value that cannot be computed from so few pairs is `None`, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Number of seeds that both have; at least 1.
    pub pairs: usize,
    /// Mean of the differences.
    pub mean_difference: f64,
    /// Lower end of the two-sided Student's t interval of the mean difference; `None` for one pair.
    pub ci_low: Option<f64>,
    /// Upper end of the same interval.
    pub ci_high: Option<f64>,
    /// Cohen's d_z: the mean difference over the sample standard deviation of the differences. (Not d_s or
    /// d_av, which divide by the deviations of the two groups and ignore that seeds are paired.) `None` for
    /// one pair, or when all differences are the same.
    pub effect_size: Option<f64>,
    /// Two-sided p-value of the paired t-test (`scipy.stats.ttest_rel`); `None` for one pair, or when every
    /// difference is zero.
    pub t_p: Option<f64>,
    /// The p-value of the t-test after Holm's correction over all configurations of the sweep that are compared.
    pub t_p_holm: Option<f64>,
    /// Two-sided p-value of Wilcoxon's signed-rank test (`scipy.stats.wilcoxon`). It is never below 0.0625
    /// for five pairs.
    pub wilcoxon_p: Option<f64>,
    /// The p-value of the signed-rank test after Holm's correction over all configurations of the sweep that are
    /// compared.
    pub wilcoxon_p_holm: Option<f64>,
    /// The verdict in the paper's terms; `None` for one pair, which has no interval.
    pub verdict: Option<Verdict>,
}

/// The paper's terms for the effect of training with several modalities, with the unimodal variant as baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Positive co-learning: better than the baseline, and the interval of the difference excludes zero.
    #[serde(rename = "PCL")]
    Positive,
    /// Negative co-learning: worse than the baseline, and the interval of the difference excludes zero.
    #[serde(rename = "NCL")]
    Negative,
    /// The interval of the difference contains zero.
    #[serde(rename = "neutral")]
    Neutral,
}

impl Verdict {
    /// The word for it in tables and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Positive => "PCL",
            Self::Negative => "NCL",
            Self::Neutral => "neutral",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Comparison {
    /// Compares pairs of (configuration, baseline), one per seed, at confidence level `confidence` in (0, 1). `None`
    /// without pairs, and if the mean difference exceeds the range of f64. The corrected p-values are not filled in:
    /// they need the other configurations.
    #[must_use]
    pub fn of(pairs: &[(f64, f64)], higher_is_better: bool, confidence: f64) -> Option<Self> {
        let values: Vec<f64> = pairs.iter().flat_map(|(ours, baseline)| [*ours, *baseline]).collect();
        let scale = scale_of(&values);
        if scale != 1.0 {
            let scaled: Vec<_> =
                pairs.iter().map(|(ours, baseline)| (ours * scale, baseline * scale)).collect();
            return Self::of(&scaled, higher_is_better, confidence)?.scaled(1.0 / scale);
        }
        let differences: Vec<f64> = pairs.iter().map(|(ours, baseline)| ours - baseline).collect();
        let Summary { mean, std, ci_low, ci_high } = Summary::of(&differences, confidence)?;
        // Equal differences may be slightly unequal because of rounding. Dividing by that rounding would give effects
        // of 10^15.
        let largest = pairs
            .iter()
            .fold(0.0_f64, |largest, (ours, baseline)| largest.max(ours.abs()).max(baseline.abs()));
        let std = std.map(|std| if std <= 1e-12 * largest { 0.0 } else { std });
        let verdict = ci_low.zip(ci_high).map(|(low, high)| {
            if low <= 0.0 && high >= 0.0 {
                Verdict::Neutral
            } else if (low > 0.0) == higher_is_better {
                Verdict::Positive
            } else {
                Verdict::Negative
            }
        });
        Some(Self {
            pairs: pairs.len(),
            mean_difference: mean,
            ci_low,
            ci_high,
            effect_size: std.filter(|std| *std > 0.0).map(|std| mean / std),
            t_p: std.and_then(|std| t_test(mean, std, pairs.len() as f64)),
            t_p_holm: None,
            wilcoxon_p: signed_rank(&differences),
            wilcoxon_p_holm: None,
            verdict,
        })
    }
}

impl Comparison {
    /// Multiplies the values that have a unit; others are unchanged.
    fn scaled(self, factor: f64) -> Option<Self> {
        let finite = |value: f64| Some(value * factor).filter(|value| value.is_finite());
        let ends = self.ci_low.and_then(finite).zip(self.ci_high.and_then(finite));
        Some(Self {
            mean_difference: finite(self.mean_difference)?,
            ci_low: ends.map(|(low, _)| low),
            ci_high: ends.map(|(_, high)| high),
            ..self
        })
    }
}

/// Two-sided p-value for the hypothesis that `n` values with this mean and deviation have a true mean of zero.
fn t_test(mean: f64, std: f64, n: f64) -> Option<f64> {
    if std > 0.0 {
        let t = mean / (std / n.sqrt());
        return StudentsT::new(0.0, 1.0, n - 1.0).ok().map(|student| (2.0 * student.sf(t.abs())).min(1.0));
    }
    // The difference is equal for every seed: the p-value is 0, or there is none if the difference is zero.
    (mean != 0.0).then_some(0.0)
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
    /// scipy.stats.ttest_rel(x, y).pvalue, .confidence_interval(0.95); scipy.stats.wilcoxon(x, y).pvalue
    /// d.mean() / d.std(ddof=1)
    #[test]
    fn agrees_with_scipy() {
        let found = Comparison::of(&pairs(&OURS, &BASELINE), true, 0.95).unwrap();
        assert_eq!(found.pairs, 5);
        assert!(close(Some(found.mean_difference), 0.018), "{found:?}");
        assert!(close(found.ci_low, -0.004_641_224_648_299_313), "{found:?}");
        assert!(close(found.ci_high, 0.040_641_224_648_299_13), "{found:?}");
        assert!(close(found.effect_size, 0.987_135_294_792_746_9), "{found:?}");
        assert!(close(found.t_p, 0.091_901_862_518_785_32), "{found:?}");
        assert!(close(found.wilcoxon_p, 0.1875), "{found:?}");
        assert_eq!(found.verdict, Some(Verdict::Neutral));
        assert_eq!((found.t_p_holm, found.wilcoxon_p_holm), (None, None));
    }

    /// 2 * scipy.stats.t.sf(t, df)
    #[test]
    fn t_tails_agree_with_scipy() {
        for (df, t, expected) in [
            (4.0_f64, 2.1_f64, 0.103_653_286_317_602_18),
            (1.0, 12.7, 0.050_024_327_689_344_165),
            (9.0, 6.0, 0.000_202_499_322_067_640_8),
            (4.0, 80.0, 1.463_319_121_853_188_6e-7),
        ] {
            let n = df + 1.0;
            let found = t_test(t / n.sqrt(), 1.0, n).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
        }
    }

    #[test]
    fn the_verdict_knows_the_direction() {
        let better = pairs(&[0.60, 0.61, 0.62], &[0.50, 0.51, 0.50]);
        let verdict = |pairs: &[(f64, f64)], higher| Comparison::of(pairs, higher, 0.95).unwrap().verdict;
        assert_eq!(verdict(&better, true), Some(Verdict::Positive));
        assert_eq!(verdict(&better, false), Some(Verdict::Negative));
        let worse: Vec<_> = better.iter().map(|(ours, baseline)| (*baseline, *ours)).collect();
        assert_eq!(verdict(&worse, true), Some(Verdict::Negative));
        assert_eq!(verdict(&worse, false), Some(Verdict::Positive));
        // The same pairs, with a level so high that the interval contains zero.
        assert_eq!(
            Comparison::of(&better, true, 0.99999).unwrap().verdict,
            Some(Verdict::Neutral),
            "an interval decides, not the mean"
        );
    }

    #[test]
    fn numbers_of_any_size_are_compared_or_left_out() {
        let usual = Comparison::of(&pairs(&OURS, &BASELINE), true, 0.95).unwrap();
        // Powers of two cause no rounding: equal differences stay equal.
        for factor in [1020, 500, 340, -340, -500, -1000].map(|power| 2.0_f64.powi(power)) {
            let by = |values: &[f64]| values.iter().map(|value| value * factor).collect::<Vec<_>>();
            let found = Comparison::of(&pairs(&by(&OURS), &by(&BASELINE)), true, 0.95).unwrap();
            assert!((found.mean_difference / factor / usual.mean_difference - 1.0).abs() < 1e-9, "{found:?}");
            assert!((found.effect_size.unwrap() - usual.effect_size.unwrap()).abs() < 1e-9, "{found:?}");
            assert!((found.t_p.unwrap() - usual.t_p.unwrap()).abs() < 1e-9, "{found:?}");
            assert_eq!((found.verdict, found.wilcoxon_p), (usual.verdict, usual.wilcoxon_p));
        }
        assert_eq!(Comparison::of(&[(1.7e308, -1.7e308), (1.7e308, -1.7e308)], true, 0.95), None);
    }

    #[test]
    fn what_few_pairs_do_not_tell_is_left_out() {
        assert_eq!(Comparison::of(&[], true, 0.95), None);
        let one = Comparison::of(&[(0.6, 0.5)], true, 0.95).unwrap();
        assert_eq!((one.ci_low, one.effect_size, one.t_p, one.verdict), (None, None, None, None));
        let same = Comparison::of(&[(0.5, 0.5), (0.6, 0.6)], true, 0.95).unwrap();
        assert_eq!((same.effect_size, same.t_p, same.wilcoxon_p), (None, None, Some(1.0)));
        assert_eq!(same.verdict, Some(Verdict::Neutral));
        // These differences are not equal to the last bit.
        let nearly = Comparison::of(&[(0.3, 0.2), (0.4, 0.3), (0.7, 0.6)], true, 0.95).unwrap();
        assert_eq!((nearly.effect_size, nearly.t_p), (None, Some(0.0)));
        // Every seed improves by exactly a quarter: the deviation is zero.
        let constant = Comparison::of(&[(0.75, 0.5), (0.5, 0.25)], true, 0.95).unwrap();
        assert_eq!((constant.effect_size, constant.t_p), (None, Some(0.0)));
        assert_eq!(constant.verdict, Some(Verdict::Positive));
    }
}

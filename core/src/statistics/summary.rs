//! Mean, deviation and interval of one metric.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// Mean of one metric over the seeds of a configuration, with its spread.
/// A single value has a mean and nothing else: its deviation is unknown, and is not reported as zero. Values beyond
/// the range of f64 are not reported either.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (n - 1 in the denominator); `None` for one value, and beyond the range of f64.
    pub std: Option<f64>,
    /// Lower end of the two-sided Student's t interval of the mean; `None` for one value, and if one of the ends is
    /// beyond the range of f64.
    pub ci_low: Option<f64>,
    /// Upper end of the same interval.
    pub ci_high: Option<f64>,
}

impl Summary {
    /// Summarises finite `values` at confidence level `confidence` in (0, 1); `None` if there are no values.
    #[must_use]
    pub fn of(values: &[f64], confidence: f64) -> Option<Self> {
        let count = values.len();
        if count == 0 {
            return None;
        }
        let scale = scale_of(values);
        if scale != 1.0 {
            let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
            return Self::of(&scaled, confidence).map(|summary| summary.scaled(1.0 / scale));
        }
        let n = count as f64;
        let mean = values.iter().sum::<f64>() / n;
        if count == 1 {
            return Some(Self { mean, std: None, ci_low: None, ci_high: None });
        }
        let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        let std = (squares / (n - 1.0)).sqrt();
        let half = t_quantile(0.5 + confidence / 2.0, n - 1.0).map(|t| t * std / n.sqrt());
        Some(Self {
            mean,
            std: Some(std),
            ci_low: half.map(|half| mean - half),
            ci_high: half.map(|half| mean + half),
        })
    }
}

impl Summary {
    /// Cuts the interval at the values that a metric can have.
    #[must_use]
    pub fn clipped(self, (lowest, highest): (f64, f64)) -> Self {
        let cut = |end: Option<f64>| end.map(|end| end.clamp(lowest, highest));
        Self { ci_low: cut(self.ci_low), ci_high: cut(self.ci_high), ..self }
    }

    fn scaled(self, factor: f64) -> Self {
        let finite = |value: Option<f64>| value.map(|value| value * factor).filter(|value| value.is_finite());
        let ends = finite(self.ci_low).zip(finite(self.ci_high));
        Self {
            // The mean is between the smallest and the largest value, except for rounding.
            mean: (self.mean * factor).clamp(f64::MIN, f64::MAX),
            std: finite(self.std),
            ci_low: ends.map(|(low, _)| low),
            ci_high: ends.map(|(_, high)| high),
        }
    }
}

/// The mean of finite values, also if their sum exceeds the range of f64; `None` without values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let sum = values.iter().sum::<f64>();
    let mean = if sum.is_finite() { sum / n } else { values.iter().map(|value| value / n).sum() };
    // It is between the smallest and the largest value, except for rounding.
    (!values.is_empty()).then(|| mean.clamp(f64::MIN, f64::MAX))
}

/// A power of two by which to multiply the values so that neither their squares nor their sums exceed the range of
/// f64: 1 for all except very large and very small values.
pub(super) fn scale_of(values: &[f64]) -> f64 {
    const USUAL: std::ops::RangeInclusive<f64> = 1e-100..=1e100;
    let largest = values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
    if largest == 0.0 || USUAL.contains(&largest) || !largest.is_finite() {
        return 1.0;
    }
    // The scaled values are near 1; neither this factor nor its inverse exceeds the range of f64.
    2.0_f64.powi(-(largest.log2().floor().clamp(-1000.0, 1000.0) as i32))
}

/// Quantile of Student's t with `degrees` degrees of freedom; `None` outside its domain.
pub(super) fn t_quantile(probability: f64, degrees: f64) -> Option<f64> {
    if !(probability > 0.0 && probability < 1.0) {
        return None;
    }
    StudentsT::new(0.0, 1.0, degrees).ok().map(|t| t.inverse_cdf(probability))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }

    /// scipy.stats.t.interval(0.95, 4, loc=mean, scale=std / sqrt(5)) of the same numbers.
    #[test]
    fn agrees_with_scipy() {
        let summary = Summary::of(&[0.44, 0.45, 0.47, 0.43, 0.46], 0.95).unwrap();
        assert!(close(summary.mean, 0.45));
        assert!(close(summary.std.unwrap(), 0.015_811_388_300_841_896));
        assert!(close(summary.ci_low.unwrap(), 0.430_367_568_385_225_8), "{summary:?}");
        assert!(close(summary.ci_high.unwrap(), 0.469_632_431_614_774_2), "{summary:?}");
    }

    #[test]
    fn numbers_of_any_size_are_summarised_or_left_out() {
        let usual = Summary::of(&[1.0, 1.5, 1.7], 0.95).unwrap();
        for factor in [1e307, 1e150, 1e101, 1e-101, 1e-150, 1e-300] {
            let found = Summary::of(&[factor, 1.5 * factor, 1.7 * factor], 0.95).unwrap();
            let near = |left: f64, right: f64| (left / factor / right - 1.0).abs() < 1e-12;
            assert!(near(found.mean, usual.mean), "{factor} {found:?}");
            assert!(near(found.std.unwrap(), usual.std.unwrap()), "{factor} {found:?}");
            assert!(near(found.ci_low.unwrap(), usual.ci_low.unwrap()), "{factor} {found:?}");
        }
        let same = Summary::of(&[1.7e308, 1.7e308], 0.95).unwrap();
        assert_eq!((same.mean, same.std, same.ci_high), (1.7e308, Some(0.0), Some(1.7e308)));
        let opposite = Summary::of(&[-1.7e308, 1.7e308], 0.95).unwrap();
        assert_eq!(opposite, Summary { mean: 0.0, std: None, ci_low: None, ci_high: None });
        let largest = Summary::of(&[f64::MAX, f64::MAX, f64::MAX], 0.95).unwrap();
        assert!(largest.mean.is_finite());
        assert!(mean(&[f64::MAX, f64::MAX, f64::MAX]).unwrap() > 1.7e308);
        assert_eq!((mean(&[1.0, 2.0]), mean(&[])), (Some(1.5), None));
    }

    #[test]
    fn one_value_has_no_spread() {
        let summary = Summary::of(&[0.5], 0.95).unwrap();
        assert_eq!(summary, Summary { mean: 0.5, std: None, ci_low: None, ci_high: None });
        assert_eq!(Summary::of(&[], 0.95), None);
    }
}

//! Tests of two samples of equal length, paired and not.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{
    comparison::{MIN_PAIRS, NOISE},
    summary::scale_of,
};

/// Two-sided p-value for the hypothesis that `n` values with this mean and deviation have a true mean of zero.
pub(super) fn t_test(mean: f64, std: f64, n: f64) -> Option<f64> {
    two_sided(mean / (std / n.sqrt()), n - 1.0)
}

/// Probability that the absolute value of Student's t is at least `t`; `None` outside its domain.
pub(super) fn two_sided(t: f64, degrees: f64) -> Option<f64> {
    if t.is_nan() {
        return None;
    }
    StudentsT::new(0.0, 1.0, degrees).ok().map(|student| (2.0 * student.sf(t.abs())).min(1.0))
}

/// Pearson's correlation; `None` if a side varies by no more than `noise`.
pub(super) fn correlation(left: &[f64], right: &[f64], noise: f64) -> Option<f64> {
    let (left, right) = (centred(left), centred(right));
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let varies = |side: &[f64]| side.iter().any(|value| value.abs() > noise);
    if !varies(&left) || !varies(&right) {
        return None;
    }
    let r = product(&left, &right) / (product(&left, &left) * product(&right, &right)).sqrt();
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

/// Two-sided p-value of Welch's t-test (`scipy.stats.ttest_ind(left, right, equal_var=False)`); `None` if both sides
/// vary by no more than `noise`. Source: Welch 1947.
pub(super) fn welch(left: &[f64], right: &[f64], noise: f64) -> Option<f64> {
    // The squared standard error of each mean, and its degrees of freedom.
    let error = |side: &[f64]| {
        let n = side.len() as f64;
        let squares = centred(side).iter().map(|value| value * value).sum::<f64>();
        (squares / (n - 1.0) / n, n - 1.0)
    };
    let mean = |side: &[f64]| side.iter().sum::<f64>() / side.len() as f64;
    let ((first, first_degrees), (second, second_degrees)) = (error(left), error(right));
    let variance = first + second;
    if variance.is_nan() || variance.sqrt() <= noise {
        return None;
    }
    let degrees = variance.powi(2) / (first.powi(2) / first_degrees + second.powi(2) / second_degrees);
    two_sided((mean(left) - mean(right)) / variance.sqrt(), degrees)
}

/// Two-sided p-value of Welch's t-test of two samples of any size; `None` if one has fewer than three values, or neither
/// varies.
#[must_use]
pub fn welch_test(left: &[f64], right: &[f64]) -> Option<f64> {
    if left.len().min(right.len()) < MIN_PAIRS {
        return None;
    }
    let scale = scale_of(&[left, right].concat());
    let [left, right] =
        [left, right].map(|side| side.iter().map(|value| value * scale).collect::<Vec<f64>>());
    let largest = left.iter().chain(&right).fold(0.0_f64, |largest, value| largest.max(value.abs()));
    welch(&left, &right, NOISE * largest)
}

fn centred(values: &[f64]) -> Vec<f64> {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| value - mean).collect()
}

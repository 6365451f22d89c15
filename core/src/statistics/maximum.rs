//! The distribution of the largest of several t statistics that share a baseline and a deviation (Dunnett 1955).
//!
//! `T_i = X_i / S`, where the `X_i` are standard normal with correlation 1/2, because all are differences to one
//! baseline, and `S^2` is chi-square over its degrees of freedom. Both integrals are sums over equidistant points (the
//! trapezoidal rule), whose error falls exponentially with the distance of the points for such integrands (Trefethen
//! and Weideman 2014).

use std::{collections::HashMap, f64::consts::SQRT_2};

use statrs::function::erf::erfc;

use super::{pairing::two_sided, summary::t_quantile};

/// Probability that a standard normal value is above `z`.
pub(super) fn above(z: f64) -> f64 {
    erfc(z / SQRT_2) / 2.0
}

/// Values of `S` with their probabilities.
pub(super) struct Deviations(Vec<(f64, f64)>);

impl Deviations {
    /// For p-values and critical values.
    fn fine(degrees: f64) -> Self {
        Self::of(degrees, 0.6, 0.15, 40.0)
    }

    /// For the power of a test, to three digits.
    pub(super) fn coarse(degrees: f64) -> Self {
        Self::of(degrees, 1.0, 0.4, 14.0)
    }

    /// Over the logarithm u of `S`, whose density is proportional to `exp(degrees (u - (exp(2u) - 1) / 2))`, in steps of
    /// `step` of its deviations, but at most `longest`, as far as the density is above `exp(-depth)` of the largest.
    fn of(degrees: f64, step: f64, longest: f64, depth: f64) -> Self {
        let exponent = |u: f64| degrees * (u - (2.0 * u).exp_m1() / 2.0);
        let width = (step / (2.0 * degrees).sqrt()).min(longest);
        let side = |sign: f64, from: u32| {
            let points = (from..).map(move |index| sign * width * f64::from(index));
            points.map(move |u| (u.exp(), exponent(u))).take_while(|(_, exponent)| *exponent > -depth)
        };
        let weights = side(-1.0, 0).chain(side(1.0, 1)).map(|(s, exponent)| (s, exponent.exp()));
        let mut nodes: Vec<(f64, f64)> = weights.collect();
        let total: f64 = nodes.iter().map(|(_, weight)| weight).sum();
        for (_, weight) in &mut nodes {
            *weight /= total;
        }
        Self(nodes)
    }

    /// The mean of a function of `S`.
    pub(super) fn mean(&self, of: impl Fn(f64) -> f64) -> f64 {
        self.0.iter().map(|(s, weight)| weight * of(*s)).sum()
    }
}

/// Distance and number of the points of the integral over the part that all `X_i` share. The integrand is even.
const STEP: f64 = 0.3;
const POINTS: u32 = 30;

/// Probability that the largest of `rows` absolute values `|X_i|` is at least `h`.
fn normal_maximum(h: f64, rows: f64) -> f64 {
    const DENSITY_AT_ZERO: f64 = 0.398_942_280_401_432_7;
    let at = |index: u32| {
        let z = STEP * f64::from(index);
        let weight = if index == 0 { 1.0 } else { 2.0 } * STEP * DENSITY_AT_ZERO * (-z * z / 2.0).exp();
        let tails = above(SQRT_2 * h - z) + above(SQRT_2 * h + z);
        // 1 - (1 - tails)^rows, also where it is tiny.
        weight * -((-tails.min(1.0)).ln_1p() * rows).exp_m1()
    };
    (0..POINTS).map(at).sum()
}

/// Probability that the largest of `rows` absolute values of T is at least `t`, with `degrees` degrees of freedom.
pub(super) fn maximum_p(t: f64, rows: usize, degrees: f64) -> Option<f64> {
    if rows == 1 {
        return two_sided(t, degrees);
    }
    let valid = !t.is_nan() && degrees > 0.0 && rows > 0;
    valid
        .then(|| Deviations::fine(degrees).mean(|s| normal_maximum(t.abs() * s, rows as f64)).clamp(0.0, 1.0))
}

/// The value that the largest of `rows` absolute values of T exceeds with probability `1 - confidence`.
fn critical(rows: usize, degrees: f64, confidence: f64) -> Option<f64> {
    let single = t_quantile(0.5 + confidence / 2.0, degrees)?;
    if rows == 1 {
        return Some(single);
    }
    // Bonferroni's value is larger.
    let largest = t_quantile(1.0 - (1.0 - confidence) / 2.0 / rows as f64, degrees)?;
    let deviations = Deviations::fine(degrees);
    let excess = |t: f64| deviations.mean(|s| normal_maximum(t * s, rows as f64)) - (1.0 - confidence);
    Some(root(excess, single, largest))
}

/// Zero of a falling function between two points (regula falsi, Illinois).
fn root(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let (mut at_low, mut at_high) = (f(low), f(high));
    let mut before = 0.0_f64;
    let mut middle = high;
    for _ in 0..60 {
        if at_low <= 0.0 || at_high >= 0.0 {
            break;
        }
        let next = high - at_high * (high - low) / (at_high - at_low);
        let found = f(next);
        let near = (next - middle).abs() <= 1e-13 * next;
        middle = next;
        if near || found == 0.0 {
            break;
        }
        // An end that stays twice counts half, so that the other one moves.
        if found > 0.0 {
            (low, at_low) = (middle, found);
            at_high *= if before > 0.0 { 0.5 } else { 1.0 };
        } else {
            (high, at_high) = (middle, found);
            at_low *= if before < 0.0 { 0.5 } else { 1.0 };
        }
        before = found;
    }
    middle
}

/// Critical values that were computed before: those of a table repeat.
#[derive(Debug, Default)]
pub struct CriticalValues(HashMap<(usize, u64, u64), Option<f64>>);

impl CriticalValues {
    /// See [`critical`].
    pub(super) fn of(&mut self, rows: usize, degrees: f64, confidence: f64) -> Option<f64> {
        let key = (rows, degrees.to_bits(), confidence.to_bits());
        *self.0.entry(key).or_insert_with(|| critical(rows, degrees, confidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dunnett 1964, "New tables for multiple comparisons with a control", two-sided, for 95 % and 99 %.
    #[test]
    fn agrees_with_published_tables() {
        for (rows, degrees, at_95, at_99) in
            [(2, 5.0, 3.03, 4.63), (2, 10.0, 2.57, 3.53), (3, 10.0, 2.76, 3.74), (5, 20.0, 2.73, 3.48)]
        {
            for (confidence, expected) in [(0.95, at_95), (0.99, at_99)] {
                let found = critical(rows, degrees, confidence).unwrap();
                assert!((found - expected).abs() < 0.0051, "{rows} {degrees}: {found} is not {expected}");
            }
        }
    }

    /// Both integrals with scipy.integrate.quad, solved with scipy.optimize.brentq.
    #[test]
    fn agrees_with_scipy() {
        for (t, rows, degrees, expected) in [
            (1.0, 7, 28.0, 0.853_965_613_742_479_3),
            (2.5, 7, 28.0, 0.092_167_844_614_848_17),
            (5.0, 7, 28.0, 0.000_177_715_839_119_185_65),
            (8.0, 7, 28.0, 6.983_185_570_300_645e-8),
            (3.0, 2, 4.0, 0.067_010_793_427_865_62),
            (30.0, 2, 4.0, 1.275_298_367_831_921_5e-5),
            (-4.0, 20, 80.0, 0.002_343_883_477_307_965),
        ] {
            let found = maximum_p(t, rows, degrees).unwrap();
            assert!((found / expected - 1.0).abs() < 1e-8, "{t} {rows} {degrees}: {found} is not {expected}");
        }
        for (rows, degrees, confidence, expected) in [
            (7, 28.0, 0.95, 2.784_041_805),
            (7, 28.0, 0.99, 3.464_538_111_8),
            (3, 12.0, 0.95, 2.682_870_062_8),
            (2, 4.0, 0.95, 3.310_351_945_9),
            (20, 80.0, 0.95, 2.978_938_589_7),
            (100, 400.0, 0.95, 3.315_621_939_8),
        ] {
            let found = critical(rows, degrees, confidence).unwrap();
            assert!((found - expected).abs() < 1e-8, "{rows} {degrees}: {found} is not {expected}");
        }
    }

    /// scipy.stats.t.ppf(0.975, 4), 2 * scipy.stats.t.sf(2, 4)
    #[test]
    fn one_comparison_is_a_t_test() {
        assert!((critical(1, 4.0, 0.95).unwrap() - 2.776_445_105_197_793_4).abs() < 1e-9);
        assert!((maximum_p(2.0, 1, 4.0).unwrap() - 0.116_116_523_516_815_4).abs() < 1e-9);
        assert_eq!(maximum_p(f64::NAN, 7, 28.0), None);
        assert_eq!(maximum_p(f64::INFINITY, 7, 28.0), Some(0.0));
        assert!((maximum_p(0.0, 7, 28.0).unwrap() - 1.0).abs() < 1e-12);
    }
}

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

/// Critical values and p-values that were computed before: those of a table repeat, or are near each other.
#[derive(Debug, Default)]
pub struct CriticalValues {
    critical: HashMap<(usize, u64, u64), Option<f64>>,
    panels: HashMap<(usize, u64, u32), Option<Panel>>,
}

impl CriticalValues {
    /// See [`critical`].
    pub(super) fn of(&mut self, rows: usize, degrees: f64, confidence: f64) -> Option<f64> {
        let key = (rows, degrees.to_bits(), confidence.to_bits());
        *self.critical.entry(key).or_insert_with(|| critical(rows, degrees, confidence))
    }

    /// See [`maximum_p`]. In a large group the p-value is interpolated between fixed points, with a relative error
    /// below 1e-11: computed one by one, those of 10,000 rows would take seconds.
    pub(super) fn maximum_p(&mut self, t: f64, rows: usize, degrees: f64) -> Option<f64> {
        let t = t.abs();
        if rows < MANY || t.is_nan() || t >= FARTHEST {
            return maximum_p(t, rows, degrees);
        }
        let number = (t / Panel::WIDTH) as u32;
        let key = (rows, degrees.to_bits(), number);
        let panel = self.panels.entry(key).or_insert_with(|| Panel::of(number, rows, degrees));
        match panel {
            Some(panel) => Some(panel.at(t)),
            None => maximum_p(t, rows, degrees),
        }
    }
}

/// From this number of rows on p-values are interpolated: fewer are not worth the points.
const MANY: usize = 1000;
/// Larger t are rare.
const FARTHEST: f64 = 30.0;

/// The logarithms of p-values at the Chebyshev points of a small range of t.
#[derive(Debug)]
struct Panel {
    first: f64,
    logarithms: [f64; Self::POINTS],
}

impl Panel {
    /// The width of the range. The nearest zero of a p-value of a million rows has an imaginary part of about 0.3, so
    /// that the error of the interpolation falls by a factor of five with each point.
    const WIDTH: f64 = 0.25;
    const POINTS: usize = 20;

    /// `None` if p-values are too small for their logarithms.
    fn of(number: u32, rows: usize, degrees: f64) -> Option<Self> {
        let first = Self::WIDTH * f64::from(number);
        let mut logarithms = [0.0; Self::POINTS];
        for (at, logarithm) in logarithms.iter_mut().enumerate() {
            let p = maximum_p(first + Self::WIDTH * Self::point(at), rows, degrees)?;
            if p < 1e-280 {
                return None;
            }
            *logarithm = p.ln();
        }
        Some(Self { first, logarithms })
    }

    /// A Chebyshev point of the second kind between 0 and 1.
    fn point(at: usize) -> f64 {
        let angle = std::f64::consts::PI * at as f64 / (Self::POINTS - 1) as f64;
        (1.0 - angle.cos()) / 2.0
    }

    /// The barycentric formula (Berrut and Trefethen 2004).
    fn at(&self, t: f64) -> f64 {
        let x = (t - self.first) / Self::WIDTH;
        let (mut above, mut below) = (0.0, 0.0);
        for (at, logarithm) in self.logarithms.iter().enumerate() {
            let distance = x - Self::point(at);
            if distance == 0.0 {
                return logarithm.exp();
            }
            let sign = if at % 2 == 0 { 1.0 } else { -1.0 };
            let half = if at == 0 || at == Self::POINTS - 1 { 0.5 } else { 1.0 };
            let weight = sign * half / distance;
            above += weight * logarithm;
            below += weight;
        }
        (above / below).exp().clamp(0.0, 1.0)
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

    #[test]
    fn in_large_groups_points_are_shared_and_values_are_the_same() {
        for (rows, degrees) in [(MANY, 3999.0), (10_000, 40_000.0), (10_000, 8.0), (1_000_000, 4e6)] {
            let mut known = CriticalValues::default();
            for index in 0..600_u32 {
                let t = f64::from(index) * 0.0145;
                let (near, exact) =
                    (known.maximum_p(-t, rows, degrees).unwrap(), maximum_p(t, rows, degrees).unwrap());
                assert!((near / exact - 1.0).abs() < 1e-11, "{t} {rows} {degrees}: {near} is not {exact}");
            }
            // 8.69 is in the 35th panel.
            assert_eq!(known.panels.len(), 35);
            for t in [0.0, 0.25, 29.9, 30.0, 1e300, f64::INFINITY] {
                let (near, exact) = (known.maximum_p(t, rows, degrees), maximum_p(t, rows, degrees));
                assert!((near.unwrap() - exact.unwrap()).abs() < 1e-12, "{t}: {near:?} is not {exact:?}");
            }
            assert_eq!(known.maximum_p(f64::NAN, rows, degrees), None);
        }
        let mut known = CriticalValues::default();
        assert_eq!(known.maximum_p(2.5, MANY - 1, 28.0), maximum_p(2.5, MANY - 1, 28.0));
        assert!(known.panels.is_empty(), "values of small groups are computed one by one");
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

//! Average ranks of configurations over several data sets, with Friedman's test and Nemenyi's critical difference.
//! Source: Demsar 2006, "Statistical Comparisons of Classifiers over Multiple Data Sets".

use serde::{Deserialize, Serialize};
use statrs::distribution::{ChiSquared, Continuous as _, ContinuousCDF, FisherSnedecor, Normal};

/// Average ranks, and whether they differ.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ranks {
    /// The average rank of each configuration; 1 is the best. Equal scores share their mean rank.
    pub average: Vec<f64>,
    /// Number of data sets.
    pub data_sets: usize,
    /// Friedman's statistic, corrected for ties (`scipy.stats.friedmanchisquare`); `None` for fewer than three
    /// configurations or two data sets, and if all ranks are tied.
    pub friedman: Option<f64>,
    /// Its p-value from the chi-squared distribution.
    pub friedman_p: Option<f64>,
    /// The p-value of Iman and Davenport's correction, which is less conservative.
    pub iman_davenport_p: Option<f64>,
    /// Nemenyi's critical difference: average ranks that are further apart differ at the level of the test. `None` for
    /// fewer than two configurations.
    pub critical_difference: Option<f64>,
}

impl Ranks {
    /// Ranks configurations by their scores on each data set: `scores[data set][configuration]`; higher is better, and
    /// every data set has a score of every configuration. `level` is the level of Nemenyi's test, such as 0.05. `None`
    /// without scores.
    #[must_use]
    pub fn of(scores: &[Vec<f64>], level: f64) -> Option<Self> {
        let width = scores.first()?.len();
        if width == 0 || scores.iter().any(|row| row.len() != width) {
            return None;
        }
        let ranks: Vec<Vec<f64>> = scores.iter().map(|row| ranked(row)).collect();
        let (n, k) = (scores.len() as f64, width as f64);
        let average: Vec<f64> =
            (0..width).map(|at| ranks.iter().map(|row| row[at]).sum::<f64>() / n).collect();
        let tied: f64 = scores.iter().map(|row| ties(row)).sum();
        let correction = 1.0 - tied / (n * k * (k * k - 1.0));
        let tested = width > 2 && scores.len() > 1 && correction > 1e-12;
        let friedman = tested.then(|| {
            let squares: f64 = average.iter().map(|rank| (rank * n).powi(2)).sum();
            (12.0 / (n * k * (k + 1.0)) * squares - 3.0 * n * (k + 1.0)) / correction
        });
        let tail = |statistic: f64| ChiSquared::new(k - 1.0).ok().map(|chi| chi.sf(statistic.max(0.0)));
        Some(Self {
            friedman,
            friedman_p: friedman.and_then(tail),
            iman_davenport_p: friedman.and_then(|it| iman_davenport(it, n, k)),
            critical_difference: nemenyi(width, level).map(|q| q * (k * (k + 1.0) / (6.0 * n)).sqrt()),
            average,
            data_sets: scores.len(),
        })
    }
}

/// The ranks of scores; the highest has rank 1.
fn ranked(scores: &[f64]) -> Vec<f64> {
    let rank = |score: &f64| {
        let above = scores.iter().filter(|other| *other > score).count();
        let equal = scores.iter().filter(|other| *other == score).count();
        above as f64 + (equal as f64 + 1.0) / 2.0
    };
    scores.iter().map(rank).collect()
}

/// The sum of t^3 - t over groups of t equal scores.
fn ties(scores: &[f64]) -> f64 {
    let equal = |score: &f64| scores.iter().filter(|other| *other == score).count() as f64;
    scores.iter().map(|score| equal(score).powi(2) - 1.0).sum()
}

fn iman_davenport(friedman: f64, n: f64, k: f64) -> Option<f64> {
    let rest = n * (k - 1.0) - friedman;
    // All data sets rank the configurations alike.
    if rest <= 1e-9 {
        return Some(0.0);
    }
    let statistic = (n - 1.0) * friedman / rest;
    FisherSnedecor::new(k - 1.0, (k - 1.0) * (n - 1.0)).ok().map(|f| f.sf(statistic.max(0.0)))
}

/// The quantile of the studentized range for `k` groups and infinite degrees of freedom, over the square root of 2:
/// `scipy.stats.studentized_range.ppf(1 - level, k, numpy.inf) / 2**.5`.
fn nemenyi(k: usize, level: f64) -> Option<f64> {
    if k < 2 || !(level > 0.0 && level < 1.0) {
        return None;
    }
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if range_probability(middle, k) < 1.0 - level { low = middle } else { high = middle }
    }
    Some(f64::midpoint(low, high) / 2.0_f64.sqrt())
}

/// The probability that the range of `k` standard normal numbers is below `width`: the integral of
/// k phi(z) (Phi(z) - Phi(z - width))^(k-1) over z, by Simpson's rule.
fn range_probability(width: f64, k: usize) -> f64 {
    const STEPS: usize = 400;
    let normal = Normal::standard();
    let (from, to) = (-8.0, 8.0 + width.min(8.0));
    let step = (to - from) / STEPS as f64;
    let others = i32::try_from(k - 1).unwrap_or(i32::MAX);
    let at = |z: f64| normal.pdf(z) * (normal.cdf(z) - normal.cdf(z - width)).powi(others);
    let weight = |index: usize| match index {
        0 | STEPS => 1.0,
        odd if odd % 2 == 1 => 4.0,
        _ => 2.0,
    };
    let sum: f64 = (0..=STEPS).map(|index| weight(index) * at(from + step * index as f64)).sum();
    k as f64 * sum * step / 3.0
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table 6 of Demsar 2006: AUC of C4.5 and its variants on 14 data sets.
    const DEMSAR: [[f64; 4]; 14] = [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ];

    fn near(found: Option<f64>, expected: f64) {
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-9), "{found:?} is not {expected}");
    }

    fn scores(rows: &[[f64; 4]]) -> Vec<Vec<f64>> {
        rows.iter().map(|row| row.to_vec()).collect()
    }

    /// scipy.stats.rankdata(-row), scipy.stats.friedmanchisquare(*columns), scipy.stats.f.sf
    #[test]
    fn agrees_with_scipy_and_demsar() {
        let found = Ranks::of(&scores(&DEMSAR), 0.05).unwrap();
        for (found, expected) in found.average.iter().zip([44.0, 28.0, 41.0, 27.0]) {
            near(Some(*found), expected / 14.0);
        }
        near(found.friedman, 10.952_380_952_380_956);
        near(found.friedman_p, 0.011_986_176_325_417_788);
        near(found.iman_davenport_p, 0.007_628_838_730_725_745);
        // 2.569 * sqrt(4 * 5 / (6 * 14)) = 1.25 in the article.
        near(found.critical_difference, 2.569_031_772_546_482 * (20.0_f64 / 84.0).sqrt());
    }

    /// scipy.stats.studentized_range.ppf([.95, .99], k, numpy.inf) / 2**.5
    #[test]
    fn quantiles_agree_with_scipy() {
        for (k, at_5, at_1) in [
            (2, 1.959_963_984_540_053_4, 2.575_829_303_548_897),
            (3, 2.343_700_586_378_409, 2.913_494_337_832_626),
            (4, 2.569_031_772_546_482, 3.113_250_345_344_348),
            (10, 3.163_683_577_053_373, 3.646_291_548_393_499),
            (50, 3.992_343_290_009_407_6, 4.404_138_649_420_647),
        ] {
            for (level, expected) in [(0.05, at_5), (0.01, at_1)] {
                let found = nemenyi(k, level).unwrap();
                assert!((found - expected).abs() < 1e-6, "{k} at {level}: {found} is not {expected}");
            }
        }
        assert_eq!(nemenyi(1, 0.05), None);
    }

    #[test]
    fn what_can_not_be_tested_is_left_out() {
        assert_eq!(Ranks::of(&[], 0.05), None);
        assert_eq!(Ranks::of(&[vec![1.0, 2.0], vec![1.0]], 0.05), None);
        let two = Ranks::of(&[vec![0.5, 0.6], vec![0.4, 0.6]], 0.05).unwrap();
        assert_eq!((two.average, two.friedman), (vec![2.0, 1.0], None));
        let tied = Ranks::of(&[vec![0.5; 3], vec![0.5; 3]], 0.05).unwrap();
        assert_eq!((tied.average, tied.friedman, tied.friedman_p), (vec![2.0; 3], None, None));
        let alike = Ranks::of(&[vec![3.0, 2.0, 1.0], vec![3.0, 2.0, 1.0]], 0.05).unwrap();
        near(alike.friedman, 4.0);
        assert_eq!(alike.iman_davenport_p, Some(0.0));
    }
}

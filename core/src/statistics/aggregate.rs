//! Scores over several data sets: interquartile mean, performance profile and probability of improvement, with intervals
//! of a stratified bootstrap. Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical
//! Precipice"; the definitions are those of its library, rliable.
//!
//! A *stratum* has the scores of one data set, one for each seed. Higher scores are better.

use serde::{Deserialize, Serialize};

use super::summary::mean;

/// Number of bootstrap samples.
const SAMPLES: usize = 2000;
/// Seed of the bootstrap: equal results give equal intervals.
const SEED: u64 = 0x2021_0829;

/// A number with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number.
    pub value: f64,
    /// Lower end of its bootstrap interval; `None` if no stratum has two scores.
    pub ci_low: Option<f64>,
    /// Upper end of the same interval.
    pub ci_high: Option<f64>,
}

/// The mean without the lowest and the highest quarter: `scipy.stats.trim_mean(values, 0.25)`. `None` without values.
#[must_use]
pub fn interquartile_mean(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let cut = sorted.len() / 4;
    mean(sorted.get(cut..sorted.len() - cut)?)
}

/// The interquartile mean of the scores of all strata, with its interval at level `confidence`. `None` without scores.
#[must_use]
pub fn interquartile_mean_of(strata: &[Vec<f64>], confidence: f64) -> Option<Estimate> {
    let value = interquartile_mean(&strata.concat())?;
    let samples = bootstrap(strata, |sample| interquartile_mean(&sample.concat()));
    Some(estimate(value, samples, confidence))
}

/// The share of all scores above each threshold: rliable's score distribution. `None` without scores.
#[must_use]
pub fn performance_profile(strata: &[Vec<f64>], thresholds: &[f64]) -> Option<Vec<f64>> {
    let all = strata.concat();
    let above = |threshold: &f64| all.iter().filter(|score| *score > threshold).count() as f64;
    (!all.is_empty()).then(|| thresholds.iter().map(|it| above(it) / all.len() as f64).collect())
}

/// The probability that a score of `ours` is above one of `theirs` on the same data set, averaged over the data sets, with
/// its interval. Equal scores count half. Both have the same strata in the same order; those without scores of both are
/// left out. `None` if there is no other.
#[must_use]
pub fn probability_of_improvement(
    ours: &[Vec<f64>],
    theirs: &[Vec<f64>],
    confidence: f64,
) -> Option<Estimate> {
    let both = ours.iter().zip(theirs).filter(|(ours, theirs)| !ours.is_empty() && !theirs.is_empty());
    let strata: Vec<Vec<f64>> = both.flat_map(|(ours, theirs)| [ours.clone(), theirs.clone()]).collect();
    let mean = |strata: &[Vec<f64>]| {
        let pairs = strata.chunks_exact(2).map(|pair| improvement(&pair[0], &pair[1]));
        (!strata.is_empty()).then(|| pairs.sum::<f64>() / (strata.len() / 2) as f64)
    };
    let value = mean(&strata)?;
    // Scores of both are drawn independently of each other.
    let samples = bootstrap(&strata, mean);
    Some(estimate(value, samples, confidence))
}

/// The share of pairs in which the first score is above the second: the Mann-Whitney statistic over its maximum.
fn improvement(ours: &[f64], theirs: &[f64]) -> f64 {
    let better = |ours: &f64, theirs: &f64| {
        if ours > theirs {
            1.0
        } else if ours == theirs {
            0.5
        } else {
            0.0
        }
    };
    let sum: f64 = ours.iter().flat_map(|it| theirs.iter().map(move |other| better(it, other))).sum();
    sum / (ours.len() * theirs.len()) as f64
}

/// The values of a statistic over samples of the strata, drawn with replacement within each. Empty if no stratum can
/// vary.
fn bootstrap(strata: &[Vec<f64>], statistic: impl Fn(&[Vec<f64>]) -> Option<f64>) -> Vec<f64> {
    if strata.iter().all(|stratum| stratum.len() < 2) {
        return Vec::new();
    }
    let mut generator = Generator(SEED);
    let mut sample = strata.to_vec();
    let mut values = Vec::with_capacity(SAMPLES);
    for _ in 0..SAMPLES {
        for (drawn, stratum) in sample.iter_mut().zip(strata) {
            for score in drawn.iter_mut() {
                *score = stratum[generator.below(stratum.len())];
            }
        }
        values.extend(statistic(&sample));
    }
    values
}

/// The percentile interval of the samples.
fn estimate(value: f64, mut samples: Vec<f64>, confidence: f64) -> Estimate {
    samples.sort_by(f64::total_cmp);
    let end = |share: f64| quantile(&samples, share);
    Estimate { value, ci_low: end(0.5 - confidence / 2.0), ci_high: end(0.5 + confidence / 2.0) }
}

/// Quantile of sorted values, interpolated as by `numpy.quantile`.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let at = share.clamp(0.0, 1.0) * sorted.len().checked_sub(1)? as f64;
    let (low, part) = (at.floor() as usize, at.fract());
    let (below, above) = (sorted.get(low)?, sorted.get(low + 1).or(sorted.get(low))?);
    let difference = above - below;
    // The difference of two numbers may exceed the range of f64 although both are within it.
    Some(if difference.is_finite() { below + difference * part } else { below * (1.0 - part) + above * part })
}

/// SplitMix64 (Steele et al. 2014): the same numbers everywhere.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is far below 2^32: the bias is negligible.
    fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.next()) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: [[f64; 5]; 3] =
        [[0.44, 0.45, 0.47, 0.43, 0.46], [0.61, 0.65, 0.62, 0.60, 0.66], [0.30, 0.35, 0.31, 0.33, 0.29]];
    const THEIRS: [[f64; 5]; 3] =
        [[0.40, 0.46, 0.41, 0.43, 0.42], [0.60, 0.61, 0.62, 0.58, 0.59], [0.31, 0.28, 0.30, 0.27, 0.29]];

    fn strata(scores: [[f64; 5]; 3]) -> Vec<Vec<f64>> {
        scores.map(|stratum| stratum.to_vec()).to_vec()
    }

    fn near(found: f64, expected: f64, tolerance: f64) {
        assert!((found - expected).abs() < tolerance, "{found} is not {expected}");
    }

    /// scipy.stats.trim_mean(values, 0.25)
    #[test]
    fn the_interquartile_mean_agrees_with_scipy() {
        near(interquartile_mean(&strata(OURS).concat()).unwrap(), 0.46, 1e-12);
        near(interquartile_mean(&OURS[0]).unwrap(), 0.45, 1e-12);
        near(interquartile_mean(&strata(THEIRS).concat()).unwrap(), 0.433_333_333_333_333_35, 1e-12);
        assert_eq!((interquartile_mean(&[]), interquartile_mean(&[2.0])), (None, Some(2.0)));
    }

    /// numpy.percentile([2.5, 97.5]) of 20,000 samples of the same bootstrap: 0.45 and 0.47; the second, 0.66 and 0.953.
    #[test]
    fn intervals_agree_with_a_bootstrap_in_numpy() {
        let found = interquartile_mean_of(&strata(OURS), 0.95).unwrap();
        near(found.ci_low.unwrap(), 0.45, 0.002);
        near(found.ci_high.unwrap(), 0.47, 0.002);
        let found = probability_of_improvement(&strata(OURS), &strata(THEIRS), 0.95).unwrap();
        near(found.ci_low.unwrap(), 0.66, 0.02);
        near(found.ci_high.unwrap(), 0.953_333, 0.02);
        let again = probability_of_improvement(&strata(OURS), &strata(THEIRS), 0.95).unwrap();
        assert_eq!(found, again, "equal results give equal intervals");
    }

    /// Mean of scipy.stats.mannwhitneyu(x, y).statistic / 25 over the three data sets.
    #[test]
    fn the_probability_of_improvement_agrees_with_scipy() {
        let of = |ours: &[Vec<f64>], theirs: &[Vec<f64>]| probability_of_improvement(ours, theirs, 0.95);
        let (ours, theirs) = (strata(OURS), strata(THEIRS));
        near(of(&ours, &theirs).unwrap().value, 0.826_666_666_666_666_7, 1e-12);
        near(of(&theirs, &ours).unwrap().value, 1.0 - 0.826_666_666_666_666_7, 1e-12);
        near(of(&ours, &ours).unwrap().value, 0.5, 1e-12);
        let gap = [ours[0].clone(), Vec::new(), ours[2].clone()];
        assert!(of(&gap, &theirs).is_some(), "a data set without results is left out");
        assert_eq!(of(&[], &[]), None);
        let single = of(&[vec![0.5]], &[vec![0.4]]).unwrap();
        assert_eq!((single.value, single.ci_low), (1.0, None));
    }

    #[test]
    fn scores_at_the_end_of_the_range_stay_within_it() {
        let large = [vec![1.6e308, 1.7e308, 1.5e308], vec![-1.7e308, 1.7e308, -1.6e308]];
        let found = interquartile_mean_of(&large, 0.95).unwrap();
        for value in [found.value, found.ci_low.unwrap(), found.ci_high.unwrap()] {
            assert!(value.is_finite(), "{found:?}");
        }
        assert!((found.value / 8e307 - 1.0).abs() < 1e-12, "the mean of 1.7, 1.6, 1.5 and -1.6: {found:?}");
        near(quantile(&[-1.7e308, 1.7e308], 0.75).unwrap() / 8.5e307, 1.0, 1e-12);
    }

    /// (scores > threshold).mean()
    #[test]
    fn the_profile_is_the_share_above_each_threshold() {
        let found = performance_profile(&strata(OURS), &[0.3, 0.4, 0.45, 0.6]).unwrap();
        for (found, expected) in found.iter().zip([13.0, 10.0, 7.0, 4.0]) {
            near(*found, expected / 15.0, 1e-12);
        }
        assert_eq!(performance_profile(&[], &[0.5]), None);
    }
}

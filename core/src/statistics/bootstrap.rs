//! The crossed bootstrap: seeds and items are resampled independently of each other.
//!
//! A difference between two networks varies with the seeds that were trained, and with the items that were tested:
//! both are samples (Bouthillier et al., 2021, "Accounting for variance in machine learning benchmarks"). Each
//! replicate draws seeds with replacement and, independently, items with replacement (the pigeonhole bootstrap of Owen,
//! 2007).
//! Its variance is not below the true one on average, but for the factors that are corrected below. Groups of items,
//! such as the speakers, are drawn as a whole.

use super::summary::t_quantile;

/// How often to resample, and for what interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resampling {
    /// Number of replicates.
    pub replicates: usize,
    /// Chooses the replicates: the same number gives the same interval.
    pub seed: u64,
    /// Level of the interval, in (0, 1).
    pub confidence: f64,
}

impl Default for Resampling {
    fn default() -> Self {
        Self { replicates: 10_000, seed: 0, confidence: 0.95 }
    }
}

/// A statistic with its bootstrapped interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrapped {
    /// The statistic of the sample itself.
    pub estimate: f64,
    /// The interval's lower end.
    pub ci_low: f64,
    /// The interval's upper end.
    pub ci_high: f64,
    /// Standard error of the estimate.
    pub standard_error: f64,
}

/// Replicates for the share of each axis in the variance.
const COMPONENT_REPLICATES: usize = 1000;

/// Bootstraps a statistic over `seeds` and `groups`. `statistic` gets how often each seed and each group was drawn; it
/// returns `None` if it is not defined. An axis of one unit is not resampled: then the interval says nothing about it.
///
/// The interval is that of Student's t around the estimate, with the standard error of the replicates. Percentiles of
/// the replicates cannot leave the range of a few seeds and hold less than their level (Hesterberg, 2015). Resampling
/// `n` units finds `(n - 1) / n` of the variance on average; the rest is added for each axis. The degrees of freedom
/// are Satterthwaite's, of the two axes' shares in the variance.
///
/// Returns `None` if both axes have one unit, or if the statistic is not defined for the sample or a tenth of the
/// replicates.
pub fn crossed(
    (seeds, groups): (usize, usize),
    resampling: &Resampling,
    mut statistic: impl FnMut(&[u32], &[u32]) -> Option<f64>,
) -> Option<Bootstrapped> {
    if seeds.max(groups) < 2 || seeds.min(groups) == 0 {
        return None;
    }
    let mut generator = SplitMix64(resampling.seed);
    let all = [vec![1; seeds], vec![1; groups]];
    let estimate = statistic(&all[0], &all[1])?;
    let mut spread = |axes: [bool; 2], count: usize| {
        let mut weights = all.clone();
        let mut values: Vec<f64> = Vec::with_capacity(count);
        for _ in 0..count {
            for (weights, is_drawn) in weights.iter_mut().zip(axes) {
                if is_drawn {
                    generator.multiplicities(weights);
                }
            }
            values.extend(statistic(&weights[0], &weights[1]));
        }
        (values.len() * 10 >= count * 9 && values.len() > 1).then(|| variance(&values))
    };
    let mut total = spread([true, true], resampling.replicates)?;
    let (mut shares, mut squares) = (0.0, 0.0);
    for (units, axes) in [(seeds, [true, false]), (groups, [false, true])] {
        if units > 1 {
            let degrees = units as f64 - 1.0;
            let found = spread(axes, resampling.replicates.min(COMPONENT_REPLICATES))?;
            total += found / degrees;
            let share = found + found / degrees;
            shares += share;
            squares += share * share / degrees;
        }
    }
    let standard_error = total.sqrt();
    let half = if squares > 0.0 {
        t_quantile(f64::midpoint(1.0, resampling.confidence), shares * shares / squares)? * standard_error
    } else {
        0.0
    };
    Some(Bootstrapped { estimate, ci_low: estimate - half, ci_high: estimate + half, standard_error })
}

fn variance(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>() / (n - 1.0)
}

/// The generator of Steele, Lea and Flood (2014): the same replicates everywhere.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`. Its bias is below n / 2^64.
    fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    /// Draws as many units as there are, with replacement, and counts how often each was drawn.
    fn multiplicities(&mut self, counts: &mut [u32]) {
        counts.fill(0);
        for _ in 0..counts.len() {
            let drawn = self.below(counts.len());
            counts[drawn] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use statrs::distribution::{ContinuousCDF as _, Normal};

    use super::*;

    fn mean(differences: &[Vec<f64>], seeds: &[u32], items: &[u32]) -> Option<f64> {
        let of_seed = |(row, &seed): (&Vec<f64>, &u32)| {
            let sum: f64 = row.iter().zip(items).map(|(value, &item)| value * f64::from(item)).sum();
            sum * f64::from(seed)
        };
        let total = f64::from(seeds.iter().sum::<u32>()) * f64::from(items.iter().sum::<u32>());
        Some(differences.iter().zip(seeds).map(of_seed).sum::<f64>() / total)
    }

    fn of(differences: &[Vec<f64>], replicates: usize, seed: u64) -> Bootstrapped {
        let resampling = Resampling { replicates, seed, ..Resampling::default() };
        crossed((differences.len(), differences[0].len()), &resampling, |seeds, items| {
            mean(differences, seeds, items)
        })
        .unwrap()
    }

    /// Normal numbers by inversion.
    struct Normals(SplitMix64, Normal);

    impl Normals {
        fn next(&mut self) -> f64 {
            self.1.inverse_cdf(((self.0.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64)
        }

        /// Differences [seeds][items] whose true mean is 0, with these deviations by seed, by item and by cell.
        fn table(
            &mut self,
            (seeds, items): (usize, usize),
            [by_seed, by_item, by_cell]: [f64; 3],
        ) -> Vec<Vec<f64>> {
            let of_items: Vec<f64> = (0..items).map(|_| by_item * self.next()).collect();
            (0..seeds)
                .map(|_| {
                    let of_seed = by_seed * self.next();
                    of_items.iter().map(|of_item| of_seed + of_item + by_cell * self.next()).collect()
                })
                .collect()
        }
    }

    /// The share of simulated samples whose interval holds the true mean.
    fn coverage(size: (usize, usize), deviations: [f64; 3]) -> f64 {
        const SAMPLES: u32 = 400;
        let mut normals = Normals(SplitMix64(7), Normal::standard());
        let mut held = 0;
        for sample in 0..SAMPLES {
            let found = of(&normals.table(size, deviations), 400, u64::from(sample));
            held += u32::from(found.ci_low <= 0.0 && found.ci_high >= 0.0);
        }
        f64::from(held) / f64::from(SAMPLES)
    }

    #[test]
    fn the_interval_holds_its_level_or_more() {
        // A coverage of .95 is found with a standard error of .011.
        for (what, size, deviations) in [
            ("seeds alone", (5, 60), [1.0, 0.0, 0.0]),
            ("items alone", (5, 60), [0.0, 1.0, 0.0]),
            ("both", (5, 60), [0.3, 1.0, 1.0]),
            ("few groups", (8, 8), [1.0, 1.0, 0.5]),
        ] {
            let found = coverage(size, deviations);
            println!("{what}: {found}");
            assert!((0.925..=0.99).contains(&found), "{what}: {found}");
        }
        // Cells that differ by chance alone are counted once for each axis and once for both.
        let found = coverage((5, 60), [0.0, 0.0, 1.0]);
        println!("cells alone: {found}");
        assert!(found >= 0.97, "{found}");
    }

    #[test]
    fn over_seeds_alone_items_would_look_certain() {
        // Every seed agrees, and the items do not.
        let row: Vec<f64> = (0..40).map(|item| f64::from(item % 2)).collect();
        let found = of(&vec![row; 5], 4000, 0);
        assert_eq!(found.estimate, 0.5);
        // The standard error of a mean of 40 zeros and ones.
        assert!((found.standard_error - 0.5 / 40_f64.sqrt()).abs() < 0.004, "{found:?}");
        assert!(found.ci_low < 0.36 && found.ci_high > 0.64, "{found:?}");
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let table = Normals(SplitMix64(1), Normal::standard()).table((4, 20), [1.0; 3]);
        assert_eq!(of(&table, 500, 3), of(&table, 500, 3));
        assert_ne!(of(&table, 500, 3), of(&table, 500, 4));
    }

    #[test]
    fn what_can_not_be_resampled_has_no_interval() {
        let resampling = Resampling { replicates: 100, ..Resampling::default() };
        assert_eq!(crossed((1, 1), &resampling, |_, _| Some(1.0)), None);
        assert_eq!(crossed((0, 9), &resampling, |_, _| Some(1.0)), None);
        assert_eq!(crossed((5, 9), &resampling, |_, _| None), None);
        let constant = crossed((5, 9), &resampling, |_, _| Some(1.0)).unwrap();
        assert_eq!((constant.ci_low, constant.ci_high, constant.standard_error), (1.0, 1.0, 0.0));
        // One seed: the items alone.
        assert!(crossed((1, 9), &resampling, |_, items| Some(f64::from(items[0]))).is_some());
    }
}

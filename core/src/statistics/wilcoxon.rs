//! Wilcoxon's signed-rank test.

use statrs::distribution::{ContinuousCDF, Normal};

/// Maximum number of differences for which the distribution is computed exactly, without ties and with them. The
/// bounds are scipy's, so that the p-value equals that of `scipy.stats.wilcoxon`.
const MAX_EXACT: usize = 50;
const MAX_EXACT_WITH_TIES: usize = 13;

/// Two-sided p-value of Wilcoxon's signed-rank test for the hypothesis that `differences` are symmetric about zero.
/// Equal to `scipy.stats.wilcoxon(differences)` (1.13 or later) with its defaults: differences of zero are dropped,
/// and equal ones share their mean rank. Sizes that are apart by no more than `noise` are equal, and one of no more than
/// `noise` is zero. The distribution is exact for up to 50 differences without ties and zeros,
/// or up to 13 with them; otherwise it is the normal approximation without continuity correction.
///
/// With five pairs the smallest possible p-value is 2 / 2^5 = 0.0625: five seeds never reach the usual 0.05 in this
/// test, however clear the difference.
///
/// `None` for no differences. If all are zero there is no evidence against the hypothesis: the p-value is 1.
#[must_use]
pub fn signed_rank(differences: &[f64], noise: f64) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    let mut sorted: Vec<f64> =
        differences.iter().copied().filter(|difference| difference.abs() > noise).collect();
    if sorted.is_empty() {
        return Some(1.0);
    }
    sorted.sort_by(|left, right| left.abs().total_cmp(&right.abs()));
    let groups: Vec<&[f64]> = sorted.chunk_by(|left, right| right.abs() - left.abs() <= noise).collect();

    // Ranks are doubled, so that the mean rank of a tie is a whole number.
    let mut ranks = Vec::with_capacity(sorted.len());
    let mut positive = 0;
    for group in &groups {
        let doubled = 2 * ranks.len() + group.len() + 1;
        positive += doubled * group.iter().filter(|difference| **difference > 0.0).count();
        ranks.extend(std::iter::repeat_n(doubled, group.len()));
    }

    let plain = groups.len() == differences.len();
    let p = if differences.len() <= if plain { MAX_EXACT } else { MAX_EXACT_WITH_TIES } {
        exact(&ranks, positive)
    } else {
        let n = sorted.len() as f64;
        let ties: f64 = groups.iter().map(|group| (group.len() as f64).powi(3) - group.len() as f64).sum();
        let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0).sqrt();
        let z = (positive as f64 / 2.0 - n * (n + 1.0) / 4.0) / deviation;
        2.0 * Normal::standard().sf(z.abs())
    };
    Some(p.min(1.0))
}

/// Twice the smaller tail of a distribution at `sum`, including `sum`. The distribution is that of the sum of a
/// random subset of `ranks`, in which each rank has probability 1/2.
fn exact(ranks: &[usize], sum: usize) -> f64 {
    let total: usize = ranks.iter().sum();
    // probability[s]: the probability of the sum s over the ranks so far.
    let mut probability = vec![0.0; total + 1];
    probability[0] = 1.0;
    let mut reached = 0;
    for rank in ranks {
        reached += rank;
        for s in (0..=reached).rev() {
            let with = if s >= *rank { probability[s - rank] } else { 0.0 };
            probability[s] = (probability[s] + with) / 2.0;
        }
    }
    let below: f64 = probability[..=sum].iter().sum();
    let above: f64 = probability[sum..].iter().sum();
    2.0 * below.min(above)
}

#[cfg(test)]
mod tests {
    use super::signed_rank;

    fn agrees(differences: &[f64], expected: f64) {
        let found = signed_rank(differences, 0.0).unwrap();
        assert!((found - expected).abs() < 1e-10, "{found} is not {expected} for {differences:?}");
    }

    /// 1 to n, every third one negative.
    fn thirds(n: u32) -> Vec<f64> {
        (0..n).map(|i| f64::from(i + 1) * if i % 3 == 0 { -1.0 } else { 1.0 }).collect()
    }

    /// scipy.stats.wilcoxon(d).pvalue
    #[test]
    fn exact_without_ties() {
        agrees(&[1.0, 2.0, 3.0, 4.0, 5.0], 0.0625);
        agrees(&[-1.0, 2.0, 3.0, 4.0, 5.0], 0.125);
        agrees(&[1.0], 1.0);
        agrees(&[1.0, -2.0], 1.0);
        // d = np.arange(1, n + 1) * np.where(np.arange(n) % 3 == 0, -1, 1)
        agrees(&thirds(20), 0.202_449_798_583_984_38);
        agrees(&thirds(50), 0.039_968_346_528_423_74);
    }

    /// scipy.stats.wilcoxon(d).pvalue
    #[test]
    fn exact_with_ties_and_zeros() {
        agrees(&[0.0, 1.0, 2.0, 3.0, -4.0, 5.0], 0.4375);
        agrees(&[1.0, 1.0, 2.0, -2.0, 3.0, 4.0], 0.1875);
        agrees(&[1.0, -1.0], 1.0);
        agrees(&[0.0, 0.0, 0.0], 1.0);
    }

    /// scipy.stats.wilcoxon(d).pvalue
    #[test]
    fn normal_beyond() {
        agrees(&thirds(51), 0.025_688_739_993_664_18);
        // d = np.concatenate([thirds(14), [2, 0]])
        let mut tied = thirds(14);
        tied.extend([2.0, 0.0]);
        agrees(&tied, 0.232_884_885_278_702_1);
        let mut one = vec![0.0; 13];
        one.push(1.0);
        agrees(&one, 0.317_310_507_862_914_15);
    }

    /// In binary 0.3 - 0.2 is not 0.4 - 0.3, and 0.1 + 0.2 is not 0.3. With exact numbers, scipy.stats.wilcoxon of
    /// [1, 1, -1, 2, 2, 0, 3] has this p-value.
    #[test]
    fn ties_and_zeros_survive_rounding() {
        let noisy = [0.3 - 0.2, 0.4 - 0.3, 0.6 - 0.7, 0.7 - 0.5, 0.6 - 0.4, 0.1 + 0.2 - 0.3, 0.9 - 0.6];
        assert!(
            (signed_rank(&noisy, 1e-12).unwrap() - 0.125).abs() < 1e-12,
            "{:?}",
            signed_rank(&noisy, 1e-12)
        );
        assert_ne!(signed_rank(&noisy, 0.0), signed_rank(&noisy, 1e-12));
    }

    #[test]
    fn nothing_to_test() {
        assert_eq!(signed_rank(&[], 0.0), None);
    }
}

//! Correction for testing many configurations at once.

/// Holm's step-down correction of the p-values of one family; the order is kept. The k-th smallest of m is multiplied
/// by m - k + 1. A corrected value is never smaller than that of a smaller p-value, and never above 1.
///
/// It has the same guarantee as plain Bonferroni (the probability of at least one false finding among all is at most
/// the level) and finds more. Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|left, right| p_values[*left].total_cmp(&p_values[*right]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let factor = (p_values.len() - rank) as f64;
        largest = largest.max((p_values[index] * factor).min(1.0));
        corrected[index] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::holm;

    /// R's `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`, which is
    /// 4 x 0.005, 3 x 0.01, 2 x 0.03, and 1 x 0.04 raised to the one before it.
    #[test]
    fn steps_down() {
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in corrected.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-15, "{corrected:?}");
        }
    }

    #[test]
    fn stays_a_probability() {
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
        assert_eq!(holm(&[0.3]), [0.3]);
        assert_eq!(holm(&[]), [0.0; 0]);
    }
}

//! The classes of a confusion matrix.

/// How often a class occurs, how often it is predicted, and how often both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassCounts {
    /// Samples of the class that are predicted as it: TP.
    pub right: u64,
    /// Samples of the class: its support.
    pub truth: u64,
    /// Samples that are predicted as the class.
    pub predicted: u64,
}

impl ClassCounts {
    /// F1, 2 TP / (support + predicted); 0 where the class neither occurs nor is predicted (scikit-learn's
    /// `zero_division=0`). It is symmetric in truth and prediction.
    #[must_use]
    pub fn f1(self) -> f64 {
        ratio(2 * self.right, self.truth + self.predicted)
    }

    /// Recall, TP / support; 0 where the class does not occur.
    #[must_use]
    pub fn recall(self) -> f64 {
        ratio(self.right, self.truth)
    }
}

/// The counts of each class of a matrix `[truth][predicted]`. A missing cell counts as zero.
#[must_use]
pub fn class_counts(confusion: &[Vec<u64>]) -> Vec<ClassCounts> {
    let cell = |truth: usize, predicted: usize| {
        confusion.get(truth).and_then(|row| row.get(predicted)).copied().unwrap_or(0)
    };
    (0..confusion.len())
        .map(|class| ClassCounts {
            right: cell(class, class),
            truth: (0..confusion.len()).map(|predicted| cell(class, predicted)).sum(),
            predicted: (0..confusion.len()).map(|truth| cell(truth, class)).sum(),
        })
        .collect()
}

/// A share; 0 of nothing.
#[must_use]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_a_class() {
        let counts = class_counts(&[vec![2, 1, 0], vec![1, 1, 0], vec![1, 0, 0]]);
        assert_eq!(counts[0], ClassCounts { right: 2, truth: 3, predicted: 4 });
        assert!((counts[0].f1() - 4.0 / 7.0).abs() < 1e-15 && (counts[0].recall() - 2.0 / 3.0).abs() < 1e-15);
        assert_eq!((counts[2].f1(), counts[2].recall(), ClassCounts::default().f1()), (0.0, 0.0, 0.0));
        assert_eq!(class_counts(&[vec![], vec![0, 3]])[1].right, 3, "a matrix from outside may lack cells");
    }
}

//! Classification metrics from a confusion matrix.

use std::collections::BTreeMap;

use colearn_core::result::metric;

/// Counts over a split: `counts[truth][predicted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// No samples yet.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { counts: vec![vec![0; classes]; classes] }
    }

    /// Counts one sample.
    ///
    /// # Panics
    /// When a class is out of range; the data set's labels were checked when it was opened.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        self.counts[truth][predicted] += 1;
    }

    /// `[truth][predicted]`.
    #[must_use]
    pub fn counts(&self) -> &[Vec<u64>] {
        &self.counts
    }

    /// Number of samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Share of samples on the diagonal; 0 without samples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.counts.iter().enumerate().map(|(class, row)| row[class]).sum();
        ratio(right, self.total())
    }

    fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    fn predicted(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }

    /// F1 of one class, 2 TP / (support + predicted); 0 where it neither occurs nor is predicted
    /// (scikit-learn's `zero_division=0`). It is symmetric in truth and prediction.
    fn f1(&self, class: usize) -> f64 {
        ratio(2 * self.counts[class][class], self.support(class) + self.predicted(class))
    }

    /// `sklearn.metrics.f1_score(truth, prediction, average="weighted", zero_division=0)`.
    #[must_use]
    pub fn weighted_f1(&self) -> f64 {
        (0..self.counts.len()).map(|class| ratio(self.support(class), self.total()) * self.f1(class)).sum()
    }

    /// The same with truth and prediction swapped, as in the paper's published code: each class is weighted
    /// by how often it was predicted.
    #[must_use]
    pub fn weighted_f1_authors(&self) -> f64 {
        (0..self.counts.len()).map(|class| ratio(self.predicted(class), self.total()) * self.f1(class)).sum()
    }

    /// Every metric of a classification task, by name.
    #[must_use]
    pub fn metrics(&self, loss: f64) -> BTreeMap<String, f64> {
        [
            (metric::ACCURACY, self.accuracy()),
            (metric::LOSS, loss),
            (metric::F_SCORE, self.weighted_f1()),
            (metric::F_SCORE_AUTHORS, self.weighted_f1_authors()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(usize, usize)], classes: usize) -> Confusion {
        let mut confusion = Confusion::new(classes);
        for &(truth, predicted) in pairs {
            confusion.add(truth, predicted);
        }
        confusion
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    /// Truth 0 0 0 1 1 2, prediction 0 0 1 1 0 0: class 2 occurs but is never predicted, class 3 is neither.
    /// F1: class 0 is 2*2/(3+4) = 4/7, class 1 is 2*1/(2+2) = 1/2, class 2 is 0.
    #[test]
    fn by_hand() {
        let c = of(&[(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (2, 0)], 4);
        close(c.accuracy(), 3.0 / 6.0);
        close(c.weighted_f1(), 3.0 / 6.0 * (4.0 / 7.0) + 2.0 / 6.0 * 0.5);
        close(c.weighted_f1_authors(), 4.0 / 6.0 * (4.0 / 7.0) + 2.0 / 6.0 * 0.5);
        assert_eq!(c.counts()[2], [1, 0, 0, 0]);
        assert_eq!(c.total(), 6);
    }

    /// Class 1 is predicted but absent from the truth. Everything is predicted as the largest class:
    /// the authors' variant then is far above the accuracy-like truth, which is how a .40 came from 27 %.
    #[test]
    fn one_class_predicted() {
        let c = of(&[(0, 1), (2, 1), (1, 1)], 3);
        close(c.accuracy(), 1.0 / 3.0);
        close(c.weighted_f1(), 1.0 / 3.0 * 0.5);
        close(c.weighted_f1_authors(), 0.5);
    }

    #[test]
    fn perfect_and_empty() {
        let perfect = of(&[(0, 0), (1, 1)], 2);
        close(perfect.weighted_f1(), 1.0);
        close(perfect.weighted_f1_authors(), 1.0);
        let empty = Confusion::new(2);
        close(empty.accuracy(), 0.0);
        close(empty.weighted_f1(), 0.0);
    }

    #[test]
    fn all_metrics_have_their_names() {
        let metrics = of(&[(0, 0), (1, 0)], 2).metrics(1.25);
        assert_eq!(metrics.len(), metric::CLASSIFICATION.len());
        close(metrics[metric::LOSS], 1.25);
        for name in metric::CLASSIFICATION {
            assert!(metrics[name].is_finite(), "{name}");
        }
    }
}

//! Metrics of classifications, from a confusion matrix, and of regressions.

use std::collections::BTreeMap;

use colearn_core::result::{
    classes::{ClassCounts, class_counts, ratio},
    metric,
};

/// Counts over a split: `counts[truth][predicted]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confusion {
    counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// A matrix without samples.
    #[must_use]
    pub fn new(classes: usize) -> Self {
        Self { counts: vec![vec![0; classes]; classes] }
    }

    /// Counts one sample.
    ///
    /// # Panics
    /// If a class is out of range. The labels of a data set are checked when it is opened.
    pub fn add(&mut self, truth: usize, predicted: usize) {
        self.counts[truth][predicted] += 1;
    }

    /// The counts as `[truth][predicted]`.
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

    fn classes(&self) -> Vec<ClassCounts> {
        class_counts(&self.counts)
    }

    /// `sklearn.metrics.f1_score(truth, prediction, average="weighted", zero_division=0)`.
    #[must_use]
    pub fn weighted_f1(&self) -> f64 {
        weighted_f1(&self.classes(), |class| class.truth)
    }

    /// The weighted F1 with truth and prediction swapped, as in the paper's published code: the weight of a class is
    /// how often it was predicted.
    #[must_use]
    pub fn weighted_f1_authors(&self) -> f64 {
        weighted_f1(&self.classes(), |class| class.predicted)
    }

    /// `sklearn.metrics.f1_score(truth, prediction, average="macro", zero_division=0)`: the mean over the classes that
    /// occur or are predicted.
    #[must_use]
    pub fn macro_f1(&self) -> f64 {
        let seen = self.classes().into_iter().filter(|class| class.truth + class.predicted > 0);
        mean(seen.map(ClassCounts::f1))
    }

    /// `sklearn.metrics.balanced_accuracy_score(truth, prediction)`: the mean recall of the classes that occur.
    #[must_use]
    pub fn balanced_accuracy(&self) -> f64 {
        let occurring = self.classes().into_iter().filter(|class| class.truth > 0);
        mean(occurring.map(ClassCounts::recall))
    }

    /// Every metric of a classification task, by name.
    #[must_use]
    pub fn metrics(&self, loss: f64) -> BTreeMap<String, f64> {
        named([
            (metric::ACCURACY, self.accuracy()),
            (metric::LOSS, loss),
            (metric::F_SCORE, self.weighted_f1()),
            (metric::F_SCORE_AUTHORS, self.weighted_f1_authors()),
            (metric::F_SCORE_MACRO, self.macro_f1()),
            (metric::BALANCED_ACCURACY, self.balanced_accuracy()),
        ])
    }
}

/// The F1 of the classes, weighted by one of the counts.
fn weighted_f1(classes: &[ClassCounts], weight: fn(&ClassCounts) -> u64) -> f64 {
    let (sum, total) = classes.iter().fold((0.0, 0), |(sum, total), class| {
        (sum + weight(class) as f64 * class.f1(), total + weight(class))
    });
    if total == 0 { 0.0 } else { sum / total as f64 }
}

/// The mean; 0 of nothing.
fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0_u64), |(sum, count), value| (sum + value, count + 1));
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// Predicted and true numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regression {
    pairs: Vec<(f64, f64)>,
}

impl Regression {
    /// Names of the rows and columns of [`Self::confusion`].
    pub const CLASSES: [&str; 7] = ["-3", "-2", "-1", "0", "1", "2", "3"];

    /// No samples.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one sample.
    pub fn add(&mut self, truth: f64, predicted: f64) {
        self.pairs.push((truth, predicted));
    }

    /// Share of samples for which `right` holds; 0 without samples.
    fn share(&self, right: impl Fn(f64, f64) -> bool) -> f64 {
        ratio(self.pairs.iter().filter(|&&(y, p)| right(y, p)).count() as u64, self.pairs.len() as u64)
    }

    /// Share of samples of equal sign, where zero counts as positive.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.share(|y, p| (y >= 0.0) == (p >= 0.0))
    }

    /// Mean absolute error; 0 without samples.
    #[must_use]
    pub fn mae(&self) -> f64 {
        let sum: f64 = self.pairs.iter().map(|(y, p)| (y - p).abs()).sum();
        sum / self.pairs.len().max(1) as f64
    }

    /// Truth and prediction, rounded half to even. Each integer that occurs is a class.
    fn classes(&self) -> Vec<ClassCounts> {
        // Counts are kept per class: an untrained network may predict large integers, and a full matrix would be too
        // large.
        let mut classes: BTreeMap<i64, ClassCounts> = BTreeMap::new();
        for &(y, p) in &self.pairs {
            let [y, p] = [y, p].map(|value| value.round_ties_even() as i64);
            classes.entry(y).or_default().truth += 1;
            classes.entry(p).or_default().predicted += 1;
            classes.entry(y).or_default().right += u64::from(y == p);
        }
        classes.into_values().collect()
    }

    /// Pearson's correlation; 0 where truth or prediction does not vary.
    #[must_use]
    pub fn pearson_r(&self) -> f64 {
        // Test the values themselves. The mean of equal values may differ from them by rounding, and the deviations
        // from that mean would then correlate.
        let vary = self.pairs.windows(2).any(|pair| pair[0].0 != pair[1].0)
            && self.pairs.windows(2).any(|pair| pair[0].1 != pair[1].1);
        if !vary {
            return 0.0;
        }
        let count = self.pairs.len() as f64;
        let means = self.pairs.iter().fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
        let (mean_y, mean_p) = (means.0 / count, means.1 / count);
        let (mut yy, mut pp, mut yp) = (0.0, 0.0, 0.0);
        for (y, p) in self.pairs.iter().map(|(y, p)| (y - mean_y, p - mean_p)) {
            yy += y * y;
            pp += p * p;
            yp += y * p;
        }
        (yp / yy.sqrt() / pp.sqrt()).clamp(-1.0, 1.0)
    }

    /// Share of samples that are equal after clipping to [-limit, limit] and rounding half to even.
    fn accuracy_within(&self, limit: f64) -> f64 {
        let class = |value: f64| value.clamp(-limit, limit).round_ties_even();
        self.share(|y, p| class(y) == class(p))
    }

    /// The two classes of numbers for which `positive` holds and does not, over the samples with a label that counts.
    fn two_classes(&self, counts: fn(f64) -> bool, positive: fn(f64) -> bool) -> Confusion {
        let mut confusion = Confusion::new(2);
        for &(y, p) in self.pairs.iter().filter(|(y, _)| counts(*y)) {
            confusion.add(usize::from(positive(y)), usize::from(positive(p)));
        }
        confusion
    }

    /// Truth and prediction clipped to [-3, 3] and rounded half to even: 7 x 7.
    #[must_use]
    pub fn confusion(&self) -> Confusion {
        let mut confusion = Confusion::new(Self::CLASSES.len());
        let class = |value: f64| (value.clamp(-3.0, 3.0).round_ties_even() + 3.0) as usize;
        for &(y, p) in &self.pairs {
            confusion.add(class(y), class(p));
        }
        confusion
    }

    /// Every metric of a regression task, by name.
    #[must_use]
    pub fn metrics(&self, loss: f64) -> BTreeMap<String, f64> {
        let classes = self.classes();
        // The conventions of the field (MMSA): zero is positive where all labels count, and where labels of zero do
        // not, a prediction of zero is negative.
        let nonnegative = self.two_classes(|_| true, |value| value >= 0.0);
        let positive = self.two_classes(|label| label != 0.0, |value| value > 0.0);
        named([
            (metric::ACCURACY, self.accuracy()),
            (metric::LOSS, loss),
            (metric::F_SCORE, weighted_f1(&classes, |class| class.truth)),
            (metric::F_SCORE_AUTHORS, weighted_f1(&classes, |class| class.predicted)),
            (metric::MAE, self.mae()),
            (metric::ACCURACY_7, self.accuracy_within(3.0)),
            (metric::PEARSON_R, self.pearson_r()),
            (metric::ACCURACY_5, self.accuracy_within(2.0)),
            (metric::ACCURACY_2_NONNEGATIVE, nonnegative.accuracy()),
            (metric::F_SCORE_2_NONNEGATIVE, nonnegative.weighted_f1()),
            (metric::ACCURACY_2_POSITIVE, positive.accuracy()),
            (metric::F_SCORE_2_POSITIVE, positive.weighted_f1()),
        ])
    }
}

fn named<const N: usize>(metrics: [(&str, f64); N]) -> BTreeMap<String, f64> {
    metrics.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
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
        close(c.macro_f1(), (4.0 / 7.0 + 0.5 + 0.0) / 3.0);
        close(c.balanced_accuracy(), (2.0 / 3.0 + 0.5 + 0.0) / 3.0);
        assert_eq!(c.counts()[2], [1, 0, 0, 0]);
        assert_eq!(c.total(), 6);
    }

    /// Class 1 is predicted but does not occur in the truth. When every sample is predicted as the largest class, the
    /// variant of the authors is far above the usual F1. This is how an accuracy of 27 % gave .40.
    #[test]
    fn one_class_predicted() {
        let c = of(&[(0, 1), (2, 1), (1, 1)], 3);
        close(c.accuracy(), 1.0 / 3.0);
        close(c.weighted_f1(), 1.0 / 3.0 * 0.5);
        close(c.weighted_f1_authors(), 0.5);
        close(c.balanced_accuracy(), 1.0 / 3.0);
    }

    #[test]
    fn perfect_and_empty() {
        let perfect = of(&[(0, 0), (1, 1)], 2);
        close(perfect.weighted_f1(), 1.0);
        close(perfect.weighted_f1_authors(), 1.0);
        let empty = Confusion::new(2);
        close(empty.accuracy(), 0.0);
        close(empty.weighted_f1(), 0.0);
        close(empty.macro_f1() + empty.balanced_accuracy(), 0.0);
    }

    #[test]
    fn all_metrics_have_their_names() {
        let metrics = of(&[(0, 0), (1, 0)], 2).metrics(1.25);
        assert_eq!(metrics.len(), metric::CLASSIFICATION.len());
        close(metrics[metric::LOSS], 1.25);
        for name in metric::CLASSIFICATION {
            assert!(metrics[name].is_finite(), "{name}");
        }
        let mut regression = Regression::new();
        regression.add(0.5, 1.5);
        let metrics = regression.metrics(1.0);
        assert_eq!(metrics.len(), metric::REGRESSION.len());
        for name in metric::REGRESSION {
            assert!(metrics[name].is_finite(), "{name}");
        }
        assert!(Regression::new().metrics(0.0).values().all(|&value| value == 0.0));
    }

    /// Rounded half to even: 0.5 to 0, 1.5 and 2.5 to 2. Values beyond 3 are clipped for the matrix only.
    #[test]
    fn regression_by_hand() {
        let mut regression = Regression::new();
        for (truth, predicted) in [(0.5, -0.5), (2.5, 1.5), (-3.0, -4.0), (1.0, 3.6)] {
            regression.add(truth, predicted);
        }
        let metrics = regression.metrics(0.0);
        close(metrics[metric::ACCURACY], 3.0 / 4.0);
        close(metrics[metric::MAE], (1.0 + 1.0 + 1.0 + 2.6) / 4.0);
        close(metrics[metric::ACCURACY_7], 3.0 / 4.0);
        // 0 and 2 are right; -3, -4, 1 and 4 are not.
        close(metrics[metric::F_SCORE], 2.0 / 4.0);
        assert_eq!(regression.confusion().counts()[4], [0, 0, 0, 0, 0, 0, 1]);
        // Clipped to 2, 2.5 and 1.5 are 2.
        close(metrics[metric::ACCURACY_5], 3.0 / 4.0);
    }

    /// A label of zero is positive where all labels count and is left out where only signs do. A prediction of zero
    /// beside a positive label is wrong there.
    #[test]
    fn both_conventions_of_two_classes() {
        let mut regression = Regression::new();
        for (truth, predicted) in [(0.0, -1.0), (0.0, 1.0), (2.0, 0.0), (-1.0, -0.5), (1.0, 0.5)] {
            regression.add(truth, predicted);
        }
        let metrics = regression.metrics(0.0);
        close(metrics[metric::ACCURACY_2_NONNEGATIVE], 4.0 / 5.0);
        close(metrics[metric::ACCURACY_2_NONNEGATIVE], metrics[metric::ACCURACY]);
        close(metrics[metric::ACCURACY_2_POSITIVE], 2.0 / 3.0);
        // Positive: 2*1/(2+1), support 2. Negative: 2*1/(1+2), support 1.
        close(metrics[metric::F_SCORE_2_POSITIVE], 2.0 / 3.0);
        // Nonnegative: 2*3/(4+3), support 4. Negative: 2*1/(1+2), support 1.
        close(metrics[metric::F_SCORE_2_NONNEGATIVE], (4.0 * 6.0 / 7.0 + 2.0 / 3.0) / 5.0);
    }
}

//! The difference of a metric between two networks, over some of their seeds and items.

use std::collections::BTreeMap;

use serde::Serialize;

use super::predictions::{Prediction, Predictions};

/// A metric that is computed from predictions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Metric {
    Accuracy,
    /// Weighted F1; see `colearn_core::result::metric::F_SCORE`.
    FScore,
    Mae,
}

impl Metric {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::FScore => "f_score",
            Self::Mae => "mae",
        }
    }
}

/// What one network said of an item.
#[derive(Clone, Copy, Debug)]
struct Said {
    /// The number of the class, or the number itself.
    truth: f64,
    prediction: f64,
}

/// The predictions of two networks for the same items, by seed.
#[derive(Debug)]
pub(super) struct Compared {
    is_regression: bool,
    classes: usize,
    /// The group of each item.
    group_of: Vec<usize>,
    pub(super) groups: usize,
    /// For each seed, what both networks said of each item.
    said: Vec<[Vec<Said>; 2]>,
}

impl Compared {
    /// Checks that the predictions are of the same items. `None` if there are none.
    pub(super) fn of(pairs: &[(Predictions, Predictions)]) -> Result<Option<Self>, String> {
        let Some((first, _)) = pairs.first() else { return Ok(None) };
        let all = || pairs.iter().flat_map(|(ours, theirs)| [ours, theirs]);
        let same = |a: &Prediction, b: &Prediction| a.truth == b.truth && a.group == b.group;
        for other in all() {
            if other.rows.len() != first.rows.len()
                || !first.rows.iter().zip(&other.rows).all(|(a, b)| same(a, b))
            {
                return Err("they are of other items: their numbers, truths or groups differ".to_owned());
            }
        }
        let mut classes = BTreeMap::new();
        let mut value = |text: &str| {
            if first.is_regression {
                // They were written in single precision, and that is what metrics are computed of.
                return text.parse::<f32>().map(f64::from).map_err(|_| format!("`{text}` is not a number"));
            }
            let next = classes.len();
            Ok(*classes.entry(text.to_owned()).or_insert(next) as f64)
        };
        let mut said = Vec::new();
        for (ours, theirs) in pairs {
            let mut of = |predictions: &Predictions| -> Result<Vec<Said>, String> {
                let rows = predictions.rows.iter();
                rows.map(|row| Ok(Said { truth: value(&row.truth)?, prediction: value(&row.prediction)? }))
                    .collect()
            };
            said.push([of(ours)?, of(theirs)?]);
        }
        let grouped = first.rows.iter().all(|row| !row.group.is_empty());
        let mut numbers = BTreeMap::new();
        let mut group = |(item, row): (usize, &Prediction)| {
            let next = numbers.len();
            if grouped { *numbers.entry(row.group.clone()).or_insert(next) } else { item }
        };
        let group_of: Vec<usize> = first.rows.iter().enumerate().map(&mut group).collect();
        let groups = if grouped { numbers.len() } else { group_of.len() };
        Ok(Some(Self { is_regression: first.is_regression, classes: classes.len(), group_of, groups, said }))
    }

    pub(super) fn seeds(&self) -> usize {
        self.said.len()
    }

    pub(super) fn items(&self) -> usize {
        self.group_of.len()
    }

    pub(super) fn metrics(&self) -> [Metric; 2] {
        if self.is_regression { [Metric::Mae, Metric::Accuracy] } else { [Metric::Accuracy, Metric::FScore] }
    }

    /// The mean difference over the seeds. The arguments say how often each seed and each group counts.
    pub(super) fn difference(&self, metric: Metric, seeds: &[u32], groups: &[u32]) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0.0);
        for ([ours, theirs], &times) in self.said.iter().zip(seeds).filter(|(_, times)| **times > 0) {
            let difference = self.metric(metric, ours, groups)? - self.metric(metric, theirs, groups)?;
            sum += difference * f64::from(times);
            count += f64::from(times);
        }
        (count > 0.0).then(|| sum / count)
    }

    fn metric(&self, metric: Metric, said: &[Said], groups: &[u32]) -> Option<f64> {
        let weighted =
            || said.iter().zip(&self.group_of).map(|(said, group)| (said, f64::from(groups[*group])));
        let total: f64 = weighted().map(|(_, weight)| weight).sum();
        if total == 0.0 {
            return None;
        }
        let mean = |of: &dyn Fn(&Said) -> f64| {
            weighted().map(|(said, weight)| of(said) * weight).sum::<f64>() / total
        };
        Some(match metric {
            Metric::Mae => mean(&|said| (said.truth - said.prediction).abs()),
            // Zero counts as positive.
            Metric::Accuracy if self.is_regression => {
                mean(&|said| f64::from((said.truth >= 0.0) == (said.prediction >= 0.0)))
            }
            Metric::Accuracy => mean(&|said| f64::from(said.truth == said.prediction)),
            Metric::FScore => {
                // True positives, truths and predictions of each class.
                let mut counts = vec![[0.0; 3]; self.classes];
                for (said, weight) in weighted() {
                    let (truth, prediction) = (said.truth as usize, said.prediction as usize);
                    counts[truth][1] += weight;
                    counts[prediction][2] += weight;
                    if truth == prediction {
                        counts[truth][0] += weight;
                    }
                }
                let f1 =
                    |[hits, truths, predictions]: &[f64; 3]| truths * 2.0 * hits / (truths + predictions);
                counts.iter().filter(|counts| counts[1] > 0.0).map(f1).sum::<f64>() / total
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn predictions(is_regression: bool, rows: &[(&str, &str, &str)]) -> Predictions {
        let row = |(group, truth, prediction): &(&str, &str, &str)| Prediction {
            group: (*group).to_owned(),
            truth: (*truth).to_owned(),
            prediction: (*prediction).to_owned(),
        };
        Predictions { is_regression, rows: rows.iter().map(row).collect() }
    }

    #[test]
    fn the_metrics_are_those_of_scikit_learn() {
        let truth = ["a", "a", "b", "b", "c", "c", "c"];
        let table = |said: [&'static str; 7]| {
            let rows: Vec<_> = truth.into_iter().zip(said).map(|(truth, said)| ("", truth, said)).collect();
            predictions(false, &rows)
        };
        let pairs = [(table(["a", "b", "b", "a", "b", "a", "b"]), table(["b"; 7]))];
        let compared = Compared::of(&pairs).unwrap().unwrap();
        let of = |metric| compared.difference(metric, &[1], &[1; 7]).unwrap();
        assert!((of(Metric::Accuracy) - 0.0).abs() < 1e-15);
        // f1_score(truth, said, average="weighted", zero_division=0): 0.23129..., 0.12698...
        let expected = 2.0 * (2.0 * 1.0 / (2.0 + 3.0)) / 7.0 + 2.0 * (2.0 * 1.0 / (2.0 + 4.0)) / 7.0
            - 2.0 * (2.0 * 2.0 / (2.0 + 7.0)) / 7.0;
        assert!((of(Metric::FScore) - expected).abs() < 1e-15);
        // An item that is drawn twice counts twice, and one that is not drawn does not.
        let twice = compared.difference(Metric::Accuracy, &[2], &[2, 0, 1, 1, 1, 1, 1]).unwrap();
        assert!((twice - (3.0 - 2.0) / 7.0).abs() < 1e-15);
        assert_eq!(compared.difference(Metric::Accuracy, &[1], &[0; 7]), None);
    }

    #[test]
    fn groups_are_drawn_as_a_whole() {
        let rows = [("x", "1.0", "0.5"), ("y", "-1.0", "1.0"), ("x", "0.0", "-0.25")];
        let zeros = [("x", "1.0", "0.0"), ("y", "-1.0", "0.0"), ("x", "0.0", "0.0")];
        let pairs = [(predictions(true, &rows), predictions(true, &zeros))];
        let compared = Compared::of(&pairs).unwrap().unwrap();
        assert_eq!((compared.groups, compared.items(), compared.seeds()), (2, 3, 1));
        let mae = compared.difference(Metric::Mae, &[1], &[1, 0]).unwrap();
        assert!((mae - (0.75 / 2.0 - 0.5)).abs() < 1e-12);
    }

    #[test]
    fn other_items_are_refused() {
        let one = || predictions(false, &[("", "a", "a")]);
        for other in [&[("", "b", "a")][..], &[("s", "a", "a")], &[("", "a", "a"), ("", "a", "a")]] {
            assert!(Compared::of(&[(one(), predictions(false, other))]).unwrap_err().contains("other items"));
        }
        assert!(Compared::of(&[]).unwrap().is_none());
    }
}

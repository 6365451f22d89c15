//! The epochs of a task over all its attempts.

use std::collections::{BTreeMap, BTreeSet};

use colearn_core::result::EpochRecord;
use serde::{Deserialize, Serialize};

/// Maximum number of epochs of a task. The coordinator accepts no more.
pub(crate) const MAX_EPOCHS: usize = 100_000;
/// Maximum number of different values of the epochs of a task.
pub(crate) const MAX_CURVES: usize = 64;

/// The values of an epoch, by name.
pub(crate) type Values = BTreeMap<String, f64>;

/// The epochs, in the form in which they are kept between two attempts.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    epochs: BTreeMap<u32, Values>,
    /// The epochs after which an attempt went on.
    #[serde(default)]
    pub(crate) resumed_after: Vec<u32>,
    #[serde(skip)]
    curves: BTreeSet<String>,
    /// Whether this attempt has told an epoch.
    #[serde(skip)]
    has_begun: bool,
}

/// What became of an epoch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Kept,
    /// These values are too many.
    Without(Vec<String>),
    /// The epoch is one too many.
    TooMany,
}

impl History {
    /// The history that earlier attempts left.
    pub(crate) fn read(record: &[u8]) -> serde_json::Result<Self> {
        let mut history: Self = serde_json::from_slice(record)?;
        history.curves = history.epochs.values().flat_map(|values| values.keys().cloned()).collect();
        Ok(history)
    }

    /// The history for the next attempt.
    pub(crate) fn record(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.epochs.is_empty()
    }

    /// Adds an epoch, in place of an earlier one of the same number. The first one of an attempt is where the program
    /// went on: it takes the place of all later ones of earlier attempts too.
    pub(crate) fn add(&mut self, epoch: u32, mut values: Values) -> Added {
        if !self.has_begun {
            self.has_begun = true;
            self.epochs.split_off(&epoch);
            self.resumed_after.retain(|&after| after < epoch);
            if let Some((&last, _)) = self.epochs.last_key_value() {
                self.resumed_after.push(last);
            }
        }
        if self.epochs.len() >= MAX_EPOCHS && !self.epochs.contains_key(&epoch) {
            return Added::TooMany;
        }
        let mut without = Vec::new();
        values.retain(|name, _| {
            let fits = self.curves.contains(name) || self.curves.len() < MAX_CURVES;
            if fits {
                self.curves.insert(name.clone());
            } else {
                without.push(name.clone());
            }
            fits
        });
        self.epochs.insert(epoch, values);
        if without.is_empty() { Added::Kept } else { Added::Without(without) }
    }

    pub(crate) fn get(&self, epoch: u32) -> Option<EpochRecord> {
        self.epochs.get(&epoch).map(|values| epoch_record(epoch, values))
    }

    /// All epochs, in order.
    pub(crate) fn records(&self) -> Vec<EpochRecord> {
        self.epochs.iter().map(|(&epoch, values)| epoch_record(epoch, values)).collect()
    }
}

fn epoch_record(epoch: u32, values: &Values) -> EpochRecord {
    EpochRecord { epoch, values: values.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(loss: f64) -> Values {
        [("train_loss".to_owned(), loss)].into()
    }

    fn losses(history: &History) -> Vec<(u32, f64)> {
        history.epochs.iter().map(|(&epoch, values)| (epoch, values["train_loss"])).collect()
    }

    #[test]
    fn the_next_attempt_goes_on_where_it_says() {
        let mut first = History::default();
        for epoch in 1..=4 {
            first.add(epoch, values(1.0));
        }
        first.add(4, values(1.5));
        assert_eq!(losses(&first), [(1, 1.0), (2, 1.0), (3, 1.0), (4, 1.5)]);
        assert!(first.resumed_after.is_empty());

        let mut second = History::read(&first.record().unwrap()).unwrap();
        second.add(3, values(2.0));
        assert_eq!(losses(&second), [(1, 1.0), (2, 1.0), (3, 2.0)]);
        second.add(4, values(2.0));
        assert_eq!(second.resumed_after, [2]);

        let mut third = History::read(&second.record().unwrap()).unwrap();
        third.add(5, values(3.0));
        assert_eq!(third.resumed_after, [2, 4]);

        let mut over = History::read(&third.record().unwrap()).unwrap();
        over.add(1, values(4.0));
        assert_eq!((losses(&over), over.resumed_after.len()), (vec![(1, 4.0)], 0));
    }

    #[test]
    fn epochs_and_curves_are_bounded() {
        let mut history = History::default();
        let many: Values = (0..70).map(|n| (format!("c{n:02}"), 0.0)).collect();
        let Added::Without(names) = history.add(1, many.clone()) else { panic!("all were kept") };
        assert_eq!((names.len(), names[0].as_str()), (6, "c64"));
        let mut again = History::read(&history.record().unwrap()).unwrap();
        assert_eq!(again.add(2, [("new".to_owned(), 1.0)].into()), Added::Without(vec!["new".to_owned()]));
        for epoch in 2..=MAX_EPOCHS {
            assert_eq!(history.add(epoch as u32, Values::new()), Added::Kept);
        }
        assert_eq!(history.add(MAX_EPOCHS as u32 + 1, Values::new()), Added::TooMany);
        assert_eq!(history.add(5, Values::new()), Added::Kept);
    }
}

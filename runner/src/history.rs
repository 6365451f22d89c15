//! The epochs of a task over all its attempts.

use std::collections::{BTreeMap, BTreeSet};

use colearn_core::result::{EpochRecord, curve::MAX_CURVES};
use serde::{Deserialize, Serialize};

/// Maximum number of epochs of a task. The coordinator accepts no more.
pub(crate) const MAX_EPOCHS: usize = 100_000;
/// Maximum size of all values: the coordinator takes 3 MiB in its encoding, and the agent takes a line of 4 MiB with
/// the whole result.
const MAX_ENCODED: usize = 3 << 20;
const MAX_JSON: usize = (7 << 20) / 2;
/// Maximum number of times that the task went on; of more only the last ones are kept.
const MAX_RESUMED: usize = 10_000;

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
    #[serde(skip)]
    size: Size,
}

/// The size of epochs in both of their forms, in bytes: at least as large as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Size {
    encoded: usize,
    json: usize,
}

impl Size {
    fn of(values: &Values) -> Self {
        // `{"epoch":4294967295},`, and for each value `,"name":-2.2250738585072014e-308`.
        let escaped = |name: &str| name.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        let json = values.keys().map(|name| name.len() + escaped(name) + 28).sum::<usize>();
        Self { encoded: 12 + values.keys().map(|name| name.len() + 16).sum::<usize>(), json: 21 + json }
    }

    fn add(&mut self, other: Self) {
        self.encoded += other.encoded;
        self.json += other.json;
    }

    fn remove(&mut self, other: Self) {
        self.encoded -= other.encoded;
        self.json -= other.json;
    }

    fn is_too_large(self) -> bool {
        self.encoded > MAX_ENCODED || self.json > MAX_JSON
    }
}

/// What became of an epoch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Added {
    Kept,
    /// These values are too many.
    Without(Vec<String>),
    /// There is no room for the epoch.
    TooMany,
}

impl History {
    /// The history that earlier attempts left.
    pub(crate) fn read(record: &[u8]) -> serde_json::Result<Self> {
        let mut history: Self = serde_json::from_slice(record)?;
        history.curves = history.epochs.values().flat_map(|values| values.keys().cloned()).collect();
        history.measure();
        Ok(history)
    }

    /// The history for the next attempt.
    pub(crate) fn record(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    fn measure(&mut self) {
        self.size = Size::default();
        self.epochs.values().for_each(|values| self.size.add(Size::of(values)));
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
                let excess = self.resumed_after.len().saturating_sub(MAX_RESUMED);
                self.resumed_after.drain(..excess);
            }
            self.measure();
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
        let before = self.size;
        if let Some(replaced) = self.epochs.get(&epoch) {
            self.size.remove(Size::of(replaced));
        } else if self.epochs.len() >= MAX_EPOCHS {
            return Added::TooMany;
        }
        self.size.add(Size::of(&values));
        if self.size.is_too_large() {
            self.size = before;
            return Added::TooMany;
        }
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
    EpochRecord { epoch, values: values.clone().into() }
}

#[cfg(test)]
mod tests {
    use colearn_core::{
        id::{ConfigurationId, SweepId, TaskId},
        result::TaskResult,
    };
    use colearn_trainer_protocol::Event;

    use super::*;

    const TASK: TaskId = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 };

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

    #[test]
    fn the_largest_history_is_accepted_everywhere() {
        let names = ["\"".repeat(128), "\\".repeat(128), "a".to_owned(), "valid_accuracy".to_owned()];
        for names in [&names[..2], &names[2..3], &names[3..], &[]] {
            let values: Values = names.iter().map(|name| (name.clone(), -f64::MIN_POSITIVE)).collect();
            let mut history = History::default();
            let mut epoch = 0;
            while history.add(u32::MAX - epoch, values.clone()) == Added::Kept {
                epoch += 1;
            }
            let measured = history.size;
            history.measure();
            assert_eq!(history.size, measured);
            assert!(epoch > 4000, "{epoch}");
            let metrics = (0..64).map(|n| (format!("{n}{}", "\"".repeat(126)), f64::MIN_POSITIVE)).collect();
            let resumed_after = vec![u32::MAX; MAX_RESUMED];
            let result =
                TaskResult { metrics, history: history.records(), resumed_after, ..TaskResult::default() };
            assert_eq!(colearn_proto::convert::check_result(&result), Ok(()));
            let event = Event::Finished { task: TASK, result: Box::new(result) };
            let length = serde_json::to_string(&event).unwrap().len();
            assert!(length < colearn_proto::MAX_MESSAGE_BYTES, "{length}");
        }
    }
}

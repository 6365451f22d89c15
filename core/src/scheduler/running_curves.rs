//! The curves of running tasks: the epochs of their current attempts, as far as they are known. They are volatile and
//! bounded; the history in a task's result is complete.

use std::sync::Arc;

use crate::{
    id::{SweepId, TaskId},
    result::{EpochRecord, curve, metric},
};

use super::{lease::Lease, machine::Scheduler};

/// Number of epochs that are kept of all running tasks together, and the most and the fewest of one task.
const ALL_EPOCHS: usize = 131_072;
const MOST_EPOCHS: usize = 256;
const FEWEST_EPOCHS: usize = 16;
/// Maximum number of running tasks with curves.
const MOST_TASKS: usize = ALL_EPOCHS / FEWEST_EPOCHS;
/// Maximum number of curves of a task.
const MOST_CURVES: usize = 16;

/// The number of epochs that are kept of each task when this number of tasks has curves.
fn most_epochs(tasks: usize) -> usize {
    (ALL_EPOCHS / tasks.max(1)).clamp(FEWEST_EPOCHS, MOST_EPOCHS)
}

/// The curves of one running task. A curve that becomes too long loses every second of its points; its first and its
/// last point are always there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RunningCurves {
    /// The smallest distance of two kept epochs, except for the last one.
    every: u32,
    epochs: Vec<u32>,
    /// The names of the curves, in order, with a value for each epoch: NaN where there is none.
    curves: Vec<(String, Vec<f64>)>,
}

impl RunningCurves {
    /// The distance of the kept epochs: 1 if every epoch is kept.
    #[must_use]
    pub fn every(&self) -> u32 {
        self.every.max(1)
    }

    /// The kept epochs, in order.
    pub fn records(&self) -> impl Iterator<Item = EpochRecord> {
        self.epochs.iter().enumerate().map(|(at, epoch)| {
            let value = |(name, values): &(String, Vec<f64>)| {
                let value = values.get(at).copied().filter(|value| value.is_finite())?;
                Some((name.clone(), value))
            };
            EpochRecord { epoch: *epoch, values: self.curves.iter().filter_map(value).collect() }
        })
    }

    /// Adds an epoch, and keeps at most this number of epochs.
    fn push(&mut self, record: &EpochRecord, most: usize) {
        // A program may begin again.
        let earlier = self.epochs.partition_point(|epoch| *epoch < record.epoch);
        self.truncate(earlier);
        if let [.., before, last] = self.epochs.as_slice()
            && last - before < self.every()
        {
            self.truncate(self.epochs.len() - 1);
        }
        self.epochs.push(record.epoch);
        let length = self.epochs.len();
        self.curves.iter_mut().for_each(|(_, values)| values.push(f64::NAN));
        for (name, value) in record.values.pairs() {
            if name.len() > metric::MAX_NAME_BYTES || name == curve::RESERVED {
                continue;
            }
            let at = match self.curves.binary_search_by(|(known, _)| known.as_str().cmp(name)) {
                Ok(at) => at,
                Err(at) if self.curves.len() < MOST_CURVES => {
                    self.curves.insert(at, (name.to_owned(), vec![f64::NAN; length]));
                    at
                }
                Err(_) => continue,
            };
            if let Some(last) = self.curves.get_mut(at).and_then(|(_, values)| values.last_mut()) {
                *last = value;
            }
        }
        while self.epochs.len() > most.max(2) {
            self.thin();
        }
    }

    fn truncate(&mut self, length: usize) {
        self.epochs.truncate(length);
        self.curves.iter_mut().for_each(|(_, values)| values.truncate(length));
    }

    /// Halves the resolution.
    fn thin(&mut self) {
        self.every = self.every() * 2;
        let (end, mut before) = (self.epochs.len().saturating_sub(1), None);
        let keep: Vec<bool> = (self.epochs.iter().enumerate())
            .map(|(at, epoch)| {
                let is_far = before.is_none_or(|before| epoch - before >= self.every);
                if is_far {
                    before = Some(*epoch);
                }
                is_far || at == end
            })
            .collect();
        let mut kept = keep.iter();
        self.epochs.retain(|_| kept.next() == Some(&true));
        for (_, values) in &mut self.curves {
            let mut kept = keep.iter();
            values.retain(|_| kept.next() == Some(&true));
            values.shrink_to_fit();
        }
    }
}

/// A running task with what is known of its curves.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningTaskCurves {
    /// The task.
    pub task: TaskId,
    /// The name of its configuration.
    pub name: String,
    /// The attempt.
    pub attempt: u32,
    /// Number of its epochs; 0 if its settings do not say it.
    pub epochs: u32,
    /// The curves. They are shared: the scheduler copies them only if they change while somebody has them.
    pub curves: Arc<RunningCurves>,
}

impl Scheduler {
    /// The running tasks of a sweep that have curves, in the order of the grid.
    pub fn running_curves(&self, sweep: SweepId, wanted: impl Fn(TaskId) -> bool) -> Vec<RunningTaskCurves> {
        let Some(state) = self.sweeps.get(&sweep) else { return Vec::new() };
        let of_sweep = self.leases.values().filter(|lease| lease.sweep == sweep);
        let mut found: Vec<_> = of_sweep
            .flat_map(|lease| &lease.curves)
            .filter(|(index, _)| wanted(state.task_id(**index)))
            .map(|(index, curves)| (state.position(*index), *index, curves))
            .collect();
        found.sort_unstable_by_key(|(position, ..)| *position);
        let of_task = |(_, index, curves): (u64, u32, &Arc<RunningCurves>)| RunningTaskCurves {
            task: state.task_id(index),
            name: state.name_of(index),
            attempt: state.task(index).attempts,
            epochs: state.epochs_of(index),
            curves: curves.clone(),
        };
        found.into_iter().map(of_task).collect()
    }

    /// Keeps an epoch of a member of a lease, if there is room.
    pub(super) fn keep_epoch(lease: &mut Lease, index: u32, record: &EpochRecord, tasks: &mut usize) {
        if record.values.is_empty() || !lease.members.contains_key(&index) {
            return;
        }
        if !lease.curves.contains_key(&index) {
            if *tasks >= MOST_TASKS {
                return;
            }
            *tasks += 1;
        }
        let curves = lease.curves.entry(index).or_default();
        Arc::make_mut(curves).push(record, most_epochs(*tasks));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(epoch: u32, values: &[(&str, f64)]) -> EpochRecord {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        EpochRecord { epoch, values }
    }

    fn epochs(curves: &RunningCurves) -> Vec<u32> {
        curves.records().map(|record| record.epoch).collect()
    }

    #[test]
    fn what_is_pushed_is_there_in_order() {
        let mut curves = RunningCurves::default();
        let pushed = [
            record(3, &[("b", 1.0)]),
            record(4, &[("a", 2.0), ("b", 3.0)]),
            record(6, &[]),
            record(7, &[("c", 4.0)]),
        ];
        pushed.iter().for_each(|record| curves.push(record, 256));
        assert_eq!(curves.records().collect::<Vec<_>>(), pushed);
        assert_eq!(curves.every(), 1);
        curves.push(&record(4, &[("a", 9.0)]), 256);
        assert_eq!(curves.records().collect::<Vec<_>>(), [pushed[0].clone(), record(4, &[("a", 9.0)])]);
    }

    #[test]
    fn a_long_curve_is_halved_and_keeps_its_ends() {
        let mut curves = RunningCurves::default();
        for epoch in 1..=100_000 {
            curves.push(&record(epoch, &[("loss", f64::from(epoch))]), 16);
            assert!(curves.epochs.len() <= 16);
            assert_eq!((curves.epochs.first(), curves.epochs.last()), (Some(&1), Some(&epoch)));
        }
        assert_eq!(curves.every(), 8192);
        assert!(curves.records().all(|record| record.get("loss") == Some(f64::from(record.epoch))));
        let kept = epochs(&curves);
        assert!(kept.len() >= 8, "{kept:?}");
        assert!(kept.windows(2).rev().skip(1).all(|pair| pair[1] - pair[0] == 8192), "{kept:?}");
    }

    #[test]
    fn epochs_that_were_lost_leave_a_curve_that_grows() {
        let mut curves = RunningCurves::default();
        (1..5000)
            .filter(|epoch| epoch % 7 == 3)
            .for_each(|epoch| curves.push(&record(epoch, &[("a", 1.0)]), 20));
        assert!(curves.epochs.len() > 9 && curves.epochs.len() <= 20, "{:?}", curves.epochs);
    }

    #[test]
    fn names_are_bounded() {
        let mut curves = RunningCurves::default();
        for epoch in 1..100 {
            let name = format!("{epoch:03}");
            curves.push(&record(epoch, &[(name.as_str(), 1.0)]), 256);
        }
        assert_eq!(curves.curves.len(), MOST_CURVES);
        assert!(curves.curves.iter().all(|(_, values)| values.len() == curves.epochs.len()));
    }

    #[test]
    fn more_tasks_have_fewer_epochs_each() {
        assert_eq!([1, 512, 1024, 8192].map(most_epochs), [256, 256, 128, 16]);
        assert!((1..=MOST_TASKS).all(|tasks| tasks <= 512 || most_epochs(tasks) * tasks <= ALL_EPOCHS));
    }
}

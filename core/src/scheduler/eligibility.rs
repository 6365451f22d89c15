//! Which worker may train which task, as far as failures decide it.

use std::collections::BTreeSet;

use crate::id::WorkerId;

use super::{machine::Scheduler, pauses::Scope, sweep_state::SweepState, workers::Worker};

impl Scheduler {
    /// Whether a worker may get tasks now, and if so, whether only one to prove itself with.
    pub(super) fn takes(&self, worker: &WorkerId) -> Option<Take> {
        match self.pause_of(worker, &None) {
            None => Some(Take::Any),
            Some(pause) => pause.allows_one().then_some(Take::One),
        }
    }

    /// Whether a worker may train tasks of a data set, and if so, whether only one to prove itself with.
    pub(super) fn takes_data_set(&self, worker: &WorkerId, data_set: &str) -> Option<Take> {
        let Some(record) = self.records.get(worker).filter(|record| !record.pauses.is_empty()) else {
            return Some(Take::Any);
        };
        match record.pauses.get(&Some(data_set.to_owned())) {
            None => Some(Take::Any),
            Some(pause) => pause.allows_one().then_some(Take::One),
        }
    }

    /// Whether the data set of this number may be on a worker.
    pub(super) fn may_have_data(&self, worker: &WorkerId, state: &SweepState, data_set: usize) -> bool {
        let (name, digest) = state.data_set(data_set);
        self.workers.get(worker).is_some_and(|known| known.data_sets.may_have(name, digest))
    }

    /// Whether the data set of this number may be anywhere: on a worker that is, or may come back, and that has not been
    /// set aside because it could not open it. A worker that lacks it gets none of its tasks then, even while those that
    /// have it are busy or are set aside for something else: they would only fail there.
    pub(super) fn may_be_somewhere(&self, state: &SweepState, data_set: usize) -> bool {
        let (name, digest) = state.data_set(data_set);
        let scope: Scope = Some(name.to_owned());
        self.workers.iter().any(|(id, worker)| {
            worker.takes_leases()
                && worker.data_sets.may_have(name, digest)
                && self.pause_of(id, &scope).is_none()
        })
    }

    /// Whether a worker on which the data set of a ready task may be used may get the task: not if it failed there, while
    /// there is another worker for it; and not the last attempt if there is another one that is known to train, and this
    /// one is not.
    pub(super) fn may_attempt(&self, worker: &WorkerId, state: &SweepState, index: u32) -> bool {
        let failed_on = state.failed_on.get(&index);
        let failed_here = failed_on.is_some_and(|workers| workers.contains_key(worker));
        let avoid = failed_here && !self.waited_enough(worker, state, index);
        if avoid && self.has_other(worker, state, index, false) {
            return false;
        }
        // Where there is only one attempt, any worker is as good as another.
        let charged = state.task(index).charged();
        let last = charged > 0 && charged + 1 >= state.sweep.retries.max_attempts;
        let data_set = &state.settings_of(index).dataset;
        let doubtful = last && !self.workers.get(worker).is_some_and(|w| self.is_sound(worker, w, data_set));
        !(doubtful && self.has_other(worker, state, index, true))
    }

    /// Whether a task has waited so long for another worker, which is busy with something else, that it may be tried
    /// once more where it failed. A worker that is set aside is no such place.
    fn waited_enough(&self, worker: &WorkerId, state: &SweepState, index: u32) -> bool {
        let data_set = Some(state.settings_of(index).dataset.clone());
        let set_aside = self.pause_of(worker, &None).or(self.pause_of(worker, &data_set)).is_some();
        !set_aside && state.task(index).not_before.after(Self::MAX_PAUSE) <= self.heard_at
    }

    /// Whether something got on on a worker, and nothing that matters for a data set is held against it since.
    fn is_sound(&self, id: &WorkerId, worker: &Worker, data_set: &str) -> bool {
        let clean = self.records.get(id).is_none_or(|record| {
            let scope = Some(data_set.to_owned());
            let set_aside = record.pauses.contains_key(&None) || record.pauses.contains_key(&scope);
            !set_aside && record.strikes.is_empty() && !record.unusable.contains_key(data_set)
        });
        clean && worker.has_trained
    }

    /// Whether there is, or may come back, another worker for a task: one on which it has not failed, which may have its
    /// data set, is not set aside and, if that is asked for, is known to train.
    fn has_other(&self, worker: &WorkerId, state: &SweepState, index: u32, sound: bool) -> bool {
        let (name, digest) = state.data_of(index);
        let data_set: Scope = Some(name.to_owned());
        let failed_on = state.failed_on.get(&index);
        self.workers.iter().any(|(id, other)| {
            id != worker
                && other.takes_leases()
                && other.data_sets.may_have(name, digest)
                && failed_on.is_none_or(|workers| !workers.contains_key(id))
                && self.pause_of(id, &None).is_none()
                && self.pause_of(id, &data_set).is_none()
                && (!sound || self.is_sound(id, other, name))
        })
    }

    /// Whether a trainer of some worker that is, or may come back, has opened the data set of a task: then it is no fault of
    /// the task that it can not be opened elsewhere.
    pub(super) fn is_data_somewhere(&self, state: &SweepState, index: u32) -> bool {
        let (name, digest) = state.data_of(index);
        self.workers.values().any(|worker| worker.takes_leases() && worker.data_sets.has_opened(name, digest))
    }

    /// Whether a worker other than this one is, or may come back, that is set aside neither for all tasks nor for
    /// those of any of these data sets.
    pub(super) fn has_other_for(&self, worker: &WorkerId, data_sets: &BTreeSet<String>) -> bool {
        self.workers.iter().any(|(id, other)| {
            id != worker
                && other.takes_leases()
                && self.pause_of(id, &None).is_none()
                && data_sets.iter().all(|data_set| self.pause_of(id, &Some(data_set.clone())).is_none())
        })
    }
}

impl Worker {
    /// Whether it is there, or may come back, to train something new.
    fn takes_leases(&self) -> bool {
        let has_slots = !self.slots.is_empty() || !self.leases.is_empty();
        (self.connected || !self.leases.is_empty()) && self.draining.is_none() && has_slots
    }
}

/// How much a worker may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// As much as its slots take.
    Any,
    /// One task, while nothing else of this pause is under way.
    One,
}

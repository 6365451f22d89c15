//! Decides which worker may train which task, based on failures.

use std::collections::BTreeSet;

use crate::{id::WorkerId, needs::Needs};

use super::{machine::Scheduler, record::Scope, sweep_state::SweepState, worker::Worker};

impl Scheduler {
    /// How many tasks a worker may get now: any number, one as a test, or none.
    pub(super) fn takes(&self, worker: &WorkerId) -> Option<Take> {
        match self.pause_of(worker, &None) {
            None => Some(Take::Any),
            Some(pause) => pause.allows_one().then_some(Take::One),
        }
    }

    /// How many tasks of a data set a worker may get: any number, one as a test, or none.
    pub(super) fn takes_data_set(&self, worker: &WorkerId, data_set: &str) -> Option<Take> {
        let Some(record) = self.records.get(worker).filter(|record| !record.pauses.is_empty()) else {
            return Some(Take::Any);
        };
        match record.pauses.get(&Some(data_set.to_owned())) {
            None => Some(Take::Any),
            Some(pause) => pause.allows_one().then_some(Take::One),
        }
    }

    /// Whether a worker may have a data set of a sweep, given by its number.
    pub(super) fn may_have_data(&self, worker: &WorkerId, state: &SweepState, data_set: usize) -> bool {
        let (name, digest) = state.data_set(data_set);
        self.workers.get(worker).is_some_and(|known| known.data_sets.may_have(name, digest))
    }

    /// Whether any worker that is connected or may return meets the needs of a sweep, may have a data set of it, and is
    /// not set aside because it could not open it. If so, workers that lack the data set get none of its tasks, even if all workers that have it are
    /// busy or set aside for another reason: the tasks would only fail there.
    pub(super) fn may_be_somewhere(&self, state: &SweepState, data_set: usize) -> bool {
        let (name, digest) = state.data_set(data_set);
        let scope: Scope = Some(name.to_owned());
        self.workers.iter().any(|(id, worker)| {
            worker.takes_leases()
                && worker.can_meet(&state.sweep.needs)
                && worker.data_sets.may_have(name, digest)
                && self.pause_of(id, &scope).is_none()
        })
    }

    /// Whether a worker that may use the data set of a ready task may get the task. If there is another worker for the
    /// task, a worker on which the task failed does not get it. If another worker is known to train and this one is
    /// not, it does not get the last attempt.
    pub(super) fn may_attempt(&self, worker: &WorkerId, state: &SweepState, index: u32) -> bool {
        let failed_on = state.failed_on.get(&index);
        let failed_here = failed_on.is_some_and(|workers| workers.contains_key(worker));
        let avoid = failed_here && !self.waited_enough(worker, state, index);
        if avoid && self.has_other(worker, state, index, false) {
            return false;
        }
        // If there is only one attempt, all workers are equally suitable.
        let charged = state.task(index).charged();
        let last = charged > 0 && charged + 1 >= state.sweep.retries.max_attempts;
        let data_set = state.data_of(index).0;
        let doubtful = last && !self.workers.get(worker).is_some_and(|w| self.is_sound(worker, w, data_set));
        !(doubtful && self.has_other(worker, state, index, true))
    }

    /// Whether a task has waited so long for another, busy worker that it may be tried again where it failed. A
    /// worker that is set aside does not qualify.
    fn waited_enough(&self, worker: &WorkerId, state: &SweepState, index: u32) -> bool {
        let data_set = Some(state.data_of(index).0.to_owned());
        let set_aside = self.pause_of(worker, &None).or(self.pause_of(worker, &data_set)).is_some();
        !set_aside && state.task(index).not_before.after(Self::MAX_PAUSE) <= self.heard_at
    }

    /// Whether training has succeeded on a worker, and it has no failures since that matter for a data set.
    fn is_sound(&self, id: &WorkerId, worker: &Worker, data_set: &str) -> bool {
        let clean = self.records.get(id).is_none_or(|record| {
            let scope = Some(data_set.to_owned());
            let set_aside = record.pauses.contains_key(&None) || record.pauses.contains_key(&scope);
            !set_aside && record.strikes.is_empty() && !record.unusable.contains_key(data_set)
        });
        clean && worker.has_trained
    }

    /// Whether another worker for a task is connected or may return: the task has not failed there, and the worker
    /// meets its needs, may have its data set, is not set aside and, if `sound` is required, is known to train.
    fn has_other(&self, worker: &WorkerId, state: &SweepState, index: u32, sound: bool) -> bool {
        let (name, digest) = state.data_of(index);
        let data_set: Scope = Some(name.to_owned());
        let failed_on = state.failed_on.get(&index);
        self.workers.iter().any(|(id, other)| {
            id != worker
                && other.takes_leases()
                && other.can_meet(&state.sweep.needs)
                && other.data_sets.may_have(name, digest)
                && failed_on.is_none_or(|workers| !workers.contains_key(id))
                && self.pause_of(id, &None).is_none()
                && self.pause_of(id, &data_set).is_none()
                && (!sound || self.is_sound(id, other, name))
        })
    }

    /// Whether a worker that is connected or may return has opened the data set of a task. Then a failure to open it
    /// elsewhere is not a fault of the task.
    pub(super) fn is_data_somewhere(&self, state: &SweepState, index: u32) -> bool {
        let (name, digest) = state.data_of(index);
        self.workers.values().any(|worker| worker.takes_leases() && worker.data_sets.has_opened(name, digest))
    }

    /// Whether another worker is connected or may return that meets the given needs, and is set aside neither for all
    /// tasks nor for any of these data sets.
    pub(super) fn has_other_for(
        &self,
        worker: &WorkerId,
        needs: Option<&Needs>,
        data_sets: &BTreeSet<String>,
    ) -> bool {
        self.workers.iter().any(|(id, other)| {
            id != worker
                && other.takes_leases()
                && needs.is_none_or(|needs| other.can_meet(needs))
                && self.pause_of(id, &None).is_none()
                && data_sets.iter().all(|data_set| self.pause_of(id, &Some(data_set.clone())).is_none())
        })
    }
}

impl Worker {
    /// Whether the worker is connected, or may return, and takes new tasks.
    fn takes_leases(&self) -> bool {
        let has_slots = !self.slots.is_empty() || !self.leases.is_empty();
        (self.connected || !self.leases.is_empty()) && self.draining.is_none() && has_slots
    }
}

/// How many tasks a worker may get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// As many as its slots take.
    Any,
    /// One task as a test, while no other test of this pause is running.
    One,
}

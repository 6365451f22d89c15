//! Failure records of workers, and the pauses that follow from them.

use std::collections::BTreeSet;

use crate::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, TaskId, WorkerId},
    time::Timestamp,
};

use super::{
    action::Action,
    assessment::FAILURES_IN_A_ROW,
    event::RestoreCause,
    machine::Scheduler,
    record::{Pause, PauseView, Record, Scope, Strike},
};

/// Maximum number of recorded failures in a row: more than are needed to set a worker aside, because some may turn
/// out to be caused by their tasks.
const STRIKES_KEPT: usize = 8;
/// Maximum number of seeds that are known to fail.
const SEEDS_KEPT: usize = 64;

impl Scheduler {
    pub(super) fn pause_of(&self, worker: &WorkerId, scope: &Scope) -> Option<&Pause> {
        self.records.get(worker)?.pauses.get(scope)
    }

    pub(super) fn set_aside(&mut self, worker: WorkerId, scope: Scope, mut pause: Pause) -> Vec<Action> {
        self.pauses.insert((pause.until, worker.clone(), scope.clone()));
        let record = self.records.entry(worker.clone()).or_default();
        if let Some(before) = record.pauses.get(&scope) {
            self.pauses.remove(&(before.until, worker.clone(), scope.clone()));
            self.pauses.insert((pause.until, worker.clone(), scope.clone()));
            pause.since = before.since;
        }
        let view = PauseView::of(&scope, &pause);
        record.pauses.insert(scope, pause);
        vec![Action::SetAside { worker, pause: view }]
    }

    pub(super) fn restore(&mut self, worker: &WorkerId, scope: Scope, cause: RestoreCause) -> Vec<Action> {
        let Some(record) = self.records.get_mut(worker) else { return Vec::new() };
        let Some(pause) = record.pauses.remove(&scope) else { return Vec::new() };
        self.pauses.remove(&(pause.until, worker.clone(), scope.clone()));
        match &scope {
            None => record.strikes.clear(),
            Some(data_set) => drop(record.unusable.remove(data_set)),
        }
        self.tidy_record(worker);
        let (worker, program) = (worker.clone(), pause.program);
        vec![Action::Restore { worker, data_set: scope, program, cause }]
    }

    pub(super) fn end_pauses(&mut self, now: Timestamp) {
        while let Some((until, ..)) = self.pauses.first()
            && *until <= now
            && let Some((_, worker, scope)) = self.pauses.pop_first()
        {
            if let Some(pause) = self.records.get_mut(&worker).and_then(|r| r.pauses.get_mut(&scope)) {
                pause.over = true;
            }
        }
    }

    /// Limits pauses to the length that they would have if they began now, in case the host's clock was set back.
    pub(super) fn shorten_pauses(&mut self, now: Timestamp) {
        for (until, worker, scope) in std::mem::take(&mut self.pauses) {
            let Some(pause) = self.records.get_mut(&worker).and_then(|r| r.pauses.get_mut(&scope)) else {
                continue;
            };
            pause.until = until.min(now.after(Self::MAX_PAUSE));
            self.pauses.insert((pause.until, worker, scope));
        }
    }

    /// Records the lease that tests a worker.
    pub(super) fn note_grant(&mut self, worker: &WorkerId, token: LeaseToken, task: TaskId) {
        if self.records.get(worker).is_none_or(|record| record.pauses.is_empty()) {
            return;
        }
        let data_set = self.data_set_of(task).map(str::to_owned);
        for (scope, pause) in self.records.get_mut(worker).into_iter().flat_map(|r| r.pauses.iter_mut()) {
            if scope.is_none() || *scope == data_set {
                pause.probe = Some(token);
            }
        }
    }

    /// Records the end of a lease; its outcome was recorded before.
    pub(super) fn note_end(&mut self, worker: &WorkerId, token: LeaseToken) {
        for pause in self.records.get_mut(worker).into_iter().flat_map(|r| r.pauses.values_mut()) {
            pause.probe = pause.probe.filter(|probe| *probe != token);
        }
    }

    /// Records progress under a lease.
    pub(super) fn note_progress(&mut self, token: LeaseToken) {
        let Some(lease) = self.leases.get(&token) else { return };
        let sweep = lease.sweep;
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.has_trained = true;
        }
        self.note_fit(sweep);
    }

    pub(super) fn note_success(&mut self, worker: &WorkerId, task: TaskId) {
        if !self.records.contains_key(worker) {
            return;
        }
        let data_set = self.data_set_of(task).map(str::to_owned);
        let Some(record) = self.records.get_mut(worker) else { return };
        record.note_seeds(task);
        record.strikes.clear();
        if let Some(data_set) = &data_set {
            record.unusable.remove(data_set);
        }
        for (scope, pause) in &mut record.pauses {
            if scope.is_none() || *scope == data_set {
                pause.proven = Some(true);
            }
        }
        self.tidy_record(worker);
    }

    /// Records that an attempt failed on a worker.
    pub(super) fn note_failure(
        &mut self,
        worker: &WorkerId,
        token: LeaseToken,
        task: TaskId,
        failure: &Failure,
    ) {
        if !failure.reason.may_be_the_workers() {
            return;
        }
        let data_set = self.data_set_of(task).map(str::to_owned);
        let failed_before = self.find(task).is_some_and(|(state, index)| {
            state.failed_on.get(&index).is_some_and(|workers| workers.contains_key(worker))
        });
        let record = self.records.entry(worker.clone()).or_default();
        if failure.reason == FailureReason::Data
            && let Some(data_set) = data_set
        {
            record.unusable.insert(data_set, (task.sweep, failure.clone()));
        } else if !failed_before && !record.failing_seeds.contains(&(task.sweep, task.seed)) {
            // A task that failed here before says nothing new about the worker, also if others have succeeded since.
            record.strike(token, [task].into(), None, failure);
        }
        record.disprove(token);
        self.tidy_record(worker);
    }

    /// Records that a lease expired because its worker was silent.
    pub(super) fn note_silence(
        &mut self,
        worker: &WorkerId,
        token: LeaseToken,
        tasks: BTreeSet<TaskId>,
        failure: &Failure,
    ) {
        let heard = self.workers.get(worker).map(|known| known.last_seen).unwrap_or_default();
        let record = self.records.entry(worker.clone()).or_default();
        record.strike(token, tasks, Some(heard), failure);
        record.disprove(token);
    }

    /// Removes the record of a worker that has left, unless it is set aside.
    pub(super) fn forget_record(&mut self, worker: &WorkerId) {
        let now = self.heard_at;
        if let Some(record) = self.records.get_mut(worker) {
            record.away_since = now;
            record.strikes.clear();
            record.failing_seeds.clear();
            record.unusable.retain(|data_set, _| record.pauses.contains_key(&Some(data_set.clone())));
        }
        self.tidy_record(worker);
    }

    fn tidy_record(&mut self, worker: &WorkerId) {
        if self.records.get(worker).is_some_and(Record::is_clean) {
            self.records.remove(worker);
        }
    }
}

impl Record {
    pub(super) fn is_clean(&self) -> bool {
        let Self { strikes, unusable, pauses, failing_seeds, away_since: _ } = self;
        strikes.is_empty() && unusable.is_empty() && pauses.is_empty() && failing_seeds.is_empty()
    }

    /// Records that a task succeeded: if all failures before were of another seed, that seed was the cause.
    fn note_seeds(&mut self, task: TaskId) {
        let seed = (task.sweep, task.seed);
        self.failing_seeds.remove(&seed);
        let mut struck = self.struck_seeds();
        let silent = self.strikes.iter().any(|strike| strike.silent_since.is_some());
        if self.strikes.len() >= FAILURES_IN_A_ROW && struck.len() == 1 && !struck.contains(&seed) && !silent
        {
            self.failing_seeds.append(&mut struck);
        }
        while self.failing_seeds.len() > SEEDS_KEPT {
            self.failing_seeds.pop_first();
        }
    }

    fn strike(
        &mut self,
        token: LeaseToken,
        tasks: BTreeSet<TaskId>,
        silent_since: Option<Timestamp>,
        failure: &Failure,
    ) {
        let same_silence = |strike: &Strike| silent_since.is_some() && strike.silent_since == silent_since;
        if let Some(known) = self.strikes.iter_mut().find(|s| s.token == token || same_silence(s)) {
            known.tasks.extend(tasks);
            return;
        }
        // Silence is always the worker's fault.
        let known = |task| self.strikes.iter().any(|strike| strike.tasks.contains(task));
        if silent_since.is_none() && tasks.iter().any(known) {
            return;
        }
        if self.strikes.len() == STRIKES_KEPT {
            self.strikes.pop_front();
        }
        self.strikes.push_back(Strike { token, tasks, silent_since, failure: failure.clone() });
    }

    fn disprove(&mut self, token: LeaseToken) {
        for pause in self.pauses.values_mut().filter(|pause| pause.probe == Some(token)) {
            pause.proven = Some(false);
        }
    }
}

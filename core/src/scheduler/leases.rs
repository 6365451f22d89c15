//! Leases: granting, extending and ending them.

use std::collections::BTreeMap;

use crate::{
    failure::{Failure, FailureReason, RetryPolicy},
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    time::Timestamp,
};

use super::{
    action::{Action, DropReason},
    backoff,
    event::Event,
    lease::Lease,
    machine::Scheduler,
    task::{Phase, Task},
};

impl Scheduler {
    pub(super) fn grant_changes_state(&self, token: LeaseToken, tasks: &[(TaskId, u32)]) -> bool {
        let Some(((first, _), _)) = tasks.split_first() else { return false };
        let mut seen = std::collections::BTreeSet::new();
        token > self.last_token
            && tasks.iter().all(|(task, _)| {
                task.sweep == first.sweep
                    && self.find(*task).is_some_and(|(state, index)| {
                        state.task(index).phase.is_pending() && seen.insert(index)
                    })
            })
    }

    pub(super) fn grant(
        &mut self,
        now: Timestamp,
        token: LeaseToken,
        worker: WorkerId,
        slot: u32,
        tasks: Vec<(TaskId, u32)>,
    ) -> Vec<Action> {
        let Some((TaskId { sweep, .. }, _)) = tasks.first().copied() else { return Vec::new() };
        let Some(state) = self.sweeps.get_mut(&sweep) else { return Vec::new() };
        let mut members = BTreeMap::new();
        for (task, attempt) in &tasks {
            let Some(index) = state.index_of(*task) else { continue };
            self.waiting.remove(&(state.task(index).not_before, sweep, index));
            state.move_to(index, Phase::Running);
            let running = state.task_mut(index);
            running.token = token;
            running.attempts = *attempt;
            state.epochs_total += u64::from(state.epochs_of(index));
            members.insert(index, 0);
        }
        state.leases += 1;
        let deadline = now.after(self.settings.lease);
        let size = members.len() as u32;
        self.deadlines.insert((deadline, token));
        self.last_token = token;
        let holder = self.workers.entry(worker.clone()).or_default();
        holder.leases.insert(token);
        holder.busy.insert(slot, token);
        self.take_slot(&worker, slot);
        self.note_grant(&worker, token, tasks[0].0);
        let lease = Lease {
            worker: worker.clone(),
            slot,
            sweep,
            size,
            members,
            curves: BTreeMap::new(),
            deadline,
            lost: false,
        };
        self.leases.insert(token, lease);
        vec![Action::GrantLease { token, worker, slot, tasks }]
    }

    /// The leases and members of leases that are lost now, as events to apply.
    pub(super) fn expired(&self, now: Timestamp) -> Vec<Event> {
        let leases = self.deadlines.iter().take_while(|(deadline, _)| *deadline <= now).map(|(_, token)| {
            if self.never_arrived(*token) {
                return Event::LeaseReleased { token: *token };
            }
            Event::LeaseExpired { token: *token, progressed: self.progress_of(*token) }
        });
        let members = self.lost_members.iter().filter_map(|(token, index)| {
            let state = self.sweeps.get(&self.leases.get(token)?.sweep)?;
            let failure = Failure::new(FailureReason::LeaseExpired, "the worker came back without the task");
            Some(self.failed_attempt(*token, state.task_id(*index), failure))
        });
        leases.chain(members).collect()
    }

    /// Whether a granted lease never reached its worker: the worker reconnected without it, and a worker keeps a
    /// lease until it is told to drop it. The coordinator or the stream ended between the grant and its delivery.
    fn never_arrived(&self, token: LeaseToken) -> bool {
        self.leases
            .get(&token)
            .is_some_and(|lease| lease.lost && lease.members.values().all(|epochs| *epochs == 0))
    }

    /// The members of a lease that got further than ever before, and have a checkpoint to continue from.
    fn progress_of(&self, token: LeaseToken) -> Vec<(TaskId, u32)> {
        let Some(lease) = self.leases.get(&token) else { return Vec::new() };
        let Some(state) = self.sweeps.get(&lease.sweep) else { return Vec::new() };
        let between = state.sweep.checkpoint.every_epochs;
        let saved = |epochs: u32| if between == 0 { 0 } else { epochs - epochs % between };
        let members = lease.members.iter().map(|(index, epochs)| (*index, saved(*epochs)));
        let further = members.filter(|(index, epochs)| *epochs > state.task(*index).furthest);
        further.map(|(index, epochs)| (state.task_id(index), epochs)).collect()
    }

    pub(super) fn expire(
        &mut self,
        now: Timestamp,
        token: LeaseToken,
        progressed: &[(TaskId, u32)],
    ) -> Vec<Action> {
        self.note_expiry(token, progressed);
        let Some(lease) = self.end_lease(token) else { return Vec::new() };
        if let Some(state) = self.sweeps.get_mut(&lease.sweep) {
            for (task, epochs) in progressed {
                let Some(index) = state.index_of(*task) else { continue };
                let task = state.task_mut(index);
                task.furthest = *epochs;
                // Repeatedly lost workers are no reason to give up a task that makes progress.
                task.forgiven = task.attempts.saturating_sub(1);
            }
        }
        let failure = lost_with(&lease.worker);
        let (worker, reason) = (lease.worker, DropReason::Expired);
        let mut actions = vec![Action::DropLease { worker, token, tasks: Vec::new(), reason }];
        for index in lease.members.into_keys() {
            actions.push(self.retry_or_fail(now, lease.sweep, index, &failure, lease.size, false));
            if let Some(state) = self.sweeps.get_mut(&lease.sweep) {
                state.task_mut(index).token = Task::NO_LEASE;
            }
        }
        actions.extend(self.end_if_over(now, lease.sweep));
        actions
    }

    pub(super) fn release(&mut self, token: LeaseToken) -> Vec<Action> {
        let Some(lease) = self.end_lease(token) else { return Vec::new() };
        if let Some(state) = self.sweeps.get_mut(&lease.sweep) {
            for index in lease.members.into_keys() {
                let task = state.task_mut(index);
                task.token = Task::NO_LEASE;
                task.attempts = task.attempts.saturating_sub(1);
                state.move_to(index, Phase::Ready);
            }
        }
        let (worker, reason) = (lease.worker, DropReason::Released);
        vec![Action::DropLease { worker, token, tasks: Vec::new(), reason }]
    }

    /// A worker that is lost repeatedly together with its tasks is bad, unless the tasks make progress.
    fn note_expiry(&mut self, token: LeaseToken, progressed: &[(TaskId, u32)]) {
        let Some(lease) = self.leases.get(&token).filter(|_| progressed.is_empty()) else { return };
        let Some(state) = self.sweeps.get(&lease.sweep) else { return };
        let tasks = lease.members.keys().map(|index| state.task_id(*index)).collect();
        let worker = lease.worker.clone();
        self.note_silence(&worker, token, tasks, &lost_with(&worker));
    }

    /// Decides what happens to a task whose attempt failed in a cohort of `cohort` members.
    pub(super) fn retry_or_fail(
        &mut self,
        now: Timestamp,
        sweep: SweepId,
        index: u32,
        failure: &Failure,
        cohort: u32,
        unconfirmed: bool,
    ) -> Action {
        let state = self.sweeps.get_mut(&sweep).expect("a lease's sweep is never removed");
        let task = state.task_id(index);
        let attempt = state.task(index).attempts;
        let retries = &state.sweep.retries;
        let charged = state.task(index).charged();
        let too_dense = failure.reason.policy() == RetryPolicy::RetryAtLowerDensity && cohort > 1;
        // It neither costs an attempt nor counts against the worker.
        let excused = state.is_excused(state.task(index).token, failure.reason);
        let hopeless = failure.reason.policy() == RetryPolicy::Fail && !unconfirmed;
        let failure_noted = failure.clone();
        if hopeless || (!too_dense && !excused && charged >= retries.max_attempts) {
            state.move_to(index, Phase::Failed(failure.reason));
            state.note_failure(index, attempt, failure, true);
            self.note_failed_task(sweep, index, hopeless.then_some(failure));
            return Action::GiveUpTask { task, attempt, failure: failure_noted };
        }
        let not_before = if too_dense {
            // The cohort was too large, or one of its members made the others fail: the attempt is not charged. This
            // ends, because the limit is halved each time and a task alone is charged.
            let halved = state.task_mut(index);
            halved.attempts = attempt.saturating_sub(1);
            halved.max_cohort = halved.max_cohort.min(cohort / 2);
            now
        } else {
            let wait = backoff::wait(retries, task, if excused { attempt } else { charged });
            state.task_mut(index).forgiven += u32::from(excused);
            now.after(wait)
        };
        // Even if that is now: how long the task has waited for another worker counts from here.
        state.task_mut(index).not_before = not_before;
        if not_before > now {
            state.move_to(index, Phase::Waiting);
            self.waiting.insert((not_before, sweep, index));
        } else {
            state.move_to(index, Phase::Ready);
        }
        state.note_failure(index, attempt, failure, false);
        Action::RetryTask { task, attempt, failure: failure_noted, not_before }
    }

    /// Removes a member from its lease, and ends the lease with its last member.
    pub(super) fn end_member(&mut self, token: LeaseToken, index: u32) {
        self.lost_members.remove(&(token, index));
        let Some(lease) = self.leases.get_mut(&token) else { return };
        let (sweep, epochs) = (lease.sweep, lease.members.remove(&index));
        self.with_curves -= usize::from(lease.curves.remove(&index).is_some());
        let over = lease.members.is_empty();
        if let (Some(epochs), Some(state)) = (epochs, self.sweeps.get_mut(&sweep)) {
            state.epochs_done -= u64::from(epochs);
            state.epochs_total -= u64::from(state.epochs_of(index));
        }
        if over {
            self.end_lease(token);
        }
    }

    /// Removes a lease. Its members stay in the phase running; the caller changes that.
    pub(super) fn end_lease(&mut self, token: LeaseToken) -> Option<Lease> {
        let lease = self.leases.remove(&token)?;
        self.with_curves -= lease.curves.len();
        self.deadlines.remove(&(lease.deadline, token));
        if let Some(state) = self.sweeps.get_mut(&lease.sweep) {
            state.leases -= 1;
            for (index, epochs) in &lease.members {
                self.lost_members.remove(&(token, *index));
                state.epochs_done -= u64::from(*epochs);
                state.epochs_total -= u64::from(state.epochs_of(*index));
            }
        }
        if let Some(worker) = self.workers.get_mut(&lease.worker) {
            worker.leases.remove(&token);
            worker.busy.retain(|_, busy_with| *busy_with != token);
            self.note_end(&lease.worker, token);
            self.forget_if_gone(&lease.worker);
        }
        Some(lease)
    }

    /// Extends the deadline of a lease that is not lost.
    pub(super) fn extend(&mut self, now: Timestamp, token: LeaseToken) {
        let Some(lease) = self.leases.get_mut(&token) else { return };
        if !lease.lost {
            self.deadlines.remove(&(lease.deadline, token));
            lease.deadline = now.after(self.settings.lease);
            self.deadlines.insert((lease.deadline, token));
        }
    }

    /// Sets the deadline of a lease to now, because its worker reconnected without it.
    pub(super) fn expire_now(&mut self, now: Timestamp, token: LeaseToken) {
        let Some(lease) = self.leases.get_mut(&token) else { return };
        self.deadlines.remove(&(lease.deadline, token));
        lease.deadline = now;
        lease.lost = true;
        self.deadlines.insert((now, token));
    }
}

fn lost_with(worker: &WorkerId) -> Failure {
    let lost = format!("worker {worker} was lost, or came back without its lease");
    Failure::new(FailureReason::LeaseExpired, lost)
}

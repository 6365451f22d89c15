//! Reports of workers about their tasks.

use crate::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, TaskId, WorkerId},
    result::EpochRecord,
    time::Timestamp,
};

use super::{
    action::{Action, DropReason},
    event::Event,
    machine::Scheduler,
    report_status::ReportStatus,
    sweep_state::SweepState,
    task::Phase,
};

impl Scheduler {
    pub(super) fn find(&self, task: TaskId) -> Option<(&SweepState, u32)> {
        let state = self.sweeps.get(&task.sweep)?;
        Some((state, state.index_of(task)?))
    }

    pub(super) fn classify_report(&self, token: LeaseToken, task: TaskId, finished: bool) -> ReportStatus {
        let Some((state, index)) = self.find(task) else { return ReportStatus::Refused(DropReason::Unknown) };
        let known = state.task(index);
        let same_token = known.token == token && self.last_token >= token && token.0 > 0;
        match known.phase {
            Phase::Running if same_token => ReportStatus::Accepted { sweep: task.sweep, index },
            Phase::Done if same_token && finished => ReportStatus::Repeated,
            Phase::Ready | Phase::Waiting | Phase::Failed(_) if same_token && !finished => {
                ReportStatus::Repeated
            }
            Phase::Cancelled => ReportStatus::Refused(DropReason::Cancelled),
            _ => ReportStatus::Refused(DropReason::Stale),
        }
    }

    /// The answer to a durable event that changes nothing.
    pub(super) fn answer_duplicate(&self, event: &Event) -> Vec<Action> {
        let (token, task, finished) = match event {
            Event::TaskFinished { token, task, .. } => (*token, *task, true),
            Event::AttemptFailed { token, task, .. } => (*token, *task, false),
            _ => return Vec::new(),
        };
        match self.classify_report(token, task, finished) {
            ReportStatus::Refused(reason) => vec![Action::RefuseReport { token, task, reason }],
            ReportStatus::Repeated | ReportStatus::Accepted { .. } => {
                vec![Action::Acknowledge { token, task }]
            }
        }
    }

    /// The holder of an active lease. Reports of other workers under its token are ignored.
    #[must_use]
    pub fn lease_holder(&self, token: LeaseToken) -> Option<&WorkerId> {
        self.leases.get(&token).map(|lease| &lease.worker)
    }

    pub(super) fn finish(
        &mut self,
        now: Timestamp,
        token: LeaseToken,
        task: TaskId,
        data_digest: String,
    ) -> Vec<Action> {
        let ReportStatus::Accepted { sweep, index } = self.classify_report(token, task, true) else {
            return Vec::new();
        };
        let worker = self.leases.get(&token).map(|lease| lease.worker.clone());
        self.note_progress(token);
        if let Some(worker) = &worker {
            self.note_success(worker, task);
        }
        self.end_member(token, index);
        let mut actions = Vec::new();
        if let (Some(worker), Some(state)) = (worker, self.sweeps.get_mut(&sweep)) {
            state.move_to(index, Phase::Done);
            state.failed_on.remove(&index);
            if !data_digest.is_empty() && !state.is_of_replaced_data(token) {
                let data_set = state.data_of(index).0.to_owned();
                state.data_digests.entry(data_set).or_insert(data_digest);
            }
            let attempt = state.task(index).attempts;
            actions.push(Action::RecordResult { task, token, attempt, worker });
        }
        actions.push(Action::Acknowledge { token, task });
        actions.extend(self.end_if_over(now, sweep));
        actions
    }

    pub(super) fn fail_attempt(
        &mut self,
        now: Timestamp,
        token: LeaseToken,
        task: TaskId,
        failure: &Failure,
        unconfirmed: bool,
    ) -> Vec<Action> {
        let ReportStatus::Accepted { sweep, index } = self.classify_report(token, task, false) else {
            return Vec::new();
        };
        let lease = self.leases.get(&token).map(|lease| (lease.worker.clone(), lease.size));
        let cohort = lease.as_ref().map_or(1, |(_, size)| *size);
        if let Some((worker, _)) = lease {
            // A cohort that did not fit was too large, which is the fault of none of its tasks and not of the worker.
            let too_large = failure.reason == FailureReason::OutOfMemory && cohort > 1;
            let excused =
                self.sweeps.get(&sweep).is_some_and(|state| state.is_excused(token, failure.reason));
            if !too_large && !excused {
                self.note_failure(&worker, token, task, failure);
                if let Some(state) = self.sweeps.get_mut(&sweep) {
                    state.note_failed_on(index, worker, failure.reason);
                }
            }
        }
        self.end_member(token, index);
        let mut actions = vec![self.retry_or_fail(now, sweep, index, failure, cohort, unconfirmed)];
        actions.push(Action::Acknowledge { token, task });
        actions.extend(self.end_if_over(now, sweep));
        actions
    }

    pub(super) fn report_epoch(
        &mut self,
        now: Timestamp,
        token: LeaseToken,
        task: TaskId,
        record: &EpochRecord,
    ) -> Vec<Action> {
        match self.classify_report(token, task, true) {
            ReportStatus::Refused(reason) => vec![Action::RefuseReport { token, task, reason }],
            ReportStatus::Repeated => Vec::new(),
            ReportStatus::Accepted { sweep, index } => {
                if let (Some(lease), Some(state)) = (self.leases.get_mut(&token), self.sweeps.get_mut(&sweep))
                    && let Some(done) = lease.members.get_mut(&index)
                {
                    let epochs = state.epochs_of(index);
                    let epoch = if epochs == 0 { record.epoch } else { record.epoch.min(epochs) };
                    state.epochs_done = state.epochs_done - u64::from(*done) + u64::from(epoch);
                    *done = epoch;
                    Self::keep_epoch(lease, index, record, &mut self.with_curves);
                }
                self.note_progress(token);
                self.extend(now, token);
                Vec::new()
            }
        }
    }
}

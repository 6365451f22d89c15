//! What happened in one batch.

use colearn_core::{
    failure::FailureReason,
    id::SweepId,
    scheduler::{Event, SweepStatus},
};

use super::Counted;
use crate::store::Batch;

/// What happened in one batch. It is counted after the batch is durable.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(super) rows: usize,
    submitted: u64,
    ended: Vec<&'static str>,
    finished: u64,
    given_up: u64,
    failed: Vec<FailureReason>,
    granted: u64,
    expired: u64,
    released: u64,
    set_aside: u64,
    restored: u64,
}

impl Tally {
    /// Of a batch, and of what is in no entry: sweeps that have ended, and the number of tasks that were given up.
    pub(crate) fn of(batch: &Batch, ended: &[(SweepId, SweepStatus)], given_up: u64) -> Self {
        let ended = ended.iter().filter_map(|(_, status)| end(*status)).collect();
        let rows = batch.entries.len() + batch.results.len();
        let submitted =
            batch.entries.iter().filter(|it| matches!(it.event, Event::SweepSubmitted { .. })).count() as u64;
        let mut tally = Self { rows, submitted, ended, given_up, ..Self::default() };
        for entry in &batch.entries {
            match &entry.event {
                Event::TaskFinished { .. } => tally.finished += 1,
                Event::AttemptFailed { failure, .. } => tally.failed.push(failure.reason),
                Event::LeaseGranted { .. } => tally.granted += 1,
                Event::LeaseExpired { .. } => tally.expired += 1,
                Event::LeaseReleased { .. } => tally.released += 1,
                Event::WorkerSetAside { .. } => tally.set_aside += 1,
                Event::WorkerRestored { .. } => tally.restored += 1,
                _ => {}
            }
        }
        tally
    }

    pub(super) fn count_in(&self, counted: &Counted) {
        counted.sweeps_submitted.inc_by(self.submitted);
        for how in &self.ended {
            counted.sweeps_ended.get_or_create(&[("state", how)]).inc();
        }
        counted.tasks_finished.inc_by(self.finished);
        counted.tasks_failed.inc_by(self.given_up);
        for reason in &self.failed {
            counted.attempts_failed.get_or_create(&[("reason", reason.as_str())]).inc();
        }
        counted.leases_granted.inc_by(self.granted);
        counted.leases_expired.inc_by(self.expired);
        counted.leases_released.inc_by(self.released);
        counted.workers_set_aside.inc_by(self.set_aside);
        counted.workers_restored.inc_by(self.restored);
    }
}

/// How sweeps end.
pub(super) const ENDS: [&str; 3] = ["complete", "failed", "cancelled"];

fn end(status: SweepStatus) -> Option<&'static str> {
    match status {
        SweepStatus::Active => None,
        SweepStatus::Complete => Some("complete"),
        SweepStatus::Failed => Some("failed"),
        SweepStatus::Cancelled => Some("cancelled"),
    }
}

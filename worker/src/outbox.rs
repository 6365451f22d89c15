//! The leases that the worker holds, and the reports that are not acknowledged yet.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use colearn_core::id::{LeaseToken, TaskId};
use colearn_proto::worker::{HeldLease, Report};

/// Unacknowledged reports, in the order of their events.
///
/// A task is *held* from its lease until its report is acknowledged or its lease is dropped; a drop is also the
/// answer to a returned lease. A report is kept until then, over any number of reconnects.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReportOutbox {
    held: BTreeMap<LeaseToken, BTreeSet<TaskId>>,
    owed: VecDeque<Report>,
    /// Number of reports at the front of `owed` that were sent on the current stream.
    sent: usize,
}

impl ReportOutbox {
    /// Adds the tasks of a lease.
    pub(crate) fn hold(&mut self, token: LeaseToken, tasks: impl IntoIterator<Item = TaskId>) {
        self.held.insert(token, tasks.into_iter().collect());
    }

    /// Whether the lease still has held tasks or reports.
    #[must_use]
    pub(crate) fn holds(&self, token: LeaseToken) -> bool {
        self.held.contains_key(&token)
    }

    #[cfg(test)]
    /// Whether a task of a lease is held.
    #[must_use]
    pub(crate) fn holds_task(&self, token: LeaseToken, task: TaskId) -> bool {
        self.held.get(&token).is_some_and(|tasks| tasks.contains(&task))
    }

    /// Whether there are no unacknowledged reports.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    #[cfg(test)]
    /// The unacknowledged reports.
    pub(crate) fn owed(&self) -> impl Iterator<Item = &Report> {
        self.owed.iter()
    }

    /// Adds a report.
    pub(crate) fn owe(&mut self, report: Report) {
        self.owed.push_back(report);
    }

    /// The stream has ended: all unacknowledged reports must be sent again on the next one.
    pub(crate) fn disconnected(&mut self) {
        self.sent = 0;
    }

    /// The reports that were not sent on this stream yet.
    pub(crate) fn deliver(&mut self) -> Vec<Report> {
        let fresh = self.owed.iter().skip(self.sent).cloned().collect();
        self.sent = self.owed.len();
        fresh
    }

    /// Removes an acknowledged report, and returns it.
    pub(crate) fn acknowledged(&mut self, token: LeaseToken, task: TaskId) -> Option<Report> {
        let report = self.forget(token, Some(task))?;
        self.let_go(token, task);
        Some(report)
    }

    /// Removes tasks of a lease and their reports; all of its tasks if `tasks` is empty. Returns the removed tasks
    /// that were held.
    pub(crate) fn drop_tasks(&mut self, token: LeaseToken, tasks: &[TaskId]) -> Vec<TaskId> {
        let Some(held) = self.held.get(&token) else { return Vec::new() };
        let dropped: Vec<TaskId> =
            held.iter().copied().filter(|task| tasks.is_empty() || tasks.contains(task)).collect();
        for &task in &dropped {
            self.acknowledged(token, task);
            self.let_go(token, task);
        }
        if !self.holds(token) {
            self.forget(token, None);
        }
        dropped
    }

    /// The held leases, for the hello.
    #[must_use]
    pub(crate) fn held(&self) -> Vec<HeldLease> {
        let held = |(token, tasks): (&LeaseToken, &BTreeSet<TaskId>)| HeldLease {
            token: *token,
            tasks: tasks.iter().copied().collect(),
        };
        self.held.iter().map(held).collect()
    }

    /// The leases with a task that is neither reported nor returned.
    #[must_use]
    pub(crate) fn unreported(&self) -> Vec<LeaseToken> {
        let open = |(token, tasks): (&LeaseToken, &BTreeSet<TaskId>)| {
            let given_back = self.owed.iter().any(|r| *r == Report::Released { token: *token });
            let reported: BTreeSet<TaskId> = self.reported(*token).collect();
            (!given_back && tasks.iter().any(|task| !reported.contains(task))).then_some(*token)
        };
        self.held.iter().filter_map(open).collect()
    }

    fn reported(&self, token: LeaseToken) -> impl Iterator<Item = TaskId> {
        self.owed.iter().filter(move |report| report.token() == token).filter_map(Report::task)
    }

    /// Removes the report of a task, or the return of a lease.
    fn forget(&mut self, token: LeaseToken, task: Option<TaskId>) -> Option<Report> {
        let at = self.owed.iter().position(|report| report.token() == token && report.task() == task)?;
        if at < self.sent {
            self.sent -= 1;
        }
        self.owed.remove(at)
    }

    fn let_go(&mut self, token: LeaseToken, task: TaskId) {
        if let Some(tasks) = self.held.get_mut(&token) {
            tasks.remove(&task);
        }
        self.held.retain(|_, tasks| !tasks.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::{
        failure::{Failure, FailureReason},
        id::{ConfigurationId, SweepId},
    };

    use super::*;

    fn failed(seed: u64) -> Report {
        let task = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed };
        Report::Failed { token: LeaseToken(7), task, failure: Failure::new(FailureReason::Crash, "") }
    }

    #[test]
    fn an_acknowledgement_hides_no_later_report() {
        let mut outbox = ReportOutbox::default();
        outbox.hold(LeaseToken(7), (1..=2).filter_map(|seed| failed(seed).task()));
        outbox.owe(failed(1));
        assert_eq!(outbox.deliver(), [failed(1)]);
        outbox.acknowledged(LeaseToken(7), failed(1).task().unwrap());
        outbox.owe(failed(2));
        assert_eq!(outbox.deliver(), [failed(2)]);
        assert_eq!(outbox.deliver(), []);
    }
}

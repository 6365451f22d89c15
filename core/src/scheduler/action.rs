//! The effects that the scheduler requests.

use std::fmt;

use crate::{
    failure::Failure,
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    time::Timestamp,
};

use super::{event::RestoreCause, record::PauseView, task::SweepStatus};

/// An effect of an event. It may be performed only after the event is durable; during recovery the actions of
/// replayed events are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell a worker to train these tasks as one cohort.
    GrantLease {
        /// The fencing token for the worker's reports.
        token: LeaseToken,
        /// The worker.
        worker: WorkerId,
        /// The slot to train on.
        slot: u32,
        /// The tasks, with the numbers of their attempts.
        tasks: Vec<(TaskId, u32)>,
    },
    /// Tell the sender of a report that it is durable and may be deleted. Repeated if the report is repeated, because
    /// the first acknowledgement may have been lost.
    Acknowledge {
        /// The lease of the report.
        token: LeaseToken,
        /// The task of the report.
        task: TaskId,
    },
    /// Tell the sender of a report to drop the task; the report changed nothing.
    RefuseReport {
        /// The token of the report.
        token: LeaseToken,
        /// The task of the report.
        task: TaskId,
        /// The reason.
        reason: DropReason,
    },
    /// Tell a worker to stop training under a lease, or the named tasks of it.
    DropLease {
        /// The worker.
        worker: WorkerId,
        /// The lease.
        token: LeaseToken,
        /// The tasks; empty means all tasks of the lease.
        tasks: Vec<TaskId>,
        /// The reason.
        reason: DropReason,
    },
    /// Tell a worker to take no new tasks and to exit.
    DrainWorker {
        /// The worker.
        worker: WorkerId,
        /// Whether to exit without waiting for running tasks.
        now: bool,
    },
    /// Tell a worker to take leases again.
    UndrainWorker {
        /// The worker.
        worker: WorkerId,
    },
    /// Tell a worker that it was set aside.
    SetAside {
        /// The worker.
        worker: WorkerId,
        /// The scope, end and reason of the pause.
        pause: PauseView,
    },
    /// Tell a worker that it gets tasks like any other worker again.
    Restore {
        /// The worker.
        worker: WorkerId,
        /// The data set for which it was set aside; `None` means all data sets.
        data_set: Option<String>,
        /// Whether `data_set` names the files of a program.
        program: bool,
        /// The reason.
        cause: RestoreCause,
    },
    /// Store the result of the report, in the same transaction as the event. Happens once per task.
    RecordResult {
        /// The task of the result.
        task: TaskId,
        /// The lease under which it was trained.
        token: LeaseToken,
        /// The attempt that produced it.
        attempt: u32,
        /// The worker that trained it.
        worker: WorkerId,
    },
    /// Log that an attempt failed and the task will be tried again.
    RetryTask {
        /// The task.
        task: TaskId,
        /// The failed attempt.
        attempt: u32,
        /// The failure.
        failure: Failure,
        /// The earliest start of the next attempt.
        not_before: Timestamp,
    },
    /// Log that a task has failed and is not tried again.
    GiveUpTask {
        /// The task.
        task: TaskId,
        /// The last attempt.
        attempt: u32,
        /// The failure.
        failure: Failure,
    },
    /// Record that a sweep does not fit its data set, and that its tasks have failed.
    RefuseSweep {
        /// The sweep.
        sweep: SweepId,
        /// The mistakes, as a failure.
        failure: Failure,
    },
    /// Log that the pending tasks of a sweep were cancelled because its tasks fail.
    StopSweep {
        /// The sweep.
        sweep: SweepId,
        /// Why, for people.
        reason: String,
    },
    /// Tell waiting clients that a sweep has ended.
    EndSweep {
        /// The sweep.
        sweep: SweepId,
        /// How it ended.
        status: SweepStatus,
    },
}

/// The reason why a worker has to drop tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The task or its sweep was cancelled.
    Cancelled,
    /// The lease expired: other workers get the tasks.
    Expired,
    /// The worker returned the lease: this answer tells it not to repeat that.
    Released,
    /// The lease no longer contains the task: it expired, was returned, or the task was leased again.
    Stale,
    /// The coordinator's store has no such task.
    Unknown,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "cancelled",
            Self::Expired => "the lease expired",
            Self::Released => "the lease was returned",
            Self::Stale => "the lease no longer holds the task",
            Self::Unknown => "the coordinator knows no such task",
        })
    }
}

//! Everything the scheduler asks to be done.

use std::fmt;

use crate::{
    failure::Failure,
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    time::Timestamp,
};

use super::{event::RestoreCause, pauses::PauseView, task::SweepStatus};

/// An effect of an event. It may be performed only once the event is durable; on recovery the actions of
/// replayed events are dropped.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Tell a worker to train these tasks as one cohort.
    GrantLease {
        /// The fencing token its reports must carry.
        token: LeaseToken,
        /// Whom to tell.
        worker: WorkerId,
        /// On which slot.
        slot: u32,
        /// What, with the number of the attempt.
        tasks: Vec<(TaskId, u32)>,
    },
    /// Tell the sender of the report that it is durable and may be forgotten. Said again when the report
    /// comes again, for the first word may have been lost.
    Acknowledge {
        /// The lease the report came under.
        token: LeaseToken,
        /// What it was about.
        task: TaskId,
    },
    /// Tell the sender of the report to drop the task: nothing was changed by it.
    RefuseReport {
        /// The token the report came under.
        token: LeaseToken,
        /// What it was about.
        task: TaskId,
        /// Why.
        reason: DropReason,
    },
    /// Tell a worker to stop training under a lease, or the named tasks of it.
    DropLease {
        /// Whom to tell.
        worker: WorkerId,
        /// Which lease.
        token: LeaseToken,
        /// Which tasks of it; empty means all.
        tasks: Vec<TaskId>,
        /// Why.
        reason: DropReason,
    },
    /// Tell a worker to take nothing new and to leave.
    DrainWorker {
        /// Whom to tell.
        worker: WorkerId,
        /// Without waiting for what runs.
        now: bool,
    },
    /// Tell a worker to take leases again.
    UndrainWorker {
        /// Whom to tell.
        worker: WorkerId,
    },
    /// Tell a worker that it was set aside.
    SetAside {
        /// Whom to tell.
        worker: WorkerId,
        /// For what, until when, and why.
        pause: PauseView,
    },
    /// Tell a worker that it gets tasks as any other again.
    Restore {
        /// Whom to tell.
        worker: WorkerId,
        /// The data set it was set aside for; none means for all.
        data_set: Option<String>,
        /// Why.
        cause: RestoreCause,
    },
    /// Keep the result that came with the report, in the same transaction as the event. Happens once a task.
    RecordResult {
        /// Whose result.
        task: TaskId,
        /// The lease it was trained under.
        token: LeaseToken,
        /// Which attempt it was.
        attempt: u32,
        /// Who trained it.
        worker: WorkerId,
    },
    /// Note that an attempt failed and the task will be tried again.
    RetryTask {
        /// Which task.
        task: TaskId,
        /// The attempt that failed.
        attempt: u32,
        /// Why.
        failure: Failure,
        /// When the next attempt may begin.
        not_before: Timestamp,
    },
    /// Note that a task has failed for good.
    GiveUpTask {
        /// Which task.
        task: TaskId,
        /// The last attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// Note that a sweep does not fit its data set, and that its tasks have failed.
    RefuseSweep {
        /// The sweep.
        sweep: SweepId,
        /// What does not fit.
        failure: Failure,
    },
    /// Tell who waits for it that a sweep has ended.
    EndSweep {
        /// Which.
        sweep: SweepId,
        /// How.
        status: SweepStatus,
    },
}

/// Why a worker has to drop what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// The sweep was cancelled.
    Cancelled,
    /// The lease ran out: the tasks are or will be someone else's.
    Expired,
    /// The worker gave the lease back: the answer that it need not do so again.
    Released,
    /// The lease no longer holds the task: it expired, was released, or the task was leased again.
    Stale,
    /// This coordinator's store never had such a task.
    Unknown,
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "the sweep was cancelled",
            Self::Expired => "the lease expired",
            Self::Released => "the lease was given back",
            Self::Stale => "the lease no longer holds the task",
            Self::Unknown => "the coordinator knows no such task",
        })
    }
}

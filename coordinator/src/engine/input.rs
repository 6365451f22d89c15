//! What the engine is told, and what it tells workers.

use colearn_core::{
    failure::Failure,
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    result::TaskResult,
    scheduler::{DropReason, HeldLease, Scheduler, SlotOffer, SubmissionError},
    settings::TaskSettings,
    sweep::Sweep,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::summary::SweepSummary;

/// One stream of one worker. A worker that comes back has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub(crate) u64);

/// What a worker says on its stream, after its hello.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// These slots are idle, and no others.
    SlotsFree(Vec<u32>),
    /// It is alive.
    Heartbeat,
    /// A running task finished an epoch.
    Epoch {
        /// The lease it is trained under.
        token: LeaseToken,
        /// Which.
        task: TaskId,
        /// Epochs finished.
        epoch: u32,
    },
    /// A task is done.
    Finished {
        /// The lease it was trained under.
        token: LeaseToken,
        /// Which.
        task: TaskId,
        /// What came out.
        result: Box<TaskResult>,
    },
    /// An attempt failed.
    Failed {
        /// The lease it was trained under.
        token: LeaseToken,
        /// Which.
        task: TaskId,
        /// Why.
        failure: Failure,
    },
    /// A lease is given back.
    Released {
        /// Which.
        token: LeaseToken,
    },
}

/// What a worker is told.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// Train these tasks as one cohort.
    Lease {
        /// The fencing token its reports must carry.
        token: LeaseToken,
        /// On which slot.
        slot: u32,
        /// What, with the number of the attempt.
        tasks: Vec<(TaskId, u32, TaskSettings)>,
        /// Epochs between one checkpoint and the next; 0 means that there are none.
        checkpoint_every_epochs: u32,
    },
    /// A report is durable.
    Acknowledged {
        /// The lease it came under.
        token: LeaseToken,
        /// What it was about.
        task: TaskId,
    },
    /// Stop training under a lease.
    Drop {
        /// Which.
        token: LeaseToken,
        /// Which tasks of it; empty means all.
        tasks: Vec<TaskId>,
        /// Why.
        reason: DropReason,
    },
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The sweep now.
    pub summary: SweepSummary,
    /// Whether it was not there before.
    pub created: bool,
}

/// An answer that waits for the batch it belongs to.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// A question about the state, answered once all that the answer tells of is durable.
pub(super) type Question = Box<dyn FnOnce(&Scheduler) -> Answer + Send>;

/// Everything the engine can be told.
pub(super) enum Input {
    Connected {
        connection: ConnectionId,
        worker: WorkerId,
        host: String,
        slots: Vec<SlotOffer>,
        held: Vec<HeldLease>,
        outbox: mpsc::Sender<ToWorker>,
    },
    FromWorker {
        connection: ConnectionId,
        message: FromWorker,
    },
    Disconnected {
        connection: ConnectionId,
    },
    Submit {
        sweep: Box<Sweep>,
        reply: oneshot::Sender<Result<Submitted, SubmissionError>>,
    },
    Cancel {
        sweep: SweepId,
        reply: oneshot::Sender<Option<SweepSummary>>,
    },
    Ask(Question),
    Watch {
        sweep: SweepId,
        reply: oneshot::Sender<Option<watch::Receiver<SweepSummary>>>,
    },
}

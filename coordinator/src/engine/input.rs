//! What the engine is told, and what it tells workers.

use colearn_core::{
    id::{SweepId, SweepName, WorkerId},
    scheduler::{
        ExtensionError, RemovalError, RetryError, RetryScope, Scheduler, SubmissionError, WorkerView,
    },
    sweep::{ScheduleSettings, Sweep},
};
use colearn_proto::worker::{FromWorker, Hello, ToWorker};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::summary::SweepSummary;

/// One stream of one worker. A worker that comes back has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

/// How a worker is told things.
#[derive(Debug)]
pub struct WorkerOutbox {
    pub(super) messages: mpsc::Sender<ToWorker>,
    _open: DropGuard,
}

impl WorkerOutbox {
    /// With room for so many messages: where they come out, and what is cancelled when the engine has closed it.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<ToWorker>, CancellationToken) {
        let (messages, inbox) = mpsc::channel(capacity);
        let closed = CancellationToken::new();
        (Self { messages, _open: closed.clone().drop_guard() }, inbox, closed)
    }
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The sweep now.
    pub summary: SweepSummary,
    /// Whether it was not there before.
    pub created: bool,
}

/// What people do to a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Stop what runs and start nothing more.
    Cancel,
    /// Try tasks again that ended without a result.
    Retry(RetryScope),
    /// Add what a newer sweep file has and the sweep has not.
    Extend(Box<Sweep>),
    /// Start nothing new, or go on.
    Pause(bool),
    /// Go before others, or after them.
    Prioritize(i32),
    /// Forget it, with its results.
    Remove,
}

/// What came of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operated {
    /// The sweep now; as it was, when it was removed.
    pub summary: SweepSummary,
    /// Tasks that became pending.
    pub tasks: u64,
}

/// Why an operation was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// There is no such sweep any more.
    #[error("the sweep is gone")]
    Gone,
    /// The sweep is settled: it has to be revived first.
    #[error("the sweep has been put away just now: try again")]
    Settled,
    /// It has ended, and that is not for ended sweeps.
    #[error("sweep `{0}` has ended: there is nothing to pause or resume")]
    Ended(SweepName),
    /// A priority out of range.
    #[error(
        "a priority is from {lowest} to {highest}, not {0}",
        lowest = ScheduleSettings::LOWEST,
        highest = ScheduleSettings::HIGHEST
    )]
    Priority(i32),
    /// See there.
    #[error(transparent)]
    Retry(#[from] RetryError),
    /// See there.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// See there.
    #[error(transparent)]
    Removal(#[from] RemovalError),
}

/// Why there was nothing to undo for a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndrainError {
    /// The coordinator knows no such worker.
    #[error("worker `{0}` is not connected")]
    Away(WorkerId),
    /// It was asked to leave at once.
    #[error("worker `{0}` has given its tasks back and leaves: start it again")]
    Leaves(WorkerId),
    /// It gets tasks as any other.
    #[error("worker `{0}` is neither draining nor set aside")]
    Nothing(WorkerId),
}

/// An answer that waits for the batch it belongs to.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// A question about the state, answered once all that the answer tells of is durable.
pub(super) type Question = Box<dyn FnOnce(&Scheduler) -> Answer + Send>;

/// Everything the engine can be told.
pub(super) enum Input {
    Connected {
        connection: ConnectionId,
        hello: Hello,
        outbox: WorkerOutbox,
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
    Operate {
        sweep: SweepId,
        operation: Operation,
        reply: oneshot::Sender<Result<Operated, OperationError>>,
    },
    /// Takes a settled sweep back, which somebody has rebuilt from its entries.
    Revive {
        sweep: SweepId,
        alone: Box<Scheduler>,
        reply: oneshot::Sender<()>,
    },
    Drain {
        worker: WorkerId,
        now: bool,
        reply: oneshot::Sender<Option<WorkerView>>,
    },
    Undrain {
        worker: WorkerId,
        reply: oneshot::Sender<Result<WorkerView, UndrainError>>,
    },
    Ask(Question),
    Watch {
        sweep: SweepId,
        reply: oneshot::Sender<Option<watch::Receiver<SweepSummary>>>,
    },
}

impl Input {
    /// Whether it leaves everything as it is.
    pub(super) fn only_looks(&self) -> bool {
        matches!(self, Self::Ask(_) | Self::Watch { .. })
    }
}

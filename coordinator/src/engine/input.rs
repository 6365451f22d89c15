//! The inputs of the engine, and its messages to workers.

use std::sync::Arc;

use colearn_core::{
    id::{SweepId, SweepName, WorkerId},
    scheduler::{
        ExtensionError, Prepared, RemovalError, RetryError, RetryScope, Scheduler, Selection, SelectionError,
        SubmissionError, TaskCounts, WorkerView,
    },
    sweep::{ScheduleSettings, Sweep},
};
use colearn_proto::worker::{FromWorker, Hello, ToWorker};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::summary::SweepSummary;

/// The id of a worker's stream. A worker that reconnects gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ConnectionId(pub(super) u64);

/// The channel for messages to a worker.
#[derive(Debug)]
pub struct WorkerOutbox {
    pub(super) messages: mpsc::Sender<ToWorker>,
    _open: DropGuard,
}

impl WorkerOutbox {
    /// An outbox with this capacity, its receiver, and a token that is cancelled when the engine has closed the
    /// outbox.
    #[must_use]
    pub fn new(capacity: usize) -> (Self, mpsc::Receiver<ToWorker>, CancellationToken) {
        let (messages, inbox) = mpsc::channel(capacity);
        let closed = CancellationToken::new();
        (Self { messages, _open: closed.clone().drop_guard() }, inbox, closed)
    }
}

/// The effect of a submission.
#[derive(Clone, Debug, PartialEq)]
pub struct Submitted {
    /// The sweep after the submission.
    pub summary: SweepSummary,
    /// Whether the sweep is new.
    pub created: bool,
}

/// Operations of people on a sweep.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Stop running tasks and start no new ones.
    Cancel,
    /// Stop or do not start some tasks.
    CancelTasks(Selection),
    /// Try tasks again that ended without a result.
    Retry(RetryScope),
    /// Add the seeds and configurations of a newer sweep file.
    Extend(Arc<Sweep>),
    /// Start no new tasks, or resume.
    Pause(bool),
    /// Change the priority.
    Prioritize(i32),
    /// Go on with another data set or a changed program.
    ReplaceData,
    /// Delete the sweep with its results.
    Remove,
}

/// The effect of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Operated {
    /// The sweep after the operation; if it was removed, before it.
    pub summary: SweepSummary,
    /// Number of tasks that became pending.
    pub tasks: u64,
    /// The selected tasks by their states before the operation, if it has a selection.
    pub selected: TaskCounts,
}

/// The reason why an operation was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The sweep does not exist any more.
    #[error("the sweep does not exist any more")]
    Gone,
    /// The sweep is settled: it has to be revived first.
    #[error("the sweep was settled just now: try again")]
    Settled,
    /// The sweep has ended, and the operation needs an active sweep.
    #[error("sweep `{0}` has ended: there is nothing to pause or resume")]
    Ended(SweepName),
    /// The extended sweep does not fit the data set of any worker.
    #[error(transparent)]
    Misfit(SubmissionError),
    /// A priority out of range.
    #[error(
        "a priority is from {lowest} to {highest}, not {0}",
        lowest = ScheduleSettings::LOWEST,
        highest = ScheduleSettings::HIGHEST
    )]
    Priority(i32),
    /// The tasks cannot be selected.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// The tasks cannot be retried.
    #[error(transparent)]
    Retry(#[from] RetryError),
    /// The sweep cannot be extended.
    #[error(transparent)]
    Extension(#[from] ExtensionError),
    /// The sweep cannot be removed.
    #[error(transparent)]
    Removal(#[from] RemovalError),
}

/// The reason why there was nothing to undo for a worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UndrainError {
    /// The coordinator does not know the worker.
    #[error("worker `{0}` is not connected")]
    Away(WorkerId),
    /// The worker was asked to exit at once.
    #[error("worker `{0}` has returned its tasks and is exiting: start it again")]
    Leaves(WorkerId),
    /// The worker gets tasks like any other.
    #[error("worker `{0}` is neither draining nor set aside")]
    Nothing(WorkerId),
}

/// An answer that is sent after the commit of its batch.
pub(super) type Answer = Box<dyn FnOnce() + Send>;

/// A query of the state. It is answered after everything that the answer shows is durable.
pub(super) type Question = Box<dyn FnOnce(&Scheduler) -> Answer + Send>;

/// Everything that can be sent to the engine.
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
        sweep: Arc<Sweep>,
        /// Who submits it, if that is known.
        by: Option<Arc<str>>,
        /// For a large sweep, what takes time.
        prepared: Option<Box<Prepared>>,
        reply: oneshot::Sender<Result<Submitted, SubmissionError>>,
    },
    Operate {
        sweep: SweepId,
        operation: Operation,
        /// For an extension of a large sweep, what takes time.
        prepared: Option<Box<Prepared>>,
        reply: oneshot::Sender<Result<Operated, OperationError>>,
    },
    /// Restores a settled sweep that was rebuilt from its entries.
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
    /// Whether the input changes nothing.
    pub(super) fn only_looks(&self) -> bool {
        matches!(self, Self::Ask(_) | Self::Watch { .. })
    }
}

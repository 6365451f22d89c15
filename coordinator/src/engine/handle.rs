//! The way to the engine.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use colearn_core::{
    id::{SweepId, WorkerId},
    scheduler::{Scheduler, SubmissionError, WorkerView},
    sweep::Sweep,
};
use colearn_proto::worker::{FromWorker, Hello};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    backpressure::{Budget, Queued, StreamBudget},
    input::{
        ConnectionId, Input, Operated, Operation, OperationError, Submitted, UndrainError, WorkerOutbox,
    },
    summary::SweepSummary,
};

/// The engine has stopped, or stopped before it could answer: nothing is known of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is stopping: try again when it is back")]
pub struct Stopped;

/// Talks to the engine. Its queue is bounded: who sends faster than batches are committed waits.
#[derive(Clone)]
pub struct EngineHandle {
    inputs: mpsc::Sender<Queued>,
    connections: Arc<AtomicU64>,
    room: Budget,
}

impl EngineHandle {
    pub(super) fn new(inputs: mpsc::Sender<Queued>) -> Self {
        Self { inputs, connections: Arc::default(), room: Budget::new() }
    }

    async fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(Queued::new(input, None)).await.map_err(|_| Stopped)
    }

    /// A worker opened a stream and said hello, in so many bytes; `outbox` is how it is told things. The engine
    /// closes the outbox when it stops, when the worker connects anew, and when the worker reads too slowly.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn connect(
        &self,
        hello: Hello,
        bytes: usize,
        outbox: WorkerOutbox,
    ) -> Result<WorkerStream, Stopped> {
        let connection = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let line = WorkerStream { engine: self.clone(), connection, allowance: self.room.allowance() };
        line.send(Input::Connected { connection, hello, outbox }, bytes).await?;
        Ok(line)
    }

    /// Submits a sweep. Returns once it is durable.
    ///
    /// # Errors
    /// When the engine has stopped; inside, when the sweep is not acceptable.
    pub async fn submit(&self, sweep: Sweep) -> Result<Result<Submitted, SubmissionError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Submit { sweep: Box::new(sweep), reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Does to a sweep what a person asked for. Returns once it is durable. What changes nothing is no error:
    /// cancelling a sweep that has ended, pausing one that is paused.
    ///
    /// # Errors
    /// When the engine has stopped; inside, when the operation is refused.
    pub async fn operate(
        &self,
        sweep: SweepId,
        operation: Operation,
    ) -> Result<Result<Operated, OperationError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Operate { sweep, operation, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Takes a settled sweep back, as [`Scheduler::of_one_sweep`] has it, so that it can be operated on.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn revive(&self, sweep: SweepId, alone: Scheduler) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Revive { sweep, alone: Box::new(alone), reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks a worker to take nothing new and to leave. `None` when it is not connected.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn drain(&self, worker: WorkerId, now: bool) -> Result<Option<WorkerView>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Drain { worker, now, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Takes a worker back that is set aside, or was asked to leave when it is idle.
    ///
    /// # Errors
    /// When the engine has stopped; inside, when there is nothing to undo.
    pub async fn undrain(&self, worker: WorkerId) -> Result<Result<WorkerView, UndrainError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Undrain { worker, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Looks at the state. What is seen is durable by the time the answer comes.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Scheduler) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question = move |scheduler: &Scheduler| {
            let seen = question(scheduler);
            // Who asked may have gone away.
            Box::new(move || drop(reply.send(seen))) as Box<dyn FnOnce() + Send>
        };
        self.send(Input::Ask(Box::new(question))).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Follows a sweep: its state now, and again after changes, about five times a second at most.
    /// `None` when there is no such sweep. The channel closes when the engine stops.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn watch(&self, sweep: SweepId) -> Result<Option<watch::Receiver<SweepSummary>>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Watch { sweep, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }
}

/// One worker's stream to the engine. It has an allowance of what may wait of it, so that it does not keep others
/// out: who has used it up waits until the engine has taken something.
pub struct WorkerStream {
    engine: EngineHandle,
    connection: ConnectionId,
    allowance: StreamBudget,
}

impl WorkerStream {
    async fn send(&self, input: Input, bytes: usize) -> Result<(), Stopped> {
        let place = self.allowance.take(bytes).await.map_err(|_| Stopped)?;
        self.engine.inputs.send(Queued::new(input, Some(place))).await.map_err(|_| Stopped)
    }

    /// The worker said something, in so many bytes.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn hear(&self, message: FromWorker, bytes: usize) -> Result<(), Stopped> {
        self.send(Input::FromWorker { connection: self.connection, message }, bytes).await
    }

    /// The stream ended.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn disconnect(self) -> Result<(), Stopped> {
        self.send(Input::Disconnected { connection: self.connection }, 0).await
    }
}

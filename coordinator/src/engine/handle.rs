//! The way to the engine.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use colearn_core::{
    id::{SweepId, WorkerId},
    scheduler::{HeldLease, Scheduler, SlotOffer, SubmissionError},
    sweep::Sweep,
};
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    input::{ConnectionId, FromWorker, Input, Submitted, ToWorker},
    summary::SweepSummary,
};

/// The engine has stopped, or stopped before it could answer: nothing is known of what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is stopping: try again when it is back")]
pub struct Stopped;

/// Talks to the engine. Its queue is bounded: who sends faster than batches are committed waits.
#[derive(Clone)]
pub struct EngineHandle {
    inputs: mpsc::Sender<Input>,
    connections: Arc<AtomicU64>,
}

impl EngineHandle {
    pub(super) fn new(inputs: mpsc::Sender<Input>) -> Self {
        Self { inputs, connections: Arc::default() }
    }

    async fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(input).await.map_err(|_| Stopped)
    }

    /// A worker opened a stream and said hello; `outbox` is how it is told things. The engine closes the
    /// outbox when it stops, when the worker connects anew, and when the worker reads too slowly.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn connect(
        &self,
        worker: WorkerId,
        host: String,
        slots: Vec<SlotOffer>,
        held: Vec<HeldLease>,
        outbox: mpsc::Sender<ToWorker>,
    ) -> Result<ConnectionId, Stopped> {
        let connection = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        self.send(Input::Connected { connection, worker, host, slots, held, outbox }).await?;
        Ok(connection)
    }

    /// A worker said something on its stream.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn hear(&self, connection: ConnectionId, message: FromWorker) -> Result<(), Stopped> {
        self.send(Input::FromWorker { connection, message }).await
    }

    /// A worker's stream ended.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn disconnect(&self, connection: ConnectionId) -> Result<(), Stopped> {
        self.send(Input::Disconnected { connection }).await
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

    /// Cancels a sweep; one that has ended stays as it is. `None` when there is no such sweep.
    ///
    /// # Errors
    /// When the engine has stopped.
    pub async fn cancel(&self, sweep: SweepId) -> Result<Option<SweepSummary>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Cancel { sweep, reply }).await?;
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

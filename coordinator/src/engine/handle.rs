//! The handle for sending inputs to the engine.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use colearn_core::{
    id::{SweepId, WorkerId},
    scheduler::{ExtensionError, Prepared, Scheduler, SubmissionError, WorkerView},
    sweep::Sweep,
};
use colearn_proto::worker::{FromWorker, Hello};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::spawn_blocking,
};

use super::{
    backpressure::{Budget, Queued, StreamBudget},
    input::{
        ConnectionId, Input, Operated, Operation, OperationError, Submitted, UndrainError, WorkerOutbox,
    },
    submitters::Submitters,
    summary::SweepSummary,
};
use crate::store::Store;

/// Number of configurations of a large sweep.
const LARGE: usize = 1000;

/// The engine has stopped, possibly before it could answer: the effect of the request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the coordinator is stopping: try again when it is back")]
pub struct Stopped;

/// Sends inputs to the engine. Its queue is bounded: a sender that is faster than the commits has to wait.
#[derive(Clone)]
pub struct EngineHandle {
    inputs: mpsc::Sender<Queued>,
    connections: Arc<AtomicU64>,
    budget: Budget,
    store: Arc<dyn Store>,
    submitters: Submitters,
}

impl EngineHandle {
    pub(super) fn new(inputs: mpsc::Sender<Queued>, store: Arc<dyn Store>, submitters: Submitters) -> Self {
        Self { inputs, connections: Arc::default(), budget: Budget::new(), store, submitters }
    }

    /// Who submitted sweeps.
    #[must_use]
    pub fn submitters(&self) -> &Submitters {
        &self.submitters
    }

    /// The number of inputs that wait for the engine.
    pub(crate) fn waiting(&self) -> usize {
        self.inputs.max_capacity() - self.inputs.capacity()
    }

    async fn send(&self, input: Input) -> Result<(), Stopped> {
        self.inputs.send(Queued::new(input, None)).await.map_err(|_| Stopped)
    }

    /// A worker opened a stream and sent its hello, with this number of bytes; `outbox` takes messages for it. The
    /// engine closes the outbox when it stops, when the worker opens a new stream, and when the worker reads too
    /// slowly.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn connect(
        &self,
        hello: Hello,
        bytes: usize,
        outbox: WorkerOutbox,
    ) -> Result<WorkerStream, Stopped> {
        let connection = ConnectionId(self.connections.fetch_add(1, Ordering::Relaxed));
        let line = WorkerStream { engine: self.clone(), connection, budget: self.budget.of_stream() };
        line.send(Input::Connected { connection, hello, outbox }, bytes).await?;
        Ok(line)
    }

    /// Submits a sweep. Returns after it is durable.
    ///
    /// # Errors
    /// If the engine has stopped; the inner error if the sweep is refused.
    pub async fn submit(
        &self,
        sweep: impl Into<Arc<Sweep>>,
    ) -> Result<Result<Submitted, SubmissionError>, Stopped> {
        self.submit_by(sweep.into(), None).await
    }

    /// As [`EngineHandle::submit`], by somebody who is recorded if the sweep is new.
    ///
    /// # Errors
    /// As [`EngineHandle::submit`].
    pub async fn submit_by(
        &self,
        sweep: Arc<Sweep>,
        by: Option<Arc<str>>,
    ) -> Result<Result<Submitted, SubmissionError>, Stopped> {
        let prepared = if is_large(&sweep) { self.prepare_submission(&sweep).await? } else { None };
        let written = prepared.is_some();
        let (reply, answer) = oneshot::channel();
        self.send(Input::Submit { sweep: sweep.clone(), by, prepared, reply }).await?;
        let answer = answer.await.map_err(|_| Stopped)?;
        if written {
            self.discard(&sweep).await;
        }
        Ok(answer)
    }

    /// Performs an operation on a sweep. Returns after it is durable. An operation without effect is no error, such
    /// as cancelling an ended sweep or pausing a paused one.
    ///
    /// # Errors
    /// If the engine has stopped; the inner error if the operation is refused.
    pub async fn operate(
        &self,
        sweep: SweepId,
        operation: Operation,
    ) -> Result<Result<Operated, OperationError>, Stopped> {
        let mut prepared: Option<Box<Prepared>> = None;
        if let Operation::Extend(newer) = &operation
            && is_large(newer)
        {
            match self.prepare_extension(sweep, newer).await? {
                Some(Err(error)) => return Ok(Err(error.into())),
                Some(Ok(extension)) => prepared = Some(extension),
                None => {}
            }
        }
        let written = prepared.as_deref().map(|extension| extension.sweep().clone());
        let (reply, answer) = oneshot::channel();
        self.send(Input::Operate { sweep, operation, prepared, reply }).await?;
        let answer = answer.await.map_err(|_| Stopped)?;
        if let Some(extended) = written {
            self.discard(&extended).await;
        }
        Ok(answer)
    }

    /// Does what takes time in proportion to a sweep that is submitted; `None` if the submission changes nothing.
    async fn prepare_submission(&self, sweep: &Arc<Sweep>) -> Result<Option<Box<Prepared>>, Stopped> {
        let name = sweep.name.clone();
        let there =
            move |scheduler: &Scheduler| scheduler.sweep_named(&name).map(|view| view.sweep().clone());
        let (there, newer) = (self.ask(there).await?, sweep.clone());
        let prepare = move || match there {
            None => Some(Box::new(Prepared::submission(newer))),
            Some(there) => Prepared::resubmission(there, newer).map(Box::new),
        };
        let Ok(Some(prepared)) = spawn_blocking(prepare).await else { return Ok(None) };
        let prepared = self.check_data(prepared).await?;
        self.write_ahead(sweep).await;
        Ok(Some(prepared))
    }

    /// Checks a prepared sweep against the data sets of the connected workers.
    async fn check_data(&self, mut prepared: Box<Prepared>) -> Result<Box<Prepared>, Stopped> {
        let names: Vec<String> = prepared.data_sets().map(str::to_owned).collect();
        let look = move |scheduler: &Scheduler| scheduler.data_shapes(names.iter().map(String::as_str));
        let shapes = self.ask(look).await?;
        let checked = spawn_blocking(move || {
            prepared.check(shapes);
            prepared
        });
        // It fails only if it panics.
        checked.await.map_err(|_| Stopped)
    }

    /// Does what takes time in proportion to a sweep that is extended; `None` if there is no such sweep.
    async fn prepare_extension(
        &self,
        sweep: SweepId,
        newer: &Arc<Sweep>,
    ) -> Result<Option<Result<Box<Prepared>, ExtensionError>>, Stopped> {
        let there = move |scheduler: &Scheduler| scheduler.sweep(sweep).map(|view| view.sweep().clone());
        let Some(there) = self.ask(there).await? else { return Ok(None) };
        let newer = newer.clone();
        let prepared = spawn_blocking(move || Prepared::extension(there, &newer)).await;
        let extension = match prepared {
            Ok(Ok(extension)) => self.check_data(Box::new(extension)).await?,
            Ok(Err(error)) => return Ok(Some(Err(error))),
            Err(_) => return Ok(None),
        };
        if extension.changes() {
            self.write_ahead(extension.sweep()).await;
        }
        Ok(Some(Ok(extension)))
    }

    async fn write_ahead(&self, sweep: &Arc<Sweep>) {
        if let Err(error) = self.store.prepare(sweep.clone()).await {
            // The commit writes the whole sweep, or fails for the same reason.
            tracing::debug!(%error, "the sweep was not written ahead");
        }
    }

    /// Removes what was written ahead and not committed.
    async fn discard(&self, sweep: &Arc<Sweep>) {
        if let Err(error) = self.store.discard(sweep.clone()).await {
            tracing::debug!(%error, "a refused sweep is removed at the next start");
        }
    }

    /// Restores a settled sweep from [`Scheduler::of_one_sweep`], so that operations on it are possible.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn revive(&self, sweep: SweepId, alone: Scheduler) -> Result<(), Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Revive { sweep, alone: Box::new(alone), reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks a worker to take no new tasks and to exit. `None` if it is not connected.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn drain(&self, worker: WorkerId, now: bool) -> Result<Option<WorkerView>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Drain { worker, now, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Restores a worker that is set aside, or undoes a drain that was not `now`.
    ///
    /// # Errors
    /// If the engine has stopped; the inner error if there is nothing to undo.
    pub async fn undrain(&self, worker: WorkerId) -> Result<Result<WorkerView, UndrainError>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Undrain { worker, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Queries the state. Everything that the answer shows is durable before the answer is sent.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Scheduler) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        let question = move |scheduler: &Scheduler| {
            let seen = question(scheduler);
            // The client may have disconnected.
            Box::new(move || drop(reply.send(seen))) as Box<dyn FnOnce() + Send>
        };
        self.send(Input::Ask(Box::new(question))).await?;
        answer.await.map_err(|_| Stopped)
    }

    /// Watches a sweep: its current state, and its state after changes, at most about five times a second. `None` if
    /// there is no such sweep. The channel closes when the engine stops.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn watch(&self, sweep: SweepId) -> Result<Option<watch::Receiver<SweepSummary>>, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.send(Input::Watch { sweep, reply }).await?;
        answer.await.map_err(|_| Stopped)
    }
}

/// Whether what takes time in proportion to a sweep is done before its turn.
fn is_large(sweep: &Sweep) -> bool {
    sweep.configurations.len() >= LARGE
}

/// The stream of one worker to the engine. It has its own budget for waiting messages, so that it cannot block other
/// streams: after the budget is used up it waits until the engine has taken a message.
pub struct WorkerStream {
    engine: EngineHandle,
    connection: ConnectionId,
    budget: StreamBudget,
}

impl WorkerStream {
    async fn send(&self, input: Input, bytes: usize) -> Result<(), Stopped> {
        let place = self.budget.take(bytes).await.map_err(|_| Stopped)?;
        self.engine.inputs.send(Queued::new(input, Some(place))).await.map_err(|_| Stopped)
    }

    /// Passes on a message of the worker, with its size in bytes.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn hear(&self, message: FromWorker, bytes: usize) -> Result<(), Stopped> {
        self.send(Input::FromWorker { connection: self.connection, message }, bytes).await
    }

    /// Reports that the stream has ended.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub async fn disconnect(self) -> Result<(), Stopped> {
        self.send(Input::Disconnected { connection: self.connection }, 0).await
    }
}

//! The loop of the engine, and its recovery.

use std::{collections::BTreeMap, mem, sync::Arc, time::Duration};

use colearn_core::{
    id::{SweepId, SweepName, WorkerId},
    scheduler::{DropReason, Event, Scheduler, SchedulerSettings, SweepStatus},
};
use colearn_proto::worker::{FromWorker, Hello, Report, ToWorker};
use tokio::{
    sync::{Notify, mpsc, watch},
    task::yield_now,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    backpressure::Queued,
    batch::{Effect, To, Turn},
    clock::Clock,
    error::EngineError,
    handle::EngineHandle,
    input::{ConnectionId, Input, WorkerOutbox},
    recovery::Recovery,
    replay::{Replayed, replay},
    submitters::Submitters,
    summary::SweepSummary,
};
use crate::{
    metrics::{Metrics, Tally},
    notify::{Wanted, notice_of_end},
    store::Store,
};

/// Maximum number of waiting inputs.
const QUEUE: usize = 1024;
/// Maximum number of inputs in one commit.
const MAX_BATCH: usize = 512;
/// Minimum interval between two updates for watchers of a sweep.
const BETWEEN_UPDATES: Duration = Duration::from_millis(200);

/// The settings of the engine.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// A worker that is silent for longer than this loses its leases.
    pub lease: Duration,
    /// Train only tasks of this sweep; `None` for all sweeps.
    pub only: Option<SweepName>,
    /// Release the leases that the journal still holds: no worker that holds one can return to this coordinator.
    /// Their tasks keep their attempts. Such a coordinator has one worker, so failed tasks cannot be tried on another
    /// one.
    pub release_leases: bool,
    /// How long after its end a sweep is settled: its journal entries are not replayed any more.
    pub settle_after: Duration,
    /// Answer queries, and change nothing: nothing is committed, and nobody can connect or submit. An inconsistent
    /// state is shown anyway.
    pub read_only: bool,
}

/// Owns the scheduler.
pub struct Engine {
    pub(super) scheduler: Scheduler,
    store: Arc<dyn Store>,
    clock: Clock,
    inputs: mpsc::Receiver<Queued>,
    /// Open streams, at most one per worker.
    connections: BTreeMap<ConnectionId, Connection>,
    by_worker: BTreeMap<WorkerId, ConnectionId>,
    followed: BTreeMap<SweepId, watch::Sender<SweepSummary>>,
    pub(super) changed: bool,
    updated: Instant,
    /// When it last processed inputs, and how long it may be busy otherwise before the silence of workers no longer
    /// counts.
    listened: Instant,
    absence: Duration,
    /// Whether only queries are answered.
    read_only: bool,
    pub(super) submitters: Submitters,
    metrics: Metrics,
    /// Who is told that sweeps have ended.
    wanted: Option<Wanted>,
    /// Told that a sweep was removed, see [`super::purge`].
    removed: Arc<Notify>,
}

struct Connection {
    worker: WorkerId,
    outbox: WorkerOutbox,
}

impl Engine {
    /// Rebuilds the state from the store's journal.
    ///
    /// # Errors
    /// If the journal cannot be read or is inconsistent, or the start itself cannot be journaled.
    pub async fn recover(
        store: Arc<dyn Store>,
        clock: Clock,
        settings: EngineSettings,
    ) -> Result<(Self, EngineHandle), EngineError> {
        let began = Instant::now();
        let absence = settings.lease / 2;
        let read_only = settings.read_only;
        // In read-only mode nothing changes.
        let settle_after = (!read_only).then_some(settings.settle_after);
        let (lease, only) = (settings.lease, settings.only);
        // Only its own worker can connect.
        let one_worker = settings.release_leases;
        let rules = SchedulerSettings { lease, only, settle_after, one_worker };
        let replayed = replay(&store, rules).await?;
        let Replayed { mut scheduler, settled: settled_before, entries, problems } = replayed;
        match problems.text() {
            Some(problems) if read_only => tracing::warn!("the state is inconsistent: {problems}"),
            Some(problems) => return Err(EngineError::Inconsistent { problems }),
            None => {}
        }
        let at = clock.now();
        let mut start = Turn::default();
        start.apply(&mut scheduler, at, Event::CoordinatorStarted, None, None);
        if settings.release_leases {
            for token in scheduler.lease_tokens().collect::<Vec<_>>() {
                start.apply(&mut scheduler, at, Event::LeaseReleased { token }, None, None);
            }
        }
        if !read_only {
            store.commit(start.batch).await.map_err(EngineError::Commit)?;
        }
        let counts = scheduler.sweeps().map(|view| view.counts());
        let (tasks, done) =
            counts.fold((0, 0), |(tasks, done), counts| (tasks + counts.total(), done + counts.done));
        let recovery = Recovery {
            sweeps: scheduler.sweeps().count(),
            settled: settled_before,
            tasks,
            done,
            leases: scheduler.lease_count(),
            entries,
            elapsed: began.elapsed(),
        };
        tracing::info!("{recovery}");
        let (sender, inputs) = mpsc::channel(QUEUE);
        let submitters = Submitters::new(store.submitters().await.map_err(EngineError::Recover)?);
        let handle = EngineHandle::new(sender, store.clone(), submitters.clone());
        let engine = Self {
            scheduler,
            store,
            clock,
            inputs,
            connections: BTreeMap::new(),
            by_worker: BTreeMap::new(),
            followed: BTreeMap::new(),
            changed: false,
            updated: began,
            listened: Instant::now(),
            absence,
            read_only,
            submitters,
            metrics: Metrics::default(),
            wanted: None,
            removed: Arc::default(),
        };
        Ok((engine, handle))
    }

    /// Counts what it does in `metrics`, and keeps for those who are `wanted` that sweeps have ended.
    pub(crate) fn with(self, metrics: Metrics, wanted: Option<Wanted>) -> Self {
        Self { metrics, wanted, ..self }
    }

    /// Told whenever a sweep was removed.
    pub(crate) fn removed(&self) -> Arc<Notify> {
        self.removed.clone()
    }

    /// Runs until `stop` is cancelled, then commits and performs queued inputs, and closes all streams.
    ///
    /// # Errors
    /// If a batch cannot be made durable. Nobody was told anything of that batch.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), EngineError> {
        loop {
            let mut queued = Vec::new();
            let stopping = self.wait(&mut queued, &stop).await;
            self.gather(&mut queued).await;
            // The queue may hold the heartbeat of a lease that looks expired, so expirations are checked only after
            // all queued inputs.
            let all_heard = queued.len() < MAX_BATCH;
            let queued = queued.into_iter().map(Queued::taken).collect();
            self.turn(queued, all_heard).await?;
            self.update_followers(stopping);
            if stopping && self.inputs.is_empty() {
                return Ok(());
            }
        }
    }

    /// Waits until there is something to do. Returns whether this is the end.
    async fn wait(&mut self, queued: &mut Vec<Queued>, stop: &CancellationToken) -> bool {
        let deadline = self.scheduler.next_deadline().map(|deadline| self.clock.instant_of(deadline));
        // In read-only mode the leases belong to another coordinator.
        let deadline = deadline.filter(|_| !self.read_only);
        let update = self.changed.then(|| self.updated + BETWEEN_UPDATES);
        // To notice its own suspension, the engine has to wake up from time to time.
        let watched = self.scheduler.lease_count() > 0 && !self.read_only;
        let liveness_check = watched.then(|| self.listened + self.absence / 2);
        let next = deadline.into_iter().chain(update).chain(liveness_check).min();
        let alarm = async {
            match next {
                Some(next) => sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                self.inputs.close();
                while queued.len() < MAX_BATCH && let Ok(input) = self.inputs.try_recv() {
                    queued.push(input);
                }
                true
            }
            received = self.inputs.recv_many(queued, MAX_BATCH) => received == 0,
            () = alarm => false,
        }
    }

    /// Takes further inputs as long as they keep coming. The messages of a worker often arrive together, and its stream
    /// passes them on one by one: without this, the first would get a commit of its own, and the others would wait for
    /// it.
    async fn gather(&mut self, queued: &mut Vec<Queued>) {
        let mut before = 0;
        while queued.len() > before && queued.len() < MAX_BATCH {
            before = queued.len();
            yield_now().await;
            while queued.len() < MAX_BATCH
                && let Ok(input) = self.inputs.try_recv()
            {
                queued.push(input);
            }
        }
    }

    async fn turn(&mut self, queued: Vec<Input>, all_heard: bool) -> Result<(), EngineError> {
        let now = self.clock.now();
        let (began, inputs) = (Instant::now(), queued.len());
        let mut turn = Turn::default();
        if self.read_only {
            // Requests for changes are dropped, which tells their senders that no coordinator serves the folder.
            for input in queued.into_iter().filter(Input::only_looks) {
                self.take(&mut turn, input);
            }
            turn.effects.into_iter().for_each(|effect| self.perform(effect));
            return Ok(());
        }
        let away = mem::replace(&mut self.listened, Instant::now()).elapsed();
        if away > self.absence {
            if self.scheduler.lease_count() > 0 {
                tracing::warn!(
                    ?away,
                    "no messages were processed for a while; all leases have their full time again"
                );
            }
            self.apply(&mut turn, Event::CoordinatorWoke);
        }
        self.apply(&mut turn, Event::Tick);
        for input in queued {
            self.take(&mut turn, input);
        }
        loop {
            let proposals = self.scheduler.proposals(now, all_heard);
            if proposals.is_empty() {
                break;
            }
            proposals.into_iter().for_each(|event| self.apply(&mut turn, event));
        }
        turn.batch.settled.extend(self.scheduler.settle_due(now));
        self.note_ends(&mut turn);
        let tally = Tally::of(&turn.batch, &turn.ended, turn.given_up);
        let Turn { batch, effects, .. } = turn;
        if !batch.is_empty() {
            self.changed = true;
            let removes = batch.entries.iter().any(|it| matches!(it.event, Event::SweepRemoved { .. }));
            let (news, committing) = (!batch.notices.is_empty(), Instant::now());
            self.store.commit(batch).await.map_err(EngineError::Commit)?;
            self.metrics.committed(&tally, committing.elapsed());
            if let Some(wanted) = self.wanted.as_ref().filter(|_| news) {
                wanted.told();
            }
            if removes {
                self.removed.notify_one();
            }
        }
        effects.into_iter().for_each(|effect| self.perform(effect));
        if let Some(discarded) = self.scheduler.take_discarded() {
            // For a large sweep that takes a while, and nobody has to wait for it.
            drop(tokio::task::spawn_blocking(move || drop(discarded)));
        }
        self.metrics.turned(inputs, began.elapsed());
        Ok(())
    }

    /// Keeps, in the batch of a turn, that somebody is to be told of the sweeps that have ended in it.
    fn note_ends(&self, turn: &mut Turn) {
        let Some(wanted) = &self.wanted else { return };
        let now = self.clock.now();
        for (sweep, _) in &turn.ended {
            let by = self.submitters.of(*sweep);
            let notice = self.summary(*sweep).and_then(|it| notice_of_end(&it, by.as_deref(), now, wanted));
            turn.batch.notices.extend(notice);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Tell(to, message) => self.tell(&to, message),
            Effect::Answer(answer) => answer(),
        }
    }

    pub(super) fn apply(&mut self, turn: &mut Turn, event: Event) {
        turn.apply(&mut self.scheduler, self.clock.now(), event, None, None);
    }

    fn take(&mut self, turn: &mut Turn, input: Input) {
        match input {
            Input::Connected { connection, hello, outbox } => {
                let Hello { worker, host, version, warnings, slots, held } = hello;
                tracing::info!(%worker, host, slots = slots.len(), held = held.len(), "worker connected");
                if let Some(old) = self.by_worker.insert(worker.clone(), connection) {
                    self.connections.remove(&old);
                }
                self.connections.insert(connection, Connection { worker: worker.clone(), outbox });
                self.changed = true;
                let event = Event::WorkerConnected { worker, host, version, warnings, slots, held };
                turn.apply(&mut self.scheduler, self.clock.now(), event, Some(connection), None);
            }
            Input::FromWorker { connection, message } => self.hear(turn, connection, message),
            Input::Disconnected { connection } => self.forget(turn, connection),
            Input::Submit { sweep, by, prepared, reply } => {
                let outcome = self.submit(turn, sweep, by, prepared);
                turn.answer(move || drop(reply.send(outcome)));
            }
            Input::Operate { sweep, operation, prepared, reply } => {
                let outcome = self.operate(turn, sweep, operation, prepared);
                turn.answer(move || drop(reply.send(outcome)));
            }
            Input::Revive { sweep, alone, reply } => {
                if self.scheduler.revive(self.clock.now(), sweep, *alone) {
                    turn.batch.revived.push(sweep);
                }
                turn.answer(move || {
                    // The client may have disconnected.
                    let _ = reply.send(());
                });
            }
            Input::Drain { worker, now, reply } => {
                self.changed = true;
                let connected = self.scheduler.workers().any(|view| view.worker == worker && view.connected);
                if connected {
                    self.apply(turn, Event::DrainRequested { worker: worker.clone(), now });
                }
                let view = self.scheduler.workers().find(|view| view.worker == worker && connected);
                turn.answer(move || drop(reply.send(view)));
            }
            Input::Undrain { worker, reply } => {
                let outcome = self.undrain(turn, &worker);
                turn.answer(move || drop(reply.send(outcome)));
            }
            Input::Ask(question) => turn.effects.push(Effect::Answer(question(&self.scheduler))),
            Input::Watch { sweep, reply } => {
                let follower = self.follow(sweep);
                turn.answer(move || drop(reply.send(follower)));
            }
        }
    }

    fn hear(&mut self, turn: &mut Turn, connection: ConnectionId, message: FromWorker) {
        // A stream that was replaced is ignored: its worker repeats everything on the new one.
        let Some(Connection { worker, .. }) = self.connections.get(&connection) else { return };
        let worker = worker.clone();
        if let Some((token, task)) = message.subject()
            && self.scheduler.lease_holder(token).is_some_and(|holder| *holder != worker)
        {
            // The lease belongs to another worker: the sender made a mistake or is malicious.
            tracing::warn!(%worker, %token, "report under the lease of another worker refused");
            let tasks = task.into_iter().collect();
            let refusal = ToWorker::Drop { token, tasks, reason: DropReason::Stale.to_string() };
            turn.effects.push(Effect::Tell(To::Sender(connection), refusal));
            return;
        }
        let (event, result) = match message {
            FromWorker::FreeSlots(slots) => (Event::SlotsFree { worker, slots }, None),
            FromWorker::DataSets(data_sets) => (Event::DataSetsKnown { worker, data_sets }, None),
            // The scheduler does not need it.
            FromWorker::Usage(_) => return,
            FromWorker::Heartbeat => (Event::Heartbeat { worker }, None),
            FromWorker::Epoch { token, task, record, .. } => {
                self.changed = true;
                (Event::EpochReported { token, task, record }, None)
            }
            FromWorker::Report(Report::Finished { token, task, result }) => {
                match self.scheduler.wrong_data(token, task, &result.data_digest) {
                    Some(failure) => (self.scheduler.failed_attempt(token, task, failure), None),
                    None => {
                        let data_digest = result.data_digest.clone();
                        (Event::TaskFinished { token, task, data_digest }, Some(result))
                    }
                }
            }
            FromWorker::Report(Report::Failed { token, task, failure }) => {
                (self.scheduler.failed_attempt(token, task, failure), None)
            }
            FromWorker::Report(Report::Released { token }) => (Event::LeaseReleased { token }, None),
        };
        turn.apply(&mut self.scheduler, self.clock.now(), event, Some(connection), result);
    }

    fn forget(&mut self, turn: &mut Turn, connection: ConnectionId) {
        if let Some(worker) = self.close(connection) {
            tracing::info!(%worker, "worker disconnected");
            self.apply(turn, Event::WorkerDisconnected { worker });
        }
    }

    /// Closes a worker's stream, unless it was closed or replaced before.
    fn close(&mut self, connection: ConnectionId) -> Option<WorkerId> {
        let Connection { worker, .. } = self.connections.remove(&connection)?;
        self.by_worker.remove(&worker);
        self.changed = true;
        Some(worker)
    }

    fn follow(&mut self, sweep: SweepId) -> Option<watch::Receiver<SweepSummary>> {
        if let Some(sender) = self.followed.get(&sweep) {
            return Some(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(self.summary(sweep)?);
        self.followed.insert(sweep, sender);
        Some(receiver)
    }

    fn update_followers(&mut self, at_once: bool) {
        let is_due = at_once || self.updated.elapsed() >= BETWEEN_UPDATES;
        if !self.changed || !(is_due || self.followed.iter().any(|(sweep, told)| self.is_over(*sweep, told)))
        {
            return;
        }
        self.changed = false;
        self.updated = Instant::now();
        for (sweep, sender) in mem::take(&mut self.followed) {
            let Some(summary) = self.summary(sweep) else { continue };
            // Watchers that have disconnected are noticed here, so that nothing is kept for them.
            if sender.receiver_count() > 0 {
                sender.send_if_modified(|kept| mem::replace(kept, summary.clone()) != summary);
                self.followed.insert(sweep, sender);
            }
        }
    }

    /// Whether a sweep has ended and its watchers do not know it: they are told at once, because they wait for it.
    fn is_over(&self, sweep: SweepId, told: &watch::Sender<SweepSummary>) -> bool {
        let has_ended = self.scheduler.sweep(sweep).is_some_and(|view| view.status() != SweepStatus::Active);
        has_ended && told.borrow().status == SweepStatus::Active
    }

    fn tell(&mut self, to: &To, message: ToWorker) {
        let connection = match to {
            To::Sender(connection) => Some(connection),
            To::Worker(worker) => self.by_worker.get(worker),
        };
        let Some(connection) = connection.copied() else { return };
        let Some(Connection { worker, outbox }) = self.connections.get(&connection) else { return };
        if let Err(error) = outbox.messages.try_send(message) {
            // The worker will reconnect with the leases that it holds, and then get the messages that it missed.
            tracing::warn!(%worker, %error, "worker does not read its messages; its stream is closed");
            if let Some(worker) = self.close(connection) {
                // A volatile event has no actions.
                drop(self.scheduler.apply(self.clock.now(), Event::WorkerDisconnected { worker }));
            }
        }
    }
}

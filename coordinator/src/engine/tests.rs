//! Tests of the engine alone: the order of commits and messages, group commits, and streams that are replaced or not
//! read.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    needs::Offers,
    result::TaskResult,
    scheduler::{HeldLease, Recovered, SlotOffer, SweepStatus},
};
use colearn_proto::worker::{Assignment, FromWorker, Hello, Lease, Report, ToWorker};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Clock, Engine, EngineError, EngineHandle, EngineSettings, WorkerOutbox, WorkerStream};
use crate::{
    store::{Batch, JournalEntry, MemoryStore, ResultRow, Store, StoreError, StoreFuture},
    testing::small_sweep,
};

const SOON: Duration = Duration::from_secs(20);
const SETTLE_AFTER: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(60);

/// A store that commits only when the test allows it.
struct Gate {
    inner: MemoryStore,
    permits: Semaphore,
    /// Number of requested commits.
    asked: AtomicUsize,
    /// From this commit on, counted from 0, commits fail: because of a full disk, or of a missing one.
    fails_from: AtomicUsize,
    disk_gone: AtomicBool,
}

impl Store for Gate {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let number = self.asked.fetch_add(1, Ordering::SeqCst);
            self.permits.acquire().await.expect("it is never closed").forget();
            if number >= self.fails_from.load(Ordering::SeqCst) {
                let path = "colearn.db".into();
                return Err(if self.disk_gone.load(Ordering::SeqCst) {
                    let cause = sqlx::Error::Io(io::Error::other("input/output error"));
                    StoreError::Database { path, cause }
                } else {
                    StoreError::Full { path }
                });
            }
            self.inner.commit(batch).await
        })
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        self.inner.journal(after, limit)
    }

    fn journal_of(
        &self,
        sweep: SweepId,
        after: u64,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        self.inner.journal_of(sweep, after, limit)
    }

    fn recovered(&self) -> StoreFuture<'_, Recovered> {
        self.inner.recovered()
    }

    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        self.inner.results(sweep, from, limit)
    }

    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
        self.inner.result_counts()
    }
}

struct Rig {
    store: Arc<Gate>,
    engine: EngineHandle,
    stop: CancellationToken,
    running: JoinHandle<Result<(), EngineError>>,
}

impl Rig {
    async fn new() -> Self {
        let permits = Semaphore::new(1);
        let (asked, fails_from) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let disk_gone = AtomicBool::new(false);
        let store = Arc::new(Gate { inner: MemoryStore::new(), permits, asked, fails_from, disk_gone });
        let settings = EngineSettings {
            lease: LEASE,
            only: None,
            release_leases: false,
            settle_after: SETTLE_AFTER,
            read_only: false,
        };
        let (engine, handle) = Engine::recover(store.clone(), Clock::of_the_host(), settings).await.unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(engine.run(stop.clone()));
        Self { store, engine: handle, stop, running }
    }

    async fn connect(
        &self,
        capacity: usize,
        held: Vec<HeldLease>,
    ) -> (WorkerStream, mpsc::Receiver<ToWorker>) {
        self.try_connect(capacity, held).await.unwrap()
    }

    /// `None` if the engine has stopped.
    async fn try_connect(
        &self,
        capacity: usize,
        held: Vec<HeldLease>,
    ) -> Option<(WorkerStream, mpsc::Receiver<ToWorker>)> {
        let (outbox, inbox, _closed) = WorkerOutbox::new(capacity);
        let slots = vec![SlotOffer {
            index: 0,
            device: "cpu x1".to_owned(),
            max_cohort: 8,
            offers: Offers::default(),
        }];
        let (worker, host, version) = (WorkerId::new("w").unwrap(), String::new(), String::new());
        let hello = Hello { worker, host, version, warnings: vec![], slots, held };
        Some((self.engine.connect(hello, 0, outbox).await.ok()?, inbox))
    }

    /// A worker with a lease of `tasks` tasks.
    async fn leased(&self, tasks: u64) -> (WorkerStream, mpsc::Receiver<ToWorker>, LeaseToken, Vec<TaskId>) {
        self.store.permits.add_permits(2);
        self.engine.submit(small_sweep("first", tasks, 1)).await.unwrap().unwrap();
        let (connection, mut inbox) = self.connect(64, vec![]).await;
        connection.hear(FromWorker::FreeSlots(vec![0]), 0).await.unwrap();
        let Some(ToWorker::Lease(Lease { token, tasks, .. })) = timeout(SOON, inbox.recv()).await.unwrap()
        else {
            panic!("a lease was expected");
        };
        (connection, inbox, token, tasks.into_iter().map(|assignment| assignment.task).collect())
    }

    async fn finish(&self, connection: &WorkerStream, token: LeaseToken, task: TaskId) {
        let result = TaskResult {
            metrics: [("accuracy".to_owned(), 0.5)].into(),
            confusion: vec![],
            history: vec![],
            best_epoch: 1,
            parameters: 1,
            seconds: 1.0,
            device: "cpu".to_owned(),
            ..TaskResult::default()
        };
        let message = FromWorker::Report(Report::Finished { token, task, result: Box::new(result) });
        connection.hear(message, 0).await.unwrap();
    }

    /// Waits until the engine requests its `n`th commit.
    async fn asked(&self, n: usize) {
        let asked = async {
            while self.store.asked.load(Ordering::SeqCst) < n {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, asked).await.unwrap();
    }

    async fn stop(self) {
        self.store.permits.add_permits(1000);
        self.stop.cancel();
        timeout(SOON, self.running).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn watchers_are_told_at_once_that_a_sweep_has_ended() {
    let rig = Rig::new().await;
    rig.store.permits.add_permits(1000);
    let (connection, _inbox, token, tasks) = rig.leased(1).await;
    let mut follower = rig.engine.watch(SweepId(1)).await.unwrap().unwrap();
    let began = Instant::now();
    rig.finish(&connection, token, tasks[0]).await;
    while follower.borrow_and_update().status == SweepStatus::Active {
        timeout(SOON, follower.changed()).await.unwrap().unwrap();
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "an update in between would have waited");
    rig.stop().await;
}

#[tokio::test]
async fn nothing_is_told_before_it_is_durable() {
    let rig = Rig::new().await;
    let (connection, mut inbox, token, tasks) = rig.leased(1).await;
    let commits = rig.store.asked.load(Ordering::SeqCst);
    rig.finish(&connection, token, tasks[0]).await;
    rig.asked(commits + 1).await;
    let looking = tokio::spawn({
        let engine = rig.engine.clone();
        async move { engine.ask(|scheduler| scheduler.sweeps().next().unwrap().counts().done).await }
    });
    tokio::task::yield_now().await;
    assert!(inbox.try_recv().is_err(), "the commit has not happened yet");
    assert!(!looking.is_finished());
    rig.store.permits.add_permits(1);
    let told = timeout(SOON, inbox.recv()).await.unwrap();
    assert_eq!(told, Some(ToWorker::Acknowledged { token, task: tasks[0] }));
    assert_eq!(rig.store.results(SweepId(1), 0, 10).await.unwrap().len(), 1);
    assert_eq!(looking.await.unwrap(), Ok(1));
    rig.stop().await;
}

#[tokio::test]
async fn what_waits_is_committed_together() {
    let rig = Rig::new().await;
    let (connection, mut inbox, token, tasks) = rig.leased(8).await;
    let commits = rig.store.asked.load(Ordering::SeqCst);
    rig.finish(&connection, token, tasks[0]).await;
    rig.asked(commits + 1).await;
    for task in &tasks[1..] {
        rig.finish(&connection, token, *task).await;
    }
    rig.store.permits.add_permits(1000);
    for task in tasks {
        assert_eq!(timeout(SOON, inbox.recv()).await.unwrap(), Some(ToWorker::Acknowledged { token, task }));
    }
    assert_eq!(rig.store.asked.load(Ordering::SeqCst), commits + 2, "one for the first, one for all others");
    rig.stop().await;
}

#[tokio::test]
async fn repeated_and_stale_reports_are_answered_and_not_journaled() {
    let rig = Rig::new().await;
    let (connection, mut inbox, token, tasks) = rig.leased(2).await;
    rig.store.permits.add_permits(1000);
    rig.finish(&connection, token, tasks[0]).await;
    inbox.recv().await.unwrap();
    let journaled = rig.store.journal(0, 100).await.unwrap().len();
    rig.finish(&connection, token, tasks[0]).await;
    rig.finish(&connection, LeaseToken(99), tasks[1]).await;
    let told = [inbox.recv().await.unwrap(), inbox.recv().await.unwrap()];
    assert!(matches!(told, [ToWorker::Acknowledged { .. }, ToWorker::Drop { .. }]), "{told:?}");
    assert_eq!(rig.store.journal(0, 100).await.unwrap().len(), journaled);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_queued_when_it_stops_is_committed() {
    let rig = Rig::new().await;
    let (connection, mut inbox, token, tasks) = rig.leased(4).await;
    let commits = rig.store.asked.load(Ordering::SeqCst);
    rig.finish(&connection, token, tasks[0]).await;
    rig.asked(commits + 1).await;
    for task in &tasks[1..] {
        rig.finish(&connection, token, *task).await;
    }
    let store = rig.store.clone();
    let engine = rig.engine.clone();
    rig.stop().await;
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap().len(), 4);
    for _ in 0..4 {
        assert!(matches!(inbox.recv().await, Some(ToWorker::Acknowledged { .. })));
    }
    assert_eq!(inbox.recv().await, None, "streams are closed");
    assert!(engine.ask(|_| ()).await.is_err());
}

#[tokio::test]
async fn a_replaced_stream_has_nothing_to_say() {
    let rig = Rig::new().await;
    let (old, mut old_inbox, token, tasks) = rig.leased(2).await;
    let held = vec![HeldLease { token, tasks: tasks.clone() }];
    let (new, mut inbox) = rig.connect(64, held).await;
    assert_eq!(timeout(SOON, old_inbox.recv()).await.unwrap(), None);
    rig.store.permits.add_permits(1000);
    rig.finish(&old, token, tasks[0]).await;
    old.disconnect().await.unwrap();
    rig.finish(&new, token, tasks[1]).await;
    let told = timeout(SOON, inbox.recv()).await.unwrap();
    assert_eq!(told, Some(ToWorker::Acknowledged { token, task: tasks[1] }));
    let workers = rig.engine.ask(|scheduler| scheduler.workforce().0).await.unwrap();
    assert_eq!(workers, 1, "the end of the old stream is not the end of the worker");
    rig.stop().await;
}

#[tokio::test]
async fn a_worker_that_does_not_read_is_cut_off() {
    let rig = Rig::new().await;
    rig.store.permits.add_permits(1000);
    let (connection, mut inbox) = rig.connect(1, vec![]).await;
    let unknown = TaskId { sweep: SweepId(9), configuration: colearn_core::id::ConfigurationId(9), seed: 9 };
    for _ in 0..3 {
        rig.finish(&connection, LeaseToken(1), unknown).await;
    }
    let workers = rig.engine.ask(|scheduler| scheduler.workforce().0).await.unwrap();
    // A query in the same turn may be answered before the worker is disconnected; the next one is not.
    let later = rig.engine.ask(|scheduler| scheduler.workforce().0).await.unwrap();
    assert!(workers <= 1 && later == 0, "{workers}, then {later}");
    assert!(matches!(inbox.recv().await, Some(ToWorker::Drop { .. })));
    assert_eq!(inbox.recv().await, None);
    rig.stop().await;
}

#[tokio::test]
async fn a_task_that_backs_off_is_granted_when_its_time_has_come() {
    let rig = Rig::new().await;
    rig.store.permits.add_permits(1000);
    let mut sweep = small_sweep("first", 1, 1);
    sweep.retries.initial_backoff = Duration::from_millis(50);
    rig.engine.submit(sweep).await.unwrap().unwrap();
    let (connection, mut inbox) = rig.connect(64, vec![]).await;
    connection.hear(FromWorker::FreeSlots(vec![0]), 0).await.unwrap();
    let Some(ToWorker::Lease(Lease { token, tasks, .. })) = timeout(SOON, inbox.recv()).await.unwrap() else {
        panic!("a lease was expected");
    };
    let failure = colearn_core::failure::Failure::new(colearn_core::failure::FailureReason::Crash, "x");
    let failed = FromWorker::Report(Report::Failed { token, task: tasks[0].task, failure });
    connection.hear(failed, 0).await.unwrap();
    connection.hear(FromWorker::FreeSlots(vec![0]), 0).await.unwrap();
    assert!(matches!(timeout(SOON, inbox.recv()).await.unwrap(), Some(ToWorker::Acknowledged { .. })));
    let Some(ToWorker::Lease(Lease { tasks, .. })) = timeout(SOON, inbox.recv()).await.unwrap() else {
        panic!("with nothing said by anyone");
    };
    assert_eq!(tasks[0].attempt, 2);
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_was_stopped_for_a_while_does_not_blame_its_workers() {
    let rig = Rig::new().await;
    let (connection, mut inbox, token, tasks) = rig.leased(1).await;
    rig.store.permits.add_permits(1000);
    // As after Ctrl-Z and `fg`, or on a suspended machine: the clock is suddenly hours ahead.
    tokio::time::advance(LEASE * 100).await;
    let leases = rig.engine.ask(|scheduler| scheduler.lease_count()).await.unwrap();
    assert_eq!(leases, 1, "it had no chance to be heard");
    rig.finish(&connection, token, tasks[0]).await;
    assert_eq!(inbox.recv().await, Some(ToWorker::Acknowledged { token, task: tasks[0] }));
    rig.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_silent_while_it_is_listened_to_loses_its_lease() {
    let rig = Rig::new().await;
    let (_connection, mut inbox, token, _) = rig.leased(1).await;
    rig.store.permits.add_permits(1000);
    tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
    let told = timeout(SOON, inbox.recv()).await.unwrap();
    assert!(matches!(told, Some(ToWorker::Drop { token: of, .. }) if of == token), "{told:?}");
    rig.stop().await;
}

#[tokio::test]
async fn whichever_commit_fails_nothing_of_it_was_told() {
    // The start is commit 0; then come the submission, the lease and the results.
    for (last, disk_gone) in (1..6).flat_map(|last| [(last, false), (last, true)]) {
        let rig = Rig::new().await;
        rig.store.permits.add_permits(1000);
        rig.store.disk_gone.store(disk_gone, Ordering::SeqCst);
        rig.store.fails_from.store(last, Ordering::SeqCst);
        let submitted = rig.engine.submit(small_sweep("first", 8, 1)).await;
        let (mut leased, mut acknowledged) = (0, 0);
        if submitted.is_ok() {
            let connected = rig.try_connect(64, vec![]).await;
            if let Some((connection, mut inbox)) = connected {
                let offer = FromWorker::FreeSlots(vec![0]);
                // A client that is told that the engine has stopped gets no other message.
                let _ = connection.hear(offer, 0).await;
                while let Some(message) = timeout(SOON, inbox.recv()).await.unwrap() {
                    match message {
                        ToWorker::Lease(Lease { token, tasks, .. }) => {
                            leased += tasks.len();
                            for Assignment { task, .. } in tasks {
                                let (result, token) = (Box::default(), token);
                                let finished = FromWorker::Report(Report::Finished { token, task, result });
                                let _ = connection.hear(finished, 0).await;
                                // One input per batch, so that the failing commit is one of them.
                                tokio::task::yield_now().await;
                            }
                        }
                        ToWorker::Acknowledged { .. } => acknowledged += 1,
                        other => panic!("{other:?}"),
                    }
                    if acknowledged == 8 {
                        break;
                    }
                }
            }
        }
        let entries = rig.store.journal(0, 100).await.unwrap();
        let kind = |kind| entries.iter().filter(|(_, entry)| entry.event.kind() == kind).count();
        assert_eq!(submitted.is_ok(), kind("sweep_submitted") == 1, "commit {last}");
        assert_eq!(leased > 0, kind("lease_granted") == 1, "commit {last}");
        let recorded = rig.store.results(SweepId(1), 0, 100).await.unwrap().len();
        assert_eq!((acknowledged, kind("task_finished")), (recorded, recorded), "commit {last}");
        if acknowledged < 8 {
            let ended = timeout(SOON, rig.running).await.unwrap().unwrap();
            let why = match ended.as_ref().unwrap_err() {
                EngineError::Commit(StoreError::Full { .. }) => Some(false),
                EngineError::Commit(StoreError::Database { .. }) => Some(true),
                _ => None,
            };
            assert_eq!(why, Some(disk_gone), "{ended:?}");
        } else {
            rig.stop().await;
        }
    }
}

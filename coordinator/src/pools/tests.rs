//! The manager with a batch system that a test controls.

use std::sync::atomic::{AtomicBool, Ordering};

use colearn_core::pools::{JobState, SeenJob, SeenState, SubmitError, WorkerSettings};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    engine::{Clock, Engine, EngineHandle, EngineSettings},
    store::MemoryStore,
    testing::small_sweep,
};

const SOON: Duration = Duration::from_secs(30);

/// A batch system that takes every job, and looks into the store whenever it is asked for one.
struct Taking {
    store: Arc<MemoryStore>,
    queue: Mutex<Vec<SeenJob>>,
    away: AtomicBool,
}

impl Taking {
    fn names(&self) -> Vec<String> {
        self.queue.lock().unwrap().iter().map(|job| job.name.clone()).collect()
    }
}

impl BatchSystem for Taking {
    fn check(&self, _: Vec<String>, _: String) -> BatchFuture<'_, String> {
        Box::pin(async { Ok("fine".to_owned()) })
    }

    fn submit(&self, _: Vec<String>, script: String) -> BatchFuture<'_, String, SubmitError> {
        Box::pin(async move {
            let name = script.lines().find_map(|line| line.strip_prefix("#SBATCH --job-name=")).unwrap();
            let pools = stored(&*self.store).await.unwrap();
            let mut jobs = pools.0.values().flat_map(|pool| {
                let submitting = pool.jobs.values().filter(|job| job.state == JobState::Submitting);
                submitting.map(|job| pool.job_name(job.number)).collect::<Vec<_>>()
            });
            assert!(jobs.any(|job| job == name), "{name} is submitted before it is stored");
            let mut queue = self.queue.lock().unwrap();
            let id = (queue.len() + 1).to_string();
            queue.push(SeenJob {
                name: name.to_owned(),
                id: id.clone(),
                state: SeenState::Queued,
                detail: String::new(),
            });
            Ok(id)
        })
    }

    fn queue(&self) -> BatchFuture<'_, Vec<SeenJob>> {
        Box::pin(async {
            if self.away.load(Ordering::SeqCst) {
                return Err("no answer".to_owned());
            }
            Ok(self.queue.lock().unwrap().clone())
        })
    }

    fn cancel(&self, id: String, _: bool) -> BatchFuture<'_, ()> {
        Box::pin(async move {
            self.queue.lock().unwrap().retain(|job| job.id != id);
            Ok(())
        })
    }
}

struct Running {
    engine: EngineHandle,
    pools: PoolsHandle,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

async fn start(store: Arc<MemoryStore>, system: Arc<Taking>) -> Running {
    let settings = EngineSettings {
        lease: Duration::from_secs(60),
        only: None,
        release_leases: false,
        settle_after: Duration::from_secs(3600),
        read_only: false,
    };
    let clock = Clock::of_the_host();
    let (engine, handle) = Engine::recover(store.clone(), clock, settings).await.unwrap();
    let rules = PoolRules {
        system,
        interval: Duration::from_millis(10),
        worker_program: Some("/w".into()),
        worker_access: None,
    };
    let address = "http://login1:1".to_owned();
    let folder = std::env::temp_dir().join("colearn-no-pools");
    let started = Manager::start(store, handle.clone(), rules, clock, address, Some(folder)).await;
    let (manager, pools) = started.unwrap();
    let stop = CancellationToken::new();
    let engine_stop = stop.clone();
    let tasks = vec![
        tokio::spawn(async move { engine.run(engine_stop).await.unwrap() }),
        tokio::spawn(manager.run(stop.clone())),
    ];
    Running { engine: handle, pools, stop, tasks }
}

impl Running {
    async fn end(self) {
        self.stop.cancel();
        for task in self.tasks {
            task.await.unwrap();
        }
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Shown) -> bool) {
        let wait = async {
            while !is_so(&self.pools.shown().await.unwrap()) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("{what} does not happen"));
    }
}

fn settings(folder: &std::path::Path) -> PoolSettings {
    PoolSettings {
        name: PoolName::new("gpu").unwrap(),
        max_workers: 3,
        min_workers: 0,
        idle_seconds: 60,
        time_limit_seconds: None,
        slots: 1,
        gpu: false,
        worker: WorkerSettings {
            program: String::new(),
            coordinator: String::new(),
            data_dir: None,
            checkpoints: None,
            access: None,
            allow_programs: false,
            programs_only: false,
            labels: Default::default(),
            arguments: Vec::new(),
        },
        log_dir: folder.to_string_lossy().into_owned(),
        arguments: Vec::new(),
    }
}

#[tokio::test]
async fn a_job_is_stored_before_it_is_submitted_and_known_to_the_next_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let taking = |store: &Arc<MemoryStore>, queue| {
        Arc::new(Taking { store: store.clone(), queue: Mutex::new(queue), away: AtomicBool::new(false) })
    };
    let system = taking(&store, Vec::new());
    let running = start(store.clone(), system.clone()).await;
    running.engine.submit(small_sweep("small", 2, 1)).await.unwrap().unwrap();
    let made = running.pools.create(settings(folder.path()), false).await.unwrap().pool;
    assert_eq!(made.settings.worker.program, "/w");
    assert_eq!(made.settings.worker.coordinator, "http://login1:1");
    let again = running.pools.create(settings(folder.path()), false).await;
    assert!(matches!(again, Err(PoolError::Exists(_))));
    // Job 1 of another pool has a log of its own.
    let other = PoolSettings { name: PoolName::new("cpu").unwrap(), ..settings(folder.path()) };
    let other = running.pools.create(other, true).await.unwrap().pool;
    assert_eq!(PathBuf::from(&made.settings.log_dir).parent(), Some(folder.path()));
    assert_ne!(made.settings.log_dir, other.settings.log_dir);
    running.until("two jobs", |shown| shown.pools.0.values().any(|pool| pool.jobs.len() == 2)).await;
    running.end().await;
    assert_eq!(system.names(), [made.job_name(1), made.job_name(2)]);

    let store = Arc::new(store.take_over());
    let system = taking(&store, system.queue.lock().unwrap().clone());
    let running = start(store, system.clone()).await;
    let queued = |shown: &Shown| {
        let jobs = shown.pools.0.values().flat_map(|pool| pool.jobs.values());
        jobs.filter(|job| job.state == JobState::Queued).count() == 2
    };
    running.until("both to be seen", queued).await;
    running.engine.submit(small_sweep("more", 1, 1)).await.unwrap().unwrap();
    running.until("a third job", |shown| shown.pools.0.values().any(|pool| pool.jobs.len() == 3)).await;
    assert_eq!(system.names().last(), Some(&made.job_name(3)));

    running.pools.remove(made.settings.name.clone()).await.unwrap();
    running.until("the end of the pool", |shown| shown.pools.0.is_empty()).await;
    assert_eq!(system.names(), Vec::<String>::new());
    running.end().await;
}

#[tokio::test]
async fn nothing_is_submitted_while_the_queue_cannot_be_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(MemoryStore::new());
    let (queue, away) = (Mutex::new(Vec::new()), AtomicBool::new(true));
    let system = Arc::new(Taking { store: store.clone(), queue, away });
    let running = start(store, system.clone()).await;
    running.engine.submit(small_sweep("small", 2, 1)).await.unwrap().unwrap();
    running.pools.create(settings(folder.path()), false).await.unwrap();
    running.until("the trouble", |shown| shown.trouble.as_deref() == Some("no answer")).await;
    assert_eq!(system.names(), Vec::<String>::new());
    system.away.store(false, Ordering::SeqCst);
    running.until("two jobs", |shown| shown.pools.0.values().any(|pool| pool.jobs.len() == 2)).await;
    running.end().await;
}

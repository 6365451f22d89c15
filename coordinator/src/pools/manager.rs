//! The loop that manages pools, beside the engine.

use std::{
    collections::BTreeMap,
    fs::DirBuilder,
    mem,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use colearn_core::{
    pools::{
        Action, Pause, Pool, PoolName, PoolSettings, Pools, Waiting,
        slurm::{arguments, asks_for_gpu, script},
    },
    scheduler::Scheduler,
};
use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Created, PoolError, PoolRules, PoolsHandle, Request, Shown, stored};
use crate::{
    engine::{Clock, EngineHandle, Stopped},
    store::{Store, StoreError},
};

/// Interval between two looks at the waiting tasks.
const BETWEEN_TURNS: Duration = Duration::from_secs(1);
/// Maximum number of waiting requests.
const REQUESTS: usize = 16;
/// Number of random digits of a pool's mark.
const MARK: usize = 6;

/// Manages the pools. It alone changes them.
pub(crate) struct Manager {
    pools: Pools,
    /// What the store has, by name.
    kept: BTreeMap<PoolName, String>,
    store: Arc<dyn Store>,
    engine: EngineHandle,
    rules: PoolRules,
    clock: Clock,
    /// The address of the coordinator for workers, and the folder for logs, of pools that name none.
    address: String,
    log_dir: Option<PathBuf>,
    requests: mpsc::Receiver<Request>,
    shown: Arc<Mutex<Shown>>,
    /// When the queue was last seen, and when it was last looked at.
    sighted: Option<Instant>,
    looked: Option<Instant>,
    trouble: Option<String>,
}

impl Manager {
    /// Takes over the pools of the store.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) async fn start(
        store: Arc<dyn Store>,
        engine: EngineHandle,
        rules: PoolRules,
        clock: Clock,
        address: String,
        log_dir: Option<PathBuf>,
    ) -> Result<(Self, PoolsHandle), StoreError> {
        let mut pools = stored(&*store).await?;
        pools.0.values_mut().for_each(|pool| pool.started_again(clock.now()));
        let (sender, requests) = mpsc::channel(REQUESTS);
        let shown = Arc::new(Mutex::new(Shown { pools: pools.clone(), trouble: None }));
        let handle = PoolsHandle { store: store.clone(), manager: Some((sender, shown.clone())) };
        let manager = Self {
            // Written again at the first turn.
            kept: pools.0.keys().map(|name| (name.clone(), String::new())).collect(),
            pools,
            store,
            engine,
            rules,
            clock,
            address,
            log_dir,
            requests,
            shown,
            sighted: None,
            looked: None,
            trouble: None,
        };
        Ok((manager, handle))
    }

    /// Runs until `stop` is cancelled or the engine has stopped. Jobs in the batch system go on.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut ticks = interval(BETWEEN_TURNS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                Some(request) = self.requests.recv() => self.answer(request).await,
                _ = ticks.tick() => {}
            }
            match self.turn().await {
                Ok(()) => {}
                Err(PoolError::Stopped) => return,
                // What was decided is not done; the next turn tries again.
                Err(error) => tracing::error!("pools are not managed at the moment: {error}"),
            }
            self.show();
        }
    }

    /// Looks, decides, stores, and acts.
    async fn turn(&mut self) -> Result<(), PoolError> {
        if self.pools.0.is_empty() && self.kept.is_empty() {
            return Ok(());
        }
        let look = |scheduler: &Scheduler| (scheduler.waiting(), scheduler.workers_for_pools());
        let (waiting, workers) = self.engine.ask(look).await.map_err(stopped)?;
        self.pools.workers(&workers);
        let strays = self.look(&waiting).await;
        // Nothing is decided blindly.
        let fresh = self.sighted.is_some_and(|at| at.elapsed() < self.rules.interval * 3 + BETWEEN_TURNS);
        let paused = self.paused();
        // Without jobs there is nothing to see.
        let decided = if fresh || !self.pools.need_sight(&waiting) {
            self.pools.decide(self.clock.now(), &waiting)
        } else {
            Vec::new()
        };
        // Before anything is done.
        self.keep().await?;
        for (name, action) in strays.into_iter().chain(decided) {
            self.act(&name, action).await?;
            self.keep().await?;
        }
        for (name, why) in self.paused().into_iter().filter(|(name, _)| !paused.contains_key(name)) {
            tracing::warn!("pool {name} is paused: {why}");
        }
        Ok(())
    }

    fn paused(&self) -> BTreeMap<PoolName, String> {
        let failing = |(name, pool): (&PoolName, &Pool)| match &pool.pause {
            Some(Pause::Failing(why)) => Some((name.clone(), why.clone())),
            Some(Pause::Person) | None => None,
        };
        self.pools.0.iter().filter_map(failing).collect()
    }

    /// Looks at the queue, if it is time and anybody needs it.
    async fn look(&mut self, waiting: &[Waiting]) -> Vec<(PoolName, Action)> {
        let due = self.looked.is_none_or(|at| at.elapsed() >= self.rules.interval);
        if !due || !self.pools.need_sight(waiting) {
            return Vec::new();
        }
        let (began, started) = (self.clock.now(), Instant::now());
        self.looked = Some(started);
        match self.rules.system.queue().await {
            Ok(seen) => {
                self.sighted = Some(started);
                if mem::take(&mut self.trouble).is_some() {
                    tracing::info!("the queue of the batch system can be seen again");
                }
                self.pools.seen(self.clock.now(), began, &seen)
            }
            Err(why) => {
                if self.trouble.as_ref() != Some(&why) {
                    tracing::warn!("the queue of the batch system cannot be seen: {why}");
                }
                self.trouble = Some(why);
                Vec::new()
            }
        }
    }

    async fn act(&mut self, name: &PoolName, action: Action) -> Result<(), PoolError> {
        match action {
            Action::Submit { number } => self.submit(name, number).await,
            Action::Cancel { id, only_queued } => {
                tracing::info!(job = id, "pool {name}: the job is cancelled");
                if let Err(why) = self.rules.system.cancel(id, only_queued).await {
                    tracing::warn!("pool {name}: {why}");
                }
            }
            Action::Drain { worker } => {
                let find = move |scheduler: &Scheduler| {
                    let ids = scheduler.workers().map(|view| (view.worker, view.leaves_now));
                    let is_it = |id: &str| id.rsplit_once('-').is_some_and(|(name, _)| name == worker);
                    ids.filter(|(id, leaves)| !leaves && is_it(id.as_str())).map(|(id, _)| id).next()
                };
                if let Some(worker) = self.engine.ask(find).await.map_err(stopped)? {
                    self.engine.drain(worker, true).await.map_err(stopped)?;
                }
            }
        }
        Ok(())
    }

    async fn submit(&mut self, name: &PoolName, number: u64) {
        let Some(pool) = self.pools.0.get(name) else { return };
        let kept = pool.jobs.get(&number).is_some_and(|job| job.kept);
        let (arguments, script) = (arguments(pool), script(pool, number, kept));
        let folder = PathBuf::from(&pool.settings.log_dir);
        let outcome = match make_folder(&folder) {
            Ok(()) => self.rules.system.submit(arguments, script).await,
            Err(error) => {
                Err(colearn_core::pools::SubmitError::Refused(format!("{}: {error}", folder.display())))
            }
        };
        match &outcome {
            Ok(id) => tracing::info!(job = id, "pool {name}: job {number} is submitted"),
            Err(why) => tracing::warn!("pool {name}: job {number}: {why:?}"),
        }
        let now = self.clock.now();
        if let Some(pool) = self.pools.0.get_mut(name) {
            pool.submitted(now, number, outcome);
        }
    }

    /// Stores the pools that have changed.
    async fn keep(&mut self) -> Result<(), PoolError> {
        let gone: Vec<PoolName> =
            self.kept.keys().filter(|name| !self.pools.0.contains_key(*name)).cloned().collect();
        for name in gone {
            self.store.keep_pool(name.to_string(), None).await?;
            tracing::info!("pool {name} is removed");
            self.kept.remove(&name);
        }
        for (name, pool) in &self.pools.0 {
            let body = serde_json::to_string(pool).map_err(|error| StoreError::Corrupt {
                path: "colearn.db".into(),
                detail: format!("pool {name}: {error}"),
            })?;
            if self.kept.get(name) != Some(&body) {
                self.store.keep_pool(name.to_string(), Some(body.clone())).await?;
                self.kept.insert(name.clone(), body);
            }
        }
        Ok(())
    }

    fn show(&self) {
        let shown = Shown { pools: self.pools.clone(), trouble: self.trouble.clone() };
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = shown;
    }

    async fn answer(&mut self, request: Request) {
        // The client may have disconnected.
        match request {
            Request::Create { settings, dry_run, reply } => {
                let created = self.create(*settings, dry_run).await;
                self.show();
                drop(reply.send(created));
            }
            Request::Pause { name, paused, reply } => {
                let change = |pool: &mut Pool| pool.set_paused(paused);
                let changed = self.change(name, false, change).await;
                self.show();
                drop(reply.send(changed));
            }
            Request::Remove { name, reply } => {
                let changed = self.change(name, true, Pool::remove).await;
                self.show();
                drop(reply.send(changed));
            }
        }
    }

    async fn change(
        &mut self,
        name: PoolName,
        also_removed: bool,
        change: impl FnOnce(&mut Pool),
    ) -> Result<Pool, PoolError> {
        let pool = self.pools.0.get_mut(&name).ok_or_else(|| PoolError::Unknown(name.clone()))?;
        if pool.removing && !also_removed {
            return Err(PoolError::Removing(name));
        }
        change(pool);
        let changed = pool.clone();
        self.keep().await?;
        Ok(changed)
    }

    async fn create(&mut self, settings: PoolSettings, dry_run: bool) -> Result<Created, PoolError> {
        let name = settings.name.clone();
        match self.pools.0.get(&name) {
            Some(pool) if pool.removing => return Err(PoolError::Removing(name)),
            Some(_) if !dry_run => return Err(PoolError::Exists(name)),
            _ => {}
        }
        let mut mark = Uuid::new_v4().simple().to_string();
        mark.truncate(MARK);
        let settings = self.complete(settings, &mark)?;
        settings.check()?;
        let folder = PathBuf::from(&settings.log_dir);
        let pool = Pool::new(settings, mark, self.clock.now());
        let checked = self.rules.system.check(arguments(&pool), script(&pool, 1, false)).await;
        let checked = checked.map_err(PoolError::Refused)?;
        if !dry_run {
            make_folder(&folder)
                .map_err(|error| PoolError::LogDir(format!("{}: {error}", folder.display())))?;
            self.pools.0.insert(name.clone(), pool.clone());
            if let Err(error) = self.keep().await {
                self.pools.0.remove(&name);
                return Err(error);
            }
        }
        Ok(Created { pool, checked })
    }

    /// The settings with the defaults of this coordinator.
    fn complete(&self, mut settings: PoolSettings, mark: &str) -> Result<PoolSettings, PoolError> {
        let PoolSettings { name, worker, log_dir, gpu, arguments, .. } = &mut settings;
        if worker.coordinator.is_empty() {
            worker.coordinator = self.address.clone();
        }
        if worker.program.is_empty() {
            let program = self.rules.worker_program.as_deref().and_then(Path::to_str);
            worker.program = program.ok_or(PoolError::NoProgram)?.to_owned();
        }
        if worker.access.is_none() && worker.coordinator.starts_with("https://") {
            let access = self.rules.worker_access.as_deref().and_then(Path::to_str);
            worker.access = access.map(str::to_owned);
        }
        if log_dir.is_empty() {
            let none = || PoolError::LogDir("there is no state folder: use --log-dir".to_owned());
            *log_dir = self.log_dir.as_ref().ok_or_else(none)?.to_string_lossy().into_owned();
        }
        // Jobs of each pool are counted from 1, and several pools may have been given the same folder.
        *log_dir = Path::new(log_dir).join(format!("{name}-{mark}")).to_string_lossy().into_owned();
        *gpu |= asks_for_gpu(arguments);
        Ok(settings)
    }
}

fn stopped(_: Stopped) -> PoolError {
    PoolError::Stopped
}

/// The log of a program may tell more than other people should know.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

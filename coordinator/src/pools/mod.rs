//! Pools of worker jobs: carries out in a batch system what [`colearn_core::pools`] decides.

mod batch;
mod manager;
mod slurm;
#[cfg(test)]
mod tests;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use colearn_core::pools::{Pool, PoolName, PoolSettings, Pools, SettingsError};
use tokio::sync::{mpsc, oneshot};

pub(crate) use self::manager::Manager;
pub use self::{
    batch::{BatchFuture, BatchSystem},
    slurm::Slurm,
};
use crate::store::{Store, StoreError};

/// How a coordinator manages pools.
#[derive(Clone)]
pub struct PoolRules {
    /// The batch system.
    pub system: Arc<dyn BatchSystem>,
    /// Interval between two looks at its queue.
    pub interval: Duration,
    /// The worker program for pools that name none.
    pub worker_program: Option<PathBuf>,
    /// The access file of workers for pools that name none; `None` if the coordinator is open, or another authority
    /// issues its files.
    pub worker_access: Option<PathBuf>,
}

/// A request of a person was refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// This coordinator does not manage pools.
    #[error(
        "this coordinator manages no pools: start it with `colearn coordinator --allow-pools`, on a host that has the commands of Slurm; whoever can reach it can then run jobs as its user"
    )]
    NotManaged,
    /// There is no such pool.
    #[error("there is no pool `{0}`")]
    Unknown(PoolName),
    /// There is one already.
    #[error("there is a pool `{0}`: remove it first with `colearn alloc rm {0}`, or choose another --name")]
    Exists(PoolName),
    /// It is being removed.
    #[error("the pool `{0}` is being removed: it is gone when its last job has ended")]
    Removing(PoolName),
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no program for the workers.
    #[error(
        "there is no `colearn-worker` beside the coordinator: name the path on the nodes with --worker-program"
    )]
    NoProgram,
    /// There is no folder for the logs.
    #[error("the folder of the logs cannot be made: {0}")]
    LogDir(String),
    /// The batch system refuses such jobs.
    #[error("Slurm refuses a job of this pool: {0}")]
    Refused(String),
    /// The pool cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The coordinator is stopping.
    #[error("the coordinator is stopping: try again when it is back")]
    Stopped,
}

/// A new pool, or what it would be.
pub(crate) struct Created {
    /// The pool.
    pub(crate) pool: Pool,
    /// What the batch system says of its jobs.
    pub(crate) checked: String,
}

/// All pools, as people see them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    pub(crate) pools: Pools,
    /// Why the batch system could not be asked last time.
    pub(crate) trouble: Option<String>,
}

enum Request {
    Create { settings: Box<PoolSettings>, dry_run: bool, reply: oneshot::Sender<Result<Created, PoolError>> },
    Pause { name: PoolName, paused: bool, reply: oneshot::Sender<Result<Pool, PoolError>> },
    Remove { name: PoolName, reply: oneshot::Sender<Result<Pool, PoolError>> },
}

/// Asks the manager of the pools, if there is one.
#[derive(Clone)]
pub(crate) struct PoolsHandle {
    store: Arc<dyn Store>,
    manager: Option<(mpsc::Sender<Request>, Arc<Mutex<Shown>>)>,
}

impl PoolsHandle {
    /// Without a manager: the pools of the store are shown.
    pub(crate) fn unmanaged(store: Arc<dyn Store>) -> Self {
        Self { store, manager: None }
    }

    /// Whether there is a manager.
    pub(crate) fn is_managed(&self) -> bool {
        self.manager.is_some()
    }

    /// The pools. The answer does not wait for the batch system.
    pub(crate) async fn shown(&self) -> Result<Shown, StoreError> {
        match &self.manager {
            Some((_, shown)) => Ok(shown.lock().unwrap_or_else(PoisonError::into_inner).clone()),
            None => Ok(Shown { pools: stored(&*self.store).await?, trouble: None }),
        }
    }

    /// Adds a pool, or tries what that would do.
    pub(crate) async fn create(&self, settings: PoolSettings, dry_run: bool) -> Result<Created, PoolError> {
        let settings = Box::new(settings);
        self.request(|reply| Request::Create { settings, dry_run, reply }).await
    }

    /// Pauses a pool, or lets it go on.
    pub(crate) async fn pause(&self, name: PoolName, paused: bool) -> Result<Pool, PoolError> {
        self.request(|reply| Request::Pause { name, paused, reply }).await
    }

    /// Begins to remove a pool.
    pub(crate) async fn remove(&self, name: PoolName) -> Result<Pool, PoolError> {
        self.request(|reply| Request::Remove { name, reply }).await
    }

    async fn request<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, PoolError>>) -> Request,
    ) -> Result<T, PoolError> {
        let (manager, _) = self.manager.as_ref().ok_or(PoolError::NotManaged)?;
        let (reply, answer) = oneshot::channel();
        manager.send(request(reply)).await.map_err(|_| PoolError::Stopped)?;
        answer.await.map_err(|_| PoolError::Stopped)?
    }
}

/// The pools of a store.
async fn stored(store: &dyn Store) -> Result<Pools, StoreError> {
    let mut pools = Pools::default();
    for body in store.pools().await? {
        let pool: Pool = serde_json::from_str(&body).map_err(|error| StoreError::Corrupt {
            path: "colearn.db".into(),
            detail: format!("a pool: {error}"),
        })?;
        pools.0.insert(pool.settings.name.clone(), pool);
    }
    Ok(pools)
}

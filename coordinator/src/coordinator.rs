//! Starts, stops and waits for a coordinator.

use std::{
    error::Error,
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use colearn_access::{Moment, ServerAccess};
use colearn_core::id::SweepName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket},
    task::JoinHandle,
    time::timeout,
};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::transport::server::Connected;

use crate::{
    connections::Incoming,
    engine::{Clock, Engine, EngineError, EngineSettings, purge},
    logs::Logs,
    metrics::Metrics,
    notify::{Courier, NotifyRules, Wanted},
    pools::{Manager, PoolRules, PoolsHandle},
    rpc::{self, Rpc, SweepParser, WorkerRules},
    store::{SqliteStore, StateLock, Store, StoreError},
};

/// How long streams may take to end after the engine has stopped.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Interval at which changes of credentials are looked for.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// The configuration of a coordinator.
#[derive(Clone)]
pub struct Config {
    /// The storage of its state.
    pub storage: Storage,
    /// Address to listen on; port 0 takes a free port, see [`RunningCoordinator::address`].
    pub listen: SocketAddr,
    /// A worker that is silent for longer than this loses its leases.
    pub lease: Duration,
    /// Interval of the workers' heartbeats; at most half of `lease`.
    pub heartbeat: Duration,
    /// Train only tasks of this sweep, and leave those of others pending; `None` for all sweeps.
    pub only: Option<SweepName>,
    /// Release the leases of an earlier coordinator at the start, at no cost to their tasks. This is for a
    /// coordinator that starts its own workers, which nobody else can find. Otherwise it waits for the workers of the
    /// leases.
    pub release_leases: bool,
    /// How long after its end a sweep is settled: later starts need not replay its history. With zero, a sweep that
    /// is revived for an operation is settled again before the operation can happen.
    pub settle_after: Duration,
    /// Makes a sweep of a sweep file's text. Tests use another parser, for sweeps that would need a file of
    /// unreasonable size.
    pub parser: SweepParser,
    /// How pools of worker jobs are managed; `None` if they are not.
    pub pools: Option<PoolRules>,
    /// Who may connect and call what, over TLS; `None` for plain text, with which everybody who reaches the port may do
    /// everything.
    pub access: Option<ServerAccess>,
    /// Who is told that sweeps have ended or are stalled; `None` for nobody.
    pub notify: Option<NotifyRules>,
}

impl Config {
    /// The defaults: a lease of 30 seconds and a heartbeat every 5.
    #[must_use]
    pub fn new(storage: Storage, listen: SocketAddr) -> Self {
        Self {
            storage,
            listen,
            lease: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            only: None,
            release_leases: false,
            settle_after: Duration::from_mins(10),
            parser: Arc::new(rpc::parse_sweep_file),
            pools: None,
            access: None,
            notify: None,
        }
    }
}

/// The storage of a coordinator's state.
#[derive(Clone)]
pub enum Storage {
    /// SQLite in this folder, which is created if it does not exist.
    StateDir(PathBuf),
    /// SQLite in this folder, which is only read and may be read-only: see [`EngineSettings::read_only`].
    ReadOnly(PathBuf),
    /// A store that is already open.
    Store(Arc<dyn Store>),
}

/// The reason why a coordinator could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The address cannot be listened on.
    #[error(
        "{address} cannot be listened on ({cause}): choose another with --listen, or free it if it is in use"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The error of the operating system.
        cause: io::Error,
    },
    /// The heartbeat interval is too long to keep a lease.
    #[error(
        "a heartbeat every {heartbeat:?} cannot keep a lease of {lease:?}: it must be at most half as long, and not zero"
    )]
    Heartbeat {
        /// The configured heartbeat interval.
        heartbeat: Duration,
        /// The configured lease.
        lease: Duration,
    },
    /// The state cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine could not start or had to stop.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The gRPC server failed.
    #[error("the gRPC server failed")]
    Serve(#[from] tonic::transport::Error),
    /// The description of the services cannot be read: a defect of the build.
    #[error("the services cannot be described")]
    Describe(#[from] tonic_reflection::server::Error),
    /// A defect of the coordinator.
    #[error("the coordinator has a defect")]
    Panicked(#[from] tokio::task::JoinError),
}

/// Starts coordinators.
#[derive(Clone, Copy, Debug)]
pub struct Coordinator;

impl Coordinator {
    /// Maximum number of connections. Further clients wait in the system's queue until another connection has closed.
    pub const MAX_CONNECTIONS: usize = 4096;

    /// Opens the state, recovers from it, and serves.
    ///
    /// # Errors
    /// If the state cannot be opened or recovered, or the address cannot be listened on.
    pub async fn start(config: Config) -> Result<RunningCoordinator, CoordinatorError> {
        Self::reserve(config)?.start().await
    }

    /// Takes the address and the state folder for a coordinator, without reading the state. Clients may connect to the
    /// address already; they are answered when the coordinator has started.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the state folder cannot be written or is in use.
    pub fn reserve(mut config: Config) -> Result<ReservedCoordinator, CoordinatorError> {
        check(&config)?;
        // The port comes first: a second coordinator that was started by mistake must not change the journal.
        let refused = |cause| CoordinatorError::Listen { address: config.listen, cause };
        let listener = listen(config.listen).map_err(refused)?;
        config.listen = listener.local_addr().map_err(refused)?;
        let lock = lock(&config.storage)?;
        Ok(ReservedCoordinator { config, listener, lock })
    }

    /// Like [`Coordinator::start`], but with connections from another source and another clock, for simulations.
    /// `config.listen` is used only for [`RunningCoordinator::address`].
    ///
    /// # Errors
    /// If the state cannot be opened or recovered.
    pub async fn serve<IO, E>(
        config: Config,
        incoming: impl Stream<Item = Result<IO, E>> + Send + 'static,
        clock: Clock,
    ) -> Result<RunningCoordinator, CoordinatorError>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        check(&config)?;
        let lock = lock(&config.storage)?;
        Self::serve_locked(config, lock, incoming, clock).await
    }

    async fn serve_locked<IO, E>(
        config: Config,
        lock: Option<StateLock>,
        incoming: impl Stream<Item = Result<IO, E>> + Send + 'static,
        clock: Clock,
    ) -> Result<RunningCoordinator, CoordinatorError>
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        E: Into<Box<dyn Error + Send + Sync>> + Send + 'static,
    {
        let Config {
            storage,
            listen: address,
            lease,
            heartbeat,
            only,
            release_leases,
            settle_after,
            parser,
            pools,
            access,
            notify,
        } = config;
        let read_only = matches!(storage, Storage::ReadOnly(_));
        let settings = EngineSettings { lease, only, release_leases, settle_after, read_only };
        let recovered = async {
            let store: Arc<dyn Store> = match (&storage, lock) {
                (Storage::StateDir(folder), Some(lock)) => {
                    Arc::new(SqliteStore::open_locked(folder, lock).await?)
                }
                (Storage::StateDir(folder), None) => Arc::new(SqliteStore::open(folder).await?),
                (Storage::ReadOnly(folder), _) => Arc::new(SqliteStore::open_to_read(folder).await?),
                (Storage::Store(store), _) => store.clone(),
            };
            let (engine, handle) = Engine::recover(store.clone(), clock, settings).await?;
            Ok::<_, CoordinatorError>((store, engine, handle))
        };
        let logs = async {
            match &storage {
                Storage::StateDir(folder) => Logs::open(Some(folder)).await,
                Storage::ReadOnly(folder) => Logs::open_to_read(folder).await,
                Storage::Store(_) => Logs::open(None).await,
            }
        };
        // Both wait for the disk.
        let (recovered, logs) = tokio::join!(recovered, logs);
        let (store, engine, handle) = recovered?;
        let metrics = Metrics::default();
        let notify = notify.filter(|_| !read_only).map(|rules| (Wanted::of(&rules), rules));
        let engine = engine.with(metrics.clone(), notify.as_ref().map(|(wanted, _)| wanted.clone()));
        let courier = notify.map(|(wanted, rules)| {
            let (store, engine, metrics) = (store.clone(), handle.clone(), metrics.clone());
            (rules.patience, Courier { store, engine, rules, wanted, metrics, clock })
        });
        let rules = WorkerRules { lease, heartbeat };
        let (kept, logs_kept, rebuilt) = (store.clone(), logs.clone(), rpc::Rebuilt::default());
        let (manager, pools) = match pools.filter(|_| !read_only) {
            Some(rules) => {
                let (at, logs) = (url_for_workers(address, access.is_some()), pool_logs(&storage));
                let started = Manager::start(store.clone(), handle.clone(), rules, clock, at, logs).await?;
                (Some(started.0), started.1)
            }
            None => (None, PoolsHandle::unmanaged(store.clone())),
        };
        let rpc = Rpc {
            engine: handle,
            store: kept,
            logs: logs_kept,
            parser,
            rules,
            rebuilt,
            pools,
            access: access.clone(),
            metrics,
            usages: rpc::Usages::default(),
            clock,
        };
        let router = rpc::router(&rpc, address.ip().is_loopback()).await?;

        let stop = CancellationToken::new();
        let closed = CancellationToken::new();
        let protected = access.is_some();
        if let Some(access) = access {
            tokio::spawn(follow(access, stop.clone()));
        }
        let server =
            tokio::spawn(router.serve_with_incoming_shutdown(incoming, closed.clone().cancelled_owned()));
        let manager = manager.map(|manager| tokio::spawn(manager.run(stop.clone())));
        // What the last turn of the engine commits is brought to its receivers too.
        let courier =
            courier.map(|(patience, courier)| (patience, tokio::spawn(courier.run(closed.clone()))));
        let purge = (!read_only).then(|| purge(store.clone(), engine.removed(), stop.clone()));
        let beside = Beside { manager, courier, purge: purge.map(tokio::spawn) };
        let supervisor = tokio::spawn(supervise(engine, server, (store, logs), beside, stop.clone(), closed));
        tracing::info!(%address, tls = protected, "coordinator listens");
        Ok(RunningCoordinator { address, protected, stop: stop.drop_guard(), supervisor, over: false })
    }
}

/// A coordinator that has its address and its state folder, and has not read its state yet.
pub struct ReservedCoordinator {
    config: Config,
    listener: TcpListener,
    lock: Option<StateLock>,
}

impl ReservedCoordinator {
    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.config.access.is_some()
    }

    /// The address it will answer on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.config.listen
    }

    /// Opens the state, recovers from it, and serves.
    ///
    /// # Errors
    /// If the state cannot be opened or recovered.
    pub async fn start(self) -> Result<RunningCoordinator, CoordinatorError> {
        let Self { config, listener, lock } = self;
        let incoming = Incoming::new(listener, Coordinator::MAX_CONNECTIONS);
        let clock = Clock::of_the_host();
        match config.access.clone() {
            Some(access) => Coordinator::serve_locked(config, lock, incoming.protected(access), clock).await,
            None => Coordinator::serve_locked(config, lock, incoming, clock).await,
        }
    }
}

/// The lock of a state folder that is to be written.
fn lock(storage: &Storage) -> Result<Option<StateLock>, StoreError> {
    match storage {
        Storage::StateDir(folder) => StateLock::take(folder).map(Some),
        Storage::ReadOnly(_) | Storage::Store(_) => Ok(None),
    }
}

/// Listens with a queue as long as the maximum number of connections. When a coordinator returns, all workers of a
/// cluster connect at once, and a full queue would reset connections.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A restarted coordinator can use its port again at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(Coordinator::MAX_CONNECTIONS as u32)
}

/// The address at which workers on other hosts reach a coordinator that listens here.
fn url_for_workers(address: SocketAddr, protected: bool) -> String {
    let name = || nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = match address.ip() {
        ip if ip.is_unspecified() => name().unwrap_or_else(|| "localhost".to_owned()),
        IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    };
    let scheme = if protected { "https" } else { "http" };
    format!("{scheme}://{host}:{}", address.port())
}

/// The folder of the logs of worker jobs.
fn pool_logs(storage: &Storage) -> Option<PathBuf> {
    match storage {
        Storage::StateDir(folder) => std::path::absolute(folder).ok().map(|folder| folder.join("pools")),
        Storage::ReadOnly(_) | Storage::Store(_) => None,
    }
}

fn check(config: &Config) -> Result<(), CoordinatorError> {
    let &Config { lease, heartbeat, .. } = config;
    if heartbeat.is_zero() || heartbeat.saturating_mul(2) > lease {
        return Err(CoordinatorError::Heartbeat { heartbeat, lease });
    }
    Ok(())
}

/// What runs beside the engine.
struct Beside {
    manager: Option<JoinHandle<()>>,
    /// With the time that it may take after the engine has ended.
    courier: Option<(Duration, JoinHandle<()>)>,
    purge: Option<JoinHandle<()>>,
}

async fn supervise(
    engine: Engine,
    mut server: JoinHandle<Result<(), tonic::transport::Error>>,
    (store, logs): (Arc<dyn Store>, Logs),
    Beside { manager, courier, purge }: Beside,
    stop: CancellationToken,
    closed: CancellationToken,
) -> Result<(), CoordinatorError> {
    let mut engine = tokio::spawn(engine.run(stop.clone()));
    let engine_ended = tokio::select! {
        biased;
        ended = &mut engine => ended,
        served = &mut server => {
            stop.cancel();
            engine.await??;
            return Ok(served??);
        }
    };
    // All streams end with the engine; connections that do not end are closed.
    closed.cancel();
    match timeout(LAST_WORDS, &mut server).await {
        Ok(served) => served??,
        Err(_) => server.abort(),
    }
    if let Some(mut manager) = manager {
        // A submission that it waits for is found by its name after the next start.
        if timeout(LAST_WORDS, &mut manager).await.is_err() {
            manager.abort();
        }
    }
    if let Some((patience, mut courier)) = courier
        && timeout(patience, &mut courier).await.is_err()
    {
        tracing::warn!("events that were not delivered are kept for the next start");
        courier.abort();
    }
    if let Some(purge) = purge {
        // It ends after the part that it deletes now. It fails only if it panics. An engine that failed was not told to
        // stop.
        stop.cancel();
        let _ = purge.await;
    }
    logs.finish().await;
    engine_ended??;
    if let Err(error) = store.finish().await {
        tracing::warn!(%error, "everything is stored, but cannot be read from a read-only folder");
    }
    Ok(())
}

/// Follows the files of credentials while the coordinator runs, and says in time when its own certificate ends.
async fn follow(access: ServerAccess, stop: CancellationToken) {
    let mut said = None;
    let mut failed = false;
    while timeout(FOLLOW_EVERY, stop.cancelled()).await.is_err() {
        let now = Moment::now();
        let reloaded = access.reload(now);
        match &reloaded {
            Ok(true) => tracing::info!("the credentials of this coordinator were read again"),
            // What was known before stays in force.
            Err(error) if !failed => tracing::warn!("the credentials cannot be read again: {error}"),
            Ok(false) | Err(_) => {}
        }
        failed = reloaded.is_err();
        if let Some(warning) = access.until().warning("the certificate of this coordinator", now)
            && said.as_ref() != Some(&warning)
        {
            tracing::warn!("{warning}");
            said = Some(warning);
        }
    }
}

/// A running coordinator. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct RunningCoordinator {
    address: SocketAddr,
    protected: bool,
    stop: DropGuard,
    supervisor: JoinHandle<Result<(), CoordinatorError>>,
    over: bool,
}

impl RunningCoordinator {
    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it speaks TLS.
    #[must_use]
    pub fn is_protected(&self) -> bool {
        self.protected
    }

    /// Waits until it stops by itself, which it does only after an error. The future may be dropped and the method
    /// called again.
    ///
    /// # Errors
    /// The reason why it had to stop.
    pub async fn wait(&mut self) -> Result<(), CoordinatorError> {
        if self.over {
            return Ok(());
        }
        let ended = (&mut self.supervisor).await;
        self.over = true;
        ended?
    }

    /// Commits queued inputs, closes all streams and stops. Workers keep training and reconnect to the next
    /// coordinator on this state.
    ///
    /// # Errors
    /// If queued inputs cannot be committed.
    pub async fn stop(self) -> Result<(), CoordinatorError> {
        let Self { stop, supervisor, over, .. } = self;
        drop(stop);
        if over { Ok(()) } else { supervisor.await? }
    }
}

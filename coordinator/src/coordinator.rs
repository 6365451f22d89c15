//! Starting, stopping and waiting for a coordinator.

use std::{error::Error, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

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
    engine::{Clock, Engine, EngineError, EngineSettings},
    logs::Logs,
    rpc::{self, Rpc, SweepParser, WorkerRules},
    store::{SqliteStore, Store, StoreError},
};

/// How long streams may take to end once the engine has stopped.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a coordinator is started with.
#[derive(Clone)]
pub struct Config {
    /// Where it keeps its state.
    pub storage: Storage,
    /// Where it listens; port 0 takes a free one, see [`RunningCoordinator::address`].
    pub listen: SocketAddr,
    /// A worker that is silent for longer loses its leases.
    pub lease: Duration,
    /// How often workers are asked to show that they are alive; at most half of `lease`.
    pub heartbeat: Duration,
    /// Train tasks of this sweep alone, and leave those of others pending; `None` for all.
    pub only: Option<SweepName>,
    /// Release the leases of an earlier coordinator on this state at the start, at no cost to their tasks: for a
    /// coordinator with workers of its own, which nobody else can find. Otherwise their workers are waited for.
    pub release_leases: bool,
    /// How long after its end a sweep is settled: from then on a start does not have to go through its history.
    /// With zero a sweep that somebody wants to operate on is settled again before that can happen.
    pub settle_after: Duration,
    /// Makes a sweep of a sweep file's text. Tests bring a parser of their own, for sweeps that no file of reasonable size says.
    pub parser: SweepParser,
}

impl Config {
    /// With a lease of 30 seconds and a heartbeat every 5.
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
        }
    }
}

/// Where a coordinator keeps its state.
#[derive(Clone)]
pub enum Storage {
    /// In SQLite in this folder, which is created if it is not there.
    StateDir(PathBuf),
    /// In SQLite in this folder, which is only looked at and may be read-only: see [`EngineSettings::read_only`].
    ReadOnly(PathBuf),
    /// In a store that is open already.
    Store(Arc<dyn Store>),
}

/// Why a coordinator could not start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The address can not be listened on.
    #[error("{address} can not be listened on ({cause}): stop what uses it, or choose another with --listen")]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// Heartbeats would come too rarely to keep a lease.
    #[error(
        "a heartbeat every {heartbeat:?} can not keep a lease of {lease:?}: it must be at most half as long, and not zero"
    )]
    Heartbeat {
        /// As configured.
        heartbeat: Duration,
        /// As configured.
        lease: Duration,
    },
    /// The state can not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine could not start or had to stop.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The gRPC server broke.
    #[error("the gRPC server failed")]
    Serve(#[from] tonic::transport::Error),
    /// The services' description can not be read: a defect of the build.
    #[error("the services can not be described")]
    Describe(#[from] tonic_reflection::server::Error),
    /// A defect of the coordinator.
    #[error("the coordinator has a defect")]
    Panicked(#[from] tokio::task::JoinError),
}

/// The way to start one.
#[derive(Clone, Copy, Debug)]
pub struct Coordinator;

impl Coordinator {
    /// Connections at a time. Who comes then waits in the system's queue until another has gone.
    pub const MAX_CONNECTIONS: usize = 4096;

    /// Opens the state, recovers from it, and serves.
    ///
    /// # Errors
    /// When the state can not be opened or recovered, or the address can not be listened on.
    pub async fn start(mut config: Config) -> Result<RunningCoordinator, CoordinatorError> {
        check(&config)?;
        // First the port: a second coordinator started by mistake should leave no trace in the journal.
        let refused = |cause| CoordinatorError::Listen { address: config.listen, cause };
        let listener = listen(config.listen).map_err(refused)?;
        config.listen = listener.local_addr().map_err(refused)?;
        let incoming = Incoming::new(listener, Self::MAX_CONNECTIONS);
        Self::serve(config, incoming, Clock::of_the_host()).await
    }

    /// As [`Coordinator::start`], but over connections that come from elsewhere and by another clock: for
    /// simulations. `config.listen` is only what [`RunningCoordinator::address`] says.
    ///
    /// # Errors
    /// When the state can not be opened or recovered.
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
        let Config { storage, listen: address, lease, heartbeat, only, release_leases, settle_after, parser } =
            config;
        let read_only = matches!(storage, Storage::ReadOnly(_));
        let (store, logs): (Arc<dyn Store>, _) = match storage {
            Storage::StateDir(folder) => {
                let store = Arc::new(SqliteStore::open(&folder).await?);
                (store, Logs::open(Some(&folder)).await)
            }
            Storage::ReadOnly(folder) => {
                let store = Arc::new(SqliteStore::open_to_read(&folder).await?);
                (store, Logs::open_to_read(&folder).await)
            }
            Storage::Store(store) => (store, Logs::open(None).await),
        };
        let settings = EngineSettings { lease, only, release_leases, settle_after, read_only };
        let (engine, handle) = Engine::recover(store.clone(), clock, settings).await?;
        let rules = WorkerRules { lease, heartbeat };
        let router =
            rpc::router(&Rpc { engine: handle, store: store.clone(), logs: logs.clone(), parser, rules })
                .await?;

        let stop = CancellationToken::new();
        let closed = CancellationToken::new();
        let server =
            tokio::spawn(router.serve_with_incoming_shutdown(incoming, closed.clone().cancelled_owned()));
        let supervisor = tokio::spawn(supervise(engine, server, (store, logs), stop.clone(), closed));
        tracing::info!(%address, "coordinator listens");
        Ok(RunningCoordinator { address, stop: stop.drop_guard(), supervisor, over: false })
    }
}

/// Listens with a queue as long as there may be connections: all workers of a cluster come at once when a
/// coordinator is back, and who finds the queue full is reset.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A coordinator that is started again takes its port back at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(Coordinator::MAX_CONNECTIONS as u32)
}

fn check(config: &Config) -> Result<(), CoordinatorError> {
    let &Config { lease, heartbeat, .. } = config;
    if heartbeat.is_zero() || heartbeat.saturating_mul(2) > lease {
        return Err(CoordinatorError::Heartbeat { heartbeat, lease });
    }
    Ok(())
}

async fn supervise(
    engine: Engine,
    mut server: JoinHandle<Result<(), tonic::transport::Error>>,
    (store, logs): (Arc<dyn Store>, Logs),
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
    // With the engine all streams end; who does not take notice is cut off.
    closed.cancel();
    match timeout(LAST_WORDS, &mut server).await {
        Ok(served) => served??,
        Err(_) => server.abort(),
    }
    logs.finish().await;
    engine_ended??;
    if let Err(error) = store.finish().await {
        tracing::warn!(%error, "everything is stored, but can not be read where nothing can be written");
    }
    Ok(())
}

/// A coordinator that serves. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct RunningCoordinator {
    address: SocketAddr,
    stop: DropGuard,
    supervisor: JoinHandle<Result<(), CoordinatorError>>,
    over: bool,
}

impl RunningCoordinator {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it has stopped of itself, which it does only when it must. May be dropped and called again.
    ///
    /// # Errors
    /// Why it had to stop.
    pub async fn wait(&mut self) -> Result<(), CoordinatorError> {
        if self.over {
            return Ok(());
        }
        let ended = (&mut self.supervisor).await;
        self.over = true;
        ended?
    }

    /// Commits what is queued, closes all streams and stops. Workers keep training and come back to the next
    /// coordinator on this state.
    ///
    /// # Errors
    /// When what was queued can not be committed.
    pub async fn stop(self) -> Result<(), CoordinatorError> {
        let Self { stop, supervisor, over, .. } = self;
        drop(stop);
        if over { Ok(()) } else { supervisor.await? }
    }
}

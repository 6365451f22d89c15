//! Connects to a coordinator: a named one, the one that uses the state folder, or one started by the command.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use colearn_access::{AccessFile, AccessFolder, AddressError, Moment, Role, Way};
use colearn_coordinator::{
    Config, Coordinator, CoordinatorError, ReservedCoordinator, RunningCoordinator, Storage,
    engine::EngineError,
    store::{self, StoreError},
};

use crate::{
    args::Target,
    client::Client,
    exit::{Exit, Failure},
};

/// How long to wait for a state folder that another process uses, or for that process to answer.
const STATE_HELD_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay between attempts to reconnect doubles from the first to the second.
const MIN_RECONNECT_DELAY: Duration = Duration::from_millis(100);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// A connection to a coordinator, and the coordinator itself if it runs in this process.
pub(crate) struct Connection {
    /// The service for users and scripts.
    pub(crate) sweeps: Client,
    embedded: Option<RunningCoordinator>,
}

/// How a command uses a state folder.
enum Access {
    Look,
    Change,
}

impl Connection {
    /// Connects to the coordinator of `target`, to change something there.
    ///
    /// # Errors
    /// If there is no answer, or if the state folder does not exist or cannot be written.
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        Self::with(target, Access::Change).await
    }

    /// Connects to the coordinator of `target`, only to read. A state folder may be read-only.
    ///
    /// # Errors
    /// If there is no answer, or if there is no readable state folder.
    pub(crate) async fn open_to_look(target: &Target) -> Result<Self, Failure> {
        Self::with(target, Access::Look).await
    }

    async fn with(target: &Target, access: Access) -> Result<Self, Failure> {
        if let Some(url) = &target.coordinator {
            let way = Way::to(url, target.access.as_deref(), Role::Operate).map_err(unusable)?;
            let sweeps = Client::connect(&way).await?;
            warn_about(&way);
            return Ok(Self { sweeps, embedded: None });
        }
        if !target.state.is_dir() {
            return Err(Failure::new(
                Exit::NotFound,
                format!(
                    "there is no state folder `{}` here; name a running coordinator with --coordinator URL, or the folder of an earlier `colearn run` with --state DIR",
                    target.state.display()
                ),
            ));
        }
        let began = Instant::now();
        let error = loop {
            let error = match start(config(&target.state)).await {
                Ok(running) => return Self::embedded(running).await,
                Err(error) => error,
            };
            // Another process uses this folder: connect to it.
            let held = matches!(error, CoordinatorError::Store(StoreError::Held { .. }));
            let Some(way) = held.then(|| way_to_state(target)).flatten() else { break error };
            let way = way.map_err(unusable)?;
            match Client::connect(&way).await {
                Ok(sweeps) => return Ok(Self { sweeps, embedded: None }),
                // The process has just started, or is a short command that will release the folder soon.
                Err(_) if began.elapsed() < STATE_HELD_TIMEOUT => {
                    tokio::time::sleep(MIN_RECONNECT_DELAY).await;
                }
                Err(unreachable) => {
                    let message = format!("{error}; {unreachable}");
                    return Err(unreachable.with_message(message));
                }
            }
        };
        match access {
            Access::Look if can_be_looked_at(&error) => {
                if let CoordinatorError::Engine(inconsistent @ EngineError::Inconsistent { .. }) = &error {
                    noteln!("warning: {inconsistent}");
                }
                let looking =
                    Config { storage: Storage::ReadOnly(target.state.clone()), ..config(&target.state) };
                let running =
                    Coordinator::start(looking).await.map_err(|error| coordinator_failure(&error))?;
                Self::embedded(running).await
            }
            _ => Err(coordinator_failure(&error)),
        }
    }

    async fn embedded(running: RunningCoordinator) -> Result<Self, Failure> {
        let sweeps = Client::connect(&way_here(running.address())?).await?;
        Ok(Self { sweeps, embedded: Some(running) })
    }

    /// Connects to a coordinator that serves workers. One that this command starts would have no workers and would
    /// end with the command.
    ///
    /// # Errors
    /// If there is no answer, or no process uses the state folder.
    pub(crate) async fn open_served(target: &Target) -> Result<Self, Failure> {
        let connection = Self::open(target).await?;
        if connection.is_embedded() {
            connection.close().await;
            return Err(Failure::new(
                Exit::Unreachable,
                format!(
                    "no coordinator uses the state folder `{}`: name a running coordinator with --coordinator URL, or train here with `colearn run FILE`",
                    target.state.display()
                ),
            ));
        }
        Ok(connection)
    }

    /// Reconnects to a coordinator after the connection was lost. Retries without limit, as workers do.
    ///
    /// # Errors
    /// Returns `lost` itself if it is not a lost connection.
    pub(crate) async fn reconnect(
        &mut self,
        target: &Target,
        lost: Failure,
        say: impl Fn(&str),
    ) -> Result<(), Failure> {
        if !lost.is_lost_connection() || self.is_embedded() {
            return Err(lost);
        }
        say(&format!("{lost}; trying again until it answers; Ctrl-C to stop"));
        let mut pause = MIN_RECONNECT_DELAY;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_RECONNECT_DELAY);
            // The next coordinator of a state folder may have another port.
            let moved = target.coordinator.is_none().then(|| way_to_state(target)?.ok()).flatten();
            let way = moved.unwrap_or_else(|| self.sweeps.way().clone());
            if let Ok(client) = Client::connect(&way).await {
                say(&format!("the coordinator at {} answers again", way.url()));
                self.sweeps = client;
                return Ok(());
            }
        }
    }

    /// Whether the coordinator runs in this process and therefore has no workers.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Stops the coordinator if it runs in this process.
    pub(crate) async fn close(self) {
        if let Some(running) = self.embedded {
            // All requests are answered, so an error has no effect now.
            let _ = running.stop().await;
        }
    }
}

/// A coordinator on a free loopback port, with its state in `state`.
pub(crate) fn config(state: &Path) -> Config {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config::new(Storage::StateDir(state.to_owned()), listen)
}

/// Starts a coordinator in this process.
///
/// # Errors
/// The coordinator's error.
pub(crate) async fn start(config: Config) -> Result<RunningCoordinator, CoordinatorError> {
    Reserved::new(config)?.start().await
}

/// A coordinator for this process that has its address and its state folder; see [`Coordinator::reserve`].
pub(crate) struct Reserved {
    coordinator: ReservedCoordinator,
    state: Option<PathBuf>,
}

impl Reserved {
    fn new(config: Config) -> Result<Self, CoordinatorError> {
        let state = match &config.storage {
            Storage::StateDir(folder) => Some(folder.clone()),
            Storage::ReadOnly(_) | Storage::Store(_) => None,
        };
        Ok(Self { coordinator: Coordinator::reserve(config)?, state })
    }

    /// The URL at which it can be reached on this machine.
    pub(crate) fn url(&self) -> String {
        url_at(self.coordinator.address(), self.coordinator.is_protected())
    }

    /// Starts it.
    ///
    /// # Errors
    /// The coordinator's error.
    pub(crate) async fn start(self) -> Result<RunningCoordinator, CoordinatorError> {
        let running = self.coordinator.start().await?;
        if let Some(state) = self.state {
            if let Some(concern) = store::concern(&state) {
                noteln!("warning: {concern}");
            }
            // Commands in other terminals read this file to find the coordinator of a state folder.
            let url = format!("{}\n", url_of(&running));
            let _ = store::replace_private(&address_file(&state), url.as_bytes());
        }
        Ok(running)
    }
}

/// Reserves address and state folder for a coordinator in this process. Waits shortly if another process uses the state
/// folder: commands such as `colearn status` use it while they read.
///
/// # Errors
/// The coordinator's error. The exit code depends on the cause.
pub(crate) async fn reserve_when_free(config: Config) -> Result<Reserved, Failure> {
    let began = Instant::now();
    loop {
        match Reserved::new(config.clone()) {
            Err(CoordinatorError::Store(StoreError::Held { .. })) if began.elapsed() < STATE_HELD_TIMEOUT => {
                tokio::time::sleep(MIN_RECONNECT_DELAY).await;
            }
            reserved => return reserved.map_err(|error| coordinator_failure(&error)),
        }
    }
}

/// Starts a coordinator in this process, like [`start`], but waits as [`reserve_when_free`] does.
///
/// # Errors
/// The coordinator's error. The exit code depends on the cause.
pub(crate) async fn start_when_free(config: Config) -> Result<RunningCoordinator, Failure> {
    reserve_when_free(config).await?.start().await.map_err(|error| coordinator_failure(&error))
}

/// Whether a state folder may be readable although no coordinator can start on it.
fn can_be_looked_at(error: &CoordinatorError) -> bool {
    match error {
        CoordinatorError::Store(error) | CoordinatorError::Engine(EngineError::Commit(error)) => matches!(
            error,
            StoreError::NotWritable { .. } | StoreError::Foreign { .. } | StoreError::Full { .. }
        ),
        CoordinatorError::Engine(EngineError::Inconsistent { .. }) => true,
        _ => false,
    }
}

/// Converts a coordinator's error to a failure of the command.
pub(crate) fn coordinator_failure(error: &CoordinatorError) -> Failure {
    let exit = match error {
        CoordinatorError::Listen { .. } => Exit::Address,
        CoordinatorError::Store(_)
        | CoordinatorError::Engine(
            EngineError::Recover(_) | EngineError::Inconsistent { .. } | EngineError::Commit(_),
        ) => Exit::State,
        _ => Exit::Failure,
    };
    Failure::new(exit, error)
}

/// The URL at which `running` can be reached on this machine.
pub(crate) fn url_of(running: &RunningCoordinator) -> String {
    url_at(running.address(), running.is_protected())
}

fn url_at(mut address: SocketAddr, protected: bool) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("{}://{address}", if protected { "https" } else { "http" })
}

/// The way to a coordinator of this process, which speaks plain text on loopback.
pub(crate) fn way_here(address: SocketAddr) -> Result<Way, Failure> {
    Way::to(&url_at(address, false), None, Role::Operate).map_err(|error| Failure::new(Exit::Failure, error))
}

/// The way to the coordinator that uses the state folder. Whoever can read the folder has its access files.
fn way_to_state(target: &Target) -> Option<Result<Way, AddressError>> {
    let url = read_address(&target.state)?;
    let own = || Some(AccessFolder::of(&target.state).file("people")).filter(|file| file.exists());
    let access = if url.starts_with("https") { target.access.clone().or_else(own) } else { None };
    Some(Way::to(&url, access.as_deref(), Role::Operate))
}

/// The failure for an address that cannot be used.
fn unusable(error: AddressError) -> Failure {
    let exit = match error {
        AddressError::NoAccessFile { .. } => Exit::Access,
        AddressError::Form { .. } | AddressError::Contradiction(_) => Exit::Usage,
    };
    Failure::new(exit, error)
}

/// Warns of plain text to another machine, and of an access file that ends soon.
fn warn_about(way: &Way) {
    let ends = way.access().and_then(|path| {
        let file = AccessFile::read(path).ok()?;
        file.identity().until.warning(&format!("the access file {}", path.display()), Moment::now())
    });
    for warning in way.warning().into_iter().chain(ends) {
        noteln!("warning: {warning}");
    }
}

fn address_file(state: &Path) -> PathBuf {
    state.join("address")
}

fn read_address(state: &Path) -> Option<String> {
    let text = std::fs::read_to_string(address_file(state)).ok()?;
    Some(text.trim().to_owned())
}

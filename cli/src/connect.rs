//! Reaching a coordinator: one that is named, one that holds the state folder, or one started for the occasion.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use colearn_coordinator::{
    Config, Coordinator, CoordinatorError, RunningCoordinator, Storage,
    engine::EngineError,
    store::{self, StoreError},
};

use crate::{
    args::Target,
    client::Client,
    exit::{Exit, Failure},
};

/// How long to wait for a state folder that another process holds, or for the process that holds it to answer.
const STATE_HELD_TIMEOUT: Duration = Duration::from_secs(2);
/// The delay between attempts to reconnect doubles from the first to the second.
const MIN_RECONNECT_DELAY: Duration = Duration::from_millis(100);
const MAX_RECONNECT_DELAY: Duration = Duration::from_secs(5);

/// A connection to a coordinator, and the coordinator itself where it runs in this process.
pub(crate) struct Connection {
    /// The service for people and scripts.
    pub(crate) sweeps: Client,
    embedded: Option<RunningCoordinator>,
}

/// What a command wants of a state folder.
enum Access {
    Look,
    Change,
}

impl Connection {
    /// Connects to what `target` means, to change something there.
    ///
    /// # Errors
    /// When nobody answers, or when there is no state folder, or one that can not be written.
    pub(crate) async fn open(target: &Target) -> Result<Self, Failure> {
        Self::with(target, Access::Change).await
    }

    /// Connects to what `target` means, only to look at it: at a state folder also where it can not be written.
    ///
    /// # Errors
    /// When nobody answers, or when there is no state folder that can be read.
    pub(crate) async fn open_to_look(target: &Target) -> Result<Self, Failure> {
        Self::with(target, Access::Look).await
    }

    async fn with(target: &Target, access: Access) -> Result<Self, Failure> {
        if let Some(url) = &target.coordinator {
            return Ok(Self { sweeps: Client::connect(url).await?, embedded: None });
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
            // Another process serves this folder: ask it.
            let held = matches!(error, CoordinatorError::Store(StoreError::Held { .. }));
            let Some(url) = held.then(|| read_address(&target.state)).flatten() else { break error };
            match Client::connect(&url).await {
                Ok(sweeps) => return Ok(Self { sweeps, embedded: None }),
                // The holder has just started, or was a short command that is about to release the folder.
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
                    errln!("warning: {inconsistent}");
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
        let sweeps = Client::connect(&url_of(&running)).await?;
        Ok(Self { sweeps, embedded: Some(running) })
    }

    /// Connects to a coordinator that serves workers: not to one that would be started for the occasion, has
    /// no workers and ends with the command.
    ///
    /// # Errors
    /// When nobody answers, or nobody serves the state folder.
    pub(crate) async fn open_served(target: &Target) -> Result<Self, Failure> {
        let connection = Self::open(target).await?;
        if connection.is_embedded() {
            connection.close().await;
            return Err(Failure::new(
                Exit::Unreachable,
                format!(
                    "nobody serves the state folder `{}`: name a running coordinator with --coordinator URL, or train here with `colearn run FILE`",
                    target.state.display()
                ),
            ));
        }
        Ok(connection)
    }

    /// Reconnects to a coordinator after the connection was lost. Retries without limit, as workers do.
    ///
    /// # Errors
    /// With `lost` itself when it is not the loss of a connection.
    pub(crate) async fn reconnect(
        &mut self,
        target: &Target,
        lost: Failure,
        say: impl Fn(&str),
    ) -> Result<(), Failure> {
        if !lost.is_lost_connection() || self.is_embedded() {
            return Err(lost);
        }
        say(&format!("{lost}; trying again until it answers, which Ctrl-C ends"));
        let mut pause = MIN_RECONNECT_DELAY;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_RECONNECT_DELAY);
            // The next coordinator of a state folder may have another port.
            let moved = target.coordinator.is_none().then(|| read_address(&target.state)).flatten();
            let url = moved.unwrap_or_else(|| self.sweeps.url().to_owned());
            if let Ok(client) = Client::connect(&url).await {
                say(&format!("the coordinator at {url} answers again"));
                self.sweeps = client;
                return Ok(());
            }
        }
    }

    /// Whether the coordinator runs in this process, and so has no workers.
    pub(crate) fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Stops the coordinator, if it runs in this process.
    pub(crate) async fn close(self) {
        if let Some(running) = self.embedded {
            // Nothing was asked of it that it has not answered: an error now has nobody to tell.
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
/// As the coordinator has it.
pub(crate) async fn start(config: Config) -> Result<RunningCoordinator, CoordinatorError> {
    let state = match &config.storage {
        Storage::StateDir(folder) => Some(folder.clone()),
        Storage::ReadOnly(_) | Storage::Store(_) => None,
    };
    let running = Coordinator::start(config).await?;
    if let Some(state) = state {
        if let Some(concern) = store::concern(&state) {
            errln!("warning: {concern}");
        }
        // Commands in other terminals find the coordinator of a state folder through this file.
        let url = format!("{}\n", url_of(&running));
        let _ = store::replace_private(&address_file(&state), url.as_bytes());
    }
    Ok(running)
}

/// Starts a coordinator in this process, as [`start`] does, but waits a moment while another process holds the state
/// folder: commands such as `colearn status` hold it while they read it.
///
/// # Errors
/// With the exit code that belongs to the cause.
pub(crate) async fn start_when_free(config: Config) -> Result<RunningCoordinator, Failure> {
    let began = Instant::now();
    loop {
        match start(config.clone()).await {
            Err(CoordinatorError::Store(StoreError::Held { .. })) if began.elapsed() < STATE_HELD_TIMEOUT => {
                tokio::time::sleep(MIN_RECONNECT_DELAY).await;
            }
            started => return started.map_err(|error| coordinator_failure(&error)),
        }
    }
}

/// Whether a state folder that no coordinator can be started on may still be readable.
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

/// The failure that a coordinator's error is to the command.
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

/// Where `running` can be reached from this machine.
pub(crate) fn url_of(running: &RunningCoordinator) -> String {
    let mut address = running.address();
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

fn address_file(state: &Path) -> PathBuf {
    state.join("address")
}

fn read_address(state: &Path) -> Option<String> {
    let text = std::fs::read_to_string(address_file(state)).ok()?;
    Some(text.trim().to_owned())
}

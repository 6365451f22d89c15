//! Reaching a coordinator: one that is named, one that holds the state folder, or one started for the occasion.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use colearn_coordinator::{
    Config, Coordinator, CoordinatorError, RunningCoordinator, Storage,
    engine::EngineError,
    store::{self, StoreError},
};
use colearn_core::sweep::Sweep;
use colearn_proto::{LARGEST_MESSAGE, v1::sweep_service_client::SweepServiceClient};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::{
    args::Target,
    exit::{Exit, Failure},
};

/// A connection to a coordinator, and the coordinator itself where it runs in this process.
pub(crate) struct Connection {
    /// The service for people and scripts.
    pub(crate) sweeps: SweepServiceClient<Channel>,
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
            return Ok(Self { sweeps: connect(url).await?, embedded: None });
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
        let error = match start(config(&target.state)).await {
            Ok(running) => return Self::embedded(running).await,
            Err(error) => error,
        };
        // Somebody else serves this folder: ask them.
        if matches!(error, CoordinatorError::Store(StoreError::Held { .. }))
            && let Some(url) = read_address(&target.state)
            && let Ok(sweeps) = connect(&url).await
        {
            return Ok(Self { sweeps, embedded: None });
        }
        match access {
            Access::Look if can_be_looked_at(&error) => {
                if let CoordinatorError::Engine(inconsistent @ EngineError::Inconsistent { .. }) = &error {
                    tell!("warning: {inconsistent}");
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
        let sweeps = connect(&url_of(&running)).await?;
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
    let parser = |source: &str, origin: &str| {
        let parsed = Sweep::parse(source, origin).map_err(|diagnostics| diagnostics.to_string())?;
        Ok((parsed.sweep, parsed.warnings.iter().map(ToString::to_string).collect()))
    };
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config::new(Storage::StateDir(state.to_owned()), listen, Arc::new(parser))
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
            tell!("warning: {concern}");
        }
        // Commands in other terminals find the coordinator of a state folder through this file.
        let url = format!("{}\n", url_of(&running));
        let _ = store::replace_private(&address_file(&state), url.as_bytes());
    }
    Ok(running)
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

/// Connects to the coordinator at `url`.
///
/// # Errors
/// When the URL is malformed or nobody answers there.
pub(crate) async fn connect(url: &str) -> Result<SweepServiceClient<Channel>, Failure> {
    let endpoint = Endpoint::from_shared(url.to_owned())
        .ok()
        .filter(|endpoint| endpoint.uri().scheme_str() == Some("http") && endpoint.uri().host().is_some())
        .ok_or_else(|| {
            Failure::new(
                Exit::Usage,
                format!("`{url}` is not a coordinator's address; it looks like http://HOST:7117"),
            )
        })?;
    let channel = endpoint
        .connect_timeout(Duration::from_secs(10))
        // Without keepalive a client never notices that the other end is gone.
        .http2_keep_alive_interval(Duration::from_secs(10))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true)
        .connect()
        .await
        .map_err(|error| unreachable_at(url, &error))?;
    Ok(SweepServiceClient::new(channel).max_decoding_message_size(LARGEST_MESSAGE))
}

fn unreachable_at(url: &str, error: &dyn std::error::Error) -> Failure {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    Failure::new(
        Exit::Unreachable,
        format!(
            "no coordinator answers at {url} ({cause}); is `colearn coordinator` running there, and the port open?"
        ),
    )
}

/// The failure behind a refused call.
pub(crate) fn refused(status: &Status) -> Failure {
    let exit = match status.code() {
        Code::NotFound => Exit::NotFound,
        Code::InvalidArgument => Exit::SweepFile,
        Code::Unavailable => Exit::Unreachable,
        _ => Exit::Failure,
    };
    Failure::new(exit, status.message())
}

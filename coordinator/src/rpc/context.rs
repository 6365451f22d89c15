//! What the services work with.

use std::{sync::Arc, time::Duration};

use colearn_core::sweep::Sweep;

use crate::{engine::EngineHandle, logs::Logs, store::Store};

/// Makes a sweep, and warnings, of a sweep file's text and its name; or rendered diagnostics, which is what clients are sent.
pub type SweepParser = Arc<dyn Fn(&str, &str) -> Result<(Sweep, Vec<String>), String> + Send + Sync>;

/// The parser of sweep files.
pub(crate) fn parse_sweep_file(source: &str, origin: &str) -> Result<(Sweep, Vec<String>), String> {
    let parsed = Sweep::parse(source, origin).map_err(|diagnostics| diagnostics.to_string())?;
    Ok((parsed.sweep, parsed.warnings.iter().map(ToString::to_string).collect()))
}

/// What all services share.
#[derive(Clone)]
pub(crate) struct Rpc {
    pub(crate) engine: EngineHandle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: Logs,
    pub(crate) parser: SweepParser,
    pub(crate) rules: WorkerRules,
}

/// The rules that workers are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerRules {
    /// A worker that is silent for longer loses its leases.
    pub(crate) lease: Duration,
    /// How often a worker is to say that it is alive.
    pub(crate) heartbeat: Duration,
}

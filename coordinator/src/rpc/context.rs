//! The context that all services share.

use std::{sync::Arc, time::Duration};

use colearn_access::ServerAccess;
use colearn_core::sweep::Sweep;

use super::{rebuilt::Rebuilt, usage::Usages};
use crate::{
    engine::{Clock, EngineHandle},
    logs::Logs,
    metrics::Metrics,
    pools::PoolsHandle,
    store::Store,
};

/// Makes a sweep and warnings of a sweep file's text, its name and its folder. An error is the rendered diagnostics,
/// which are sent to the client.
pub type SweepParser = Arc<dyn Fn(&str, &str, &str) -> Result<(Sweep, Vec<String>), String> + Send + Sync>;

/// The parser of sweep files.
pub(crate) fn parse_sweep_file(
    source: &str,
    origin: &str,
    folder: &str,
) -> Result<(Sweep, Vec<String>), String> {
    let parsed = Sweep::parse_in(source, origin, folder).map_err(|diagnostics| diagnostics.to_string())?;
    Ok((parsed.sweep, parsed.warnings.iter().map(ToString::to_string).collect()))
}

/// The context that all services share.
#[derive(Clone)]
pub(crate) struct Rpc {
    pub(crate) engine: EngineHandle,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) logs: Logs,
    pub(crate) parser: SweepParser,
    pub(crate) rules: WorkerRules,
    pub(crate) rebuilt: Rebuilt,
    pub(crate) pools: PoolsHandle,
    /// Who may call what; `None` if everybody may call everything.
    pub(crate) access: Option<ServerAccess>,
    pub(crate) metrics: Metrics,
    pub(crate) usages: Usages,
    pub(crate) clock: Clock,
}

/// The rules that workers are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerRules {
    /// A worker that is silent for longer than this loses its leases.
    pub(crate) lease: Duration,
    /// Interval of a worker's heartbeats.
    pub(crate) heartbeat: Duration,
}

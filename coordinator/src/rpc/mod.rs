//! The gRPC services. Wire types are used only here.

mod context;
mod convert;
mod fuzzing;
mod grid;
mod listing;
mod log_intake;
mod logs;
pub(crate) mod methods;
mod parts;
mod pools;
mod query;
mod rate;
mod rebuilt;
mod refusal;
mod results;
mod router;
mod running;
mod seam;
mod session;
mod sweeps;
mod untrusted;
mod usage;
mod workers;

pub use context::SweepParser;
pub(crate) use context::{Rpc, WorkerRules, parse_sweep_file};
pub use fuzzing::understands;
pub(crate) use rebuilt::Rebuilt;
pub(crate) use router::router;
pub(crate) use usage::Usages;

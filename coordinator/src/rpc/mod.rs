//! The gRPC services. Wire types come in here and go no further.

mod convert;
mod fuzzing;
mod listing;
mod logs;
mod parts;
mod query;
mod rate;
mod refusal;
mod results;
mod router;
mod session;
mod sweeps;
mod workers;

pub use fuzzing::understands;
pub use router::SweepParser;
pub(crate) use router::{Rpc, WorkerRules, router};

//! The gRPC services. Wire types come in here and go no further.

mod convert;
mod listing;
mod logs;
mod look;
mod parts;
mod rate;
mod refusal;
mod results;
mod router;
mod session;
mod sweeps;
mod understand;
mod workers;

pub use router::SweepParser;
pub(crate) use router::{Rpc, WorkerRules, router};
pub use understand::understands;

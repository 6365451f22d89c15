//! The engine: the only task that owns the scheduler.
//!
//! Each turn takes the queued inputs, applies them, commits the batch, and only then performs the effects. Therefore
//! nobody is told anything that a crash could undo.

mod backpressure;
mod batch;
mod clock;
mod error;
mod handle;
mod input;
mod notice;
mod purge;
mod recovery;
mod replay;
mod requests;
mod run;
mod submitters;
mod summary;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use error::EngineError;
pub use handle::{EngineHandle, Stopped, WorkerStream};
pub use input::{Operated, Operation, OperationError, Submitted, UndrainError, WorkerOutbox};
pub(crate) use purge::purge;
pub use run::{Engine, EngineSettings};
pub use submitters::Submitters;
pub use summary::SweepSummary;

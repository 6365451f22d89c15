//! The one task that owns the scheduler.
//!
//! Take what is queued, apply it, commit the batch, and only then perform what follows from it: nobody is told
//! anything that a crash could take back.

mod backpressure;
mod batch;
mod clock;
mod error;
mod handle;
mod input;
mod notice;
mod recovery;
mod replay;
mod run;
mod summary;

#[cfg(test)]
mod tests;

pub use clock::Clock;
pub use error::EngineError;
pub use handle::{EngineHandle, Stopped, WorkerStream};
pub use input::{Operated, Operation, OperationError, Submitted, UndrainError, WorkerOutbox};
pub use run::{Engine, EngineSettings};
pub use summary::SweepSummary;

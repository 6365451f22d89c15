//! The trainer: the child process that trains cohorts on one device.

mod batches;
mod checkpoints;
mod cohort;
mod evaluation;
mod network;
mod plan;
mod presence;
mod process;
mod progress;
mod result;
mod session;
mod source;

pub use cohort::{Control, train};
pub use process::main;
pub use session::Session;
pub use source::Source;

//! Trains cohorts on one device: the loop, and the state between epochs and between cohorts.

mod batches;
mod checkpoints;
mod cohort;
mod evaluation;
mod kept;
mod masks;
mod modality_dropout;
mod network;
mod plan;
mod progress;
mod replacement;
mod result;
mod session;
mod source;

pub use cohort::{Control, train};
pub use session::TrainingSession;
pub use source::DataSource;

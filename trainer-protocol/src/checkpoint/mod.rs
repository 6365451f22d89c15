//! Checkpoints of tasks in training: their format and where they lie. Nothing here knows of libtorch.

mod error;
mod format;
mod store;

pub use error::{CheckpointError, StoreError};
pub use format::{Checkpoint, Expected, Header, LARGEST_HEADER, decode, digest_of_text, encode};
pub use store::{Entry, Store};

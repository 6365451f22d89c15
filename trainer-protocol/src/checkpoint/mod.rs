//! Checkpoints of tasks in training: their format and where they lie. Nothing here knows of libtorch.

#[cfg(feature = "s3")]
mod bucket;
mod error;
mod folder;
mod format;
mod objects;
mod store;

pub use error::{CheckpointError, ObjectError, StoreError};
pub use format::{Checkpoint, Expected, Header, MAX_HEADER_BYTES, decode, digest_of_text, encode};
pub use store::{Store, StoredCheckpoint};

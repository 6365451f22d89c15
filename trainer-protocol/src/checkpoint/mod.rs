//! Checkpoints of tasks in training: their format and their storage. Nothing here depends on libtorch.

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

//! Checkpoints of tasks in training: their format and their storage. Nothing here depends on libtorch.

#[cfg(feature = "s3")]
mod bucket;
#[cfg(feature = "s3")]
mod bucket_error;
mod error;
mod folder;
mod format;
mod kept;
mod objects;
mod program;
mod reachability;
mod store;
mod tree;

#[cfg(feature = "s3")]
pub use bucket_error::BucketError;
pub use error::{CheckpointError, ObjectError, StoreError};
pub use format::{Checkpoint, Expected, Header, MAX_HEADER_BYTES, decode, digest_of_text, encode};
pub use program::{FetchedFiles, MAX_PROGRAM_BYTES};
pub use store::{Store, StoredCheckpoint};
pub use tree::remove_folder;

//! Errors of checkpoints, and of the place where they are stored.

use std::io;

#[cfg(feature = "s3")]
use super::bucket_error::{BucketError, BucketErrorKind};

/// The reason why bytes are not a checkpoint from which the task can continue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// The checkpoint is larger than any checkpoint of the task can be.
    #[error("it has {found} bytes, and a checkpoint of this task at most {largest}")]
    Oversized {
        /// Its size in bytes.
        found: u64,
        /// The largest size in bytes.
        largest: u64,
    },
    /// The checkpoint was cut off, or the file is of another kind.
    #[error("it is truncated or not a safetensors file: {0}")]
    NotSafetensors(String),
    /// A safetensors file that is not a checkpoint.
    #[error("it is not a checkpoint: {0}")]
    NotACheckpoint(String),
    /// Another version of this program wrote the checkpoint.
    #[error(
        "it is of format version {found}, and this program reads version {known}: \
         use the same version of colearn-worker on every host"
    )]
    Version {
        /// The version in the checkpoint.
        found: u32,
        /// The version that this program reads.
        known: u32,
    },
    /// The content differs from what was written.
    #[error("it is damaged: its content does not have the digest that was written with it")]
    Corrupt,
    /// The checkpoint belongs to something else.
    #[error("it belongs to another {what}: `{found}` instead of `{expected}`")]
    Foreign {
        /// The thing that differs: `task`, `data set` or `layout`.
        what: &'static str,
        /// The value in the checkpoint.
        found: String,
        /// The expected value.
        expected: String,
    },
    /// A tensor is missing.
    #[error("the tensor `{0}` is missing")]
    MissingTensor(String),
    /// There is a tensor that the task does not have.
    #[error("it holds a tensor `{0}` that this task does not have")]
    ExtraTensor(String),
    /// A tensor is not a flat list of the expected number of 32-bit floats.
    #[error("the tensor `{name}` is {found} instead of {expected}")]
    Tensor {
        /// Name of the tensor.
        name: String,
        /// Type and shape in the file.
        found: String,
        /// Expected type and shape.
        expected: String,
    },
}

/// The reason why the place for checkpoints, or an object in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The place cannot be used at all.
    #[error("the checkpoint location `{location}` cannot be used: {why}")]
    Open {
        /// The location as it was given.
        location: String,
        /// The cause, with a remedy if there is one.
        why: String,
    },
    /// An operation failed.
    #[error("failed to {verb} checkpoint {path}: {cause}")]
    Failed {
        /// `save`, `list`, `load` or `remove`.
        verb: &'static str,
        /// Path of the object or folder, within the location.
        path: String,
        /// The cause.
        cause: ObjectError,
    },
    /// An operation on a kept file failed.
    #[error("failed to {verb} the kept file {path}: {cause}")]
    Kept {
        /// `save`, `list`, `load` or `remove`.
        verb: &'static str,
        /// Path of the object or folder, within the location.
        path: String,
        /// The cause.
        cause: ObjectError,
    },
    /// A kept file does not exist at this location.
    #[error("there is no kept file {path}")]
    NotKept {
        /// Path of the object.
        path: String,
    },
    /// A kept file does not have the recorded digest.
    #[error("the kept file {path} was altered: it has {found}, other than its result recorded")]
    Altered {
        /// Path of the object.
        path: String,
        /// What it has instead.
        found: String,
    },
    /// An object is larger than it can be; none of it was read.
    #[error("checkpoint {path} has {found} bytes; at most {largest} are expected")]
    Oversized {
        /// Path of the object.
        path: String,
        /// Its size in bytes.
        found: u64,
        /// The largest size in bytes.
        largest: u64,
    },
}

impl StoreError {
    /// Whether the place cannot be reached at the moment, and may be later.
    #[must_use]
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Failed { cause, .. } | Self::Kept { cause, .. } => cause.is_unreachable(),
            _ => false,
        }
    }
}

/// The reason why an object cannot be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The system reports an error.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder within the location is a link.
    #[error("`{0}` is a link, which is not followed; put a folder in its place")]
    Link(String),
    /// There is something else in the place of a checkpoint.
    #[error("it is {0}, not a regular file")]
    NotAFile(&'static str),
    /// A folder cannot be removed because it holds something else.
    #[error("it holds `{0}`, which is not a checkpoint and is kept")]
    Occupied(String),
    /// The object is larger than it can be; none of it was kept.
    #[error("it has {found} bytes, more than are expected")]
    Oversized {
        /// Its size in bytes.
        found: u64,
    },
    /// The place could not be reached shortly before, and this was not tried.
    #[error("it was not tried, because the store could not be reached {0} s before")]
    NotTried(u64),
    /// The bucket cannot be used.
    #[cfg(feature = "s3")]
    #[error(transparent)]
    Bucket(#[from] BucketError),
}

impl ObjectError {
    pub(super) fn is_not_found(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::NotFound,
            #[cfg(feature = "s3")]
            Self::Bucket(error) => error.kind == BucketErrorKind::NotFound,
            _ => false,
        }
    }

    /// Whether the place cannot be reached at the moment. A folder always can.
    pub(super) fn is_unreachable(&self) -> bool {
        match self {
            #[cfg(feature = "s3")]
            Self::Bucket(error) => error.kind == BucketErrorKind::Unreachable,
            _ => false,
        }
    }
}

impl From<nix::errno::Errno> for ObjectError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Io(errno.into())
    }
}

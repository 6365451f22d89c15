//! What can be wrong with a checkpoint, or with the place where checkpoints lie.

use std::io;

/// Why bytes are not a checkpoint that the task can go on from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is larger than any checkpoint of the task.
    #[error("it has {found} bytes, and a checkpoint of this task at most {largest}")]
    Oversized {
        /// Bytes.
        found: u64,
        /// Bytes.
        largest: u64,
    },
    /// It was cut off, or is another kind of file.
    #[error("it is truncated or not a safetensors file: {0}")]
    NotSafetensors(String),
    /// It is a safetensors file, but not a checkpoint.
    #[error("it is not a checkpoint: {0}")]
    NotACheckpoint(String),
    /// Another version of this program wrote it.
    #[error(
        "it is of format version {found}, and this program reads version {known}: \
         use the same version of colearn-worker on every host"
    )]
    Version {
        /// As written.
        found: u32,
        /// As known here.
        known: u32,
    },
    /// What it holds is not what was written.
    #[error("it is damaged: its content does not have the digest that was written with it")]
    Corrupt,
    /// It is a checkpoint of something else.
    #[error("it belongs to another {what}: `{found}` instead of `{expected}`")]
    Foreign {
        /// `task`, `data set` or `layout`.
        what: &'static str,
        /// As written.
        found: String,
        /// As expected.
        expected: String,
    },
    /// A tensor is not there.
    #[error("the tensor `{0}` is missing")]
    MissingTensor(String),
    /// There is a tensor that the task has not.
    #[error("there is a tensor `{0}` that this task has not")]
    ExtraTensor(String),
    /// A tensor is not a flat list of as many 32-bit floats as it should be.
    #[error("the tensor `{name}` is {found} instead of {expected}")]
    Tensor {
        /// Which.
        name: String,
        /// Type and shape.
        found: String,
        /// Type and shape.
        expected: String,
    },
}

/// Why the place for checkpoints, or an object in it, can not be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The place can not be used at all.
    #[error("the checkpoint location `{location}` can not be used: {why}")]
    Open {
        /// As given.
        location: String,
        /// What is wrong, with a remedy where there is one.
        why: String,
    },
    /// An operation failed.
    #[error("failed to {verb} checkpoint {path}: {cause}")]
    Failed {
        /// `save`, `list`, `load` or `remove`.
        verb: &'static str,
        /// The object or folder, within the location.
        path: String,
        /// Why.
        cause: ObjectError,
    },
    /// An object is larger than it may be; none of it was read.
    #[error("checkpoint {path} has {found} bytes; at most {largest} are expected")]
    Oversized {
        /// The object.
        path: String,
        /// Bytes.
        found: u64,
        /// Bytes.
        largest: u64,
    },
}

/// Why an object can not be read, written or removed.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A folder within the location is a link.
    #[error("`{0}` is a link, which is not followed; put a folder in its place")]
    Link(String),
    /// There is something else where a checkpoint should be.
    #[error("it is {0}, not a regular file")]
    NotAFile(&'static str),
    /// A folder can not be removed for what else is in it.
    #[error("it holds `{0}`, which is not a checkpoint and stays")]
    Occupied(String),
    /// It is larger than it may be; none of it was kept.
    #[error("it has {found} bytes, more than are expected")]
    Oversized {
        /// Bytes.
        found: u64,
    },
    /// The bucket's answer.
    #[cfg(feature = "s3")]
    #[error("{}", Innermost(.0))]
    Bucket(#[from] object_store::Error),
}

impl ObjectError {
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

impl From<nix::errno::Errno> for ObjectError {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Shows an error as its innermost cause: what the system says, such as `No space left on device`. The outer
/// ones name the place again, with words of a library.
#[cfg(feature = "s3")]
struct Innermost<'a>(&'a object_store::Error);

#[cfg(feature = "s3")]
impl std::fmt::Display for Innermost<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut innermost: &dyn std::error::Error = self.0;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        std::fmt::Display::fmt(innermost, f)
    }
}

//! What a folder and a bucket have in common, and how checkpoints are named in both.

use std::fmt;

use colearn_core::id::TaskId;

use super::error::ObjectError;

const SUFFIX: &str = ".safetensors";

/// Objects that are named by their task and a file name.
pub(super) trait Objects: fmt::Debug + Send + Sync {
    /// Writes an object as a whole.
    fn put(&self, task: TaskId, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError>;
    /// The objects of a task, of which there may be none.
    fn list(&self, task: TaskId) -> Result<Listing, ObjectError>;
    /// An object of at most so many bytes.
    fn get(&self, task: TaskId, name: &str, largest: u64) -> Result<Vec<u8>, ObjectError>;
    /// Removes an object, if it is there.
    fn delete(&self, task: TaskId, name: &str) -> Result<(), ObjectError>;
    /// Removes what is left of a task without objects.
    fn remove_place(&self, task: TaskId) -> Result<(), ObjectError>;
}

/// What there is of a task.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Names and sizes.
    pub(super) objects: Vec<(String, u64)>,
    /// Names of checkpoints, with what there is instead.
    pub(super) others: Others,
}

/// Names, each with what there is instead of a checkpoint, with its article.
pub(super) type Others = Vec<(String, &'static str)>;

/// The folders that a task's checkpoints lie in: its sweep's, and therein its own.
pub(super) fn folder_names(TaskId { sweep, configuration, seed }: TaskId) -> [String; 2] {
    [format!("{:016x}", sweep.0), format!("{configuration}-{seed}")]
}

/// The name of a checkpoint.
pub(super) fn name_of(epoch: u32, attempt: u32) -> String {
    format!("{epoch:08}-{attempt:08}{SUFFIX}")
}

/// The epoch and attempt that a name tells, if it is that of a checkpoint.
pub(super) fn numbers_of(name: &str) -> Option<(u32, u32)> {
    let (epoch, attempt) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    Some((number(epoch)?, number(attempt)?))
}

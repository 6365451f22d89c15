//! The interface that folders and buckets share, and the names of checkpoints in both.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use colearn_core::id::TaskId;

use super::error::ObjectError;

const SUFFIX: &str = ".safetensors";

/// Objects that are named by their task and a file name.
pub(super) trait Objects: fmt::Debug + Send + Sync {
    /// Checks that the place can be listed.
    fn check(&self) -> Result<(), ObjectError> {
        Ok(())
    }
    /// Writes an object as a whole.
    fn put(&self, task: TaskId, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError>;
    /// The objects of a task. There may be none.
    fn list(&self, task: TaskId) -> Result<Listing, ObjectError>;
    /// Reads an object of at most `largest` bytes.
    fn get(&self, task: TaskId, name: &str, largest: u64) -> Result<Vec<u8>, ObjectError>;
    /// Removes an object, if it exists.
    fn delete(&self, task: TaskId, name: &str) -> Result<(), ObjectError>;
    /// Removes objects, if they exist.
    fn delete_all(&self, task: TaskId, names: &[String]) -> Result<(), ObjectError> {
        names.iter().try_for_each(|name| self.delete(task, name))
    }
    /// Removes what remains of a task without objects.
    fn remove_place(&self, task: TaskId) -> Result<(), ObjectError>;

    /// The folder on this host that a program may use for the task, made if it does not exist; `None` if there are
    /// only objects.
    fn program_folder(&self, task: TaskId) -> Result<Option<PathBuf>, ObjectError>;
    /// Removes everything that programs left for a task.
    fn remove_program(&self, task: TaskId) -> Result<(), ObjectError>;
    /// Writes an object from a file of this size.
    fn put_file(&self, task: TaskId, name: &str, file: &Path, _size: u64) -> Result<(), ObjectError> {
        self.put(task, name, fs::read(file)?)
    }
    /// Reads an object of this size into a file that does not exist.
    fn get_file(&self, task: TaskId, name: &str, file: &Path, size: u64) -> Result<(), ObjectError> {
        let bytes = self.get(task, name, size)?;
        fs::File::create_new(file).and_then(|mut file| std::io::Write::write_all(&mut file, &bytes))?;
        Ok(())
    }
}

/// Everything that is stored for a task.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Names and sizes of checkpoints and kept files; in a bucket those of others too.
    pub(super) objects: Vec<(String, u64)>,
    /// Names of checkpoints and kept files that are not regular files, with their kind.
    pub(super) others: Others,
}

/// Names, each with the kind of the object and its article.
pub(super) type Others = Vec<(String, &'static str)>;

/// The folders of a task's checkpoints: that of its sweep, and within it that of the task.
pub(super) fn folder_names(TaskId { sweep, configuration, seed }: TaskId) -> [String; 2] {
    [format!("{:016x}", sweep.0), format!("{configuration}-{seed}")]
}

/// Name of the record that the runner of programs keeps of a task.
pub(super) const RECORD: &str = "epochs.json";
/// Name of the folder that a program may use for a task.
pub(super) const PROGRAM_FOLDER: &str = "program";
/// Name of the list of a program's files, where there are no folders.
pub(super) const PROGRAM_INDEX: &str = "program.json";
/// What the name of an object with the contents of a program's file begins with.
pub(super) const PROGRAM_CONTENTS: &str = "program-";

/// The name of a checkpoint.
pub(super) fn name_of(epoch: u32, attempt: u32) -> String {
    format!("{epoch:08}-{attempt:08}{SUFFIX}")
}

/// What the name of a kept file begins with.
const KEPT: &str = "kept-";
/// Number of a digest's digits in the name of a kept file: enough to tell the files of a task apart.
const DIGITS: usize = 16;

/// The name of the object that holds a kept file: `kept-<16 digits of its digest>-<name>`.
pub(super) fn kept_name(name: &str, digest: &str) -> String {
    format!("{KEPT}{}-{name}", digest.get(..DIGITS).unwrap_or(digest))
}

/// The digits in the name of a kept file; `None` for other names.
pub(super) fn digest_in_name(name: &str) -> Option<&str> {
    let (digits, name) = name.strip_prefix(KEPT)?.split_once('-')?;
    let plain = digits.len() == DIGITS
        && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    (plain && !name.is_empty() && !name.contains(['/', '#'])).then_some(digits)
}

/// The epoch and attempt in the name of a checkpoint; `None` for other names.
pub(super) fn numbers_of(name: &str) -> Option<(u32, u32)> {
    let (epoch, attempt) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    Some((number(epoch)?, number(attempt)?))
}

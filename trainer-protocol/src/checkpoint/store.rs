//! The storage of checkpoints: a folder or a bucket, with one object per checkpoint.

use std::path::Path;

use colearn_core::id::TaskId;

use super::{
    error::{CheckpointError, ObjectError, StoreError},
    folder::Folder,
    format::{Checkpoint, Expected, decode},
    objects::{Listing, Objects, Others, folder_names, name_of, numbers_of},
    reachability::Reachability,
};

/// Number of objects that are named in warnings because they are not regular files; of the others only the count is
/// shown.
const NAMED_OTHERS: usize = 3;

/// Longest name of a folder within a location, in bytes.
const MAX_FOLDER: usize = 64;

/// Checkpoints of any number of tasks, under
/// `<sweep, 16 hexadecimal digits>/<configuration>-<seed>/<epoch, 8 digits>-<attempt, 8 digits>.safetensors`.
/// Files that stay after the end of a task are beside them as `kept-<16 digits of the digest>-<name>`. Objects with
/// other names are left alone.
///
/// An object exists as a whole or not at all. In a folder it is written under another name, synced and renamed, and
/// its folder is synced before [`Store::save`] returns. Links are not followed, and objects that are not regular
/// files are ignored. Several programs may use one location. If one of them replaces or removes an object that
/// another uses, the other finds it missing, which does no further harm.
///
/// Calls block. They must not be made, nor the store dropped, on a thread that runs asynchronous code.
#[derive(Debug)]
pub struct Store {
    pub(super) objects: Box<dyn Objects>,
    /// The location as it was given, for messages.
    pub(super) location: String,
    /// The location for the records of kept files: a folder's absolute path.
    pub(super) place: String,
    pub(super) reachability: Reachability,
}

/// A checkpoint in a store that was not opened yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// The task of the checkpoint.
    pub task: TaskId,
    /// The last finished epoch.
    pub epoch: u32,
    /// The attempt that wrote the checkpoint.
    pub attempt: u32,
    /// Size in bytes.
    pub size: u64,
}

impl StoredCheckpoint {
    /// Later attempts are newer: they continued from the best checkpoint that they found.
    fn age(&self) -> (u32, u32) {
        (self.attempt, self.epoch)
    }

    fn name(&self) -> String {
        name_of(self.epoch, self.attempt)
    }
}

impl Store {
    /// Opens a location: the path of a folder, which is made if it does not exist, or `s3://bucket/prefix`.
    /// Credentials, region and endpoint of a bucket come from the environment variables that AWS's own tools read.
    ///
    /// # Errors
    /// If the folder cannot be made, the URL is malformed or of another kind, or this program was built without the
    /// feature `s3`.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let wrong = |why: String| StoreError::Open { location: location.to_owned(), why };
        let mut place = location.trim_end_matches('/').to_owned();
        let objects: Box<dyn Objects> = match location.split_once("://") {
            Some(("s3", name)) => bucket(name).map_err(wrong)?,
            Some((scheme, _)) => {
                return Err(wrong(format!(
                    "`{scheme}://` is not supported; give the path of a folder, or s3://bucket/prefix"
                )));
            }
            None if location.is_empty() => {
                return Err(wrong("it is empty; give the path of a folder".to_owned()));
            }
            None => {
                let folder = Folder::open(Path::new(location)).map_err(|error| wrong(error.to_string()))?;
                place = folder.path().display().to_string();
                Box::new(folder)
            }
        };
        Ok(Self::of(objects, location, place))
    }

    pub(super) fn of(objects: Box<dyn Objects>, location: &str, place: String) -> Self {
        Self { objects, location: location.to_owned(), place, reachability: Reachability::default() }
    }

    /// Checks that a bucket exists, and that the credentials are those of somebody who may list it. A folder exists.
    ///
    /// # Errors
    /// If not, or if it cannot be reached: see [`StoreError::is_unreachable`].
    pub fn check(&self) -> Result<(), StoreError> {
        let location = self.location.clone();
        self.objects.check().map_err(|cause| match cause.is_unreachable() {
            true => StoreError::Failed { verb: "list", path: location, cause },
            false => StoreError::Open { location, why: cause.to_string() },
        })
    }

    /// Opens a folder within this location, or the objects with such a prefix.
    ///
    /// # Errors
    /// As [`Store::open`], and if `folder` is no plain name.
    pub fn within(&self, folder: &str) -> Result<Self, StoreError> {
        let location = format!("{}/{folder}", self.location.trim_end_matches('/'));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if folder.is_empty() || folder.len() > MAX_FOLDER || !folder.chars().all(is_plain) {
            let why = format!(
                "{folder:?} is no name of a folder: it may have letters, digits and `-`, at most {MAX_FOLDER}"
            );
            return Err(StoreError::Open { location, why });
        }
        Self::open(&location)
    }

    /// Opens a location like [`Store::open`], but makes no folder.
    ///
    /// # Errors
    /// As [`Store::open`], and if the folder does not exist on this host.
    pub fn open_existing(location: &str) -> Result<Self, StoreError> {
        if !location.is_empty() && !location.contains("://") && !Path::new(location).is_dir() {
            let why = "there is no such folder on this host".to_owned();
            return Err(StoreError::Open { location: location.to_owned(), why });
        }
        Self::open(location)
    }

    /// Saves a checkpoint. Then removes others of the task, so that this one and the newest of the others remain.
    /// This one stays even if others look newer, because the trainer may have refused those.
    ///
    /// # Errors
    /// If the checkpoint cannot be written, or older ones cannot be listed or removed. The message says which, and
    /// can be shown as a warning: training may continue. If a bucket could not be reached, no other checkpoint is tried
    /// for as long as that took.
    pub fn save(&self, task: TaskId, attempt: u32, epoch: u32, bytes: Vec<u8>) -> Result<(), StoreError> {
        let name = name_of(epoch, attempt);
        self.reachability.spare(
            || self.save_and_prune(task, (epoch, attempt), &name, bytes),
            |cause| self.failed("save", task, Some(&name), cause),
        )
    }

    fn save_and_prune(
        &self,
        task: TaskId,
        (epoch, attempt): (u32, u32),
        name: &str,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.objects.put(task, name, bytes).map_err(|cause| self.failed("save", task, Some(name), cause))?;
        let entries = self.newest_first(task)?;
        for entry in entries.iter().filter(|entry| (entry.epoch, entry.attempt) != (epoch, attempt)).skip(1) {
            self.delete(entry)?;
        }
        Ok(())
    }

    /// The checkpoints of a task: later attempts first, and within an attempt later epochs first.
    ///
    /// # Errors
    /// If the location cannot be read. It is no error if there are no checkpoints.
    pub fn newest_first(&self, task: TaskId) -> Result<Vec<StoredCheckpoint>, StoreError> {
        Ok(self.list(task)?.0)
    }

    /// The checkpoints, and the objects that have the name of a checkpoint but are none.
    fn list(&self, task: TaskId) -> Result<(Vec<StoredCheckpoint>, Others), StoreError> {
        let Listing { objects, mut others } =
            self.objects.list(task).map_err(|cause| self.failed("list", task, None, cause))?;
        let entry = |(name, size): (String, u64)| {
            let (epoch, attempt) = numbers_of(&name)?;
            Some(StoredCheckpoint { task, epoch, attempt, size })
        };
        let mut entries: Vec<StoredCheckpoint> = objects.into_iter().filter_map(entry).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.age()));
        others.retain(|(name, _)| numbers_of(name).is_some());
        others.sort();
        Ok((entries, others))
    }

    /// Reads the bytes of a checkpoint.
    ///
    /// # Errors
    /// If it is larger than `largest` bytes (then none of it is read), is not a regular file, or cannot be read.
    pub fn load(&self, entry: &StoredCheckpoint, largest: u64) -> Result<Vec<u8>, StoreError> {
        let name = entry.name();
        self.objects.get(entry.task, &name, largest).map_err(|cause| match cause {
            ObjectError::Oversized { found } => {
                StoreError::Oversized { path: self.shown(entry.task, Some(&name)), found, largest }
            }
            cause => self.failed("load", entry.task, Some(&name), cause),
        })
    }

    /// Removes all checkpoints of a task, also unfinished ones, and everything that a program left in its folder; in a
    /// folder, the folder of the task too.
    ///
    /// # Errors
    /// If an object cannot be removed, or something else lies among them, which is kept. It is no error if there are
    /// none.
    pub fn remove(&self, task: TaskId) -> Result<(), StoreError> {
        for entry in self.newest_first(task)? {
            self.delete(&entry)?;
        }
        self.objects.remove_program(task).map_err(|cause| self.failed("remove", task, None, cause))?;
        self.objects.remove_place(task).map_err(|cause| self.failed("remove", task, None, cause))
    }

    /// The newest checkpoint of a task that matches `expected`. For each newer one, `warn` gets the reason and the
    /// consequence. Waits up to a minute for a bucket that cannot be reached.
    pub fn latest(
        &self,
        task: TaskId,
        expected: &Expected,
        warn: &mut dyn FnMut(String),
    ) -> Option<Checkpoint> {
        let (entries, others) = match self.reachability.wait_for(|| self.list(task), warn) {
            Ok(listed) => listed,
            Err(error) => {
                warn(format!("{error}; the task starts over"));
                return None;
            }
        };
        for (name, kind) in others.iter().take(NAMED_OTHERS) {
            let path = self.shown(task, Some(name));
            warn(format!("checkpoint {path} is {kind}, not a regular file, and is ignored"));
        }
        if let Some(more @ 1..) = others.len().checked_sub(NAMED_OTHERS) {
            warn(format!(
                "{} holds {more} more object(s) that are not regular files",
                self.shown(task, None)
            ));
        }
        for (position, entry) in entries.iter().enumerate() {
            let loaded = self.reachability.wait_for(|| self.load(entry, expected.largest()), warn);
            let refused = match loaded {
                Ok(bytes) => match decode(&bytes, expected) {
                    Ok(checkpoint) => return Some(checkpoint),
                    Err(error) => self.refusal(entry, &error),
                },
                Err(error) => error.to_string(),
            };
            let last = position + 1 == entries.len();
            let then = if last { "the task starts over" } else { "trying the one before" };
            warn(format!("{refused}; {then}"));
        }
        None
    }

    fn refusal(&self, entry: &StoredCheckpoint, error: &CheckpointError) -> String {
        format!("checkpoint {} is refused: {error}", self.shown(entry.task, Some(&entry.name())))
    }

    fn delete(&self, entry: &StoredCheckpoint) -> Result<(), StoreError> {
        let name = entry.name();
        let deleted = self.objects.delete(entry.task, &name);
        deleted.map_err(|cause| self.failed("remove", entry.task, Some(&name), cause))
    }

    pub(super) fn failed(
        &self,
        verb: &'static str,
        task: TaskId,
        name: Option<&str>,
        cause: ObjectError,
    ) -> StoreError {
        StoreError::Failed { verb, path: self.shown(task, name), cause }
    }

    /// The path of an object, or of a task's folder, for messages.
    pub(super) fn shown(&self, task: TaskId, name: Option<&str>) -> String {
        let folders = folder_names(task);
        let parts = [self.location.trim_end_matches('/'), &folders[0], &folders[1]];
        parts.into_iter().chain(name).collect::<Vec<_>>().join("/")
    }
}

#[cfg(feature = "s3")]
fn bucket(place: &str) -> Result<Box<dyn Objects>, String> {
    Ok(Box::new(super::bucket::Bucket::open(place)?))
}

#[cfg(not(feature = "s3"))]
fn bucket(_: &str) -> Result<Box<dyn Objects>, String> {
    Err("this program was built without the feature `s3`; build it with the default features, or give the path of a folder"
        .to_owned())
}

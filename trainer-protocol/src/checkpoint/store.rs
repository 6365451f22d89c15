//! Where checkpoints lie: a folder, or a bucket, with one object a checkpoint.

use std::{fs, path::PathBuf, sync::Arc};

use colearn_core::id::TaskId;
use object_store::{ObjectStore, ObjectStoreExt as _, local::LocalFileSystem, path::Path as ObjectPath};
use tokio::runtime::Runtime;

use super::{
    error::{CheckpointError, StoreError},
    format::{Checkpoint, Expected, decode},
};

const SUFFIX: &str = ".safetensors";

/// Checkpoints of any number of tasks, under
/// `<sweep, 16 hexadecimal digits>/<configuration>-<seed>/<epoch, 8 digits>-<attempt, 8 digits>.safetensors`.
/// What is named otherwise is left alone.
///
/// An object is there as a whole or not at all. In a folder it is written under another name, synced, renamed
/// and its folder synced before [`Store::save`] returns. Several programs may use one location: what one of
/// them replaces or removes under another's hands is missing there, and nothing worse.
///
/// Calls block; they must not be made, nor the store dropped, on a thread that runs asynchronous code.
#[derive(Debug)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// What stands before every name in a bucket; empty in a folder.
    prefix: ObjectPath,
    /// As it was given, for messages.
    location: String,
    /// The folder, if it is one.
    folder: Option<PathBuf>,
    runtime: Runtime,
}

/// A checkpoint in a store, not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last epoch that is finished.
    pub epoch: u32,
    /// The attempt that wrote it.
    pub attempt: u32,
    /// In bytes.
    pub size: u64,
    /// Its name within the location.
    pub path: ObjectPath,
}

impl Entry {
    /// Later attempts are newer: they went on from what they found worth going on from.
    fn age(&self) -> (u32, u32) {
        (self.attempt, self.epoch)
    }
}

impl Store {
    /// Opens a location: the path of a folder, which is made, or `s3://bucket/prefix`, with credentials, region
    /// and endpoint from the environment variables that AWS's own tools read.
    ///
    /// # Errors
    /// When the folder can not be made, the URL is of another kind or malformed, or this program was built
    /// without the feature `s3`.
    pub fn open(location: &str) -> Result<Self, StoreError> {
        let wrong = |why: String| StoreError::Open { location: location.to_owned(), why };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        let (objects, prefix, folder): (Arc<dyn ObjectStore>, _, _) = match location.split_once("://") {
            Some(("s3", place)) => {
                let (objects, prefix) = bucket(place).map_err(wrong)?;
                (objects, prefix, None)
            }
            Some((scheme, _)) => {
                return Err(wrong(format!(
                    "there is no `{scheme}://` here; give the path of a folder, or s3://bucket/prefix"
                )));
            }
            None if location.is_empty() => {
                return Err(wrong("it is empty; give the path of a folder".to_owned()));
            }
            None => {
                fs::create_dir_all(location).map_err(|error| wrong(error.to_string()))?;
                let local = LocalFileSystem::new_with_prefix(location)
                    .map_err(|error| wrong(error.to_string()))?
                    .with_fsync(true);
                (Arc::new(local), ObjectPath::default(), Some(PathBuf::from(location)))
            }
        };
        Ok(Self { objects, prefix, location: location.to_owned(), folder, runtime })
    }

    /// Keeps a checkpoint. Then removes others of the task, so that this one and the newest of the others
    /// remain. This one stays even when others look newer: they may be what a trainer had to refuse.
    ///
    /// # Errors
    /// When it can not be written, or older ones not be listed or removed, which the text says; it is fit for a
    /// warning, and training may go on.
    pub fn save(&self, task: TaskId, attempt: u32, epoch: u32, bytes: Vec<u8>) -> Result<(), StoreError> {
        let name = format!("{epoch:08}-{attempt:08}{SUFFIX}");
        let path = self.place_of(task).join(name);
        self.runtime
            .block_on(self.objects.put(&path, bytes.into()))
            .map_err(|cause| self.failed("save", &path, cause))?;
        let entries = self.newest_first(task)?;
        for entry in entries.iter().filter(|entry| entry.path != path).skip(1) {
            self.remove_object(&entry.path)?;
        }
        Ok(())
    }

    /// The checkpoints of a task: later attempts first, and of one attempt later epochs first.
    ///
    /// # Errors
    /// When the location can not be read. That there is none is no error.
    pub fn newest_first(&self, task: TaskId) -> Result<Vec<Entry>, StoreError> {
        let place = self.place_of(task);
        let listed = match self.runtime.block_on(self.objects.list_with_delimiter(Some(&place))) {
            Ok(listed) => listed.objects,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(cause) => return Err(self.failed("list", &place, cause)),
        };
        let entry = |object: object_store::ObjectMeta| {
            let (epoch, attempt) = numbers_of(object.location.filename()?)?;
            Some(Entry { epoch, attempt, size: object.size, path: object.location })
        };
        let mut entries: Vec<Entry> = listed.into_iter().filter_map(entry).collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.age()));
        Ok(entries)
    }

    /// The bytes of a checkpoint.
    ///
    /// # Errors
    /// When it is larger than `largest` bytes, in which case none of it is read, or can not be read.
    pub fn load(&self, entry: &Entry, largest: u64) -> Result<Vec<u8>, StoreError> {
        let failed = |cause| self.failed("load", &entry.path, cause);
        self.runtime.block_on(async {
            let object = self.objects.get(&entry.path).await.map_err(failed)?;
            // The size of what is about to be read, which may have been replaced since it was listed.
            let found = object.meta.size;
            if found > largest {
                let path = self.shown(&entry.path);
                return Err(StoreError::Oversized { path, found, largest });
            }
            Ok(object.bytes().await.map_err(failed)?.into())
        })
    }

    /// Removes all checkpoints of a task, and in a folder whatever else lies in the task's own.
    ///
    /// # Errors
    /// When one can not be removed. That there is none is no error.
    pub fn remove(&self, task: TaskId) -> Result<(), StoreError> {
        let place = self.place_of(task);
        for entry in self.newest_first(task)? {
            self.remove_object(&entry.path)?;
        }
        // Also what a process left behind that was killed while it was writing.
        if let Some(folder) = &self.folder {
            match fs::remove_dir_all(folder.join(place.as_ref())) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let cause = object_store::Error::Generic { store: "folder", source: error.into() };
                    return Err(self.failed("remove", &place, cause));
                }
                _ => {}
            }
            // The sweep's folder goes with the last of its tasks; until then it is not empty.
            let _ = fs::remove_dir(folder.join(format!("{:016x}", task.sweep.0)));
        }
        Ok(())
    }

    /// The newest checkpoint of a task that is as expected. Says of each that is not, why, and what follows.
    pub fn latest(
        &self,
        task: TaskId,
        expected: &Expected,
        warn: &mut dyn FnMut(String),
    ) -> Option<Checkpoint> {
        let entries = match self.newest_first(task) {
            Ok(entries) => entries,
            Err(error) => {
                warn(format!("{error}; task {task} starts over"));
                return None;
            }
        };
        for (position, entry) in entries.iter().enumerate() {
            let refused = match self.load(entry, expected.largest()) {
                Ok(bytes) => match decode(&bytes, expected) {
                    Ok(checkpoint) => return Some(checkpoint),
                    Err(error) => self.refusal(entry, &error),
                },
                Err(error) => error.to_string(),
            };
            let last = position + 1 == entries.len();
            let then =
                if last { format!("task {task} starts over") } else { "trying the one before".to_owned() };
            warn(format!("{refused}; {then}"));
        }
        None
    }

    fn refusal(&self, entry: &Entry, error: &CheckpointError) -> String {
        format!("checkpoint {} is refused: {error}", self.shown(&entry.path))
    }

    fn remove_object(&self, path: &ObjectPath) -> Result<(), StoreError> {
        match self.runtime.block_on(self.objects.delete(path)) {
            // Another process was quicker.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(cause) => Err(self.failed("remove", path, cause)),
        }
    }

    fn place_of(&self, task: TaskId) -> ObjectPath {
        let TaskId { sweep, configuration, seed } = task;
        self.prefix.clone().join(format!("{:016x}", sweep.0)).join(format!("{configuration}-{seed}"))
    }

    fn failed(&self, verb: &'static str, path: &ObjectPath, cause: object_store::Error) -> StoreError {
        StoreError::Failed { verb, path: self.shown(path), cause }
    }

    /// An object as a person would look for it.
    fn shown(&self, path: &ObjectPath) -> String {
        let within = path.as_ref().strip_prefix(self.prefix.as_ref()).unwrap_or(path.as_ref());
        format!("{}/{}", self.location.trim_end_matches('/'), within.trim_start_matches('/'))
    }
}

/// The epoch and attempt that a name tells, if it is that of a checkpoint.
fn numbers_of(name: &str) -> Option<(u32, u32)> {
    let (epoch, attempt) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let number = |digits: &str| {
        let plain = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    };
    Some((number(epoch)?, number(attempt)?))
}

/// The bucket and prefix that stand after `s3://`.
#[cfg(feature = "s3")]
fn bucket(place: &str) -> Result<(Arc<dyn ObjectStore>, ObjectPath), String> {
    use std::time::Duration;

    use object_store::{RetryConfig, aws::AmazonS3Builder};

    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let prefix = ObjectPath::parse(prefix).map_err(|error| error.to_string())?;
    // Training waits meanwhile, and goes on without the checkpoint.
    let retry =
        RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
    let objects = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build();
    Ok((Arc::new(objects.map_err(|error| error.to_string())?), prefix))
}

#[cfg(not(feature = "s3"))]
fn bucket(_: &str) -> Result<(Arc<dyn ObjectStore>, ObjectPath), String> {
    Err("this program was built without S3; build it with `--features s3`, or give the path of a folder"
        .to_owned())
}

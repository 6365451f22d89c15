//! Files of finished tasks, which stay when the checkpoints are removed.

use colearn_core::{id::TaskId, result::Artifact};
use sha2::{Digest as _, Sha256};

use super::{
    error::{ObjectError, StoreError},
    format::hexadecimal,
    objects::{digest_in_name, kept_name},
    store::Store,
};

impl Store {
    /// Keeps a file of a task, and returns its record for the task's result. In a folder the file is synced before.
    ///
    /// The name of the object has a part of the digest: several attempts never replace each other's files, and the
    /// record alone says which one is meant.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn keep(&self, task: TaskId, name: &str, bytes: Vec<u8>) -> Result<Artifact, StoreError> {
        let digest = hexadecimal(&Sha256::digest(&bytes));
        let (size, object) = (bytes.len() as u64, kept_name(name, &digest));
        self.objects
            .put(task, &object, bytes)
            .map_err(|cause| self.failed_kept("save", task, Some(&object), cause))?;
        Ok(Artifact { name: name.to_owned(), digest, bytes: size, location: self.place.clone() })
    }

    /// The bytes of a kept file. They have the recorded digest.
    ///
    /// # Errors
    /// [`StoreError::NotKept`] if it is not there, [`StoreError::Altered`] if it has other bytes than were recorded,
    /// and other errors if it cannot be read.
    pub fn load_kept(&self, task: TaskId, artifact: &Artifact) -> Result<Vec<u8>, StoreError> {
        let object = kept_name(&artifact.name, &artifact.digest);
        // A record may come from anybody, and is not to lead to other places.
        if digest_in_name(&object).is_none() {
            return Err(StoreError::NotKept { path: self.shown(task, None) });
        }
        let path = || self.shown(task, Some(&object));
        let altered = |found: String| StoreError::Altered { path: path(), found };
        let bytes = match self.objects.get(task, &object, artifact.bytes) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => return Err(StoreError::NotKept { path: path() }),
            Err(ObjectError::Oversized { found }) => return Err(altered(format!("{found} bytes"))),
            Err(cause) => return Err(self.failed_kept("load", task, Some(&object), cause)),
        };
        let digest = hexadecimal(&Sha256::digest(&bytes));
        if digest == artifact.digest { Ok(bytes) } else { Err(altered(format!("the digest {digest}"))) }
    }

    /// Removes all kept files of a task, those of attempts without a recorded result too, and returns how many there
    /// were.
    ///
    /// # Errors
    /// If they cannot be listed or one cannot be removed. It is no error if there are none.
    pub fn remove_kept(&self, task: TaskId) -> Result<usize, StoreError> {
        let listed = self.objects.list(task).map_err(|cause| self.failed_kept("list", task, None, cause))?;
        let kept: Vec<String> = listed.objects.into_iter().map(|(name, _)| name).collect();
        let mut removed = 0;
        for name in kept.iter().filter(|name| digest_in_name(name).is_some()) {
            self.objects
                .delete(task, name)
                .map_err(|cause| self.failed_kept("remove", task, Some(name), cause))?;
            removed += 1;
        }
        match self.objects.remove_place(task) {
            // Checkpoints of a task that failed or was cancelled stay; see `Store::remove`.
            Ok(()) | Err(ObjectError::Occupied(_)) => Ok(removed),
            Err(cause) => Err(self.failed_kept("remove", task, None, cause)),
        }
    }

    /// Removes the folder of [`Store::within`] if nothing is in it. A bucket has no folders, and a folder with something in
    /// it stays.
    pub fn remove_empty(&self) {
        let path = std::path::Path::new(&self.place);
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kept-")) {
            // It is of no consequence if the empty folder stays.
            let _ = std::fs::remove_dir(path);
        }
    }

    fn failed_kept(
        &self,
        verb: &'static str,
        task: TaskId,
        name: Option<&str>,
        cause: ObjectError,
    ) -> StoreError {
        StoreError::Kept { verb, path: self.shown(task, name), cause }
    }
}

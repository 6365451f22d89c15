//! Checkpoints in a bucket, which has objects, but no links and no special files.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use colearn_core::id::TaskId;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig, aws::AmazonS3Builder, path::Path};
use tokio::runtime::Runtime;

use super::{
    error::ObjectError,
    objects::{Listing, Objects, PROGRAM_CONTENTS, PROGRAM_INDEX, RECORD, folder_names},
};

/// Size of the parts in which large files are sent and fetched.
const PART: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    /// Prefix of every object name.
    prefix: Path,
    runtime: Runtime,
}

impl Bucket {
    /// Opens the bucket and prefix that follow `s3://`.
    pub(super) fn open(place: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = Path::parse(prefix).map_err(|error| error.to_string())?;
        // Training waits during the retries, and continues without the checkpoint if they fail.
        let retry =
            RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let objects = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry).build();
        Ok(Self { objects: Arc::new(objects.map_err(|error| error.to_string())?), prefix, runtime })
    }

    fn place_of(&self, task: TaskId) -> Path {
        folder_names(task).into_iter().fold(self.prefix.clone(), Path::join)
    }
}

impl Objects for Bucket {
    fn put(&self, task: TaskId, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
        let path = self.place_of(task).join(name);
        self.runtime.block_on(self.objects.put(&path, bytes.into()))?;
        Ok(())
    }

    fn list(&self, task: TaskId) -> Result<Listing, ObjectError> {
        let place = self.place_of(task);
        let listed = match self.runtime.block_on(self.objects.list_with_delimiter(Some(&place))) {
            Err(object_store::Error::NotFound { .. }) => return Ok(Listing::default()),
            listed => listed?.objects,
        };
        let name_and_size =
            |object: object_store::ObjectMeta| Some((object.location.filename()?.to_owned(), object.size));
        Ok(Listing { objects: listed.into_iter().filter_map(name_and_size).collect(), others: Vec::new() })
    }

    fn get(&self, task: TaskId, name: &str, largest: u64) -> Result<Vec<u8>, ObjectError> {
        let path = self.place_of(task).join(name);
        self.runtime.block_on(async {
            let object = self.objects.get(&path).await?;
            // The size of the object that is about to be read. It may have been replaced since it was listed.
            let found = object.meta.size;
            if found > largest {
                return Err(ObjectError::Oversized { found });
            }
            Ok(object.bytes().await?.into())
        })
    }

    fn delete(&self, task: TaskId, name: &str) -> Result<(), ObjectError> {
        let path = self.place_of(task).join(name);
        match self.runtime.block_on(self.objects.delete(&path)) {
            // Another process removed it first.
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            removed => Ok(removed?),
        }
    }

    fn remove_place(&self, _: TaskId) -> Result<(), ObjectError> {
        Ok(())
    }

    fn program_folder(&self, _: TaskId) -> Result<Option<PathBuf>, ObjectError> {
        Ok(None)
    }

    fn remove_program(&self, task: TaskId) -> Result<(), ObjectError> {
        let mut names: Vec<String> = self.list(task)?.objects.into_iter().map(|(name, _)| name).collect();
        names.retain(|name| name == RECORD || name == PROGRAM_INDEX || name.starts_with(PROGRAM_CONTENTS));
        // The list is removed first: it never names contents that are gone.
        names.sort_by_key(|name| name != PROGRAM_INDEX);
        names.iter().try_for_each(|name| self.delete(task, name))
    }

    fn put_file(
        &self,
        task: TaskId,
        name: &str,
        file: &std::path::Path,
        size: u64,
    ) -> Result<(), ObjectError> {
        if size <= PART {
            return self.put(task, name, std::fs::read(file)?);
        }
        let path = self.place_of(task).join(name);
        let mut file = File::open(file)?;
        self.runtime.block_on(async {
            let mut upload = self.objects.put_multipart(&path).await?;
            let sent = async {
                loop {
                    let mut part = Vec::new();
                    if io::Read::by_ref(&mut file).take(PART).read_to_end(&mut part)? == 0 {
                        upload.complete().await?;
                        return Ok(());
                    }
                    upload.put_part(part.into()).await?;
                }
            }
            .await;
            if sent.is_err() {
                // The parts of an upload that cannot be aborted either are removed by the bucket's own rules.
                let _ = upload.abort().await;
            }
            sent
        })
    }

    fn get_file(
        &self,
        task: TaskId,
        name: &str,
        file: &std::path::Path,
        size: u64,
    ) -> Result<(), ObjectError> {
        let path = self.place_of(task).join(name);
        let mut file = File::create_new(file)?;
        self.runtime.block_on(async {
            let mut start = 0;
            while start < size {
                let end = size.min(start + PART);
                file.write_all(&self.objects.get_range(&path, start..end).await?)?;
                start = end;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId};
    use object_store::memory::InMemory;

    use super::{
        super::{error::StoreError, store::Store},
        *,
    };

    #[test]
    fn large_files_pass_in_parts_and_are_removed_with_the_task() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bucket = Bucket { objects: Arc::new(InMemory::new()), prefix: Path::from("kept"), runtime };
        let task = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 };
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let size = 2 * PART + 5;
        let bytes: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
        std::fs::write(&from, &bytes).unwrap();
        for name in ["program-1", PROGRAM_INDEX, RECORD, "00000001-00000001.safetensors"] {
            bucket.put_file(task, name, &from, size).unwrap();
        }
        bucket.get_file(task, "program-1", &to, size).unwrap();
        assert!(std::fs::read(to).unwrap() == bytes);
        bucket.remove_program(task).unwrap();
        assert!(bucket.get(task, "program-1", size).unwrap_err().is_not_found());
        let left = bucket.list(task).unwrap().objects;
        assert_eq!(left, [("00000001-00000001.safetensors".to_owned(), size)]);
    }

    #[test]
    fn kept_files_stay_when_checkpoints_are_removed() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bucket = Bucket { objects: Arc::new(InMemory::new()), prefix: Path::from("kept"), runtime };
        let objects = Arc::clone(&bucket.objects);
        let place = "s3://bucket/kept".to_owned();
        let store = Store { objects: Box::new(bucket), location: place.clone(), place };
        let task = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 };
        let artifact = store.keep(task, "a.csv", b"1,2\n".to_vec()).unwrap();
        assert_eq!(artifact.location, "s3://bucket/kept");
        store.save(task, 1, 5, b"a checkpoint".to_vec()).unwrap();
        store.save_record(task, b"[]".to_vec()).unwrap();
        store.remove(task).unwrap();
        assert!(store.newest_first(task).unwrap().is_empty());
        assert_eq!(store.load_kept(task, &artifact).unwrap(), b"1,2\n");

        let name = format!("kept-{}-a.csv", &artifact.digest[..16]);
        let path = Path::from("kept").join("0000000000000001").join("0000000000000002-3").join(name);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(objects.put(&path, b"1,3\n".to_vec().into())).unwrap();
        assert!(matches!(store.load_kept(task, &artifact), Err(StoreError::Altered { .. })));
        assert_eq!(store.remove_kept(task).unwrap(), 1);
        assert!(matches!(store.load_kept(task, &artifact), Err(StoreError::NotKept { .. })));
    }
}

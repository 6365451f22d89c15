//! Checkpoints in a bucket, which has objects, but no links and no special files.

use std::{sync::Arc, time::Duration};

use colearn_core::id::TaskId;
use object_store::{ObjectStore, ObjectStoreExt as _, RetryConfig, aws::AmazonS3Builder, path::Path};
use tokio::runtime::Runtime;

use super::{
    error::ObjectError,
    objects::{Listing, Objects, folder_names},
};

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
}

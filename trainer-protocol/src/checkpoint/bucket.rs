//! Checkpoints in a bucket, which has objects, but no links and no special files.

use std::{
    fs::File,
    io::{self, Read, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use colearn_core::id::TaskId;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    path::Path,
};
use tokio::runtime::Runtime;
use tokio_rustls::rustls::crypto::ring;
use tokio_stream::StreamExt as _;

use super::{
    bucket_error::{BucketError, without_password},
    error::ObjectError,
    objects::{Listing, Objects, PROGRAM_CONTENTS, PROGRAM_INDEX, RECORD, folder_names},
};

/// Size of the parts in which large objects are sent and fetched: each part has the time limit of a request.
const PART: u64 = 8 << 20;
/// Number of objects from which on they are removed a thousand at a time, which not every service supports.
const MANY: usize = 16;

#[derive(Debug)]
pub(super) struct Bucket {
    objects: Arc<dyn ObjectStore>,
    /// Prefix of every object name.
    prefix: Path,
    /// URL of the service, for messages.
    endpoint: String,
    runtime: Runtime,
}

impl Bucket {
    /// Opens the bucket and prefix that follow `s3://`. Sends nothing.
    pub(super) fn open(place: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if bucket.is_empty() {
            return Err("it names no bucket; give s3://bucket/prefix".to_owned());
        }
        let prefix = Path::parse(prefix).map_err(|error| error.to_string())?;
        // Training waits during the retries, and continues without the checkpoint if they fail.
        let retry =
            RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_retry(retry);
        let own = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        if own.as_ref().is_some_and(|url| url.starts_with("http://")) && !allows_http(&builder) {
            return Err(format!(
                "AWS_ENDPOINT_URL is {}, without encryption; if this is intended, set AWS_ALLOW_HTTP=true",
                own.as_deref().map(without_password).unwrap_or_default()
            ));
        }
        let endpoint = own.as_deref().map_or_else(|| "the service of AWS".to_owned(), without_password);
        // An error means that there is one already, which is the same.
        let _ = ring::default_provider().install_default();
        let objects = builder.build().map_err(|error| BucketError::of(&error, &endpoint).to_string())?;
        Ok(Self { objects: Arc::new(objects), prefix, endpoint, runtime })
    }

    fn place_of(&self, task: TaskId) -> Path {
        folder_names(task).into_iter().fold(self.prefix.clone(), Path::join)
    }

    fn explained(&self, error: &object_store::Error) -> ObjectError {
        BucketError::of(error, &self.endpoint).into()
    }

    fn wait<T>(&self, request: impl Future<Output = object_store::Result<T>>) -> Result<T, ObjectError> {
        self.runtime.block_on(request).map_err(|error| self.explained(&error))
    }

    /// Writes an object of this size, which exists when all of it was sent.
    fn send(&self, path: &Path, size: u64, source: &mut impl Read) -> Result<(), ObjectError> {
        let next = |source: &mut dyn Read| -> io::Result<Vec<u8>> {
            let mut part = Vec::new();
            source.take(PART).read_to_end(&mut part)?;
            Ok(part)
        };
        if size <= PART {
            let whole = next(source)?;
            return self.wait(self.objects.put(path, whole.into())).map(drop);
        }
        let mut upload = self.wait(self.objects.put_multipart(path))?;
        let mut sent = || -> Result<(), ObjectError> {
            loop {
                let part = next(source)?;
                if part.is_empty() {
                    return self.wait(upload.complete()).map(drop);
                }
                self.wait(upload.put_part(part.into()))?;
            }
        };
        let sent = sent();
        if sent.is_err() {
            // The parts of an upload that cannot be aborted either are removed by the bucket's own rules.
            let _ = self.wait(upload.abort());
        }
        sent
    }

    /// The rest of an object from here on, in parts; each is of the object that has this tag.
    fn rest(&self, path: &Path, tag: Option<&String>, start: u64, end: u64) -> Result<Vec<u8>, ObjectError> {
        let range = Some(GetRange::Bounded(start..end));
        let options = GetOptions { range, if_match: tag.cloned(), ..GetOptions::default() };
        self.wait(async { self.objects.get_opts(path, options).await?.bytes().await }).map(Into::into)
    }
}

fn allows_http(builder: &AmazonS3Builder) -> bool {
    let key = AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp);
    builder.get_config_value(&key).is_some_and(|value| value == "true")
}

impl Objects for Bucket {
    fn check(&self) -> Result<(), ObjectError> {
        let mut listed = self.objects.list(Some(&self.prefix));
        self.wait(async { listed.next().await.transpose() }).map(drop)
    }

    fn put(&self, task: TaskId, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
        let path = self.place_of(task).join(name);
        if bytes.len() as u64 <= PART {
            return self.wait(self.objects.put(&path, bytes.into())).map(drop);
        }
        self.send(&path, bytes.len() as u64, &mut bytes.as_slice())
    }

    fn list(&self, task: TaskId) -> Result<Listing, ObjectError> {
        let place = self.place_of(task);
        let listed = self.wait(self.objects.list_with_delimiter(Some(&place)))?.objects;
        let name_and_size =
            |object: object_store::ObjectMeta| Some((object.location.filename()?.to_owned(), object.size));
        Ok(Listing { objects: listed.into_iter().filter_map(name_and_size).collect(), others: Vec::new() })
    }

    fn get(&self, task: TaskId, name: &str, largest: u64) -> Result<Vec<u8>, ObjectError> {
        let path = self.place_of(task).join(name);
        let object = self.wait(self.objects.get(&path))?;
        // The size of the object that is about to be read. It may have been replaced since it was listed.
        let (size, tag) = (object.meta.size, object.meta.e_tag.clone());
        if size > largest {
            return Err(ObjectError::Oversized { found: size });
        }
        if size <= PART {
            return self.wait(object.bytes()).map(Into::into);
        }
        drop(object);
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < size {
            let start = bytes.len() as u64;
            let part = self.rest(&path, tag.as_ref(), start, size.min(start + PART))?;
            if part.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            bytes.extend(part);
        }
        Ok(bytes)
    }

    fn delete(&self, task: TaskId, name: &str) -> Result<(), ObjectError> {
        let path = self.place_of(task).join(name);
        match self.wait(self.objects.delete(&path)) {
            // Another process removed it first.
            Err(error) if error.is_not_found() => Ok(()),
            removed => removed,
        }
    }

    fn delete_all(&self, task: TaskId, names: &[String]) -> Result<(), ObjectError> {
        if names.len() < MANY {
            return names.iter().try_for_each(|name| self.delete(task, name));
        }
        let place = self.place_of(task);
        let paths: Vec<_> = names.iter().map(|name| Ok(place.clone().join(name.as_str()))).collect();
        self.runtime.block_on(async {
            let mut removed = self.objects.delete_stream(Box::pin(tokio_stream::iter(paths)));
            while let Some(result) = removed.next().await {
                match result.map_err(|error| self.explained(&error)) {
                    Err(error) if !error.is_not_found() => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
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
        if names.iter().any(|name| name == PROGRAM_INDEX) {
            self.delete(task, PROGRAM_INDEX)?;
            names.retain(|name| name != PROGRAM_INDEX);
        }
        self.delete_all(task, &names)
    }

    fn put_file(
        &self,
        task: TaskId,
        name: &str,
        file: &std::path::Path,
        size: u64,
    ) -> Result<(), ObjectError> {
        self.send(&self.place_of(task).join(name), size, &mut File::open(file)?)
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
        let mut start = 0;
        while start < size {
            let end = size.min(start + PART);
            file.write_all(&self.rest(&path, None, start, end)?)?;
            start = end;
        }
        Ok(())
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

    fn bucket(objects: Arc<InMemory>, runtime: Runtime) -> Bucket {
        Bucket { objects, prefix: Path::from("kept"), endpoint: "memory".to_owned(), runtime }
    }

    #[test]
    fn large_files_pass_in_parts_and_are_removed_with_the_task() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let bucket = bucket(Arc::new(InMemory::new()), runtime);
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
        let bucket = bucket(Arc::new(InMemory::new()), runtime);
        let objects = Arc::clone(&bucket.objects);
        let place = "s3://bucket/kept".to_owned();
        let store = Store::of(Box::new(bucket), &place, place.clone());
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

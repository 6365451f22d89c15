//! What a program keeps of a task: a folder of its own, and a record of its epochs.
//!
//! Where there are folders, the program works in one beside the checkpoints. In a bucket each file is an object that is
//! named by its SHA-256, and one more object is the list of the files. The list is replaced when all contents are
//! there, and contents are removed when no list names them: whenever a host is lost, the list is whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Metadata},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink},
    path::{Component, Path, PathBuf},
};

use colearn_core::id::TaskId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    error::{ObjectError, StoreError},
    objects::{PROGRAM_CONTENTS, PROGRAM_FOLDER, PROGRAM_INDEX, RECORD},
    store::Store,
};
use crate::file_state::FileState;

/// The most that a program may keep of a task in a bucket, in bytes.
pub const MAX_PROGRAM_BYTES: u64 = 10 << 30;
/// Largest list of files, and number of files that it holds.
const MAX_INDEX_BYTES: u64 = 64 << 20;
const MAX_FILES: usize = 100_000;
/// Maximum number of folders within each other.
const MAX_DEPTH: usize = 100;
/// Largest record of epochs.
const MAX_RECORD_BYTES: u64 = 256 << 20;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Index {
    /// Everything in the folder, by its path.
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    Folder,
    Link { target: String },
    File { size: u64, digest: String, executable: bool },
}

/// The files of a task as they were fetched, so that only those that change are sent back.
#[derive(Debug, Default)]
pub struct FetchedFiles {
    index: Index,
    /// The state of each file that was written here.
    unchanged: BTreeMap<String, FileState>,
}

impl Store {
    /// The folder of a program for a task, made if it does not exist; `None` if this is a bucket.
    ///
    /// # Errors
    /// If it cannot be made, or a link is in its place.
    pub fn program_folder(&self, task: TaskId) -> Result<Option<PathBuf>, StoreError> {
        self.objects
            .program_folder(task)
            .map_err(|cause| self.failed("make", task, Some(PROGRAM_FOLDER), cause))
    }

    /// Writes everything that the program keeps of a task in a bucket into an empty folder. Waits up to a minute for a
    /// bucket that cannot be reached, of which `warn` hears.
    ///
    /// # Errors
    /// If it cannot be read or written, or the list of the files is malformed. Some files may have been written.
    pub fn fetch_program(
        &self,
        task: TaskId,
        into: &Path,
        warn: &mut dyn FnMut(String),
    ) -> Result<FetchedFiles, StoreError> {
        let failed = |cause| self.failed("load", task, Some(PROGRAM_INDEX), cause);
        let index = || self.object(task, PROGRAM_INDEX, MAX_INDEX_BYTES).map_err(failed);
        let Some(index) = self.reachability.wait_for(index, warn)? else {
            return Ok(FetchedFiles::default());
        };
        let index: Index =
            serde_json::from_slice(&index).map_err(|error| failed(other(error.to_string())))?;
        let mut unchanged = BTreeMap::new();
        for (path, entry) in &index.entries {
            let state = self
                .fetch(task, into, path, entry)
                .map_err(|cause| self.failed("load", task, Some(path), cause))?;
            unchanged.extend(state.map(|state| (path.clone(), state)));
        }
        // At last, so that no file is written through a link.
        for (path, entry) in &index.entries {
            if let Entry::Link { target } = entry {
                symlink(target, into.join(path))
                    .map_err(|error| self.failed("load", task, Some(path), error.into()))?;
            }
        }
        Ok(FetchedFiles { index, unchanged })
    }

    fn fetch(
        &self,
        task: TaskId,
        into: &Path,
        path: &str,
        entry: &Entry,
    ) -> Result<Option<FileState>, ObjectError> {
        let plain = |part| matches!(part, Component::Normal(_));
        if path.is_empty() || !Path::new(path).components().all(plain) {
            return Err(other("the list of files names a place outside the folder".to_owned()));
        }
        let place = into.join(path);
        match entry {
            Entry::Link { .. } => Ok(None),
            Entry::Folder => {
                fs::create_dir(place)?;
                Ok(None)
            }
            Entry::File { size, digest, executable } => {
                self.objects.get_file(task, &format!("{PROGRAM_CONTENTS}{digest}"), &place, *size)?;
                if digest_of(&place)? != *digest {
                    return Err(other(
                        "its content does not have the digest that was written with it".to_owned(),
                    ));
                }
                if *executable {
                    fs::set_permissions(&place, fs::Permissions::from_mode(0o755))?;
                }
                Ok(Some(FileState::of(&fs::symlink_metadata(place)?)))
            }
        }
    }

    /// Keeps the contents of a program's folder in a bucket, in place of what was `fetched`. Sends only contents that
    /// the bucket does not have. `warn` hears of what is left out because it is neither a file nor a folder nor a link, and
    /// when this waits for the bucket.
    ///
    /// # Errors
    /// If there are more than [`MAX_PROGRAM_BYTES`], or something cannot be read or sent. Then the bucket keeps what
    /// was fetched.
    pub fn keep_program(
        &self,
        task: TaskId,
        from: &Path,
        fetched: &FetchedFiles,
        warn: &mut dyn FnMut(String),
    ) -> Result<(), StoreError> {
        let failed = |path: &str, cause| self.failed("save", task, Some(path), cause);
        let mut files = BTreeMap::new();
        walk(from, "", &mut files, warn, 0).map_err(|cause| failed(PROGRAM_FOLDER, cause))?;
        let sizes = files.values().filter(|metadata| metadata.is_file()).map(Metadata::len);
        let size: u64 = sizes.sum();
        if size > MAX_PROGRAM_BYTES {
            let why = format!(
                "it has {size} bytes, and at most {MAX_PROGRAM_BYTES} are kept in a bucket; keep fewer or smaller files"
            );
            return Err(failed(PROGRAM_FOLDER, other(why)));
        }
        let mut present = fetched.index.contents();
        let mut index = Index::default();
        for (path, metadata) in files {
            let send = || {
                let sent = self.send(task, from, &path, &metadata, fetched, &mut present);
                sent.map_err(|cause| failed(&path, cause))
            };
            let entry = self.reachability.wait_for(send, warn)?;
            index.entries.insert(path, entry);
        }
        if index != fetched.index {
            let list = serde_json::to_vec(&index)
                .map_err(|error| failed(PROGRAM_INDEX, other(error.to_string())))?;
            self.objects.put(task, PROGRAM_INDEX, list).map_err(|cause| failed(PROGRAM_INDEX, cause))?;
            for digest in fetched.index.contents().difference(&index.contents()) {
                let name = format!("{PROGRAM_CONTENTS}{digest}");
                self.objects
                    .delete(task, &name)
                    .map_err(|cause| self.failed("remove", task, Some(&name), cause))?;
            }
        }
        Ok(())
    }

    fn send(
        &self,
        task: TaskId,
        from: &Path,
        path: &str,
        metadata: &Metadata,
        fetched: &FetchedFiles,
        present: &mut BTreeSet<String>,
    ) -> Result<Entry, ObjectError> {
        let place = from.join(path);
        if metadata.is_dir() {
            return Ok(Entry::Folder);
        }
        if metadata.is_symlink() {
            let target = fs::read_link(place)?;
            let target = target.into_os_string().into_string();
            let target = target.map_err(|_| other("its target is not UTF-8".to_owned()))?;
            return Ok(Entry::Link { target });
        }
        let executable = metadata.mode() & 0o100 != 0;
        let size = metadata.len();
        let same = fetched.unchanged.get(path) == Some(&FileState::of(metadata));
        let digest = match fetched.index.entries.get(path) {
            Some(Entry::File { digest, .. }) if same => digest.clone(),
            _ => digest_of(&place)?,
        };
        if !present.contains(&digest) {
            self.objects.put_file(task, &format!("{PROGRAM_CONTENTS}{digest}"), &place, size)?;
            present.insert(digest.clone());
        }
        Ok(Entry::File { size, digest, executable })
    }

    /// The record of a task that the runner of programs saved last.
    ///
    /// # Errors
    /// If it cannot be read. It is no error if there is none.
    pub fn record(&self, task: TaskId) -> Result<Option<Vec<u8>>, StoreError> {
        let record = self.object(task, RECORD, MAX_RECORD_BYTES);
        record.map_err(|cause| self.failed("load", task, Some(RECORD), cause))
    }

    /// Saves the record of a task, in place of the one before.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn save_record(&self, task: TaskId, record: Vec<u8>) -> Result<(), StoreError> {
        let saved = self.objects.put(task, RECORD, record);
        saved.map_err(|cause| self.failed("save", task, Some(RECORD), cause))
    }

    fn object(&self, task: TaskId, name: &str, largest: u64) -> Result<Option<Vec<u8>>, ObjectError> {
        match self.objects.get(task, name, largest) {
            Err(error) if error.is_not_found() => Ok(None),
            found => found.map(Some),
        }
    }
}

impl Index {
    fn contents(&self) -> BTreeSet<String> {
        let digest = |entry: &Entry| match entry {
            Entry::File { digest, .. } => Some(digest.clone()),
            Entry::Folder | Entry::Link { .. } => None,
        };
        self.entries.values().filter_map(digest).collect()
    }
}

fn other(why: String) -> ObjectError {
    ObjectError::Io(io::Error::other(why))
}

fn digest_of(file: &Path) -> io::Result<String> {
    struct Hasher(Sha256);
    impl io::Write for Hasher {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut hasher = Hasher(Sha256::new());
    io::copy(&mut File::open(file)?, &mut hasher)?;
    hasher.flush()?;
    Ok(hasher.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Everything in a folder that can be kept, by its path.
fn walk(
    folder: &Path,
    prefix: &str,
    files: &mut BTreeMap<String, Metadata>,
    warn: &mut dyn FnMut(String),
    depth: usize,
) -> Result<(), ObjectError> {
    if depth > MAX_DEPTH {
        return Err(other(format!("there are more than {MAX_DEPTH} folders within each other")));
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let place = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            warn(format!("{} is not kept: its name is not UTF-8", place.display()));
            continue;
        };
        let metadata = fs::symlink_metadata(&place)?;
        if !(metadata.is_file() || metadata.is_dir() || metadata.is_symlink()) {
            warn(format!("{} is not kept: it is neither a file nor a folder nor a link", place.display()));
            continue;
        }
        let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        if metadata.is_dir() {
            walk(&place, &path, files, warn, depth + 1)?;
        }
        files.insert(path, metadata);
        if files.len() > MAX_FILES {
            return Err(other(format!("there are more than {MAX_FILES} files in it")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId};

    use super::*;

    const TASK: TaskId = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: 3 };

    fn objects(kept: &Path) -> BTreeSet<String> {
        let own = kept.join("0000000000000001/0000000000000002-3");
        fs::read_dir(own).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn a_folder_comes_back_as_it_was_and_only_changes_are_sent() {
        let kept = tempfile::tempdir().unwrap();
        let local = tempfile::tempdir().unwrap();
        // A folder has objects too, so that it stands for a bucket here.
        let store = Store::open(kept.path().to_str().unwrap()).unwrap();
        let mut warn = |warning| panic!("{warning}");
        let first = local.path().join("first");
        fs::create_dir_all(first.join("a/empty")).unwrap();
        fs::write(first.join("a/weights"), "w1").unwrap();
        fs::write(first.join("odd #%name"), "same").unwrap();
        fs::write(first.join("copy"), "same").unwrap();
        fs::set_permissions(first.join("copy"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("a/weights", first.join("latest")).unwrap();
        let nothing = store.fetch_program(TASK, &first, &mut warn).unwrap();
        store.keep_program(TASK, &first, &nothing, &mut warn).unwrap();
        assert_eq!(objects(kept.path()).len(), 3, "the list and two different contents");

        let second = local.path().join("second");
        fs::create_dir(&second).unwrap();
        let fetched = store.fetch_program(TASK, &second, &mut warn).unwrap();
        assert_eq!(fs::read(second.join("latest")).unwrap(), b"w1");
        assert_eq!(fs::read(second.join("odd #%name")).unwrap(), b"same");
        assert_eq!(fs::metadata(second.join("copy")).unwrap().mode() & 0o100, 0o100);
        assert!(second.join("a/empty").is_dir());

        let before = objects(kept.path());
        fs::write(second.join("a/weights"), "w2").unwrap();
        fs::remove_file(second.join("copy")).unwrap();
        store.keep_program(TASK, &second, &fetched, &mut warn).unwrap();
        let after = objects(kept.path());
        assert_eq!((after.difference(&before).count(), before.difference(&after).count()), (1, 1));

        let third = local.path().join("third");
        fs::create_dir(&third).unwrap();
        store.fetch_program(TASK, &third, &mut warn).unwrap();
        assert_eq!(fs::read(third.join("latest")).unwrap(), b"w2");
        assert!(!third.join("copy").exists());
    }

    #[test]
    fn a_list_that_names_places_outside_is_refused() {
        let kept = tempfile::tempdir().unwrap();
        let store = Store::open(kept.path().to_str().unwrap()).unwrap();
        for path in ["../x", "/x", "a/../../x", ""] {
            let list = serde_json::json!({"entries": {path: {"kind": "folder"}}});
            store.objects.put(TASK, PROGRAM_INDEX, list.to_string().into_bytes()).unwrap();
            let into = tempfile::tempdir().unwrap();
            let error = store.fetch_program(TASK, into.path(), &mut |_| ()).unwrap_err().to_string();
            assert!(error.contains("outside"), "{path}: {error}");
        }
    }

    #[test]
    fn the_folder_and_the_record_of_a_program_go_with_its_task() {
        let kept = tempfile::tempdir().unwrap();
        let store = Store::open(kept.path().to_str().unwrap()).unwrap();
        let folder = store.program_folder(TASK).unwrap().unwrap();
        assert_eq!(store.program_folder(TASK).unwrap().unwrap(), folder);
        fs::create_dir_all(folder.join("a/b")).unwrap();
        fs::write(folder.join("a/b/weights"), "w").unwrap();
        let outside = tempfile::NamedTempFile::new().unwrap();
        symlink(outside.path(), folder.join("a/link")).unwrap();
        assert_eq!(store.record(TASK).unwrap(), None);
        store.save_record(TASK, b"[]".to_vec()).unwrap();
        store.save_record(TASK, b"[1]".to_vec()).unwrap();
        assert_eq!(store.record(TASK).unwrap(), Some(b"[1]".to_vec()));
        store.remove(TASK).unwrap();
        assert_eq!(fs::read_dir(kept.path()).unwrap().count(), 0);
        assert!(outside.path().exists());
    }
}

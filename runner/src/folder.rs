//! Temporary files of the runner, in a private folder under the system's folder for temporary files.
//!
//! A runner holds a lock on a file in its folder for as long as it lives, which the system releases when the process
//! ends, however it ends. A runner that starts removes the folders of the same user whose lock it gets. A folder gets
//! its name when the lock is held, so that no runner takes a new folder for a leftover.

use std::{
    env,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use colearn_trainer_protocol::checkpoint::remove_folder;
use nix::unistd::getuid;
use tempfile::Builder;

const LOCK: &str = "lock";
/// How old a folder is that did not get its name, because its runner was killed within that moment.
const UNNAMED: Duration = Duration::from_secs(3600);

/// The folder of a runner; removed on drop.
#[derive(Debug)]
pub(crate) struct RunnerFolder {
    path: PathBuf,
    _lock: File,
}

fn prefix() -> String {
    format!("colearn-programs-{}-", getuid())
}

fn unnamed_prefix() -> String {
    format!("colearn-new-{}-", getuid())
}

impl RunnerFolder {
    pub(crate) fn make() -> io::Result<Self> {
        Self::make_in(&env::temp_dir())
    }

    fn make_in(temporary: &Path) -> io::Result<Self> {
        // Only this user may enter it.
        let unnamed = Builder::new().prefix(&unnamed_prefix()).rand_bytes(12).tempdir_in(temporary)?;
        let lock = File::create_new(unnamed.path().join(LOCK))?;
        lock.try_lock()?;
        let name = unnamed.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default().replacen(&unnamed_prefix(), &prefix(), 1);
        let path = temporary.join(name);
        fs::rename(unnamed.path(), &path)?;
        // The name that it would remove is no longer there.
        let _ = unnamed.keep();
        Ok(Self { path, _lock: lock })
    }

    /// A new, empty folder for an attempt.
    pub(crate) fn attempt(&mut self, name: &str) -> io::Result<AttemptFolder> {
        if !self.path.join(LOCK).exists() {
            // Somebody tidied up the folder for temporary files, which happens to folders that are days old.
            *self = Self::make()?;
        }
        let path = self.path.join(name);
        remove_folder(&path)?;
        fs::create_dir(&path)?;
        Ok(AttemptFolder { path })
    }
}

impl Drop for RunnerFolder {
    fn drop(&mut self) {
        // The next runner tries again.
        let _ = remove_folder(&self.path);
    }
}

/// The folder of an attempt; removed on drop.
#[derive(Debug)]
pub(crate) struct AttemptFolder {
    path: PathBuf,
}

impl AttemptFolder {
    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for AttemptFolder {
    fn drop(&mut self) {
        // It is tried again with the folder of the runner.
        let _ = remove_folder(&self.path);
    }
}

/// Removes the folders of runners that have ended without removing them.
pub(crate) fn remove_leftovers() {
    remove_leftovers_in(&env::temp_dir());
}

fn remove_leftovers_in(temporary: &Path) {
    let Ok(entries) = fs::read_dir(temporary) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Not of a link's target.
        let Ok(metadata) = entry.metadata() else { continue };
        if !metadata.is_dir() || metadata.uid() != getuid().as_raw() {
            continue;
        }
        if name.starts_with(&prefix()) {
            remove_if_left(&entry.path());
        } else if name.starts_with(&unnamed_prefix()) {
            let age = metadata.modified().ok().and_then(|made| SystemTime::now().duration_since(made).ok());
            if age.is_some_and(|age| age > UNNAMED) {
                let _ = remove_folder(&entry.path());
            }
        }
    }
}

fn remove_if_left(folder: &Path) {
    let Ok(lock) = File::open(folder.join(LOCK)) else {
        // A folder has its lock from the beginning, so somebody has almost removed it. Another one stays.
        let _ = fs::remove_dir(folder);
        return;
    };
    match lock.try_lock() {
        // The lock is removed last, and it is held until then, so that only one runner removes the rest.
        Ok(()) => {
            let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
            for entry in entries.filter(|entry| entry.file_name() != LOCK) {
                if remove_folder(&entry.path()).is_err() {
                    return;
                }
            }
            let _ = remove_folder(folder);
        }
        Err(TryLockError::WouldBlock | TryLockError::Error(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_ended_runners_go_and_those_of_others_stay() {
        let temporary = tempfile::tempdir().unwrap();
        let alive = RunnerFolder::make_in(temporary.path()).unwrap();
        let left = RunnerFolder::make_in(temporary.path()).unwrap();
        let (kept, path) = (alive.path.clone(), left.path.clone());
        fs::create_dir_all(path.join("3-x-1/deep")).unwrap();
        // A runner that is killed does not remove its folder, and the system releases its lock.
        let RunnerFolder { .. } = &left;
        let lock = left._lock.try_clone().unwrap();
        std::mem::forget(left);
        remove_leftovers_in(temporary.path());
        assert!(path.exists(), "the lock is still held");
        lock.unlock().unwrap();
        for foreign in ["precious", "colearn-programs-"] {
            fs::create_dir(temporary.path().join(foreign)).unwrap();
        }
        remove_leftovers_in(temporary.path());
        assert!(!path.exists() && kept.exists());
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 3);
        drop(alive);
        assert!(!kept.exists());
    }
}

//! Allows one coordinator per state folder.

use std::{
    env,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
    process,
};

use colearn_core::text::{one_line, shortened};
use uuid::Uuid;

use super::{error::StoreError, files};

/// Maximum length of a holder's description in bytes; applies to writing and reading.
const MAX_COMMAND: usize = 2048;
const MAX_HOLDER: u64 = 4096;

/// The right to use a state folder. It ends with the process, however that ends.
///
/// On some file systems everybody gets a lock, or everybody on another host. Therefore the lock file names its holder
/// with a unique mark, which [`StateLock::is_held`] reads.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
    path: PathBuf,
    mark: String,
}

impl StateLock {
    /// Creates the folder if it does not exist, and takes the lock.
    pub(crate) fn take(folder: &Path) -> Result<Self, StoreError> {
        let not_writable = |cause| StoreError::NotWritable { path: folder.to_owned(), cause };
        files::make_private_folder(folder).map_err(not_writable)?;
        files::refuse_foreign(folder)?;
        let path = folder.join("lock");
        let file = files::open_private(&path, OpenOptions::new().read(true).write(true));
        let mut file = file.map_err(not_writable)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Held { path: folder.to_owned(), holder: holder(&path) });
            }
            Err(TryLockError::Error(cause)) => return Err(not_writable(cause)),
        }
        let mark = Uuid::new_v4().to_string();
        note_holder(&mut file, &mark).map_err(not_writable)?;
        Ok(Self { _file: file, path, mark })
    }

    /// The current holder, from the lock file.
    pub(super) fn holder(&self) -> String {
        holder(&self.path)
    }

    /// Whether the lock has not been given to another process since. Returns true if the lock file cannot be read: it
    /// may have been deleted, or too many files may be open.
    pub(super) fn is_held(&self) -> bool {
        read(&self.path).map_or(true, |text| text.lines().last() == Some(&self.mark))
    }
}

/// Writes the holder, for people, and the mark.
fn note_holder(file: &mut File, mark: &str) -> io::Result<()> {
    let command: Vec<String> = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    file.set_len(0)?;
    let holder =
        one_line(&format!("process {} (`{}`)", process::id(), shortened(&command.join(" "), MAX_COMMAND)));
    file.write_all(format!("{holder}\n{mark}\n").as_bytes())
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_HOLDER).read_to_string(&mut text)?;
    Ok(text)
}

/// The holder of the lock, from the lock file.
fn holder(path: &Path) -> String {
    let text = read(path).unwrap_or_default();
    match text.lines().next().map(str::trim) {
        Some(holder) if !holder.is_empty() => one_line(holder),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn a_folder_is_taken_once_and_the_error_names_the_holder() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("a").join("b");
        let first = StateLock::take(&folder).unwrap();
        let error = StateLock::take(&folder).unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", process::id())), "{error}");
        drop(first);
        StateLock::take(&folder).unwrap();
    }

    #[test]
    fn a_folder_that_can_not_be_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateLock::take(&file.join("state")).unwrap_err();
        assert!(matches!(error, StoreError::NotWritable { .. }), "{error}");
        assert!(error.to_string().contains("--state"), "{error}");
    }

    #[test]
    fn a_lock_that_somebody_else_was_given_too_is_not_held_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let first = StateLock::take(folder.path()).unwrap();
        assert!(first.is_held());
        // As on a file system without locks.
        let other = OpenOptions::new().write(true).open(folder.path().join("lock"));
        note_holder(&mut other.unwrap(), "another mark").unwrap();
        assert!(!first.is_held());
        fs::remove_file(folder.path().join("lock")).unwrap();
        assert!(first.is_held(), "nobody else has it");
        let second = StateLock::take(folder.path()).unwrap();
        assert!(second.is_held() && !first.is_held());
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (state, victim) = (folder.path().join("state"), folder.path().join("victim"));
        fs::create_dir(&state).unwrap();
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, state.join("lock")).unwrap();
        let error = StateLock::take(&state).unwrap_err().to_string();
        assert!(error.contains("lock is a symbolic link"), "{error}");
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    }

    #[test]
    fn a_new_state_folder_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("state");
        let _lock = StateLock::take(&state).unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&state), mode(&state.join("lock"))), (0o700, 0o600));
    }
}

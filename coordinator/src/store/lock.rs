//! One coordinator a state folder.

use std::{
    env,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write},
    path::Path,
    process,
};

use super::{error::StoreError, files};

/// The longest description of a holder that is read, in bytes.
const LONGEST_HOLDER: u64 = 4096;

/// The right to use a state folder; gone with the process, however it ends.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Creates the folder if it is not there, and takes it.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
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
        // Who holds it is for people; that somebody does is the lock's word, not the text's.
        note_holder(&mut file).map_err(not_writable)?;
        Ok(Self { _file: file })
    }
}

fn note_holder(file: &mut File) -> io::Result<()> {
    let command: Vec<String> = env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    file.set_len(0)?;
    writeln!(file, "process {} (`{}`)", process::id(), command.join(" "))
}

/// Who holds the lock, as the lock's file has it.
pub(super) fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LONGEST_HOLDER).read_to_string(&mut text));
    match (read, text.trim()) {
        (Ok(_), holder) if !holder.is_empty() => holder.to_owned(),
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

//! One coordinator a state folder.

use std::{
    env, fs,
    fs::{File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use super::error::StoreError;

/// The right to use a state folder; gone with the process, however it ends.
#[derive(Debug)]
pub(super) struct StateLock {
    _file: File,
}

impl StateLock {
    /// Creates the folder if it is not there, and takes it.
    pub(super) fn take(folder: &Path) -> Result<Self, StoreError> {
        let not_writable = |cause| StoreError::NotWritable { path: folder.to_owned(), cause };
        fs::create_dir_all(folder).map_err(not_writable)?;
        let path = folder.join("lock");
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
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

fn holder(path: &PathBuf) -> String {
    match fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
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
}

//! The files of a state folder: private to their owner, and protected from replacement by other users.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process,
};

use nix::{fcntl::OFlag, unistd::geteuid};

use super::error::StoreError;

const ROOT: u32 = 0;
/// Mode bits that allow users outside the owner's group to write, and the sticky bit that protects files of others.
const WRITABLE_BY_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Makes a state folder that only its owner can read, if it does not exist.
pub(super) fn make_private_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Opens a file of a state folder for reading and writing. A missing file is made, readable for its owner only.
/// Symbolic links and special files are refused.
///
/// # Errors
/// The error of the operating system.
pub fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    // Without blocking: opening a pipe without a reader would wait forever.
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file =
        options.create(true).mode(0o600).custom_flags(flags.bits()).open(path).map_err(
            |error| match error.raw_os_error() {
                Some(code) if code == nix::errno::Errno::ELOOP as i32 => not_plain(path),
                _ => error,
            },
        )?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_plain(path)) }
}

fn not_plain(path: &Path) -> io::Error {
    io::Error::other(format!(
        "{} is a symbolic link or not a plain file, and is not followed: remove it",
        path.display()
    ))
}

/// Writes a small file of a state folder. An existing file or symbolic link is replaced as a whole.
///
/// # Errors
/// The error of the operating system.
pub fn replace_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = beside(path, &format!(".part-{}", process::id()));
    // A temporary file that a killed process has left.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(content)?;
        fs::rename(&beside, path)
    };
    written().inspect_err(|_| {
        // The file may not exist.
        let _ = fs::remove_file(&beside);
    })
}

/// Makes an empty database that only its owner can read, if there is none: SQLite gives its other files the same
/// permissions. None of them may be a symbolic link.
pub(crate) fn make_private_database(folder: &Path, name: &str) -> Result<(), StoreError> {
    let not_writable = |cause| StoreError::NotWritable { path: folder.to_owned(), cause };
    let path = folder.join(name);
    for path in [path.clone(), beside(&path, "-wal"), beside(&path, "-shm"), beside(&path, "-journal")] {
        match fs::symlink_metadata(&path) {
            Ok(found) if !found.is_file() => return Err(not_writable(not_plain(&path))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(not_writable(error)),
            _ => {}
        }
    }
    // An existing one is not even opened: closing it would release this process's locks on it.
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(not_writable(error)),
        _ => Ok(()),
    }
}

/// Refuses a folder of another user, who could replace its files at any time.
pub(super) fn refuse_foreign(folder: &Path) -> Result<(), StoreError> {
    let found =
        fs::metadata(folder).map_err(|cause| StoreError::NotWritable { path: folder.to_owned(), cause })?;
    if is_foreign(found.uid(), geteuid().as_raw()) {
        return Err(StoreError::Foreign { path: folder.to_owned(), owner: found.uid() });
    }
    Ok(())
}

/// Root may use any folder, and every user may use folders of root.
fn is_foreign(owner: u32, user: u32) -> bool {
    owner != user && owner != ROOT && user != ROOT
}

/// A warning about a state folder that is used anyway: other users can replace its files. Includes the remedy.
#[must_use]
pub fn concern(folder: &Path) -> Option<String> {
    let found = fs::metadata(folder).ok()?;
    concern_about(folder, found.uid(), geteuid().as_raw(), found.mode())
}

fn concern_about(folder: &Path, owner: u32, user: u32, mode: u32) -> Option<String> {
    let folder = folder.display();
    if owner != user && owner != ROOT {
        return Some(format!(
            "state folder {folder} belongs to user id {owner}, who can replace its files: choose another with --state, or change its owner"
        ));
    }
    (mode & WRITABLE_BY_OTHERS != 0 && mode & STICKY == 0).then(|| {
        format!("state folder {folder} can be written by everybody on this machine: chmod o-w {folder}")
    })
}

/// Whether the log holds, or may hold, commits that are not in the database file yet.
pub(crate) fn has_log(path: &Path) -> bool {
    beside(path, "-wal")
        .metadata()
        .map_or_else(|error| error.kind() != io::ErrorKind::NotFound, |log| log.len() > 0)
}

/// The path with a suffix appended to its last part.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn folders_of_others_are_refused_but_by_root() {
        assert!(is_foreign(1001, 1000));
        for (owner, user) in [(1000, 1000), (0, 1000), (1000, 0), (0, 0)] {
            assert!(!is_foreign(owner, user), "{owner} {user}");
        }
    }

    #[test]
    fn folders_that_others_can_change_are_told_with_the_remedy() {
        let concern = |owner, user, mode| concern_about(Path::new("st"), owner, user, mode);
        assert_eq!(concern(1000, 1000, 0o700), None);
        assert_eq!(concern(0, 1000, 0o755), None);
        assert_eq!(concern(1000, 1000, 0o1777), None, "each leaves the files of the others alone");
        assert!(concern(1000, 1000, 0o777).unwrap().contains("chmod o-w st"));
        assert!(concern(1000, 0, 0o700).unwrap().contains("user id 1000"));
    }

    #[test]
    fn links_are_not_followed_and_pipes_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        symlink("victim", at("link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        nix::unistd::mkfifo(&at("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for name in ["link", "dangling", "pipe"] {
            let error = open_private(&at(name), OpenOptions::new().append(true)).unwrap_err().to_string();
            assert!(error.contains("not followed") || error.contains("ENXIO") || name == "pipe", "{error}");
            replace_private(&at(name), b"new").unwrap();
            assert_eq!(fs::read_to_string(at(name)).unwrap(), "new");
            assert!(at(name).symlink_metadata().unwrap().is_file(), "{name} is replaced");
        }
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
        assert!(!at("nowhere").exists());
        let mode = at("link").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        open_private(&at("fresh"), OpenOptions::new().append(true)).unwrap();
        assert_eq!(at("fresh").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn no_file_of_a_database_may_be_a_link() {
        for name in ["x.db", "x.db-wal", "x.db-shm"] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("victim"), "precious").unwrap();
            symlink("victim", folder.path().join(name)).unwrap();
            let error = make_private_database(folder.path(), "x.db").unwrap_err().to_string();
            assert!(error.contains(&format!("{name} is a symbolic link")), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        make_private_database(folder.path(), "x.db").unwrap();
        let mode = folder.path().join("x.db").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

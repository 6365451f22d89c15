//! Files with keys: private to their owner, and always whole.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::Path,
    process,
};

use nix::{fcntl::OFlag, unistd::geteuid};

use crate::AccessError;

/// An access file is not larger than this many bytes.
const MOST: u64 = 1 << 20;
const ROOT: u32 = 0;

/// Reads a file with a key.
///
/// # Errors
/// If it is missing, cannot be read, or others can read it.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, AccessError> {
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::NotFound => AccessError::Missing(path.to_owned()),
        _ => AccessError::File { path: path.to_owned(), what: "read", cause },
    };
    // Without blocking: opening a pipe without a writer would wait forever.
    let file =
        OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).map_err(failed)?;
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() {
        return Err(failed(io::Error::other("it is not a plain file")));
    }
    refuse_exposed(path, found.uid(), geteuid().as_raw(), found.mode())?;
    let mut content = Vec::new();
    file.take(MOST).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

/// The rule of libpq: nobody else may have access to a key, but the group may read a file of root, in which an
/// administrator gives a key to a service.
fn refuse_exposed(path: &Path, owner: u32, user: u32, mode: u32) -> Result<(), AccessError> {
    if owner != user && owner != ROOT && user != ROOT {
        return Err(AccessError::Foreign { path: path.to_owned(), owner });
    }
    let allowed = if owner == ROOT && user != ROOT { 0o740 } else { 0o700 };
    let mode = mode & 0o777;
    if mode & !allowed == 0 { Ok(()) } else { Err(AccessError::Exposed { path: path.to_owned(), mode }) }
}

/// Writes a file as a whole, readable for its owner only. An existing file or symbolic link is replaced.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), AccessError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".part-{}", process::id()));
    let beside = Path::new(&beside);
    // A temporary file that a killed process has left.
    let _ = fs::remove_file(beside);
    let written = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(beside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(beside, path)?;
        // So that the name is durable too. A file system without this has other means.
        if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
            let _ = folder.sync_all();
        }
        Ok(())
    };
    written().map_err(|cause| {
        // The file may not exist.
        let _ = fs::remove_file(beside);
        AccessError::File { path: path.to_owned(), what: "written", cause }
    })
}

/// Makes a folder that only its owner can read, if it does not exist.
///
/// # Errors
/// If it cannot be made.
pub(crate) fn folder(path: &Path) -> Result<(), AccessError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| AccessError::File { path: path.to_owned(), what: "made", cause })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_remedy() {
        let refused = |owner, user, mode| refuse_exposed(Path::new("k"), owner, user, mode);
        for (owner, user, mode) in
            [(1000, 1000, 0o600), (1000, 1000, 0o400), (0, 1000, 0o440), (0, 0, 0o600), (1000, 0, 0o600)]
        {
            assert!(refused(owner, user, mode).is_ok(), "{owner} {user} {mode:o}");
        }
        for mode in [0o640, 0o604, 0o620, 0o602, 0o660, 0o644] {
            let error = refused(1000, 1000, mode).unwrap_err().to_string();
            assert!(error.contains("chmod 600 k"), "{mode:o}: {error}");
        }
        assert!(refused(0, 1000, 0o444).is_err());
        assert!(refused(0, 1000, 0o460).is_err());
        assert!(refused(0, 0, 0o640).is_err());
        assert!(refused(1001, 1000, 0o600).unwrap_err().to_string().contains("user id 1001"));
    }

    #[test]
    fn what_is_written_is_private_and_replaces_links() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("victim"), "precious").unwrap();
        symlink("victim", at("link")).unwrap();
        write(&at("link"), b"key").unwrap();
        assert_eq!(fs::read_to_string(at("victim")).unwrap(), "precious");
        assert_eq!(read(&at("link")).unwrap(), b"key");
        assert_eq!(at("link").metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
        fs::set_permissions(at("link"), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(read(&at("link")), Err(AccessError::Exposed { mode: 0o644, .. })));
        assert!(matches!(read(&at("nothing")), Err(AccessError::Missing(_))));
    }
}

//! Removes folders with everything in them, following no links.

use std::{
    ffi::CString,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::Path,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, open, openat},
    sys::stat::{Mode, fchmod},
    unistd::{UnlinkatFlags, unlinkat},
};

const FOLDER: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
/// Maximum number of folders within each other. Each needs a descriptor while its contents are removed.
const MAX_DEPTH: u32 = 200;

/// Removes a folder with everything in it. Links are removed, not followed. It is no error if it does not exist.
///
/// # Errors
/// If something cannot be removed; other things may have been.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = folder.file_name() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the path has no name"));
    };
    let parent = open(parent, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    remove_at(&parent, &CString::new(name.as_bytes())?, MAX_DEPTH)
}

/// Removes what has this name in a folder, with everything in it.
pub(super) fn remove_tree(parent: &OwnedFd, name: &str) -> io::Result<()> {
    remove_at(parent, &CString::new(name)?, MAX_DEPTH)
}

fn remove_at(parent: &OwnedFd, name: &CString, depth: u32) -> io::Result<()> {
    match unlinkat(parent, name.as_c_str(), UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        // It is a folder: the two systems and POSIX call the same thing differently.
        Err(Errno::EISDIR | Errno::EPERM) => {}
        Err(errno) => return Err(errno.into()),
    }
    let folder = match openat(parent, name.as_c_str(), FOLDER, Mode::empty()) {
        Ok(folder) => folder,
        Err(Errno::ENOENT) => return Ok(()),
        Err(errno) => return Err(errno.into()),
    };
    let Some(deeper) = depth.checked_sub(1) else {
        let why = format!("there are more than {MAX_DEPTH} folders within each other");
        return Err(io::Error::other(why));
    };
    let mut writable = false;
    for inner in names(&folder)? {
        let removed = remove_at(&folder, &inner, deeper);
        match removed {
            // Programs make folders read-only, such as those of packages, that their owner may still remove.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied && !writable => {
                fchmod(&folder, Mode::S_IRWXU)?;
                writable = true;
                remove_at(&folder, &inner, deeper)?;
            }
            removed => removed?,
        }
    }
    match unlinkat(parent, name.as_c_str(), UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

fn names(folder: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    let own = openat(folder, ".", OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    for entry in Dir::from_fd(own)?.iter() {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    #[test]
    fn everything_within_goes_and_nothing_behind_links() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
        fs::create_dir_all(inside.join("a/b/c")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("precious"), "x").unwrap();
        fs::write(inside.join("a/file"), "x").unwrap();
        symlink(&outside, inside.join("a/link")).unwrap();
        symlink(outside.join("precious"), inside.join("a/b/link")).unwrap();
        fs::set_permissions(inside.join("a"), fs::Permissions::from_mode(0o555)).unwrap();
        remove_folder(&inside).unwrap();
        assert!(!inside.exists());
        assert!(outside.join("precious").exists());
        remove_folder(&inside).unwrap();
        symlink(&outside, &inside).unwrap();
        remove_folder(&inside).unwrap();
        assert!(!inside.exists() && outside.join("precious").exists());
    }

    #[test]
    fn folders_without_end_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("inside");
        let deep = (0..=MAX_DEPTH).fold(inside.clone(), |deep, _| deep.join("d"));
        fs::create_dir_all(deep).unwrap();
        let error = remove_folder(&inside).unwrap_err().to_string();
        assert!(error.contains("200 folders"), "{error}");
    }
}

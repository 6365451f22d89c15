//! Checkpoints in a folder that other programs and other users may write to.
//!
//! Everything below the folder is opened through the descriptor of its parent, and no link is followed: the target of
//! a link, whenever the link was made, is neither read nor written nor removed. The folder itself may be a link.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::fs::FileTypeExt as _},
    path::{Path, PathBuf},
};

use colearn_core::id::TaskId;
use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{AtFlags, OFlag, open, openat, renameat},
    sys::stat::{Mode, SFlag, fstatat, mkdirat},
    unistd::{UnlinkatFlags, fsync, unlinkat},
};

use super::{
    error::ObjectError,
    objects::{Listing, Objects, PROGRAM_FOLDER, RECORD, digest_in_name, folder_names, numbers_of},
    tree::remove_tree,
};

/// Flags to enter a folder, list it and sync it.
const FOLDER: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// Flags to read a file; with them opening a named pipe returns at once.
const READ: OFlag = OFlag::O_RDONLY
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_NONBLOCK)
    .union(OFlag::O_NOCTTY)
    .union(OFlag::O_CLOEXEC);
/// Flags to create a file.
const CREATE: OFlag = OFlag::O_WRONLY
    .union(OFlag::O_CREAT)
    .union(OFlag::O_EXCL)
    .union(OFlag::O_NOFOLLOW)
    .union(OFlag::O_CLOEXEC);

/// How often a checkpoint is written again if its folder is removed meanwhile.
const PUT_TRIES: u32 = 5;
/// Maximum number of temporary files that other writers of one checkpoint may have left or may be writing.
const MAX_STAGED: u32 = 10_000;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
}

impl Folder {
    /// Opens the folder and makes it if it does not exist.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self { root: root.canonicalize()? })
    }

    /// The folder's absolute path.
    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    fn root(&self) -> Result<OwnedFd, ObjectError> {
        Ok(open(&self.root, FOLDER, Mode::empty())?)
    }

    fn of_task(&self, task: TaskId) -> Result<OwnedFd, ObjectError> {
        let [sweep, task] = folder_names(task);
        enter(&enter(&self.root()?, &sweep)?, &task)
    }

    /// Like the function above, but makes the folder if it does not exist.
    fn made_for_task(&self, task: TaskId) -> Result<OwnedFd, ObjectError> {
        let [sweep, task] = folder_names(task);
        fs::create_dir_all(&self.root)?;
        make_and_enter(&make_and_enter(&self.root()?, &sweep)?, &task)
    }

    /// Removes an object, but no folder, if it exists.
    fn unlink(folder: &OwnedFd, name: &str) -> Result<(), ObjectError> {
        match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
            // Another process removed it first.
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn put_once(&self, task: TaskId, name: &str, bytes: &[u8]) -> Result<(), ObjectError> {
        let folder = self.made_for_task(task)?;
        let (mut file, staged) = stage(&folder, name)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let placed = written.and_then(|()| Ok(renameat(&folder, staged.as_str(), &folder, name)?));
        if let Err(error) = placed {
            // An error cannot be handled here: the temporary file stays.
            let _ = unlinkat(&folder, staged.as_str(), UnlinkatFlags::NoRemoveDir);
            return Err(error.into());
        }
        // The rename is on disk only after the folder is synced.
        Ok(fsync(&folder)?)
    }
}

impl Objects for Folder {
    fn put(&self, task: TaskId, name: &str, bytes: Vec<u8>) -> Result<(), ObjectError> {
        for _ in 1..PUT_TRIES {
            match self.put_once(task, name, &bytes) {
                Err(error) if error.is_not_found() => {}
                ended => return ended,
            }
        }
        self.put_once(task, name, &bytes)
    }

    fn list(&self, task: TaskId) -> Result<Listing, ObjectError> {
        let mut listing = Listing::default();
        let folder = match self.of_task(task) {
            Err(error) if error.is_not_found() => return Ok(listing),
            folder => folder?,
        };
        for name in names(&folder)?.into_iter().filter(|name| is_stored(name)) {
            let status = match fstatat(&folder, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Err(Errno::ENOENT) => continue,
                status => status?,
            };
            match kind(SFlag::from_bits_truncate(status.st_mode)) {
                None => listing.objects.push((name, u64::try_from(status.st_size).unwrap_or(0))),
                Some(kind) => listing.others.push((name, kind)),
            }
        }
        Ok(listing)
    }

    fn get(&self, task: TaskId, name: &str, largest: u64) -> Result<Vec<u8>, ObjectError> {
        let folder = self.of_task(task)?;
        let file: File = match openat(&folder, name, READ, Mode::empty()) {
            Err(_) if is_link(&folder, name) => return Err(ObjectError::NotAFile("a link")),
            Err(Errno::ENXIO) => return Err(ObjectError::NotAFile("a socket or a device")),
            file => file?.into(),
        };
        // Metadata of the open file, which may be another file than the one that was listed.
        let metadata = file.metadata()?;
        let kind = metadata.file_type();
        if !kind.is_file() {
            let kind = match kind {
                _ if kind.is_dir() => "a directory",
                _ if kind.is_fifo() => "a named pipe",
                _ => "a device",
            };
            return Err(ObjectError::NotAFile(kind));
        }
        let found = metadata.len();
        if found > largest {
            return Err(ObjectError::Oversized { found });
        }
        let mut bytes = Vec::new();
        // The file may have grown since.
        file.take(largest.saturating_add(1)).read_to_end(&mut bytes)?;
        let found = bytes.len() as u64;
        if found > largest { Err(ObjectError::Oversized { found }) } else { Ok(bytes) }
    }

    fn delete(&self, task: TaskId, name: &str) -> Result<(), ObjectError> {
        let folder = match self.of_task(task) {
            Err(error) if error.is_not_found() => return Ok(()),
            folder => folder?,
        };
        Self::unlink(&folder, name)
    }

    fn remove_place(&self, task: TaskId) -> Result<(), ObjectError> {
        let folder = match self.of_task(task) {
            Err(error) if error.is_not_found() => return Ok(()),
            folder => folder?,
        };
        // Temporary files of a process that was killed while it was writing.
        for name in names(&folder)?.into_iter().filter(|name| is_staged(name)) {
            match fstatat(&folder, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW) {
                Ok(status) if kind(SFlag::from_bits_truncate(status.st_mode)).is_none() => {
                    self.delete(task, &name)?;
                }
                _ => {}
            }
        }
        let [sweep_name, task_name] = folder_names(task);
        let root = self.root()?;
        let sweep = match enter(&root, &sweep_name) {
            Err(error) if error.is_not_found() => return Ok(()),
            sweep => sweep?,
        };
        match unlinkat(&sweep, task_name.as_str(), UnlinkatFlags::RemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {
                let mut left = names(&folder)?;
                left.retain(|name| digest_in_name(name).is_none());
                let first = left.into_iter().min();
                return first.map_or(Ok(()), |first| Err(ObjectError::Occupied(first)));
            }
            Err(errno) => return Err(errno.into()),
        }
        // The sweep's folder is removed with its last task; until then it is not empty.
        let _ = unlinkat(&root, sweep_name.as_str(), UnlinkatFlags::RemoveDir);
        Ok(())
    }

    fn program_folder(&self, task: TaskId) -> Result<Option<PathBuf>, ObjectError> {
        let [sweep, name] = folder_names(task);
        let own = self.made_for_task(task)?;
        match mkdirat(&own, PROGRAM_FOLDER, Mode::from_bits_truncate(0o777)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
        enter(&own, PROGRAM_FOLDER)?;
        Ok(Some(self.root.join(sweep).join(name).join(PROGRAM_FOLDER)))
    }

    fn remove_program(&self, task: TaskId) -> Result<(), ObjectError> {
        let folder = match self.of_task(task) {
            Err(error) if error.is_not_found() => return Ok(()),
            folder => folder?,
        };
        Self::unlink(&folder, RECORD)?;
        Ok(remove_tree(&folder, PROGRAM_FOLDER)?)
    }
}

/// Opens a folder that is not a link.
fn enter(folder: &OwnedFd, name: &str) -> Result<OwnedFd, ObjectError> {
    match openat(folder, name, FOLDER | OFlag::O_NOFOLLOW, Mode::empty()) {
        Err(_) if is_link(folder, name) => Err(ObjectError::Link(name.to_owned())),
        entered => Ok(entered?),
    }
}

fn make_and_enter(folder: &OwnedFd, name: &str) -> Result<OwnedFd, ObjectError> {
    match mkdirat(folder, name, Mode::from_bits_truncate(0o777)) {
        Ok(()) => fsync(folder)?,
        Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno.into()),
    }
    enter(folder, name)
}

/// Creates a temporary file for this name in the same folder.
fn stage(folder: &OwnedFd, name: &str) -> Result<(File, String), ObjectError> {
    for number in 1..=MAX_STAGED {
        let staged = format!("{name}#{number}");
        match openat(folder, staged.as_str(), CREATE, Mode::from_bits_truncate(0o666)) {
            Ok(file) => return Ok((file.into(), staged)),
            Err(Errno::EEXIST) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(Errno::EEXIST.into())
}

/// Whether a name is that of a checkpoint or of a kept file.
fn is_stored(name: &str) -> bool {
    numbers_of(name).is_some() || digest_in_name(name).is_some()
}

/// Whether a name has the form that [`stage`] gives.
fn is_staged(name: &str) -> bool {
    name.split_once('#').is_some_and(|(name, number)| {
        (is_stored(name) || name == RECORD) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// The names in a folder. A name that is not UTF-8 is changed; it cannot be a checkpoint's.
fn names(folder: &OwnedFd) -> Result<Vec<String>, ObjectError> {
    let mut names = Vec::new();
    for entry in Dir::from_fd(openat(folder, ".", FOLDER, Mode::empty())?)?.iter() {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn is_link(folder: &OwnedFd, name: &str) -> bool {
    fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .is_ok_and(|status| kind(SFlag::from_bits_truncate(status.st_mode)) == Some("a link"))
}

/// The kind of an object that is not a regular file.
fn kind(mode: SFlag) -> Option<&'static str> {
    match mode & SFlag::S_IFMT {
        SFlag::S_IFREG => None,
        SFlag::S_IFLNK => Some("a link"),
        SFlag::S_IFDIR => Some("a directory"),
        SFlag::S_IFIFO => Some("a named pipe"),
        SFlag::S_IFSOCK => Some("a socket"),
        _ => Some("a device"),
    }
}

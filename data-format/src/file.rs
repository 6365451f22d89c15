//! Opens the file of a data set. It must be a regular file and, for a worker of a cluster, under the data folder.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf, absolute};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open, openat, readlinkat};
use nix::sys::stat::Mode;

use crate::error::DatasetError;
use crate::path::resolve;

/// Maximum number of links on the way to a file, as in Linux.
const MAX_LINKS: usize = 40;

/// The folder of the data sets, and whether files outside it may be opened too.
///
/// The person who submits a sweep names its data set. A worker that opened every path would tell strangers which
/// files its host has. A confined folder gives no access outside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    folder: PathBuf,
    confined: bool,
}

impl DataFolder {
    /// The only folder in which data sets are opened: neither paths nor links lead out of it.
    #[must_use]
    pub fn confined(folder: PathBuf) -> Self {
        Self { folder, confined: true }
    }

    /// A folder for bare names; paths and links may lead anywhere.
    #[must_use]
    pub fn unconfined(folder: PathBuf) -> Self {
        Self { folder, confined: false }
    }

    /// The path of the data set that a sweep calls `name_or_path`, as [`resolve`] computes it.
    #[must_use]
    pub fn path(&self, name_or_path: &str) -> PathBuf {
        resolve(name_or_path, &self.folder)
    }

    /// Opens the file of a data set.
    ///
    /// # Errors
    /// [`DatasetError::Outside`] if a confined folder does not hold the file, whatever exists outside; other
    /// [`DatasetError`]s if the file does not exist or cannot be read.
    pub fn open(&self, name_or_path: &str) -> Result<DataFile, DatasetError> {
        let path = self.path(name_or_path);
        if !self.confined {
            return DataFile::open(&path);
        }
        let opened = match self.within(&path) {
            Some(components) => self.open_beneath(components),
            None => Err(Refusal::Outside),
        };
        match opened {
            Ok(file) => DataFile::new(file, path),
            Err(Refusal::Outside) => Err(DatasetError::Outside { name: name_or_path.to_owned() }),
            Err(Refusal::System(errno)) => Err(failed_to_open(errno.into(), &path)),
        }
    }

    /// The path relative to the folder, if it is inside the folder. Only the text of the path is compared: a query to
    /// the system would reveal what exists outside.
    fn within(&self, path: &Path) -> Option<VecDeque<OsString>> {
        let path = without_dots(path)?;
        let real = fs::canonicalize(&self.folder).ok();
        let way = |folder: &Path| path.strip_prefix(folder).ok().map(names);
        way(&without_dots(&self.folder)?).or_else(|| way(&real?))
    }

    /// Opens a relative path one name at a time. Links are resolved here and never by the system, so a link that is
    /// put in place meanwhile leads nowhere.
    fn open_beneath(&self, mut way: VecDeque<OsString>) -> Result<File, Refusal> {
        let mut folders = vec![open(&self.folder, FOLDER, Mode::empty())?];
        let mut links = 0;
        while let Some(name) = way.pop_front() {
            if name == ".." {
                folders.pop();
                if folders.is_empty() {
                    return Err(Refusal::Outside);
                }
                continue;
            }
            // The first folder is never left: see above.
            let folder: &OwnedFd = folders.last().ok_or(Refusal::Outside)?;
            let flags = if way.is_empty() { FILE } else { FOLDER };
            match openat(folder, name.as_os_str(), flags | OFlag::O_NOFOLLOW, Mode::empty()) {
                Ok(file) if way.is_empty() => return Ok(file.into()),
                Ok(next) => folders.push(next),
                Err(errno @ (Errno::ELOOP | Errno::ENOTDIR | Errno::EMLINK)) => {
                    let target = readlinkat(folder, name.as_os_str()).map_err(|_| errno)?;
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Errno::ELOOP.into());
                    }
                    let target = Path::new(&target);
                    let mut further = if target.is_absolute() {
                        folders.truncate(1);
                        self.within(target).ok_or(Refusal::Outside)?
                    } else {
                        names(target)
                    };
                    further.append(&mut way);
                    way = further;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        // The path ends at a folder.
        folders.pop().map(File::from).ok_or(Refusal::Outside)
    }
}

/// With these flags opening a named pipe returns at once, and opening a terminal does not make it the controlling
/// one.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// Flags to open a folder that may be passed through even if it may not be listed.
const FOLDER: OFlag = {
    #[cfg(target_os = "linux")]
    let access = OFlag::O_PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlag::O_RDONLY;
    access.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC)
};

/// The reason why nothing was opened beneath a folder.
enum Refusal {
    Outside,
    System(Errno),
}

impl From<Errno> for Refusal {
    fn from(errno: Errno) -> Self {
        Self::System(errno)
    }
}

/// An absolute path without `.` and `..`.
fn without_dots(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in absolute(path).ok()?.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            other => plain.push(other),
        }
    }
    Some(plain)
}

/// The names and `..` of a relative path.
fn names(path: &Path) -> VecDeque<OsString> {
    let components = path.components().filter(|component| *component != Component::CurDir);
    components.map(|component| component.as_os_str().to_owned()).collect()
}

/// The open regular file of a data set, before anything is read.
#[derive(Debug)]
pub struct DataFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl DataFile {
    /// Opens a file at any path.
    ///
    /// # Errors
    /// [`DatasetError`] if the file does not exist, cannot be opened or is not regular.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        Self::open_as(path, path)
    }

    /// Opens `file`; errors show it as `path`.
    pub(crate) fn open_as(file: &Path, path: &Path) -> Result<Self, DatasetError> {
        match open(file, FILE, Mode::empty()) {
            Ok(opened) => Self::new(opened.into(), path.to_owned()),
            Err(errno) => Err(failed_to_open(errno.into(), path)),
        }
    }

    /// Checks the open file, not its path: the file at the path may have been replaced in the meantime.
    fn new(file: File, path: PathBuf) -> Result<Self, DatasetError> {
        let metadata = file.metadata().map_err(|source| failed_to_open(source, &path))?;
        let kind = metadata.file_type();
        let kind = if kind.is_file() {
            return Ok(Self { path, file, metadata });
        } else if kind.is_dir() {
            "a directory"
        } else if kind.is_fifo() {
            "a named pipe"
        } else if kind.is_block_device() || kind.is_char_device() {
            "a device"
        } else {
            "something else"
        };
        Err(DatasetError::NotAFile { path, kind })
    }

    /// The path that errors show.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length and time of the last change when the file was opened.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn into_parts(self) -> (PathBuf, File) {
        (self.path, self.file)
    }
}

fn failed_to_open(source: io::Error, path: &Path) -> DatasetError {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::NotFound => DatasetError::Missing { remedy: remedy(&path), path },
        // Sockets cannot be opened, nor devices without a driver.
        _ if source.raw_os_error() == Some(Errno::ENXIO as i32) => {
            DatasetError::NotAFile { path, kind: "a socket or a device" }
        }
        _ => DatasetError::Io { path, verb: "read", source },
    }
}

/// How to obtain a data set that is missing, by its name.
fn remedy(path: &Path) -> String {
    let remedy = match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("demo") => {
            return format!("run `colearn data generate --out {}` to make the demo set", path.display());
        }
        Some("utd-mhad" | "utd-mhad-3") => "datasets/README.md says how to obtain and prepare it",
        _ => "check the name and the data folder; datasets/README.md says how sets are made",
    };
    remedy.to_owned()
}

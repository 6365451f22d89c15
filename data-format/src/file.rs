//! Opening the file of a data set: a regular file, and for a worker of a cluster one under its data folder.

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

/// Links that may lead to one file; the system allows as many.
const MAX_LINKS: usize = 40;

/// The folder that holds data sets, and whether others may be opened too.
///
/// Whoever submits a sweep names its data set. A worker that opened whatever is named would tell strangers which
/// files its host has; a confined folder does not look outside itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFolder {
    folder: PathBuf,
    confined: bool,
}

impl DataFolder {
    /// A folder that is the only place where data sets are opened: neither paths nor links lead out of it.
    #[must_use]
    pub fn confined(folder: PathBuf) -> Self {
        Self { folder, confined: true }
    }

    /// A folder for bare names; paths and links may lead anywhere.
    #[must_use]
    pub fn unconfined(folder: PathBuf) -> Self {
        Self { folder, confined: false }
    }

    /// Where the data set lies that a sweep calls `name_or_path`, as [`resolve`] says.
    #[must_use]
    pub fn path(&self, name_or_path: &str) -> PathBuf {
        resolve(name_or_path, &self.folder)
    }

    /// Opens the file of a data set.
    ///
    /// # Errors
    /// [`DatasetError::Outside`] where a confined folder does not hold it, whatever there is instead; other
    /// [`DatasetError`]s where there is no file, or none that can be read.
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

    /// The way from the folder to a path, if it lies in the folder. This goes by the text alone: asking the system
    /// would tell what is outside.
    fn within(&self, path: &Path) -> Option<VecDeque<OsString>> {
        let path = without_dots(path)?;
        let real = fs::canonicalize(&self.folder).ok();
        let way = |folder: &Path| path.strip_prefix(folder).ok().map(names);
        way(&without_dots(&self.folder)?).or_else(|| way(&real?))
    }

    /// Opens what lies at the end of a way, one name at a time and never through the system's own following of
    /// links: a link that is swapped in between leads nowhere.
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
            // The first of them is never left: see above.
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
        // The way ended in a folder.
        folders.pop().map(File::from).ok_or(Refusal::Outside)
    }
}

/// Opening a named pipe in this way returns at once, and opening a terminal takes nothing over.
const FILE: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY).union(OFlag::O_CLOEXEC);

/// A folder that may be passed through, even if it may not be listed.
const FOLDER: OFlag = {
    #[cfg(target_os = "linux")]
    let access = OFlag::O_PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlag::O_RDONLY;
    access.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC)
};

/// Why nothing was opened beneath a folder.
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

/// The open regular file of a data set, of which nothing was read yet.
#[derive(Debug)]
pub struct DataFile {
    path: PathBuf,
    file: File,
    metadata: Metadata,
}

impl DataFile {
    /// Opens a file wherever it lies.
    ///
    /// # Errors
    /// [`DatasetError`] where there is none, it can not be opened, or it is not a regular file.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        Self::open_as(path, path)
    }

    /// Opens `file`, naming it `path` in errors.
    pub(crate) fn open_as(file: &Path, path: &Path) -> Result<Self, DatasetError> {
        match open(file, FILE, Mode::empty()) {
            Ok(opened) => Self::new(opened.into(), path.to_owned()),
            Err(errno) => Err(failed_to_open(errno.into(), path)),
        }
    }

    /// What was opened is looked at, not what the path names: that may have been replaced meanwhile.
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

    /// What it is called in errors.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length and time of the last change, as they were when it was opened.
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
        // Sockets can not be opened, nor devices without a driver.
        _ if source.raw_os_error() == Some(Errno::ENXIO as i32) => {
            DatasetError::NotAFile { path, kind: "a socket or a device" }
        }
        _ => DatasetError::Io { path, verb: "read", source },
    }
}

/// How to obtain a data set that is not there, by its name.
fn remedy(path: &Path) -> &'static str {
    match path.file_stem().and_then(|stem| stem.to_str()) {
        Some("demo") => "run `colearn data generate` to make the demo set",
        Some("utd-mhad" | "utd-mhad-3") => "datasets/README.md says how to obtain and prepare it",
        _ => "check the name and the data folder; datasets/README.md says how sets are made",
    }
}

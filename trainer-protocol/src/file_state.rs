//! Whether a file was written since it was last looked at.

use std::{fs::Metadata, os::unix::fs::MetadataExt as _};

/// The state of a file. A file with the same state was not written, and has the same contents.
#[derive(Debug, PartialEq, Eq)]
pub struct FileState {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl FileState {
    /// The state that the system tells.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        Self { inode: metadata.ino(), size: metadata.len(), changed }
    }
}

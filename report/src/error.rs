//! What can go wrong when a report is written.

use std::{io, path::PathBuf};

use crate::reference::ReferenceError;

/// The reason why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Path of the file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The list of an earlier report's files could not be read.
    #[error("cannot read `{}`, the list of the files of an earlier report: {source}; remove it, or report into another folder", path.display())]
    Read {
        /// Path of the list.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// A file with a name that the report needs exists already, and no report wrote it.
    #[error("`{}` exists already and no report wrote it: report into another folder, or remove it", path.display())]
    Foreign {
        /// Path of the file.
        path: PathBuf,
    },
    /// The published means belong to another sweep.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A file could not be encoded.
    #[error("cannot encode `{file}`: {message}")]
    Encode {
        /// Name of the file.
        file: &'static str,
        /// The error of the encoder.
        message: String,
    },
}

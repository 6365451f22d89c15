//! What can go wrong when a report is written.

use std::{io, path::PathBuf};

use crate::reference::ReferenceError;

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("cannot write `{}`: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The list of an earlier report's files could not be read.
    #[error("cannot read `{}`, the list of the files of an earlier report: {source}; remove it, or report into another folder", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of one of a report's names is there already, and no report wrote it.
    #[error("`{}` is there already and no report wrote it: report into another folder, or remove it", path.display())]
    Foreign {
        /// Which.
        path: PathBuf,
    },
    /// The published means are those of another sweep.
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    /// A file could not be encoded.
    #[error("cannot encode `{file}`: {message}")]
    Encode {
        /// Which.
        file: &'static str,
        /// Why.
        message: String,
    },
}

//! A sweep file, and how it is submitted.

use std::path::{Path, PathBuf};

use clap::Args;
use colearn_core::id::SweepName;

use super::places::path;

/// A sweep file, and how it is submitted.
#[derive(Args, Debug)]
pub(crate) struct SweepFileArgs {
    /// The sweep file; `-` for standard input.
    #[arg(value_parser = path())]
    pub(crate) file: PathBuf,
    /// Name of the sweep instead of the one in the file.
    #[arg(long)]
    pub(crate) name: Option<SweepName>,
    /// Cancel and forget a sweep of the same name that has other tasks, with all its results.
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Whether this path stands for standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// A sweep file as messages call it.
pub(crate) fn origin_of(file: &Path) -> String {
    if is_stdin(file) { "<stdin>".to_owned() } else { file.display().to_string() }
}

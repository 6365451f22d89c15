//! A sweep file, and options for its submission.

use std::path::{Path, PathBuf};

use clap::Args;
use colearn_core::id::SweepName;

use super::places::path;

/// A sweep file, and options for its submission.
#[derive(Args, Debug)]
pub(crate) struct SweepFileArgs {
    /// The sweep file; `-` for standard input.
    #[arg(value_parser = path())]
    pub(crate) file: PathBuf,
    /// Name of the sweep instead of the one in the file.
    #[arg(long)]
    pub(crate) name: Option<SweepName>,
    /// Cancel and remove a sweep of the same name that has other tasks, with all its results.
    #[arg(long)]
    pub(crate) replace: bool,
}

/// Whether this path means standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The name of a sweep file in messages.
pub(crate) fn origin_of(file: &Path) -> String {
    if is_stdin(file) { "<stdin>".to_owned() } else { file.display().to_string() }
}

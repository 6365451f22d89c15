//! A sweep file, and options for its submission.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Component, Path, PathBuf},
};

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
    /// Cancel and remove a sweep of the same name that has other tasks or whose program has changed, with all its
    /// results.
    #[arg(long)]
    pub(crate) replace: bool,
    /// Go on although the files of the program have changed since results were made with it. The results of both
    /// versions stay, and are said to be mixed.
    #[arg(long, conflicts_with = "replace")]
    pub(crate) changed_program: bool,
}

/// Whether this path means standard input.
pub(crate) fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Absolute path of the folder of a sweep file, in which a program runs; the working folder for standard input. Links
/// are kept if possible: other hosts may have the same paths, but not the same links. Empty if it is not known.
pub(crate) fn folder_of(file: &Path) -> String {
    let parent = if is_stdin(file) { None } else { file.parent() };
    let folder = match parent.filter(|parent| !parent.as_os_str().is_empty()) {
        None => working_folder(),
        Some(parent) if parent.components().any(|part| part == Component::ParentDir) => {
            parent.canonicalize().ok()
        }
        Some(parent) => {
            working_folder().map(|folder| folder.join(parent.strip_prefix(".").unwrap_or(parent)))
        }
    };
    folder.and_then(|folder| folder.into_os_string().into_string().ok()).unwrap_or_default()
}

/// The working folder by the path that the shell shows, if that is right.
fn working_folder() -> Option<PathBuf> {
    let physical = std::env::current_dir().ok()?;
    let identity = |folder: &Path| folder.metadata().ok().map(|it| (it.dev(), it.ino()));
    let shown = std::env::var_os("PWD").map(PathBuf::from).filter(|shown| shown.is_absolute());
    Some(shown.filter(|shown| identity(shown) == identity(&physical)).unwrap_or(physical))
}

/// The name of a sweep file in messages.
pub(crate) fn origin_of(file: &Path) -> String {
    if is_stdin(file) { "<stdin>".to_owned() } else { file.display().to_string() }
}

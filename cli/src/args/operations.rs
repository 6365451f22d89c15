//! Commands that change what a coordinator does.

use std::path::PathBuf;

use clap::Args;
use colearn_core::id::SweepName;

use super::{Target, TaskReference, places::path};

/// `colearn retry`.
#[derive(Args, Debug)]
pub(crate) struct RetryArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Leave cancelled tasks as they are.
    #[arg(long, conflicts_with = "task")]
    pub(crate) failed: bool,
    /// This task alone; may be given again. Of the configuration the first digits are enough.
    #[arg(long, value_name = "CONFIGURATION/SEED")]
    pub(crate) task: Vec<TaskReference>,
}

/// `colearn extend`.
#[derive(Args, Debug)]
pub(crate) struct ExtendArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    /// The sweep file that has more.
    #[arg(value_parser = path())]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn priority`.
#[derive(Args, Debug)]
pub(crate) struct PriorityArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    /// From -1000 to 1000: a task of a higher priority goes first. Sweeps begin at their file's `priority`, or 0.
    #[arg(allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(i32).range(-1000..=1000))]
    pub(crate) priority: i32,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn rm`.
#[derive(Args, Debug)]
pub(crate) struct RemoveArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not ask. Needed where nobody can be asked.
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// `colearn undrain`.
#[derive(Args, Debug)]
pub(crate) struct UndrainArgs {
    /// The worker; the beginning of its id is enough.
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn drain`.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// The worker; the beginning of its id is enough.
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not wait for what runs: write checkpoints, give the tasks back, leave.
    #[arg(long)]
    pub(crate) now: bool,
}

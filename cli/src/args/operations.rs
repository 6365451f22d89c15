//! Commands that change what a coordinator does.

use std::path::PathBuf;

use clap::Args;
use colearn_core::{id::SweepName, names::Criteria};

use super::{Target, TaskReference, places::path, reference::configuration};

/// `colearn retry`.
#[derive(Args, Debug)]
pub(crate) struct RetryArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Go on although the files of the program have changed since results were made with it.
    #[arg(long)]
    pub(crate) changed_program: bool,
    /// Leave cancelled tasks as they are.
    #[arg(long, conflicts_with = "task")]
    pub(crate) failed: bool,
    /// Only this task, such as `audio=0.8,video=0.8/0`; the option can be repeated.
    ///
    /// CONFIGURATION is any set of values that only one configuration has, or the first digits of its id.
    #[arg(long, value_name = "CONFIGURATION/SEED", conflicts_with_all = ["configuration", "seed"])]
    pub(crate) task: Vec<TaskReference>,
    /// Only the tasks of this configuration; with --seed, only those of them. The option can be repeated.
    #[arg(long, value_name = "CONFIGURATION", value_parser = configuration)]
    pub(crate) configuration: Vec<Criteria>,
    /// Only the tasks with this seed. The option can be repeated.
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Vec<u64>,
}

/// `colearn cancel`.
#[derive(Args, Debug)]
pub(crate) struct CancelArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only this task, such as `audio=0.8,video=0.8/0`; the sweep goes on with the others. The option can be repeated.
    ///
    /// CONFIGURATION is any set of values that only one configuration has, or the first digits of its id.
    #[arg(long, value_name = "CONFIGURATION/SEED", conflicts_with_all = ["configuration", "seed"])]
    pub(crate) task: Vec<TaskReference>,
    /// Only the tasks of this configuration; with --seed, only those of them. The option can be repeated.
    #[arg(long, value_name = "CONFIGURATION", value_parser = configuration)]
    pub(crate) configuration: Vec<Criteria>,
    /// Only the tasks with this seed. The option can be repeated.
    #[arg(long, value_name = "SEED")]
    pub(crate) seed: Vec<u64>,
}

/// `colearn extend`.
#[derive(Args, Debug)]
pub(crate) struct ExtendArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    /// The extended sweep file.
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
    /// From -1000 to 1000: tasks of a higher priority start first. A sweep begins with the `priority` of its file, or 0.
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
    /// Do not ask for confirmation. Needed without a terminal.
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Leave the kept files of its tasks where they are.
    #[arg(long)]
    pub(crate) keep_files: bool,
    /// The location of the kept files, if it has another name here than it had for the workers: a folder, or
    /// s3://bucket/prefix.
    #[arg(long, value_name = "LOCATION", conflicts_with = "keep_files")]
    pub(crate) from: Option<String>,
}

/// `colearn undrain`.
#[derive(Args, Debug)]
pub(crate) struct UndrainArgs {
    /// The worker: its id or the first characters of it.
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn drain`.
#[derive(Args, Debug)]
pub(crate) struct DrainArgs {
    /// The worker: its id or the first characters of it.
    pub(crate) worker: String,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Do not wait for running tasks: write checkpoints, return the tasks and exit.
    #[arg(long)]
    pub(crate) now: bool,
}

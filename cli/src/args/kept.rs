//! Commands about the files that tasks keep.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use colearn_core::{id::SweepName, sweep::Kept};

use super::{Target, TaskReference, places::path};

/// `colearn export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only these files; the option can be repeated.
    #[arg(long, value_enum)]
    pub(crate) only: Vec<File>,
    /// Only the files of this task; the option can be repeated.
    #[arg(long, value_name = "CONFIGURATION/SEED")]
    pub(crate) task: Vec<TaskReference>,
    /// Where the files are, if that has another name here than it had for the workers: a folder, or s3://bucket/prefix
    /// [default: as the results say].
    #[arg(long, value_name = "LOCATION")]
    pub(crate) from: Option<String>,
    /// Folder to write [default: exports/NAME].
    #[arg(long, value_name = "DIR", value_parser = path(), conflicts_with = "list")]
    pub(crate) out: Option<PathBuf>,
    /// List the files and their locations, and copy nothing.
    #[arg(long)]
    pub(crate) list: bool,
    /// Print the list as JSON.
    #[arg(long, requires = "list")]
    pub(crate) json: bool,
}

/// A kept file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum File {
    /// Truth, prediction and outputs of each sample.
    Predictions,
    /// The tested weights, under PyTorch's names.
    Weights,
}

impl From<File> for Kept {
    fn from(file: File) -> Self {
        match file {
            File::Predictions => Self::Predictions,
            File::Weights => Self::Weights,
        }
    }
}

/// `colearn bootstrap`.
#[derive(Args, Debug)]
pub(crate) struct BootstrapArgs {
    /// The folder that `colearn export` wrote.
    #[arg(value_name = "DIR", value_parser = path())]
    pub(crate) folder: PathBuf,
    /// The split: test or valid.
    #[arg(long, default_value = "test", value_parser = ["test", "valid"])]
    pub(crate) split: String,
    /// The modalities that were present, as the column `modalities` has them [default: the primary one alone].
    #[arg(long, value_name = "A+B")]
    pub(crate) modalities: Option<String>,
    /// Level of the intervals, between 0.5 and 0.999.
    #[arg(long, default_value_t = 0.95, value_parser = confidence)]
    pub(crate) confidence: f64,
    /// Number of replicates.
    #[arg(long, default_value_t = 10_000, value_parser = replicates)]
    pub(crate) replicates: usize,
    /// Chooses the replicates: the same number gives the same intervals.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

fn confidence(text: &str) -> Result<f64, String> {
    let level: f64 = text.parse().map_err(|_| "it must be a number such as 0.95".to_owned())?;
    if (0.5..=0.999).contains(&level) { Ok(level) } else { Err("it must be from 0.5 to 0.999".to_owned()) }
}

fn replicates(text: &str) -> Result<usize, String> {
    let count: usize = text.parse().map_err(|_| "it must be a whole number".to_owned())?;
    let range = 1000..=1_000_000;
    if range.contains(&count) { Ok(count) } else { Err("it must be from 1000 to 1000000".to_owned()) }
}

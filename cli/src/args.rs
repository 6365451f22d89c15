//! The command line.

mod listing;
mod operations;
mod places;
mod reference;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use colearn_core::{id::SweepName, time::parse_duration_or_seconds};

pub(crate) use self::{
    listing::{ListArgs, LogArgs, State, StatusArgs, TasksArgs, WorkersArgs},
    operations::{DrainArgs, ExtendArgs, PriorityArgs, RemoveArgs, RetryArgs, UndrainArgs},
    places::{Listen, Target},
    reference::{TaskPath, TaskReference},
};

const EXIT_CODES: &str = "\
Exit codes:
  0  done; a sweep that was waited for is complete
  1  another error, named in the message
  2  wrong command line
  3  the sweep file is not valid
  4  the data set is missing, malformed or does not fit the sweep
  5  no coordinator answers
  6  the state folder is held by another process, not writable, corrupt or full
  7  the address to listen on is taken
  8  no sweep, task or worker of that name
  9  the sweep ended with failed tasks, or was cancelled
 10  workers could not be started, or kept dying
130  interrupted; what was recorded is kept, the same command continues";

/// Sweeps for multimodal co-learning: a YAML grid times seeds, trained by workers, averaged with honest statistics.
#[derive(Debug, Parser)]
#[command(name = "colearn", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a sweep on this machine to its end and print the averaged results.
    ///
    /// Typing the same command again after an interruption continues where it stopped.
    Run(RunArgs),
    /// Show what a sweep file expands to, without running anything.
    Plan(PlanArgs),
    /// Print every key and setting of a sweep file, with its range and default.
    Settings,
    /// Serve sweeps to workers and people.
    Coordinator(CoordinatorArgs),
    /// Run a worker: `colearn worker --help` is `colearn-worker --help`.
    #[command(disable_help_flag = true)]
    Worker {
        /// Passed on to `colearn-worker`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
        arguments: Vec<String>,
    },
    /// Submit a sweep to a coordinator. Submitting the same sweep again changes nothing.
    Submit {
        /// The sweep file.
        #[arg(value_parser = places::path())]
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
    /// List the sweeps.
    #[command(after_help = listing::LIST_JSON)]
    List(ListArgs),
    /// Show how far a sweep is, and what failed.
    #[command(after_help = listing::STATUS_JSON)]
    Status(StatusArgs),
    /// Follow a sweep until it ends.
    Watch(Named),
    /// Print a sweep's metrics, averaged over seeds.
    Results {
        /// The sweep's name.
        name: SweepName,
        #[command(flatten)]
        target: Target,
        /// How to print them.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
    /// Write a report of a sweep: a page with tables and charts, and the results as CSV, Markdown, LaTeX and JSON.
    ///
    /// The page (index.html) is one file that needs no network; every chart is also an SVG file under plots/.
    /// Sweeps that are still running can be reported too: what is missing is shown as missing.
    /// results.parquet is written by programs built with the cargo feature `parquet`.
    Report(ReportArgs),
    /// List the tasks of a sweep: where each is, who trains it, why it failed.
    #[command(after_help = listing::TASKS_JSON)]
    Tasks(TasksArgs),
    /// List the workers and what they train.
    #[command(after_help = listing::WORKERS_JSON)]
    Workers(WorkersArgs),
    /// Print what was logged while a task was trained, or by a worker.
    #[command(after_help = listing::LOGS_JSON)]
    Logs(LogArgs),
    /// Try a sweep's failed and cancelled tasks again, with all their attempts.
    Retry(RetryArgs),
    /// Add the seeds and configurations of a sweep file to a sweep; what is recorded is kept.
    ///
    /// The file is the sweep's own with more seeds, more values or more includes. What a task is trained with must
    /// not change: a file that would change it is refused, with the difference.
    Extend(ExtendArgs),
    /// Start nothing more of a sweep; what runs goes on.
    Pause(Named),
    /// Undo `pause`.
    Resume(Named),
    /// Let a sweep go before others, or after them.
    Priority(PriorityArgs),
    /// Cancel a sweep: what runs is stopped, what is recorded is kept.
    Cancel(Named),
    /// Forget a sweep that has ended, with all its results.
    Rm(RemoveArgs),
    /// Let a worker take nothing new, and leave when nothing runs on it any more.
    Drain(DrainArgs),
    /// Undo `drain`, or take a worker back that was set aside because nothing succeeded on it.
    Undrain(UndrainArgs),
    /// Make and look at data sets.
    #[command(subcommand)]
    Data(DataCommand),
    /// Check or copy what a coordinator has recorded, also while it serves.
    #[command(subcommand)]
    Db(DbCommand),
}

/// A sweep of a coordinator.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// The sweep file.
    #[arg(value_parser = places::path())]
    pub(crate) file: PathBuf,
    /// Folder that holds what was recorded.
    #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
    pub(crate) state: PathBuf,
    /// Folder that bare data set names are looked up in.
    #[arg(long, env = "COLEARN_DATA_DIR", default_value = "data", value_name = "DIR", value_parser = places::path())]
    pub(crate) data_dir: PathBuf,
    /// How to print the results at the end.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// Slots of the local worker: tasks (or cohorts) trained at the same time [default: one per GPU, or per core].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: Option<u32>,
    /// Slots that may share a GPU: each trains cohorts of its own, and they share its memory [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) slots_per_gpu: Option<u32>,
    /// Threads of each slot [default: cores / slots].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
    /// Most tasks trained together as one stacked model on a slot [default: 1 on CPU, more on a GPU].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_cohort: Option<u32>,
    /// Where to train.
    #[arg(long, env = "COLEARN_DEVICE", default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    pub(crate) device: String,
    /// Where checkpoints lie: a folder, or s3://bucket/prefix [default: checkpoints in the state folder].
    #[arg(long, env = "COLEARN_CHECKPOINTS", value_name = "LOCATION")]
    pub(crate) checkpoints: Option<OsString>,
}

/// `colearn plan`.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// The sweep file.
    #[arg(value_parser = places::path())]
    pub(crate) file: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// How many configurations to show.
    #[arg(long, default_value_t = 10)]
    pub(crate) first: usize,
}

/// `colearn coordinator`.
#[derive(Args, Debug)]
pub(crate) struct CoordinatorArgs {
    /// Address to listen on. Anything but loopback is open to everybody who can reach it.
    #[arg(long, env = "COLEARN_LISTEN", default_value = "127.0.0.1:7117", value_name = "HOST:PORT")]
    pub(crate) listen: Listen,
    /// Folder that holds what was recorded; one coordinator at a time.
    #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
    pub(crate) state: PathBuf,
    /// How long a worker may be silent before its tasks go to others.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = lease)]
    pub(crate) lease: Duration,
    /// How long after its end a sweep is put away, so that a start need not go through its history.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = settle_after)]
    pub(crate) settle_after: Duration,
}

/// `colearn report`.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Folder to write; files of an earlier report are replaced or removed [default: reports/NAME].
    #[arg(long, value_name = "DIR", value_parser = places::path())]
    pub(crate) out: Option<PathBuf>,
    /// The sweep file, which the path of `report.reference` (published means) is relative to [default: that path
    /// from here].
    #[arg(long, value_name = "FILE", value_parser = places::path())]
    pub(crate) sweep_file: Option<PathBuf>,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// One row a configuration, mean, std and interval of every metric.
    Csv,
    /// Everything, for programs.
    Json,
    /// For notes and pull requests.
    Markdown,
}

/// `colearn data`.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Generate the demo data set: artificial, with a planted co-learning problem.
    Generate {
        /// File to write.
        #[arg(long, default_value = "data/demo.safetensors", value_name = "FILE", value_parser = places::path())]
        out: PathBuf,
        /// Seed of the generator.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Check a data set and print what it holds.
    Inspect {
        /// The data set: a file, or a bare name as in sweep files.
        #[arg(value_parser = places::path())]
        file: PathBuf,
        /// Folder that bare names are looked up in.
        #[arg(long, env = "COLEARN_DATA_DIR", default_value = "data", value_name = "DIR", value_parser = places::path())]
        data_dir: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// `colearn db`.
#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Replay the journal and compare what comes out with the recorded results.
    ///
    /// Exits with 6 when something is inconsistent.
    Check {
        /// The state folder.
        #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
        state: PathBuf,
    },
    /// Copy the database, as it is at one moment, to a file that is not there yet.
    ///
    /// To restore it, put it into an empty folder as `colearn.db` and start a coordinator with that folder as its
    /// state, when no worker of the old one is left: tokens begin again where they were when the copy was made.
    Backup {
        /// The file to write.
        #[arg(value_parser = places::path())]
        file: PathBuf,
        /// The state folder.
        #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
        state: PathBuf,
    },
}

fn lease(text: &str) -> Result<Duration, String> {
    duration_up_to(text, Duration::from_hours(24), "24h")
}

fn settle_after(text: &str) -> Result<Duration, String> {
    duration_up_to(text, Duration::from_hours(365 * 24), "365days")
}

/// A duration of at least a second and at most `max`, which people write as `max_text`.
fn duration_up_to(text: &str, max: Duration, max_text: &str) -> Result<Duration, String> {
    let duration = parse_duration_or_seconds(text)
        .map_err(|error| format!("{error}; write it like 90s, 1h30m, or as a number of seconds"))?;
    if (Duration::from_secs(1)..=max).contains(&duration) {
        Ok(duration)
    } else {
        Err(format!("it must be at least 1s and at most {max_text}"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    fn coordinator(typed: &[&str]) -> Result<CoordinatorArgs, String> {
        let line = ["colearn", "coordinator"].iter().chain(typed);
        match Cli::try_parse_from(line).map_err(|error| error.to_string())?.command {
            Command::Coordinator(arguments) => Ok(arguments),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_coordinators_durations_have_units_or_are_seconds() {
        let durations = |typed: &[&str]| coordinator(typed).map(|typed| (typed.lease, typed.settle_after));
        let seconds = |lease, settle| Ok((Duration::from_secs(lease), Duration::from_secs(settle)));
        assert_eq!(durations(&[]), seconds(20, 600));
        assert_eq!(durations(&["--lease", "30s", "--settle-after", "1h30m"]), seconds(30, 5400));
        assert_eq!(durations(&["--lease", "3", "--settle-after", "1"]), seconds(3, 1));
        assert_eq!(durations(&["--lease", "24h", "--settle-after", "365days"]), seconds(86_400, 31_536_000));
    }

    #[test]
    fn a_duration_out_of_bounds_is_refused_with_the_bounds() {
        for (flag, bad, why) in [
            ("--lease", "0", "at least 1s and at most 24h"),
            ("--lease", "500ms", "at least 1s"),
            ("--lease", "86401", "at most 24h"),
            ("--lease", "soon", "write it like 90s"),
            ("--lease", "1.5", "write it like 90s"),
            ("--settle-after", "0s", "at least 1s"),
            ("--settle-after", "366days", "at most 365days"),
        ] {
            let error = coordinator(&[flag, bad]).unwrap_err();
            assert!(error.contains(why) && error.contains(flag), "{flag} {bad}: {error}");
        }
    }
}

//! The command line.

mod access;
mod alloc;
mod compare;
mod import;
mod kept;
mod listing;
mod notify;
mod operations;
mod places;
mod reference;
mod results;
mod sweep_file;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use colearn_core::{id::SweepName, time::parse_duration_or_seconds};

pub(crate) use self::{
    access::{AccessCommand, IssueArgs, ListAccessArgs, PemArgs, RevokeArgs, RotateArgs, ServedArgs},
    alloc::{AllocCommand, PoolArgs, PoolListArgs, PoolLogArgs, SlurmArgs},
    compare::{CompareArgs, CompareFormat, Compared},
    import::ImportArgs,
    kept::{BootstrapArgs, ExportArgs},
    listing::{ListArgs, LogArgs, State, StatusArgs, TasksArgs, WorkersArgs},
    notify::NotifyArgs,
    operations::{CancelArgs, DrainArgs, ExtendArgs, PriorityArgs, RemoveArgs, RetryArgs, UndrainArgs},
    places::{Listen, Target},
    reference::{TaskPath, TaskReference},
    results::{Format, ResultsArgs},
    sweep_file::{SweepFileArgs, folder_of, is_stdin, origin_of},
};

const EXIT_CODES: &str = "\
Exit codes:
  0  success; a sweep that was waited for is complete
  1  another error, named in the message
  2  wrong command line
  3  the sweep file is not valid
  4  the data set is missing, malformed or does not fit the sweep
  5  no coordinator answers
  6  the state folder is used by another process, not writable, corrupt or full
  7  the address to listen on is in use
  8  there is no sweep, task or worker of this name
  9  the sweep ended with failed tasks, or was cancelled
 10  workers could not be started, crashed repeatedly, or do not have what the tasks need
 11  the coordinator does not let you in or do this: the access file is missing or refused, or its role is too small
130  interrupted; recorded results are kept, and the same command continues";

/// Run sweeps for multimodal co-learning: train every point of a YAML grid with every seed, and average over the seeds.
#[derive(Debug, Parser)]
#[command(name = "colearn", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The command.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print only results and errors: no progress, notices or warnings.
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a sweep on this machine to its end and print the averaged results.
    ///
    /// After an interruption the same command continues the sweep. On a terminal its progress is a full-screen view (`?`
    /// shows its keys); elsewhere, lines.
    Run(RunArgs),
    /// Show what a sweep file expands to, without running anything.
    Plan(PlanArgs),
    /// Write a commented first sweep file, for a data set or for a program of your own.
    Init(InitArgs),
    /// Print every key and setting of a sweep file, with its range and default.
    Settings,
    /// Print the JSON Schema of sweep files, with which editors complete and check them: docs/editors.md.
    Schema,
    /// Start a coordinator: it accepts sweeps and distributes their tasks to workers.
    Coordinator(CoordinatorArgs),
    /// Run a worker: `colearn worker --help` is `colearn-worker --help`.
    #[command(disable_help_flag = true)]
    Worker {
        /// Arguments for `colearn-worker`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
        arguments: Vec<String>,
    },
    /// Submit a sweep to a coordinator. Submitting the same sweep again changes nothing.
    Submit(SubmitArgs),
    /// List the sweeps.
    #[command(after_help = listing::LIST_JSON)]
    List(ListArgs),
    /// Show the progress of a sweep and its failures.
    #[command(after_help = listing::STATUS_JSON)]
    Status(StatusArgs),
    /// Follow a sweep until it ends.
    ///
    /// On a terminal it is a full-screen view (`?` shows its keys); elsewhere, lines of progress. The exit code is 130 if
    /// it is left before the sweep has ended.
    Watch(WatchArgs),
    /// Print a sweep's metrics, averaged over seeds; or those of every seed, or the curves of training.
    #[command(after_help = results::AFTER_HELP)]
    Results(ResultsArgs),
    /// Serve the pages of a coordinator to a browser on this machine: progress, results, curves, workers, logs.
    ///
    /// A coordinator on loopback serves them itself, at its own address. This command is for one that is elsewhere and
    /// lets in only who has an access file, and for the state folder of an earlier run. The address that it prints has a
    /// secret, so that other users of this machine cannot open it.
    Dashboard(DashboardArgs),
    /// Compare configurations, two sweeps, or configurations over several sweeps.
    #[command(after_help = compare::AFTER_HELP)]
    Compare(CompareArgs),
    /// Write a report of a sweep: a page with tables and charts, and the results as CSV, Markdown, LaTeX and JSON.
    ///
    /// The page (index.html) is one file that needs no network; every chart is also an SVG file under plots/.
    /// Running sweeps can be reported too; missing results are shown as missing.
    /// results.parquet is written by programs built with the cargo feature `parquet`.
    Report(ReportArgs),
    /// Copy the files that tasks kept (`keep` in the sweep file) into a folder, and check their digests.
    ///
    /// The folder has a folder for each configuration, in it one for each seed, and index.csv, which lists the files.
    /// Files that are there already are not copied again.
    Export(ExportArgs),
    /// Compare exported predictions with those of the baseline, with intervals over seeds and items.
    ///
    /// Seeds and items are resampled independently of each other (a crossed bootstrap); items of one group, such as a
    /// speaker, are resampled together. docs/files.md explains it.
    Bootstrap(BootstrapArgs),
    /// List the tasks of a sweep: state, worker and reason of failure. The files that tasks keep: `colearn export --list`.
    #[command(after_help = listing::TASKS_JSON)]
    Tasks(TasksArgs),
    /// List the workers and what they train.
    #[command(after_help = listing::WORKERS_JSON)]
    Workers(WorkersArgs),
    /// Print the log of a task or of a worker.
    #[command(after_help = listing::LOGS_JSON)]
    Logs(LogArgs),
    /// Try failed and cancelled tasks of a sweep again, with the full number of attempts.
    Retry(RetryArgs),
    /// Add the seeds and configurations of a sweep file to a sweep; recorded results are kept.
    ///
    /// The file is the original sweep file with more seeds, values or includes. The settings of existing tasks must
    /// not change: a file that would change them is refused, and the difference is shown.
    Extend(ExtendArgs),
    /// Start no new tasks of a sweep; running tasks continue.
    Pause(Named),
    /// Resume a paused sweep.
    Resume(Named),
    /// Set the priority of a sweep relative to others.
    Priority(PriorityArgs),
    /// Cancel a sweep, or some of its tasks: running tasks are stopped, recorded results are kept.
    ///
    /// Without --task, --configuration and --seed all tasks are cancelled. `colearn retry` brings cancelled tasks back.
    Cancel(CancelArgs),
    /// Delete a sweep that has ended, with all its results and kept files.
    Rm(RemoveArgs),
    /// Give a worker no new tasks, and let it exit when it is idle.
    Drain(DrainArgs),
    /// Undo `drain`, or use a worker again that was set aside because no task succeeded on it.
    Undrain(UndrainArgs),
    /// Let the coordinator start workers in a batch system (Slurm) while tasks wait.
    #[command(subcommand)]
    Alloc(AllocCommand),
    /// Make data sets of your arrays (`import`), generate and inspect them.
    #[command(subcommand)]
    Data(DataCommand),
    /// Make, list and revoke access files of a coordinator, on its host.
    #[command(subcommand)]
    Access(AccessCommand),
    /// Check or copy a coordinator's database, also while the coordinator is running.
    #[command(subcommand)]
    Db(DbCommand),
    /// Print the completions of a shell for `colearn`.
    ///
    /// For example, in ~/.bashrc: source <(colearn completions bash). Those of the worker: `colearn-worker --completions
    /// bash`.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the man pages of all commands into a folder, with those of `colearn-worker` and `colearn-trainer`.
    Man {
        /// The folder, such as ~/.local/share/man/man1.
        #[arg(long, value_name = "FOLDER", value_parser = places::path())]
        out: PathBuf,
    },
}

/// Arguments of the commands that take only a sweep.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn watch`.
#[derive(Args, Debug)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) named: Named,
    /// Show progress as lines, also on a terminal.
    #[arg(long)]
    pub(crate) plain: bool,
}

/// `colearn run`.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) sweep_file: SweepFileArgs,
    /// State folder: the recorded sweeps and results.
    #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
    pub(crate) state: PathBuf,
    /// Folder of the data sets; bare data set names are looked up there.
    #[arg(long, env = "COLEARN_DATA_DIR", default_value = "data", value_name = "DIR", value_parser = places::path())]
    pub(crate) data_dir: PathBuf,
    /// Format of the results at the end.
    #[arg(long, value_parser = results::printed(), default_value = "table")]
    pub(crate) format: Format,
    /// Open the sweep's page in a browser. It is there until the sweep has ended; then: `colearn dashboard`.
    #[arg(long)]
    pub(crate) open: bool,
    /// Slots of the local worker: the number of cohorts trained at the same time [default: one per GPU, or per core].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: Option<u32>,
    /// Slots per GPU: each trains its own cohorts, and they share the GPU's memory [default: 1].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) slots_per_gpu: Option<u32>,
    /// Threads of each slot [default: what each task of the sweep needs, or cores / slots].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) threads: Option<u32>,
    /// Maximum number of tasks that a slot trains together as one stacked model [default: 1 on CPU, 16 on a GPU].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) max_cohort: Option<u32>,
    /// Device to train on.
    #[arg(long, env = "COLEARN_DEVICE", default_value = "auto", value_parser = ["auto", "cpu", "cuda"])]
    pub(crate) device: String,
    /// Where to keep checkpoints: a folder, or s3://bucket/prefix [default: checkpoints in the state folder].
    #[arg(long, env = "COLEARN_CHECKPOINTS", value_name = "LOCATION")]
    pub(crate) checkpoints: Option<OsString>,
    /// Show progress as lines, also on a terminal.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Run this command line in a shell when the sweep has ended, with what happened as JSON on its standard input.
    #[arg(long, env = "COLEARN_ON_EVENT", value_name = "COMMAND")]
    pub(crate) on_event: Option<String>,
}

/// `colearn init`.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    /// The data set: a bare name in the data folder, or a path, as in sweep files.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    pub(crate) dataset: Option<String>,
    /// Instead of a data set: the command of a program of your own, with its options, such as `-- python3 train.py --lr
    /// 0.01`.
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    /// Folder in which bare data set names are looked up.
    #[arg(long, env = "COLEARN_DATA_DIR", default_value = "data", value_name = "DIR", value_parser = places::path())]
    pub(crate) data_dir: PathBuf,
    /// File to write, which must not exist yet; `-` for standard output [default: the data set or script, with .yaml].
    #[arg(long, value_name = "FILE", value_parser = places::path())]
    pub(crate) out: Option<PathBuf>,
}

/// `colearn submit`.
#[derive(Args, Debug)]
pub(crate) struct SubmitArgs {
    #[command(flatten)]
    pub(crate) sweep_file: SweepFileArgs,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Folder in which bare data set names are looked up, to check the settings against the data before the submission.
    #[arg(long, env = "COLEARN_DATA_DIR", default_value = "data", value_name = "DIR", value_parser = places::path())]
    pub(crate) data_dir: PathBuf,
}

/// `colearn plan`.
#[derive(Args, Debug)]
pub(crate) struct PlanArgs {
    /// The sweep file; `-` for standard input.
    #[arg(value_parser = places::path())]
    pub(crate) file: PathBuf,
    /// Folder in which bare data set names are looked up, to check the settings against the data.
    #[arg(long, env = "COLEARN_DATA_DIR", default_value = "data", value_name = "DIR", value_parser = places::path())]
    pub(crate) data_dir: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Number of configurations to show.
    #[arg(long, default_value_t = 10)]
    pub(crate) first: usize,
}

/// `colearn coordinator`.
#[derive(Args, Debug)]
pub(crate) struct CoordinatorArgs {
    /// Address to listen on. On another address than loopback, only clients with an access file are let in; the coordinator
    /// writes three to the folder `access` in its state folder.
    #[arg(long, env = "COLEARN_LISTEN", default_value = "127.0.0.1:7117", value_name = "HOST:PORT")]
    pub(crate) listen: Listen,
    /// State folder: the recorded sweeps and results. Only one coordinator can use it at a time.
    #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
    pub(crate) state: PathBuf,
    /// How long a worker may be without contact before its tasks are given to others.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = lease)]
    pub(crate) lease: Duration,
    /// How long after its end a sweep is settled: later starts no longer replay its journal.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = settle_after)]
    pub(crate) settle_after: Duration,
    /// Manage pools of worker jobs (`colearn alloc`): whoever can submit sweeps can then run jobs as the user of this
    /// coordinator.
    #[arg(long, env = "COLEARN_ALLOW_POOLS", value_parser = clap::builder::BoolishValueParser::new())]
    pub(crate) allow_pools: bool,
    /// How often to look at the queue of the batch system, while there are jobs or tasks wait.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = pool_interval)]
    pub(crate) pool_interval: Duration,
    #[command(flatten)]
    pub(crate) notify: NotifyArgs,
    #[command(flatten)]
    pub(crate) served: ServedArgs,
}

/// `colearn dashboard`.
#[derive(Args, Debug)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Port on loopback; 0 for a free one.
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub(crate) port: u16,
    /// Open the address in a browser.
    #[arg(long)]
    pub(crate) open: bool,
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
    /// The sweep file; the path of `report.reference` (published means) is relative to its folder [default: relative
    /// to the current folder].
    #[arg(long, value_name = "FILE", value_parser = places::path())]
    pub(crate) sweep_file: Option<PathBuf>,
}

/// `colearn data`.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Generate the demo data set, which has a co-learning problem by construction.
    Generate {
        /// File to write.
        #[arg(long, default_value = "data/demo.safetensors", value_name = "FILE", value_parser = places::path())]
        out: PathBuf,
        /// Seed of the generator.
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Make a data set from NumPy arrays, folders of arrays, and tables of labels and splits.
    ///
    /// Prints the conversions and the contents of the new data set. All mistakes are reported at once, each with its
    /// place. Programs built with the cargo feature `parquet` also read Parquet tables. `python/colearn.py` does the
    /// same from arrays in memory.
    #[command(after_help = import::EXAMPLES)]
    Import(Box<ImportArgs>),
    /// Check a data set and print its contents.
    Inspect {
        /// The data set: a file, or a bare name as in sweep files.
        #[arg(value_parser = places::path())]
        file: PathBuf,
        /// Folder in which bare names are looked up.
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
    /// Replay the journal and compare its outcome with the recorded results.
    ///
    /// Exits with 6 if something is inconsistent.
    Check {
        /// The state folder.
        #[arg(long, env = "COLEARN_STATE", default_value = ".colearn", value_name = "DIR", value_parser = places::path())]
        state: PathBuf,
    },
    /// Copy a consistent state of the database to a new file.
    ///
    /// To restore the copy, stop all workers of the old coordinator, put the file into an empty folder as `colearn.db`,
    /// and start a coordinator with this state folder. Workers must be stopped because the lease tokens continue from
    /// their values at the time of the copy.
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

fn pool_interval(text: &str) -> Result<Duration, String> {
    duration_up_to(text, Duration::from_hours(1), "1h")
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

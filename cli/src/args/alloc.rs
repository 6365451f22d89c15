//! `colearn alloc`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use colearn_core::{pools::PoolName, time::parse_duration_or_seconds};

use super::{Target, places::path};

pub(super) const EXAMPLES: &str = "\
Example: up to 8 workers with a GPU each, while tasks wait
  colearn alloc slurm --name gpu --max-workers 8 --time-limit 2h -- --partition=gpu --gpus=1 --cpus-per-task=4";

const LIST_JSON: &str = "\
With --json:
  {\"managed\": whether the coordinator manages pools, \"trouble\": why Slurm could not be asked
  last time, \"pools\": [POOL, ...]}. A POOL has: name, state (active, paused, failing, removing),
  reason (of failing), created_at, max_workers, min_workers, slots, gpu, idle_seconds,
  time_limit_seconds, wanted (tasks wait that its workers could take), failures (in a row),
  trouble (the last one), not_before, log_dir, arguments, jobs [{number, id, name, state
  (submitting, queued, starting, running, ended), detail (why it waits, or how it ended), worked
  (its worker had a task), submitted_at, ended_at}, ...].
All keys are always present; null means that there is no value. Times are RFC 3339, in UTC.";

/// `colearn alloc`.
#[derive(Debug, Subcommand)]
pub(crate) enum AllocCommand {
    /// Add a pool of worker jobs to Slurm.
    ///
    /// The coordinator (`colearn coordinator --allow-pools`) submits a job for each worker that the waiting tasks can
    /// use, up to the limit. A worker exits when it has had no task for a while. Jobs that are preempted park their tasks
    /// and wait in the queue again.
    #[command(after_help = EXAMPLES)]
    Slurm(Box<SlurmArgs>),
    /// List the pools and their jobs.
    #[command(after_help = LIST_JSON)]
    List(PoolListArgs),
    /// Submit no more jobs for a pool; those that are there continue.
    Pause(PoolArgs),
    /// Let a pool go on that was paused, by a person or because its jobs failed.
    Resume(PoolArgs),
    /// Remove a pool: jobs that wait are cancelled, and workers return their tasks and exit.
    Rm(PoolArgs),
    /// Print the end of the log of a job.
    Logs(PoolLogArgs),
}

/// `colearn alloc slurm`.
#[derive(Args, Debug)]
pub(crate) struct SlurmArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Name of the pool: lower-case letters, digits and `_`.
    #[arg(long, default_value = "slurm")]
    pub(crate) name: PoolName,
    /// Maximum number of jobs, each with one worker, that wait or run at a time.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_workers: u32,
    /// Number of workers that are kept when no task waits.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) min_workers: u32,
    /// How long a worker waits for a task before it exits.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = parse_duration_or_seconds)]
    pub(crate) idle_timeout: Duration,
    /// Time limit of each job, such as 2h, for Slurm and for the worker, which parks its tasks in time [default: that of
    /// the partition, which the worker does not know].
    #[arg(long, value_name = "TIME", value_parser = parse_duration_or_seconds)]
    pub(crate) time_limit: Option<Duration>,
    /// Slots of each worker: the number of cohorts or programs that it trains at the same time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub(crate) slots: u32,
    /// Each worker has a GPU, although none of the options after `--` asks for one.
    #[arg(long)]
    pub(crate) gpu: bool,
    /// Folder of the data sets on the nodes [default: `data` in the current folder].
    #[arg(long, value_name = "DIR", env = "COLEARN_DATA_DIR", default_value = "data", value_parser = path())]
    pub(crate) data_dir: PathBuf,
    /// Location of checkpoints that all nodes share: a folder, or s3://bucket/prefix [default: `checkpoints` in the
    /// current folder].
    #[arg(long, value_name = "LOCATION", env = "COLEARN_CHECKPOINTS", default_value = "checkpoints")]
    pub(crate) checkpoints: String,
    /// Workers also run programs named in sweep files.
    #[arg(long)]
    pub(crate) allow_programs: bool,
    /// Workers run only programs.
    #[arg(long)]
    pub(crate) programs_only: bool,
    /// A label of the workers, which tasks can ask for. Can be repeated.
    #[arg(long = "label", value_name = "WORD")]
    pub(crate) labels: Vec<String>,
    /// A further argument for `colearn-worker`, such as --worker-arg=--max-cohort=8. Can be repeated.
    #[arg(long = "worker-arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    pub(crate) worker_arguments: Vec<String>,
    /// `colearn-worker` on the nodes [default: the one beside the coordinator's `colearn`].
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub(crate) worker_program: Option<PathBuf>,
    /// Access file for the workers [default: the coordinator's own `worker.access`, in the home folder if it is there, or
    /// else in the state folder].
    #[arg(long, value_name = "FILE", value_parser = path())]
    pub(crate) worker_access: Option<PathBuf>,
    /// Address at which the nodes reach the coordinator [default: the one that it listens on].
    #[arg(long, value_name = "URL")]
    pub(crate) connect_to: Option<String>,
    /// Folder of the jobs' logs, which the nodes and the coordinator share, with a folder for this pool [default: in the
    /// coordinator's state folder].
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub(crate) log_dir: Option<PathBuf>,
    /// Add nothing: print the batch script, and what Slurm says of it.
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Options for `sbatch`.
    #[arg(last = true, value_name = "SBATCH OPTION", allow_hyphen_values = true)]
    pub(crate) arguments: Vec<String>,
}

/// `colearn alloc list`.
#[derive(Args, Debug)]
pub(crate) struct PoolListArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Arguments of the commands that take only a pool.
#[derive(Args, Debug)]
pub(crate) struct PoolArgs {
    /// The pool's name.
    pub(crate) name: PoolName,
    #[command(flatten)]
    pub(crate) target: Target,
}

/// `colearn alloc logs`.
#[derive(Args, Debug)]
pub(crate) struct PoolLogArgs {
    /// The pool's name.
    pub(crate) name: PoolName,
    /// Number of the job, as `colearn alloc list` shows it [default: the last one].
    pub(crate) job: Option<u64>,
    #[command(flatten)]
    pub(crate) target: Target,
}

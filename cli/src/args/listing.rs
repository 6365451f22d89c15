//! Commands that list things, and what they print with `--json`: an interface for scripts, to which keys may be
//! added, but from which none is taken away and whose meaning does not change.

use clap::{Args, ValueEnum};
use colearn_core::id::SweepName;

use super::{Target, TaskPath};

/// Said of every listing.
macro_rules! json_help {
    ($shape:literal) => {
        concat!(
            "With --json:\n",
            $shape,
            "\nKeys are always there; null says that there is nothing to tell. Moments are RFC 3339, in UTC."
        )
    };
}

pub(super) const LIST_JSON: &str = json_help!(
    "  {\"sweeps\": [SWEEP, ...]}, in the order of submission. A SWEEP has: name, id, state (active, complete,
  failed, cancelled), paused, priority, max_concurrent_tasks, tasks {total, pending, running, done, failed,
  cancelled}, configurations, seeds, submitted_at, retried (attempts that were tried again), workers, slots,
  trains_only (the one sweep that the coordinator trains, as that of a `colearn run`; null when it trains all)."
);

pub(super) const STATUS_JSON: &str = json_help!(
    "  What `colearn list --json` says of a sweep, and: configurations_progress [{id, tasks}, ...] with the counts
  of each configuration, failures [{configuration, seed, attempt, final, reason, message}, ...], the newest
  first, at most 100; set_aside [{worker, data_set (null: all), since, until, failures, reason, message}, ...], the
  workers that get none of its tasks, or only one to prove themselves with; without_data [{worker, data_set,
  other_digest}, ...], the workers that lack its data set, or have another of that name (other_digest is not null)."
);

pub(super) const TASKS_JSON: &str = json_help!(
    "  {\"sweep\": NAME, \"tasks\": [TASK, ...]}, one task a line, in the order of the grid. A TASK has:
  configuration, seed, state (pending, running, done, failed, cancelled), attempts (begun), worker, slot, epoch,
  epochs, reason, message, not_before (when a task that is tried again may run)."
);

pub(super) const WORKERS_JSON: &str = json_help!(
    "  {\"workers\": [WORKER, ...]}. A WORKER has: id, host, version, state (connected, draining, away), last_seen
  (null, as host and version are, if it has not come back since the coordinator's start), set_aside (as of `colearn status --json`), slots [{index, device, max_cohort, tasks [{sweep, configuration, seed, attempt, epoch, epochs}, ...]}, ...], warnings [...],
  data_sets {complete, digests {name: digest}}: a digest is null when nobody has opened the data set yet; complete tells that
  all data sets of the data folder are named."
);

pub(super) const LOGS_JSON: &str = json_help!(
    "  One object a line: at, worker, source (worker, trainer), token (of the lease; null for lines of the worker
  itself), text."
);

/// `colearn list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `colearn status`.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `colearn tasks`.
#[derive(Args, Debug)]
pub(crate) struct TasksArgs {
    /// The sweep's name.
    pub(crate) name: SweepName,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Those in these states alone, separated by commas.
    #[arg(long, value_name = "STATES", value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<State>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// It waits for a slot.
    Pending,
    /// A worker trains it.
    Running,
    /// Its result is recorded.
    Done,
    /// No attempt is left.
    Failed,
    /// Its sweep was cancelled.
    Cancelled,
}

/// `colearn workers`.
#[derive(Args, Debug)]
pub(crate) struct WorkersArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `colearn logs`.
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// The task: NAME/CONFIGURATION/SEED; of the configuration the first digits are enough.
    #[arg(required_unless_present = "worker", conflicts_with = "worker")]
    pub(crate) task: Option<TaskPath>,
    /// The worker; the beginning of its id is enough.
    #[arg(long, value_name = "WORKER")]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Go on with new lines until the task has ended.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

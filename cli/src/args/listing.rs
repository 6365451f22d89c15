//! Commands that list things, and their output with `--json`. This output is an interface for scripts: keys may be
//! added, but no key is removed and no meaning changes.

use clap::{Args, ValueEnum};
use colearn_core::id::SweepName;

use super::{Target, TaskPath};

/// The help text of a listing.
macro_rules! json_help {
    ($shape:literal) => {
        concat!(
            "With --json:\n",
            $shape,
            "\nAll keys are always present; null means that there is no value. Times are RFC 3339, in UTC."
        )
    };
}

pub(super) const LIST_JSON: &str = json_help!(
    "  {\"sweeps\": [SWEEP, ...]}, in the order of submission. A SWEEP has: name, id, state (active,
  complete, failed, cancelled), paused, priority, max_concurrent_tasks, tasks {total, pending,
  running, done, failed, cancelled}, configurations, seeds, submitted_at, submitted_by (the holder of
  the access file; null if none was needed), retried (failed attempts that were repeated),
  workers, slots, trains_only (the only sweep that this coordinator trains, as for `colearn run`;
  null if it trains all), stopped (the reason if its pending tasks were cancelled because its
  tasks fail; else null), why_waiting (the reason if no slot of a connected worker can take
  its pending tasks; else null)."
);

pub(super) const STATUS_JSON: &str = json_help!(
    "  The keys of a SWEEP of `colearn list --json`, and: configurations_progress [{id, name,
  tasks}, ...] with the counts of each configuration, failures [{configuration, name, seed,
  attempt, final, reason, message}, ...], the newest first, at most 100; set_aside [{worker, data_set (null: all),
  program (whether data_set is a program), since, until, failures, reason, message}, ...], the
  workers that get none of its tasks, or only one at a time as a test; without_data [{worker,
  data_set, program, other_digest}, ...], the workers that lack its data set or program, or have
  another one of that name (then other_digest is not null); misfit, the reason if its settings do
  not fit the data of any worker and nothing is trained (else null)."
);

pub(super) const TASKS_JSON: &str = json_help!(
    "  {\"sweep\": NAME, \"tasks\": [TASK, ...]}, one task a line, in the order of the grid. A TASK has:
  configuration (its id), name, seed, state (pending, running, done, failed, cancelled), attempts (begun),
  worker, slot, epoch, epochs (null for a program), reason, message, not_before (the earliest
  start of a task's next attempt)."
);

pub(super) const WORKERS_JSON: &str = json_help!(
    "  {\"workers\": [WORKER, ...]}. A WORKER has: id, host, version, state (connected, draining,
  away), last_seen (null, like host and version, if it has not reconnected since the
  coordinator's start), set_aside (as in `colearn status --json`), labels [...], slots [{index,
  device, max_cohort, trainers [networks, programs], gpu, memory (bytes), threads, tasks [{sweep,
  configuration, name, seed, attempt, epoch, epochs (null for a program)}, ...]}, ...] (trainers to
  threads are what tasks can ask for; null if the worker does not say it), warnings [...],
  data_sets {complete, known {name: {digest, modalities, train_samples}}}: digest
  is null if no trainer has opened the data set yet, the others if its header could not be read;
  complete is true if all data sets of the data folder are named, usage {at, processors,
  processors_busy, processors_busy_own (by its own processes), processors_of_group, memory,
  memory_used, memory_used_own (bytes), memory_of_group, gpus [{uuid, name, busy_percent, memory,
  memory_used}, ...]}: null if nothing is known, as its numbers are."
);

pub(super) const LOGS_JSON: &str = json_help!(
    "  One object a line: at, worker, source (worker, trainer), token (of the lease; null for lines
  of the worker itself), text."
);

/// `colearn list`.
#[derive(Args, Debug)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Only sweeps that were submitted with the access file of this person.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
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
    /// Show all configurations of a sweep that has more than 100 [default: 20, first those with failed tasks]. JSON always has all.
    #[arg(long)]
    pub(crate) all: bool,
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
    /// Only tasks in these states, separated by commas.
    #[arg(long, value_name = "STATES", value_enum, value_delimiter = ',')]
    pub(crate) only: Vec<State>,
    /// Show all tasks where there are more than 100 [default: 40, first those that failed]. JSON always has all.
    #[arg(long)]
    pub(crate) all: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// States of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    /// The task waits for a slot.
    Pending,
    /// A worker trains the task.
    Running,
    /// The result is recorded.
    Done,
    /// The task failed and no attempt is left.
    Failed,
    /// The task or its sweep was cancelled.
    Cancelled,
}

/// `colearn workers`.
#[derive(Args, Debug)]
pub(crate) struct WorkersArgs {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Show what the hosts do instead: busy processors, used memory, GPUs.
    ///
    /// Workers measure it every five seconds. In a container or a batch job the numbers are those of its control group
    /// (version 2) where that has limits. The memory of a worker is that of its processes; what they share is counted for
    /// each. Of workers of older versions nothing is known.
    #[arg(long)]
    pub(crate) usage: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `colearn logs`.
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// The task: NAME/CONFIGURATION/SEED, such as `demo/audio=0.8,video=0.8/0`.
    ///
    /// CONFIGURATION is any set of values that only one configuration has, or the first digits of its id.
    #[arg(required_unless_present = "worker", conflicts_with = "worker")]
    pub(crate) task: Option<TaskPath>,
    /// The worker: its id or the first characters of it.
    #[arg(long, value_name = "WORKER")]
    pub(crate) worker: Option<String>,
    #[command(flatten)]
    pub(crate) target: Target,
    /// Keep printing new lines until the task has ended.
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

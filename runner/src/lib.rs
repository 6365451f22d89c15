//! The second kind of trainer: it runs programs of users. It links no libtorch, starts in a few milliseconds, and adds
//! a few milliseconds to a task.
//!
//! The worker starts it like `colearn-trainer` and speaks the same protocol with it ([`colearn_trainer_protocol`]).
//! What follows is what a program can rely on.
//!
//! # Start
//!
//! The command is run in the folder of the sweep file's `directory`, without a shell. A name without a slash is looked
//! for in `PATH`, one with a slash from the folder. Placeholders in the command, in the values of `environment` and in
//! the path of a result are replaced, as [`colearn_core::settings::placeholders`] describes. Standard input is
//! `/dev/null`. All signals have their default effect and none is blocked. The program leads a process group of its
//! own.
//!
//! The environment is that of the worker's slot (`CUDA_VISIBLE_DEVICES`, `OMP_NUM_THREADS` and so on), then
//! `PYTHONUNBUFFERED=1` unless it is set, then the `environment` of the sweep file, then:
//!
//! | variable | value |
//! |---|---|
//! | `COLEARN_TASK` | path of a JSON file with `sweep`, `configuration`, `seed`, `attempt`, `task`, `parameters`, `checkpoint_dir` and `metrics` |
//! | `COLEARN_METRICS` | path of a file to which the program appends lines; it exists and is empty |
//! | `COLEARN_SEED` | the seed |
//! | `COLEARN_CHECKPOINT_DIR` | the folder of the task's own, which exists |
//! | `COLEARN_PARAM_NAME` | the value of the parameter `name` as text; other characters than letters and digits are `_`. Not set for null, nor if two parameters have the same variable, of which the log has a warning |
//!
//! The two files are in a private temporary folder, which is removed when the task ends.
//!
//! # The file of metrics
//!
//! Each line is a JSON object, in which `NaN`, `Infinity` and `-Infinity` may stand for numbers, as Python writes
//! them. The file is read while the program runs, ten times per second.
//!
//! - `{"epoch": 3, "epochs": 20, "train_loss": 0.5}` is an epoch: an integer from 1, and numbers of any name.
//!   `epochs`, the total, is optional. Values that are not finite, or not numbers, are left out with a warning; null
//!   is left out. An epoch that comes again takes the place of the one before.
//! - `{"result": {"accuracy": 0.9}}` is a result. Several are merged; a metric that is given again with another value
//!   takes the place of the one before, with a warning. All values must be numbers: a boolean or a text fails the task
//!   as `settings`, and a value that is not finite as `diverged`.
//! - A line may have both. Each line may have `"task": "3-00abcdef01234567-2"`, as in `COLEARN_TASK` and `${task}`; if
//!   it names another task, the program is ended and the attempt fails as `settings`.
//!
//! | what | outcome |
//! |---|---|
//! | a line that is not a JSON object, or has neither `epoch` nor `result`; an epoch that is not an integer from 1 | left out, with a warning that quotes it. If the result is missing at the end, the failure quotes the first such line |
//! | a last line without a line break | counts if it is complete, otherwise left out with a warning |
//! | a line of more than 1 MiB | left out, with a warning |
//! | a file of more than 64 MiB | the program is ended, and the attempt fails as `settings` |
//! | the file is removed | what was read, and what was written before, counts; a new file under its name is read too |
//! | the file is truncated, replaced or written anew | read from its beginning, with a warning that lines may have been missed |
//! | more than 100,000 epochs, more than 3 MB of their values (20,000 epochs with three values each), or more than 64 different values | further ones are left out, with a warning |
//! | more than 64 metrics of a result | those that the sweep names and the first others stay, with a warning |
//! | a name of more than 128 bytes, with control characters, or empty | left out, with a warning |
//!
//! Of each kind of warning the first three are in the log, and the number of the others.
//!
//! # Other results
//!
//! - A *pattern* is matched with each line of both outputs, without control characters and cut to 16 KiB. Each named
//!   group is a metric, and its last match counts (the two outputs are read in no particular order). A group that is
//!   not a number gives a warning; one that is not finite fails the task as `diverged`. If there is a group `epoch`,
//!   each match is an epoch, and the last value of each other group is a metric of the result.
//! - A *JSON file* is an object; numbers in inner objects have names such as `test/loss`. Of a *CSV file* with a
//!   header the last row counts. Values that are not numbers are ignored, and those that are not finite are left out
//!   with a warning, unless the sweep names the metric. A file that the program has not written since its start does
//!   not count.
//!
//! The metrics of all sources are merged. The file of metrics takes precedence, then the pattern or file, then the
//! last epoch of a pattern. Every metric that the sweep names must be there.
//!
//! # The end
//!
//! | end | outcome |
//! |---|---|
//! | exit code 0 with a result | finished |
//! | exit code 0 without one, or without a metric that the sweep names | fails as `settings` |
//! | exit code 75 | goes on later: no attempt is counted |
//! | another exit code, or a signal | fails as `crash`, with the last lines of standard error (of standard output, if there are none) |
//! | the system killed a process for lack of memory, or the last lines say so | fails as `out_of_memory` |
//! | longer than `timeout` | SIGTERM, after 5 s SIGKILL; fails as `hang` |
//! | the agent asks to park | SIGTERM once, then the program has as long as the agent waits. Exit code 0 with a result finishes the task, exit code 0 with a metric that is not finite fails it as `diverged`; with everything else the task goes on later |
//! | any end but exit code 0, after a signal that reached all processes of the worker (`killall`, Slurm), so that the agent asks to park within 2 s | goes on later |
//! | the task is abandoned, or the agent ends | SIGTERM, after 1 s SIGKILL |
//! | the program, its folder or one of `files` is missing, or the files have changed since the first result | fails as `data` |
//!
//! SIGTERM goes to the program and its process group: to the program behind a shell, but also to helper processes such
//! as those that load data. When the program has ended, however it did, every process that it has started is killed,
//! also those that left its group or session; if it ended by itself, the log says so. If the runner itself is killed
//! by SIGKILL, the system kills the program, but not the processes that the program has started.
//!
//! # The checkpoint folder
//!
//! The folder is the task's own. It survives its attempts and is removed with everything in it when the task has a
//! result. With checkpoints in a folder of the host it is in there, so that it is never copied. With checkpoints in a
//! bucket it is a temporary folder: filled before the start, and sent back after the program has parked or failed;
//! only files with other contents are sent, up to 10 GiB in all. Without a location for checkpoints it lives as long
//! as the attempt. A program should write a checkpoint under another name and rename it, since it may be killed at any
//! time, and a worker that lost its lease may still be writing for a moment.
//!
//! The epochs of all attempts are one history, which the runner keeps beside the folder: at the end of an attempt, and
//! every ten seconds. The first epoch of an attempt is where it goes on; it takes the place of that and all later
//! epochs of earlier attempts.
//!
//! # The log
//!
//! Lines of both outputs go to the task's log. A line ends with a line feed or a carriage return, and is cut at 16
//! KiB. Control characters and the codes of terminal colours are removed. Of a progress bar, which only returns the
//! carriage, one state per second is kept. Of other lines 200 per second, and 2000 at once, are kept; a line says how
//! many were left out. When the program fails, its last 50 lines are in the log. Nothing that a program writes makes
//! it wait.

mod agent;
mod attempt;
mod collected;
mod descendants;
mod digest;
mod folder;
mod git;
mod history;
mod log;
mod metrics_file;
mod metrics_line;
mod outcome;
mod output;
mod pattern;
mod place;
mod process;
mod python_json;
mod result_file;
mod run;
mod script;
mod serve;
mod session;
mod start;
mod wake;

use std::process::ExitCode;

pub use digest::{FilesError, file_names, files_digest, missing_scripts};

/// What a runner is told when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where programs keep what another attempt needs, see
    /// [`Store::open`](colearn_trainer_protocol::checkpoint::Store::open); `None` means nowhere.
    pub checkpoints: Option<String>,
    /// The device of the slot, such as `cpu` or `cuda:0`. Programs find it in their environment.
    pub device: String,
    /// The threads of the slot.
    pub threads: u32,
}

/// Runs the runner process. Call it on the main thread, in a process that does nothing else: it handles signals and
/// collects all child processes. It ends when standard input closes.
///
/// Exit codes: 0 when standard input closed, 1 when it cannot work or nobody reads the events, 2 when a command is not
/// understood.
#[must_use]
#[expect(clippy::needless_pass_by_value, reason = "nothing is left to do with the options")]
pub fn run(options: Options) -> ExitCode {
    serve::serve(&options)
}

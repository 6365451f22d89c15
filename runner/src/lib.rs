//! The runner.
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
mod serve;
mod session;
mod start;
mod wake;

use std::process::ExitCode;

pub use digest::{FilesError, files_digest};

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

//! The subcommand that runs programs of users: a trainer of the second kind.

use std::process::ExitCode;

/// The options of `colearn-worker run-programs`, as the launcher passes them.
#[derive(Clone, Debug, clap::Args)]
pub struct RunProgramsArgs {
    /// `cpu` or `cuda:N`
    #[arg(long)]
    pub device: String,
    /// Threads of the slot
    #[arg(long)]
    pub threads: u32,
    /// Location of checkpoints
    #[arg(long)]
    pub checkpoints: Option<String>,
}

/// Runs programs as the agent asks for them on standard input, until that is closed. Call it on the main thread, in a
/// process that does nothing else.
#[must_use]
pub fn run_programs(arguments: RunProgramsArgs) -> ExitCode {
    let RunProgramsArgs { device, threads, checkpoints } = arguments;
    colearn_runner::run(colearn_runner::Options { checkpoints, device, threads })
}

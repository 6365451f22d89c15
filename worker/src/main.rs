//! The `colearn-worker` program: the agent.

use std::{io::Write as _, process::ExitCode};

use clap::Parser;
use colearn_worker::{
    exit::{AgentError, ExitStatus},
    launcher::{Launchers, RUN_PROGRAMS},
    log_queue::{LogLayer, LogQueue},
    options::{AgentArgs, Trainers},
    programs::{RunProgramsArgs, run_programs},
    run::{self, Left},
};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Trains tasks for a colearn coordinator.
#[derive(Debug, Parser)]
#[command(version)]
#[command(
    after_help = "Exit codes: 0 stopped, drained, idle or out of time (see also --parked-exit-code); 1 failure; 2 wrong usage; 3 the coordinator was never \
reached or refused the worker; 4 no usable slot; 5 interrupted twice."
)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(flatten)]
    agent: AgentArgs,
    /// Log only errors
    #[arg(long, short)]
    quiet: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

/// The parts of this program that only the program itself starts.
#[derive(Debug, clap::Subcommand)]
enum Part {
    /// Runs programs of users on one slot.
    #[command(name = RUN_PROGRAMS, hide = true)]
    RunPrograms(RunProgramsArgs),
}

fn main() -> ExitCode {
    let Cli { agent: args, quiet, part } = colearn_command_line::parse();
    if let Some(Part::RunPrograms(arguments)) = part {
        return run_programs(arguments);
    }
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(if quiet { "error" } else { "info" }));
    // A log that cannot be written (for example on a full disk) must not end the work. By default the subscriber
    // reports it with `eprintln!`, which panics if standard error is that log.
    let own = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(colearn_command_line::stderr_has_colours())
        .with_writer(std::io::stderr)
        .with_filter(filter);
    let logs = LogQueue::default();
    let sent = LogLayer::new(logs.clone()).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(own).with(sent).init();
    let parked = args.parked_exit_code;
    match work_until_told(args, logs) {
        Ok(Left::Parked) => parked.map_or(ExitStatus::Success.into(), ExitCode::from),
        Ok(Left::Done) => ExitStatus::Success.into(),
        Err(error) => {
            // `eprintln!` would panic if standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {error}");
            error.status().into()
        }
    }
}

fn work_until_told(args: AgentArgs, logs: LogQueue) -> Result<Left, AgentError> {
    let options = args.validate()?;
    let launchers = match options.trainer {
        Trainers::Process => Some(Launchers::find(&options.wanted.trainers)?),
        Trainers::NoOp => None,
    };
    // One thread is enough, because the agent only passes on messages. Its child processes must be started by the
    // main thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|cause| AgentError::System { what: "start the runtime", cause })?;
    runtime.block_on(run::run(options, launchers, logs))
}

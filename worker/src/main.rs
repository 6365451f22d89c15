//! The `colearn-worker` binary: the agent, or one of its trainer children.

use std::{io::IsTerminal as _, path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};
use colearn_worker::{
    agent::{
        exit::{AgentError, ExitStatus},
        launcher::Launcher,
        log_queue::{LogLayer, LogQueue},
        options::AgentArgs,
        run,
    },
    protocol::TrainerOptions,
    trainer,
};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Trains tasks for a colearn coordinator.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(
    after_help = "Exit codes: 0 stopped, drained or out of time; 1 failure; 2 wrong usage; 3 the coordinator was never \
reached or turned the worker away; 4 no usable slot; 5 interrupted twice."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Subcommands>,
    #[command(flatten)]
    agent: AgentArgs,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Trains what it is told on standard input; started by the worker itself
    Trainer(TrainerArgs),
}

#[derive(Debug, Args)]
struct TrainerArgs {
    /// Folder that bare data set names are looked up in
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Where checkpoints lie: a folder, or s3://bucket/prefix; none are kept unless given
    #[arg(long, value_name = "LOCATION")]
    checkpoints: Option<String>,
    /// What to train on: cpu or cuda:N
    #[arg(long)]
    device: String,
    /// Intra-op threads
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    threads: u32,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.command {
        Some(Subcommands::Trainer(args)) => trainer::main(TrainerOptions {
            data_dir: args.data_dir,
            checkpoints: args.checkpoints,
            device: args.device,
            threads: args.threads,
            environment: Default::default(),
        }),
        None => work(cli.agent),
    }
}

fn work(args: AgentArgs) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // A log that can not be written (a full disk) must not end the work: by default the subscriber complains
    // about it with `eprintln!`, which panics where standard error is that very log.
    let own = tracing_subscriber::fmt::layer()
        .log_internal_errors(false)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .with_filter(filter);
    let logs = LogQueue::default();
    let sent = LogLayer::new(logs.clone()).with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(own).with(sent).init();
    let worked = work_until_told(args, logs);
    match worked {
        Ok(()) => ExitStatus::Success.into(),
        Err(error) => {
            eprintln!("error: {error}");
            error.status().into()
        }
    }
}

fn work_until_told(args: AgentArgs, logs: LogQueue) -> Result<(), AgentError> {
    let options = args.validate()?;
    let system = |what| move |cause| AgentError::System { what, cause };
    let launcher = Launcher::this_program().map_err(system("find this program"))?;
    // One thread: the agent only passes messages on, and its children must be started by the main thread.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system("start the runtime"))?;
    runtime.block_on(run::run(options, launcher, logs))
}

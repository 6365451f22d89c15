//! The `colearn` command. It contains the coordinator and does not link libtorch.

/// Prints an error, or another line that a person needs in any case, on standard error. Unlike `eprintln!` it does not
/// panic if standard error is closed, and it does not disturb a full-screen view.
macro_rules! errln {
    ($($argument:tt)*) => { $crate::view::screen::line(&format!($($argument)*)) };
}

/// Prints progress, a notice or a warning as `errln!` does, unless `--quiet` was given.
macro_rules! noteln {
    ($($argument:tt)*) => { if !$crate::output::is_quiet() { errln!($($argument)*) } };
}

/// Prints a line on standard output, as `out!` does.
macro_rules! outln {
    ($($argument:tt)*) => { $crate::output::line(format_args!($($argument)*)) };
}

/// Prints to standard output. If the pipe was closed (`colearn list | head -1`), the command ends quietly, without a
/// panic.
macro_rules! out {
    ($($argument:tt)*) => { $crate::output::text(format_args!($($argument)*)) };
}

mod access;
mod args;
mod bootstrap;
mod client;
mod connect;
mod coordinator;
mod dashboard;
mod data;
mod db;
mod descriptors;
mod exit;
mod format;
mod init;
mod interrupt;
mod introduction;
mod kept;
mod layout;
mod local_worker;
mod needs;
mod notify;
mod output;
mod plan;
mod programs;
mod progress;
mod remote;
mod report;
mod run;
mod shown;
mod usage;
mod view;

use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::{
    args::{Cli, Command},
    exit::{Exit, Failure, Outcome},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli: Cli = colearn_command_line::parse();
    output::set_quiet(cli.quiet);
    // A coordinator reports through its log; the other commands print messages.
    let reports = matches!(cli.command, Command::Coordinator(_)) && !cli.quiet;
    let level = if reports { "info" } else { "error" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        // The logger reports its own errors with `eprintln!`, which panics if standard error cannot be written.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_ansi(colearn_command_line::stderr_has_colours())
        .with_writer(view::screen::LogWriter)
        .with_target(false)
        .init();
    let exit = match dispatch(cli.command) {
        Ok(exit) => exit,
        // The output has no reader, so there is no message.
        Err(Failure { exit: Exit::PipeClosed, .. }) => Exit::PipeClosed,
        Err(failure) => {
            errln!("{}", failure.report());
            failure.exit
        }
    };
    exit.into()
}

fn dispatch(command: Command) -> Outcome {
    match command {
        Command::Plan(arguments) => plan::plan(&arguments),
        Command::Init(arguments) => init::init(&arguments),
        Command::Settings => plan::settings(),
        Command::Completions { shell } => usage::completions(shell),
        Command::Man { out } => usage::man(&out),
        Command::Schema => plan::schema(),
        Command::Data(command) => data::data(&command),
        Command::Access(command) => access::access(&command),
        Command::Db(command) => block_on(db::db(&command)),
        Command::Worker { arguments } => worker(&arguments),
        Command::Run(arguments) => block_on(run::run(&arguments)),
        Command::Coordinator(arguments) => block_on(coordinator::coordinator(&arguments)),
        Command::Submit(arguments) => block_on(remote::submit(&arguments)),
        Command::List(arguments) => block_on(remote::list(&arguments)),
        Command::Status(arguments) => block_on(remote::status(&arguments)),
        Command::Watch(arguments) => block_on(remote::watch(&arguments)),
        Command::Results(arguments) => block_on(remote::results(&arguments)),
        Command::Compare(arguments) => block_on(remote::compare(&arguments)),
        Command::Dashboard(arguments) => block_on(dashboard::dashboard(&arguments)),
        Command::Report(arguments) => block_on(report::report(&arguments)),
        Command::Bootstrap(arguments) => bootstrap::bootstrap(&arguments),
        Command::Export(arguments) => block_on(kept::export(&arguments)),
        Command::Tasks(arguments) => block_on(remote::tasks(&arguments)),
        Command::Workers(arguments) => block_on(remote::workers(&arguments)),
        Command::Logs(arguments) => block_on(remote::logs(&arguments)),
        Command::Retry(arguments) => block_on(remote::retry(&arguments)),
        Command::Extend(arguments) => block_on(remote::extend(&arguments)),
        Command::Pause(named) => block_on(remote::pause(&named, true)),
        Command::Resume(named) => block_on(remote::pause(&named, false)),
        Command::Priority(arguments) => block_on(remote::priority(&arguments)),
        Command::Cancel(arguments) => block_on(remote::cancel(&arguments)),
        Command::Rm(arguments) => block_on(remote::remove(&arguments)),
        Command::Alloc(command) => block_on(remote::alloc(&command)),
        Command::Drain(arguments) => block_on(remote::drain(&arguments)),
        Command::Undrain(arguments) => block_on(remote::undrain(&arguments)),
    }
}

fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}

/// Replaces this process by `colearn-worker`.
fn worker(arguments: &[String]) -> Outcome {
    use std::os::unix::process::CommandExt as _;

    let program = local_worker::find_program()?;
    let quiet = output::is_quiet().then_some("--quiet");
    let error = std::process::Command::new(&program).args(quiet).args(arguments).exec();
    Err(Failure::new(Exit::Workers, format!("cannot start `{}`: {error}", program.display())))
}

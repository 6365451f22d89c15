//! The code that colearn's programs share: parsing the command line and the environment, and the colours of logs.
//!
//! Empty variables count as unset. A help text that cannot be written is an error. Logs have colours only on a
//! terminal that supports them (`TERM`), and only if colours are not turned off (`NO_COLOR`, `CLICOLOR`).

use std::{
    ffi::OsString,
    fs,
    io::{self, Write as _},
    path::Path,
};

use clap::{Command, Parser, ValueEnum as _, builder::Resettable};
use clap_complete::Shell;

/// What every program takes instead of its arguments, with a folder: it writes its man pages there, as `colearn man` does.
pub const MAN_PAGES: &str = "--man-pages";
/// What every program takes instead of its arguments, with a shell: it prints its completions.
pub const COMPLETIONS: &str = "--completions";

/// The exit code when the reader has closed the pipe: what shells report for a program that SIGPIPE ended.
pub const PIPE_CLOSED: u8 = 141;
/// The exit code when the output cannot be written.
const NOT_WRITTEN: u8 = 1;

/// Parses the command line and the environment. Ends the program after printing its help, its version or an error.
#[must_use]
pub fn parse<P: Parser>() -> P {
    if let [_, asked, how] = std::env::args_os().collect::<Vec<_>>().as_slice()
        && let Some(outcome) = describe(P::command(), asked.to_str().unwrap_or_default(), how.as_ref())
    {
        end_after(outcome)
    }
    let matches = without_empty_variables(P::command()).try_get_matches();
    let parsed = matches.and_then(|mut matches| {
        P::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut P::command()))
    });
    parsed.unwrap_or_else(|error| end_with(&error))
}

/// The value of an environment variable; `None` when it is unset or empty.
#[must_use]
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Whether a log on standard error may have colours.
#[must_use]
pub fn stderr_has_colours() -> bool {
    // If CI is set, as on build machines, anstream assumes that every terminal has colours.
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let understood = set("TERM").is_some_and(|term| term != "dumb");
    let forced = set("CLICOLOR_FORCE").is_some_and(|force| force != "0");
    (understood || forced) && anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never
}

/// Writes a man page for each command of a program that is not hidden.
///
/// # Errors
/// If the folder or a page cannot be written.
pub fn write_man_pages(command: Command, folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(command.disable_help_subcommand(true), folder)
}

/// The completions of a program for a shell.
#[must_use]
pub fn completions(mut command: Command, shell: Shell) -> Vec<u8> {
    let (name, mut text) = (command.get_name().to_owned(), Vec::new());
    clap_complete::generate(shell, &mut command, name, &mut text);
    text
}

/// Does what [`MAN_PAGES`] and [`COMPLETIONS`] ask for; `None` if something else was asked.
fn describe(command: Command, asked: &str, how: &Path) -> Option<io::Result<()>> {
    match asked {
        MAN_PAGES => Some(write_man_pages(command, how)),
        COMPLETIONS => {
            let known = "--completions: the shells are bash, elvish, fish, powershell and zsh";
            let shell = Shell::from_str(how.to_str()?, true).map_err(|_| io::Error::other(known));
            Some(shell.and_then(|shell| io::stdout().write_all(&completions(command, shell))))
        }
        _ => None,
    }
}

fn end_after(outcome: io::Result<()>) -> ! {
    let code = match outcome.and_then(|()| io::stdout().flush()) {
        Ok(()) => 0,
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => PIPE_CLOSED.into(),
        Err(cause) => {
            let _ = writeln!(io::stderr(), "error: {cause}");
            NOT_WRITTEN.into()
        }
    };
    std::process::exit(code)
}

/// The command with all arguments detached from variables that are empty.
fn without_empty_variables(command: Command) -> Command {
    let unset = |argument: clap::Arg| match argument.get_env() {
        Some(name) if std::env::var_os(name).is_some_and(|value| value.is_empty()) => {
            argument.env(Resettable::<clap::builder::OsStr>::Reset)
        }
        _ => argument,
    };
    command.mut_args(unset).mut_subcommands(without_empty_variables)
}

/// Prints a help text, a version or an error of the command line, and ends the program.
fn end_with(error: &clap::Error) -> ! {
    let printed = error.print().and_then(|()| io::stdout().flush());
    let code = match printed {
        Ok(()) => error.exit_code(),
        // There is no other place to report an error of standard error.
        Err(_) if error.use_stderr() => error.exit_code(),
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => PIPE_CLOSED.into(),
        Err(cause) => {
            let _ = writeln!(io::stderr(), "error: the output cannot be written: {cause}");
            NOT_WRITTEN.into()
        }
    };
    std::process::exit(code)
}

//! Exit codes. They are part of the interface: scripts may rely on them, and they do not change meaning.

use std::{fmt, process::ExitCode};

/// How the command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// It did what was asked; a sweep that was waited for is complete.
    Success = 0,
    /// Something else went wrong; the message says what.
    Failure = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// The sweep file is not valid.
    SweepFile = 3,
    /// The data set is missing, malformed or does not fit the sweep.
    DataSet = 4,
    /// No coordinator answers at the address given.
    Unreachable = 5,
    /// The state folder is held by another process, not writable, corrupt or full.
    State = 6,
    /// The address to listen on is taken.
    Address = 7,
    /// There is no sweep of that name.
    NotFound = 8,
    /// The sweep ended, but some tasks failed or it was cancelled.
    Incomplete = 9,
    /// Workers could not be started, or kept dying.
    Workers = 10,
    /// Whoever read the output has stopped reading: what a shell says of programs that a closed pipe ended.
    PipeClosed = colearn_command_line::PIPE_CLOSED,
    /// Ctrl-C; everything recorded is kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error that knows its exit code. Everything the command fails with is one of these.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What is printed, after `error: `. May have several lines.
    pub(crate) message: String,
    /// Whether the cause is a lost connection to the coordinator, so that reconnecting may help.
    pub(crate) lost: bool,
}

impl Failure {
    /// A failure with its message.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), lost: false }
    }

    /// A failure because the connection to the coordinator was lost or could not be made.
    pub(crate) fn lost(message: impl fmt::Display) -> Self {
        Self { lost: true, ..Self::new(Exit::Unreachable, message) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(Exit::Failure, error)
    }
}

/// What every subcommand returns.
pub(crate) type Outcome = Result<Exit, Failure>;

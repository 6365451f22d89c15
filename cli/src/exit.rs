//! Exit codes. They are part of the interface: scripts may rely on them, and their meaning does not change.

use std::{fmt, process::ExitCode};

use colearn_core::{sweep::Diagnostics, text::printable_lines};
use colearn_data_import::ImportError;

/// The outcome of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Success; a sweep that was waited for is complete.
    Success = 0,
    /// Another error; the message names it.
    Failure = 1,
    /// The command line is wrong (clap's own code).
    Usage = 2,
    /// The sweep file is not valid.
    SweepFile = 3,
    /// The data set is missing, malformed or does not fit the sweep; or a program is missing or has changed.
    DataSet = 4,
    /// No coordinator answers at the address given.
    Unreachable = 5,
    /// The state folder is used by another process, not writable, corrupt or full.
    State = 6,
    /// The address to listen on is in use.
    Address = 7,
    /// There is no sweep, task or worker of this name.
    NotFound = 8,
    /// The sweep ended with failed tasks, or was cancelled.
    Incomplete = 9,
    /// Workers could not be started, crashed repeatedly, or do not have what the tasks need.
    Workers = 10,
    /// The coordinator does not let this user in, or not do this: for lack of an access file, or of a role.
    Access = 11,
    /// The reader closed the pipe: the code that a shell reports for a program ended by SIGPIPE.
    PipeClosed = colearn_command_line::PIPE_CLOSED,
    /// Ctrl-C; all recorded results are kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error with its exit code. Every command fails with this type.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// The error. May have several lines.
    pub(crate) message: String,
    kind: Kind,
}

/// The kind of a failure, to distinguish failures of one exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// There is nothing but the message.
    Plain,
    /// The connection to the coordinator was lost, so that reconnecting may help.
    LostConnection,
    /// The message consists of diagnostics of a sweep file or an import, each of which begins with its severity.
    Diagnostics,
}

impl Failure {
    /// A failure with a message.
    pub(crate) fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), kind: Kind::Plain }
    }

    /// A failure because the connection to the coordinator was lost or could not be made.
    pub(crate) fn lost(message: impl fmt::Display) -> Self {
        Self { kind: Kind::LostConnection, ..Self::new(Exit::Unreachable, message) }
    }

    /// A failure because a sweep file is not valid.
    pub(crate) fn invalid_sweep(diagnostics: &Diagnostics) -> Self {
        Self { kind: Kind::Diagnostics, ..Self::new(Exit::SweepFile, diagnostics) }
    }

    /// A failure because no data set can be made of what was given. Names of columns, files and classes are other
    /// people's text.
    pub(crate) fn invalid_import(mistakes: &ImportError) -> Self {
        let message = printable_lines(mistakes.to_string());
        Self { kind: Kind::Diagnostics, ..Self::new(Exit::DataSet, message) }
    }

    /// The same failure with another message.
    pub(crate) fn with_message(self, message: String) -> Self {
        Self { message, ..self }
    }

    /// Whether the connection to the coordinator was lost, so that reconnecting may help.
    pub(crate) fn is_lost_connection(&self) -> bool {
        self.kind == Kind::LostConnection
    }

    /// The text to print when the command ends with this failure.
    pub(crate) fn report(&self) -> String {
        let message = self.message.trim_end();
        match self.kind {
            Kind::Diagnostics => message.to_owned(),
            Kind::Plain | Kind::LostConnection => format!("error: {message}"),
        }
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

/// The result of every subcommand.
pub(crate) type Outcome = Result<Exit, Failure>;

#[cfg(test)]
mod tests {
    use colearn_core::sweep::Sweep;

    use super::*;

    #[test]
    fn a_message_is_reported_as_an_error_whatever_it_begins_with() {
        let failure = Failure::new(Exit::Failure, "errors.csv cannot be written\n");
        assert_eq!(failure.report(), "error: errors.csv cannot be written");
        assert_eq!(Failure::lost("gone").report(), "error: gone");
    }

    #[test]
    fn diagnostics_say_themselves_how_bad_they_are() {
        // The no-break space is a warning, the unknown key below it an error.
        let source = "name: x\ndataset: a\u{a0}b\nprimary: p\nno_such_key: 1\n";
        let failure = Failure::invalid_sweep(&Sweep::parse(source, "x.yaml").unwrap_err());
        assert_eq!(failure.exit, Exit::SweepFile);
        let report = failure.report();
        assert!(report.starts_with("warning: "), "{report}");
        assert!(report.contains("\n\nerror: "), "{report}");
    }
}

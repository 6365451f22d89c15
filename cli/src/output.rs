//! Standard output, behind the macros `outln!` and `out!`. All writes are checked.
//!
//! SIGPIPE, which ends other programs when they print to a closed pipe, is not used: it would also be raised when a
//! coordinator closes a connection.

use std::{
    fmt,
    io::{self, BufWriter, StdoutLock, Write as _},
    sync::atomic::{AtomicBool, Ordering},
};

use crate::exit::{Exit, Failure};

/// Whether only results and errors are printed.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Sets whether only results and errors are printed.
pub(crate) fn set_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether only results and errors are printed.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Prints a line, or ends the command if that fails.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    print(format_args!("{text}\n")).unwrap_or_else(|failure| end(&failure));
}

/// Prints text unchanged, or ends the command if that fails.
pub(crate) fn text(text: fmt::Arguments<'_>) {
    print(text).unwrap_or_else(|failure| end(&failure));
}

/// Prints text unchanged.
///
/// # Errors
/// If it cannot be written; [`Exit::PipeClosed`] if the reader has closed the pipe.
pub(crate) fn print(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    // Flush now: an error at exit would not be noticed.
    stdout.write_fmt(text).and_then(|()| stdout.flush()).map_err(|error| not_written(&error))
}

/// Prints what `write` writes.
///
/// # Errors
/// If it cannot be written; [`Exit::PipeClosed`] if the reader has closed the pipe.
pub(crate) fn stream(write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> Result<(), Failure> {
    let mut stdout = BufWriter::new(io::stdout().lock());
    write(&mut stdout).and_then(|()| stdout.flush()).map_err(|error| not_written(&error))
}

/// Standard output for many small pieces of text.
pub(crate) struct Output(BufWriter<StdoutLock<'static>>);

impl Output {
    /// Locks standard output; nothing else can be printed while this value exists.
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Writes text into the buffer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes()).map_err(|error| not_written(&error))
    }

    /// Flushes the buffer.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| not_written(&error))
    }
}

fn not_written(error: &io::Error) -> Failure {
    let closed = error.kind() == io::ErrorKind::BrokenPipe;
    let exit = if closed { Exit::PipeClosed } else { Exit::Failure };
    Failure::new(exit, format!("the output cannot be written: {error}"))
}

fn end(failure: &Failure) -> ! {
    crate::view::screen::leave();
    if failure.exit != Exit::PipeClosed {
        errln!("{}", failure.report());
    }
    std::process::exit(i32::from(failure.exit as u8));
}

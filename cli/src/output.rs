//! Standard output, behind the macros `outln!` and `out!`. Everything that goes there is checked.
//!
//! The signal that ends other programs when they print into a closed pipe is of no use here: it would also come when
//! a coordinator closes a connection.

use std::{
    fmt,
    io::{self, BufWriter, StdoutLock, Write as _},
};

use crate::exit::{Exit, Failure};

/// Prints a line, or ends the command.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    print(format_args!("{text}\n")).unwrap_or_else(|failure| end(&failure));
}

/// Prints text as it is, or ends the command.
pub(crate) fn text(text: fmt::Arguments<'_>) {
    print(text).unwrap_or_else(|failure| end(&failure));
}

/// Prints text as it is.
///
/// # Errors
/// When it can not be written; [`Exit::PipeClosed`] when the reader has closed the pipe.
pub(crate) fn print(text: fmt::Arguments<'_>) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    // An error when the buffer is flushed at exit would go unnoticed.
    stdout.write_fmt(text).and_then(|()| stdout.flush()).map_err(|error| not_written(&error))
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
    /// When it can not be written.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        self.0.write_all(text.as_bytes()).map_err(|error| not_written(&error))
    }

    /// Flushes the buffer.
    ///
    /// # Errors
    /// When it can not be written.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(|error| not_written(&error))
    }
}

fn not_written(error: &io::Error) -> Failure {
    let closed = error.kind() == io::ErrorKind::BrokenPipe;
    let exit = if closed { Exit::PipeClosed } else { Exit::Failure };
    Failure::new(exit, format!("the output can not be written: {error}"))
}

fn end(failure: &Failure) -> ! {
    if failure.exit != Exit::PipeClosed {
        errln!("{}", failure.report());
    }
    std::process::exit(i32::from(failure.exit as u8));
}

//! Standard output, behind the macros `say!` and `show!`.
//!
//! The signal that ends other programs when they print into a closed pipe is of no use here: it would also come when
//! a coordinator closes a connection.

use std::{
    fmt,
    io::{self, Write as _},
};

use crate::exit::{Exit, Failure};

/// Prints a line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    end_on_error(writeln!(io::stdout(), "{text}"));
}

/// Prints text as it is.
pub(crate) fn text(text: fmt::Arguments<'_>) {
    end_on_error(io::stdout().write_fmt(text));
}

fn end_on_error(printed: io::Result<()>) {
    let Err(error) = printed else { return };
    let Failure { exit, message } = Failure::from(error);
    if exit != Exit::PipeClosed {
        tell!("error: the output can not be written: {message}");
    }
    std::process::exit(i32::from(exit as u8));
}

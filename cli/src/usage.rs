//! `colearn completions` and `colearn man`: what shells and manuals know of the command line.

use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::{
    args::Cli,
    exit::{Exit, Failure, Outcome},
    output,
};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "colearn", &mut text);
    output::stream(|into| into.write_all(&text))?;
    Ok(Exit::Success)
}

/// Writes a page for each command.
pub(crate) fn man(folder: &Path) -> Outcome {
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command().disable_help_subcommand(true), folder));
    written.map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot write the man pages to `{}`: {error}", folder.display()))
    })?;
    noteln!("read them with: man {}", folder.join("colearn.1").display());
    Ok(Exit::Success)
}

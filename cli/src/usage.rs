//! `colearn completions` and `colearn man`: what shells and manuals know of the command line.

use std::{path::Path, process::Command};

use clap::CommandFactory as _;
use clap_complete::Shell;
use colearn_command_line::{MAN_PAGES, write_man_pages};

use crate::{
    args::Cli,
    exit::{Exit, Failure, Outcome},
    local_worker, output,
};

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Outcome {
    let text = colearn_command_line::completions(Cli::command(), shell);
    output::stream(|into| into.write_all(&text))?;
    Ok(Exit::Success)
}

/// Writes a page for each command, and those of the programs beside this one.
pub(crate) fn man(folder: &Path) -> Outcome {
    write_man_pages(Cli::command(), folder).map_err(|error| {
        Failure::new(Exit::Failure, format!("cannot write the man pages to `{}`: {error}", folder.display()))
    })?;
    if let Ok(worker) = local_worker::find_program() {
        // The page of `colearn worker`, which passes everything on, gives way to that of the program.
        for program in [worker.with_file_name("colearn-trainer"), worker] {
            let written = Command::new(&program).arg(MAN_PAGES).arg(folder).output();
            if !written.is_ok_and(|output| output.status.success()) {
                noteln!("there are no pages of {}: it cannot be run here", program.display());
            }
        }
    }
    noteln!("read them with: man {}", folder.join("colearn.1").display());
    Ok(Exit::Success)
}

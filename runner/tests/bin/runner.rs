//! The runner as a process, for the tests.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let checkpoints = env::args().nth(1);
    colearn_runner::run(colearn_runner::Options { checkpoints, device: "cpu".to_owned(), threads: 2 })
}

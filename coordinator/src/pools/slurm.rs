//! Slurm's commands: sbatch, squeue, scancel.

use std::{
    io,
    process::{Output, Stdio},
};

use colearn_core::{
    pools::{
        SeenJob, SubmitError,
        slurm::{QUEUE, is_unavailable, is_unclear, parse_queue, parse_submission},
    },
    text::{one_line, shortened},
};
use tokio::{io::AsyncWriteExt as _, process::Command};

use super::batch::{BatchFuture, BatchSystem};

/// Time limit of a command, in seconds. `timeout` enforces it, so that a command does not outlive it if the coordinator
/// is killed: a submission that has no effect by then never has one.
const LIMIT: &str = "60";
/// The exit codes of `timeout` if the command took too long.
const TIMED_OUT: [i32; 2] = [124, 137];
/// Maximum length of an error, in bytes.
const LONGEST: usize = 1000;

/// The Slurm whose commands are on the PATH.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slurm;

/// How a command ended that did not succeed.
enum Trouble {
    NotRun(String),
    TimedOut(String),
    Failed(String),
}

impl Trouble {
    fn text(self) -> String {
        match self {
            Self::NotRun(why) | Self::TimedOut(why) | Self::Failed(why) => why,
        }
    }
}

impl BatchSystem for Slurm {
    fn check(&self, mut arguments: Vec<String>, script: String) -> BatchFuture<'_, String> {
        arguments.push("--test-only".to_owned());
        Box::pin(async move {
            let output = run("sbatch", &arguments, Some(script)).await.map_err(Trouble::text)?;
            Ok(said(&output))
        })
    }

    fn submit(&self, arguments: Vec<String>, script: String) -> BatchFuture<'_, String, SubmitError> {
        Box::pin(async move {
            match run("sbatch", &arguments, Some(script)).await {
                Ok(output) => {
                    let printed = String::from_utf8_lossy(&output.stdout);
                    parse_submission(&printed)
                        .ok_or_else(|| SubmitError::Unclear(format!("sbatch printed {printed:?}")))
                }
                Err(Trouble::NotRun(why)) => Err(SubmitError::Unavailable(why)),
                Err(Trouble::TimedOut(why)) => Err(SubmitError::Unclear(why)),
                Err(Trouble::Failed(why)) if is_unavailable(&why) => Err(SubmitError::Unavailable(why)),
                Err(Trouble::Failed(why)) if is_unclear(&why) => Err(SubmitError::Unclear(why)),
                Err(Trouble::Failed(why)) => Err(SubmitError::Refused(why)),
            }
        })
    }

    fn queue(&self) -> BatchFuture<'_, Vec<SeenJob>> {
        Box::pin(async move {
            let arguments = QUEUE.map(str::to_owned);
            let output = run("squeue", &arguments, None).await.map_err(Trouble::text)?;
            Ok(parse_queue(&String::from_utf8_lossy(&output.stdout)))
        })
    }

    fn cancel(&self, id: String, only_queued: bool) -> BatchFuture<'_, ()> {
        Box::pin(async move {
            let mut arguments = vec!["--quiet".to_owned(), id];
            if only_queued {
                arguments.push("--state=PENDING".to_owned());
            }
            run("scancel", &arguments, None).await.map(drop).map_err(Trouble::text)
        })
    }
}

/// Runs a command. Variables of colearn are left out: a job would inherit them, and its worker would take them for its
/// own.
async fn run(program: &str, arguments: &[String], input: Option<String>) -> Result<Output, Trouble> {
    let ours = std::env::vars_os().map(|(name, _)| name);
    let ours = ours.filter(|name| name.as_encoded_bytes().starts_with(b"COLEARN_"));
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIMIT, program]).args(arguments).kill_on_drop(false);
    ours.for_each(|name| {
        command.env_remove(name);
    });
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: &io::Error| Trouble::NotRun(format!("{program} cannot be run: {error}"));
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
        // A command that ends early says why itself.
        let _ = pipe.write_all(text.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(|error| failed(&error))?;
    match output.status.code() {
        Some(0) => Ok(output),
        Some(code) if TIMED_OUT.contains(&code) => {
            Err(Trouble::TimedOut(format!("{program} did not end within {LIMIT} s")))
        }
        // What a shell says of a program that it does not find.
        Some(126 | 127) => Err(Trouble::NotRun(format!(
            "{program} cannot be run: is Slurm installed here, and on the PATH of the coordinator? ({})",
            said(&output)
        ))),
        _ => Err(Trouble::Failed(said(&output))),
    }
}

/// What a command printed on standard error, or else its status.
fn said(output: &Output) -> String {
    let text = one_line(String::from_utf8_lossy(&output.stderr).trim());
    if text.is_empty() { output.status.to_string() } else { shortened(&text, LONGEST) }
}

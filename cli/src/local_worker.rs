//! The worker of `colearn run`: started as a child process, replaced when it crashes, stopped with the command.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use colearn_coordinator::store;
use tokio::process::{Child, Command};

use crate::exit::{Exit, Failure};

/// A worker that ends within this time did no work.
const SHORT_LIFE: Duration = Duration::from_secs(20);
/// Number of such workers in a row after which the command gives up.
const SHORT_LIVES: u32 = 5;
/// Time for a worker to exit before it is killed. It is longer than the time for trainers to finish their epochs
/// (`--grace`, 30 s) and for the coordinator to acknowledge reports.
const PATIENCE: Duration = Duration::from_secs(45);

/// The command line of the local worker.
pub(crate) struct LocalWorker {
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
}

impl LocalWorker {
    /// A worker started from `program`; its output is written to `log`.
    pub(crate) fn new(program: PathBuf, arguments: Vec<OsString>, log: PathBuf) -> Self {
        Self { program, arguments, log }
    }

    /// Keeps one worker running until `stop` completes; then the worker is stopped.
    ///
    /// # Errors
    /// If it cannot be started, or crashes repeatedly.
    pub(crate) async fn supervise(&self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        tokio::pin!(stop);
        let mut short_lives = 0;
        loop {
            let began = Instant::now();
            let mut child = self.spawn()?;
            // Take the pipe out, because waiting for a child closes its pipe.
            let lifeline = child.stdin.take();
            let status = tokio::select! {
                status = child.wait() => status?,
                () = &mut stop => {
                    // Closing the pipe asks the worker to return its leases and exit.
                    drop(lifeline);
                    leave_or_die(&mut child).await;
                    return Ok(());
                }
            };
            short_lives = if began.elapsed() < SHORT_LIFE { short_lives + 1 } else { 0 };
            // Wrong usage, a refusal by the coordinator, or no usable slot: the next worker would end in the same
            // way.
            let hopeless = matches!(status.code(), Some(2..=4));
            if hopeless || short_lives >= SHORT_LIVES {
                let what = if hopeless {
                    format!("the worker cannot work here and exited with {status}")
                } else {
                    format!("the worker ended several times in a row, the last time with {status}")
                };
                return Err(Failure::new(
                    Exit::Workers,
                    format!(
                        "{what}; the end of its log {}:\n{}",
                        self.log.display(),
                        last_lines(&self.log, 12)
                    ),
                ));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(250 << short_lives)) => {}
                () = &mut stop => return Ok(()),
            }
        }
    }

    fn spawn(&self) -> Result<Child, Failure> {
        let failed = |what: &str, path: &Path, error: &std::io::Error| {
            Failure::new(Exit::Workers, format!("cannot {what} `{}`: {error}", path.display()))
        };
        let log = store::open_private(&self.log, OpenOptions::new().append(true))
            .map_err(|error| failed("write the worker's log", &self.log, &error))?;
        let duplicate = |log: &File| log.try_clone().map_err(|error| failed("write", &self.log, &error));
        Command::new(&self.program)
            .args(&self.arguments)
            // The worker ends when this pipe closes, so that it never outlives `colearn run`, however that ends.
            .stdin(Stdio::piped())
            .stdout(duplicate(&log)?)
            .stderr(log)
            // In its own process group, so that Ctrl-C reaches only this command.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed("start the worker", &self.program, &error))
    }
}

/// Waits for a worker that was asked to exit, with a time limit.
async fn leave_or_die(child: &mut Child) {
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn last_lines(log: &Path, count: usize) -> String {
    let Ok(bytes) = std::fs::read(log) else { return "(the log cannot be read)".to_owned() };
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Finds the `colearn-worker` program: COLEARN_WORKER, beside this program, or on the PATH.
///
/// # Errors
/// Names the places that were searched.
pub(crate) fn find_program() -> Result<PathBuf, Failure> {
    const NAME: &str = "colearn-worker";
    if let Some(path) = colearn_command_line::variable("COLEARN_WORKER") {
        let path = PathBuf::from(path);
        if path.is_file() {
            return Ok(path);
        }
        return Err(Failure::new(
            Exit::Workers,
            format!("COLEARN_WORKER is `{}`, which is not a file", path.display()),
        ));
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|program| program.canonicalize().ok())
        .and_then(|program| program.parent().map(|folder| folder.join(NAME)));
    let on_path = std::env::var_os("PATH")
        .map(|paths| std::env::split_paths(&paths).map(|folder| folder.join(NAME)).collect::<Vec<_>>())
        .unwrap_or_default();
    beside.into_iter().chain(on_path).find(|path| path.is_file()).ok_or_else(|| {
        Failure::new(
            Exit::Workers,
            "there is no `colearn-worker` beside this program or on the PATH; build it with `cargo build --release`, or set COLEARN_WORKER to it",
        )
    })
}

//! The worker of `colearn run`: started as a child process, replaced when it crashes, stopped with the command.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use colearn_coordinator::store;
use colearn_core::text::{counted, counted_len};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

use crate::exit::{Exit, Failure};

/// A worker that ends within this time did no work.
const SHORT_LIFE: Duration = Duration::from_secs(20);
/// Number of such workers in a row after which the command gives up.
const SHORT_LIVES: usize = 5;
/// Time for a worker to exit before it is killed. It is longer than the time for trainers to finish their epochs
/// (`--grace`, 30 s) and for the coordinator to acknowledge reports.
const PATIENCE: Duration = Duration::from_secs(45);

/// The local worker. It connects when it is supervised. Dropping it kills the worker, and with it its trainers.
pub(crate) struct LocalWorker {
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    /// The length of the log before this worker: it also has those of earlier commands.
    logged_before: u64,
    /// The first process, until it is supervised.
    first: Option<(Instant, Child)>,
}

impl LocalWorker {
    /// Starts a worker from `program`; its output is written to `log`.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(crate) fn start(program: PathBuf, arguments: Vec<OsString>, log: PathBuf) -> Result<Self, Failure> {
        let logged_before = log.metadata().map_or(0, |log| log.len());
        let mut worker = Self { program, arguments, log, logged_before, first: None };
        worker.first = Some((Instant::now(), worker.spawn()?));
        Ok(worker)
    }

    /// Keeps one worker running until `stop` completes; then the worker is stopped.
    ///
    /// # Errors
    /// If it cannot be started again, or crashes repeatedly.
    pub(crate) async fn supervise(mut self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        tokio::pin!(stop);
        let mut short_lives = Vec::new();
        loop {
            let (began, mut child) = match self.first.take() {
                Some(first) => first,
                None => (Instant::now(), self.spawn()?),
            };
            // Take the pipe out, because waiting for a child closes its pipe.
            let mut lifeline = child.stdin.take();
            if let Some(lifeline) = &mut lifeline {
                // From now on it may connect. If it has ended already, its status says why.
                let _ = lifeline.write_all(b"\n").await;
            }
            let status = tokio::select! {
                status = child.wait() => status?,
                () = &mut stop => {
                    // Closing the pipe asks the worker to return its leases and exit.
                    drop(lifeline);
                    leave_or_die(&mut child).await;
                    return Ok(());
                }
            };
            if began.elapsed() >= SHORT_LIFE {
                short_lives.clear();
            } else {
                short_lives.push(status);
            }
            // Wrong usage, a refusal by the coordinator, or no usable slot: the next worker would end in the same
            // way.
            let hopeless = matches!(status.code(), Some(2..=4));
            if hopeless || short_lives.len() >= SHORT_LIVES {
                let what = if hopeless {
                    format!("the worker cannot work here and exited with {status}")
                } else {
                    kept_ending(&short_lives)
                };
                return Err(Failure::new(
                    Exit::Workers,
                    format!(
                        "{what}; the end of its log {}:\n{}",
                        self.log.display(),
                        last_lines(&self.log, self.logged_before, 12)
                    ),
                ));
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(250 << short_lives.len())) => {}
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

/// How often a worker ended soon after its start, and with which statuses.
fn kept_ending(statuses: &[ExitStatus]) -> String {
    let mut counts: Vec<(ExitStatus, usize)> = Vec::new();
    for status in statuses {
        match counts.iter_mut().find(|(known, _)| known == status) {
            Some((_, count)) => *count += 1,
            None => counts.push((*status, 1)),
        }
    }
    let how = match counts.as_slice() {
        [(status, _)] => status.to_string(),
        _ => counts
            .iter()
            .map(|(status, count)| format!("{status} ({})", counted_len(*count, "time")))
            .collect::<Vec<_>>()
            .join(", "),
    };
    format!(
        "the worker ended {} in a row within {} of its start, with {how}",
        counted_len(statuses.len(), "time"),
        counted(SHORT_LIFE.as_secs(), "second")
    )
}

/// Waits for a worker that was asked to exit, with a time limit.
async fn leave_or_die(child: &mut Child) {
    if tokio::time::timeout(PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

fn last_lines(log: &Path, after: u64, count: usize) -> String {
    let Ok(bytes) = std::fs::read(log) else { return "(the log cannot be read)".to_owned() };
    let new = usize::try_from(after).ok().and_then(|after| bytes.get(after..)).unwrap_or(&bytes);
    let text = String::from_utf8_lossy(new);
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

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn a_worker_that_keeps_ending_is_said_to_have_ended_so_often_and_how() {
        let (code, signal) = (ExitStatus::from_raw(101 << 8), ExitStatus::from_raw(9));
        let same = "the worker ended 5 times in a row within 20 seconds of its start, with exit status: 101";
        assert_eq!(kept_ending(&[code; 5]), same);
        let mixed = kept_ending(&[code, signal, code]);
        let ends = "ended 3 times in a row within 20 seconds of its start, with exit status: 101 (2 times), signal: 9 (SIGKILL) (1 time)";
        assert!(mixed.ends_with(ends), "{mixed}");
        assert!(kept_ending(&[code]).contains("ended 1 time in a row"));
    }
}

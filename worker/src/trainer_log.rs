//! A trainer's log: what it writes on standard error, on its way to the agent's log and to the coordinator.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::unix::pipe, process::ChildStderr};
use tracing::info;

use crate::{
    lines::Tail,
    log_queue::{About, LogQueue, TRAINER_TARGET},
};

/// Maximum length of a line that is passed on in one piece, with its line break.
const MAX_LINE_BYTES: usize = 16 << 10;
/// Number of bytes to read at once.
const READ: usize = 8 << 10;
/// Number of bytes that a pipe holds on Linux, unless its writer asks for more.
const PIPE: usize = 64 << 10;

/// The log of one trainer. Two tasks read it: one follows it to its end, the other catches up before it passes on an
/// event. So what a trainer wrote before an event is known before the event, though it arrives on another pipe.
#[derive(Debug)]
pub(super) struct TrainerLog {
    slot: u32,
    pipe: pipe::Receiver,
    /// The beginning of a line.
    line: Mutex<Vec<u8>>,
    tail: Tail,
    queue: LogQueue,
    /// The lease that it trains, or trained last.
    about: Arc<Mutex<Arc<About>>>,
}

impl TrainerLog {
    pub(super) fn new(
        slot: u32,
        stderr: ChildStderr,
        tail: Tail,
        queue: LogQueue,
        about: Arc<Mutex<Arc<About>>>,
    ) -> io::Result<Self> {
        let pipe = pipe::Receiver::from_owned_fd(stderr.into_owned_fd()?)?;
        Ok(Self { slot, pipe, line: Mutex::default(), tail, queue, about })
    }

    /// Passes on the log until its end.
    pub(super) async fn follow(&self) {
        let mut bytes = [0; READ];
        while self.pipe.readable().await.is_ok() {
            match self.pipe.try_read(&mut bytes) {
                Ok(0) => break,
                Ok(length) => self.take(&bytes[..length]),
                Err(error) if is_passing(&error) => {}
                Err(_) => break,
            }
            // A pipe that is always readable must not hold up everything else.
            tokio::task::yield_now().await;
        }
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.is_empty() {
            self.pass_on(&line);
            line.clear();
        }
    }

    /// Passes on what has been written until now, without waiting.
    pub(super) fn catch_up(&self) {
        let mut bytes = [0; READ];
        // A trainer that goes on writing is not followed here.
        for _ in 0..PIPE / READ {
            // Not the runtime's read, which asks the system only if the runtime has been told that there is something.
            match nix::unistd::read(&self.pipe, &mut bytes) {
                Ok(length @ 1..) => self.take(&bytes[..length]),
                Ok(0) | Err(_) => return,
            }
        }
    }

    fn take(&self, bytes: &[u8]) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = piece;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(rest.len().min(MAX_LINE_BYTES - line.len()));
                line.extend_from_slice(now);
                rest = later;
                if line.len() == MAX_LINE_BYTES || line.ends_with(b"\n") {
                    self.pass_on(&line);
                    line.clear();
                }
            }
        }
    }

    fn pass_on(&self, line: &[u8]) {
        self.tail.keep(line);
        let text = String::from_utf8_lossy(line);
        info!(target: TRAINER_TARGET, "slot {}: {}", self.slot, text.trim_end());
        let about = self.about.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.queue.trainer_says(about, &text);
    }
}

fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    /// The log of a shell script, and what was passed on of it after `read`.
    async fn lines(script: &str, read: impl AsyncFnOnce(&TrainerLog)) -> Vec<String> {
        let mut child = Command::new("sh").args(["-c", script]).stderr(Stdio::piped()).spawn().unwrap();
        let queue = LogQueue::default();
        let stderr = child.stderr.take().unwrap();
        let log = TrainerLog::new(1, stderr, Tail::default(), queue.clone(), Arc::default()).unwrap();
        child.wait().await.unwrap();
        read(&log).await;
        let mut lines = Vec::new();
        loop {
            let (messages, _) = queue.take();
            if messages.is_empty() {
                return lines;
            }
            lines.extend(messages.into_iter().flat_map(|message| message.lines).map(|line| line.text));
        }
    }

    #[tokio::test]
    async fn what_was_written_is_known_at_once() {
        let script = "seq 1 1500 >&2; printf end >&2";
        let caught_up = lines(script, async |log| log.catch_up()).await;
        assert_eq!(caught_up.len(), 1500, "the last line may go on");
        assert_eq!(caught_up.last().unwrap(), "1500");
        let followed = lines(script, async |log| log.follow().await).await;
        assert_eq!(followed.len(), 1501);
        let both = async |log: &TrainerLog| {
            log.catch_up();
            log.follow().await;
        };
        assert_eq!(lines(script, both).await, followed);
    }

    #[tokio::test]
    async fn long_lines_come_in_pieces() {
        let script = "head -c 40000 /dev/zero | tr '\\0' x >&2; echo >&2; echo next >&2";
        let lines = lines(script, async |log| log.follow().await).await;
        let queued = 4096;
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [queued, queued, queued, 4]);
    }
}

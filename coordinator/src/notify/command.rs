//! The command that is told.

use std::{
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use colearn_core::text::shortened;
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{Child, Command},
    time::timeout,
};

use super::webhook::Trouble;

/// How long a command may take.
const WITHIN: Duration = Duration::from_mins(1);
/// How long its messages are waited for after it has ended: what it has left behind may hold them open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Maximum number of bytes of its messages that are logged, and that are read.
const SHOWN: usize = 512;
const READ: u64 = 64 << 10;

/// A command that is started for each event, with the event on its standard input.
#[derive(Clone, Debug)]
pub struct EventCommand {
    line: String,
    /// Variables that it does not get, because they are secret.
    without: Vec<&'static str>,
    within: Duration,
    /// Why it failed last; `None` after a success.
    trouble: Arc<Mutex<Option<String>>>,
}

impl EventCommand {
    /// A command line for the shell. It does not get these variables of the environment.
    #[must_use]
    pub fn new(line: String, without: Vec<&'static str>) -> Self {
        Self { line, without, within: WITHIN, trouble: Arc::default() }
    }

    /// Why its last start, or that of a clone, failed; `None` if it did not.
    #[must_use]
    pub fn last_trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs it once.
    pub(super) async fn run(&self, id: &str, body: &str) -> Result<(), Trouble> {
        let told = self.start(id, body).await;
        let why = told.as_ref().err().map(|trouble| trouble.why.clone());
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
        told
    }

    async fn start(&self, id: &str, body: &str) -> Result<(), Trouble> {
        let mut command = Command::new("sh");
        command.args(["-c", &self.line]).env("COLEARN_EVENT_ID", id).kill_on_drop(true).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        for name in &self.without {
            command.env_remove(name);
        }
        let child = command.spawn().map_err(|error| format!("it cannot be started: {error}"))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        // Also if this future is dropped.
        let _end = Group(group);
        match timeout(self.within, talk(child, body)).await {
            Ok(done) => done,
            Err(_) => Err(format!("it took longer than {} s and was killed", self.within.as_secs()).into()),
        }
    }
}

/// The processes of a command. They are killed when it is over.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Usually none is left.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

async fn talk(mut child: Child, body: &str) -> Result<(), Trouble> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let tell = async {
        if let Some(mut stdin) = stdin {
            // A command need not read it.
            let _ = stdin.write_all(format!("{body}\n").as_bytes()).await;
        }
    };
    let mut said = Vec::new();
    let listen = async {
        if let Some(mut stderr) = stderr {
            let _ = (&mut stderr).take(READ).read_to_end(&mut said).await;
            // What is more is read and forgotten, so that it does not wait for its reader.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
        }
    };
    let status = {
        let messages = async { tokio::join!(tell, listen) };
        tokio::pin!(messages);
        tokio::select! {
            status = child.wait() => {
                let _ = timeout(LAST_WORDS, messages).await;
                status
            }
            _ = &mut messages => child.wait().await,
        }
    };
    let status = status.map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&said);
    let said = said.trim();
    let words = if said.is_empty() { String::new() } else { format!(": {}", shortened(said, SHOWN)) };
    Err(format!("it ended with {status}{words}").into())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn command(line: String) -> EventCommand {
        EventCommand { within: Duration::from_secs(20), ..EventCommand::new(line, vec!["PATH_OF_SECRET"]) }
    }

    #[tokio::test]
    async fn a_command_gets_the_event_and_its_identifier() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("event");
        let line =
            format!("while read -r line; do echo \"$line $COLEARN_EVENT_ID\" >> '{}'; done", file.display());
        command(line).run("msg_7", r#"{"type":"x"}"#).await.unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "{\"type\":\"x\"} msg_7\n");
    }

    #[tokio::test]
    async fn a_command_need_not_read_and_says_why_it_failed() {
        command("exit 0".to_owned()).run("msg_7", &"x".repeat(1 << 20)).await.unwrap();
        let failing = command("echo 'no mail server' >&2; exit 3".to_owned());
        let trouble = failing.run("msg_7", "{}").await.unwrap_err();
        assert_eq!(failing.last_trouble().unwrap(), trouble.why);
        assert!(
            trouble.why.contains("exit status: 3") && trouble.why.ends_with(": no mail server"),
            "{trouble:?}"
        );
    }

    #[tokio::test]
    async fn a_command_that_leaves_something_behind_has_ended() {
        command("echo 'sent' >&2; sleep 1000 & exit 0".to_owned()).run("msg_7", "{}").await.unwrap();
        let trouble =
            command("echo 'no server' >&2; sleep 1000 & exit 3".to_owned()).run("msg_7", "{}").await;
        assert!(trouble.unwrap_err().why.ends_with(": no server"));
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let line = format!("sleep 1000 & echo $! > '{}'; wait", file.display());
        let command = EventCommand { within: Duration::from_secs(5), ..command(line) };
        let trouble = command.run("msg_7", "{}").await.unwrap_err();
        assert!(trouble.why.contains("was killed"), "{trouble:?}");
        let pid: i32 = fs::read_to_string(file).unwrap().trim().parse().unwrap();
        // It is gone, or a process that nobody has waited for yet.
        let is_gone = || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ")
        };
        while !is_gone() {
            tokio::task::yield_now().await;
        }
    }
}

//! Trainers as child processes: starting, commanding, reading, killing.

use std::{
    collections::BTreeMap,
    io,
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use colearn_core::{id::TaskId, needs::TrainerKind};
use colearn_proto::{MAX_MESSAGE_BYTES, convert::check_result};
use colearn_trainer_protocol::{self as protocol, checkpoint::Store, out_of_memory::OutOfMemoryWatch};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    process::{Child, ChildStdin, ChildStdout},
    sync::{Notify, mpsc},
    task::JoinSet,
    time::Instant,
};
use tracing::warn;

use crate::{
    input::{EndStatus, Input, TrainerEnd},
    launcher::{Launchers, TrainerOptions},
    lines::{ReadLine, Tail, read_line},
    log_queue::{About, LogQueue},
    trainer_log::TrainerLog,
};

/// Maximum length of a trainer's line, in bytes. A longer result could not be reported: its JSON is never shorter
/// than its wire form.
pub const MAX_LINE_BYTES: usize = MAX_MESSAGE_BYTES;
/// How long to read on after a trainer has died: a grandchild may hold its pipes open.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long a trainer that closed its standard output may take to exit.
const EXIT: Duration = Duration::from_secs(5);
/// How long a trainer of programs may take to end its program with everything that the program started.
const CLEANING_UP: Duration = Duration::from_secs(2);

/// The trainers of a worker, and where they report.
pub trait Trainers {
    /// Starts a trainer of this kind on a slot without one. Its events, and finally its end, arrive as inputs.
    fn start(&mut self, slot: u32, kind: TrainerKind);
    /// Sends a command to a trainer. One that has just died does not receive it.
    fn command(&mut self, slot: u32, command: protocol::Command);
    /// From now on the trainer's log lines belong to this lease; called before the command to train.
    fn log_about(&mut self, _slot: u32, _about: About) {}
    /// Ends a trainer and all processes that it started. One of networks is killed; one of programs has two seconds to end
    /// its program with everything that the program started.
    fn kill(&mut self, slot: u32);
    /// Removes the checkpoints of a task; does nothing if trainers write none.
    fn remove_checkpoints(&mut self, _task: TaskId) {}
    /// Ends all trainers, and waits until their last log lines are read and all checkpoints to remove are removed. The
    /// receiver of the inputs must be dropped before.
    fn shut_down(&mut self) -> impl Future<Output = ()> {
        std::future::ready(())
    }
}

/// The trainers of a worker as child processes.
#[derive(Debug)]
pub struct TrainerProcesses {
    launchers: Launchers,
    options: BTreeMap<u32, TrainerOptions>,
    running: BTreeMap<u32, Handle>,
    inputs: mpsc::Sender<Input>,
    memory: Arc<Mutex<OutOfMemoryWatch>>,
    logs: LogQueue,
    tasks: JoinSet<()>,
}

#[derive(Debug)]
struct Handle {
    /// Unbounded, because the agent sends at most two commands before it waits for an answer.
    lines: mpsc::UnboundedSender<Vec<u8>>,
    kill: Arc<Notify>,
    tail: Tail,
    about: Arc<Mutex<Arc<About>>>,
}

impl TrainerProcesses {
    /// No trainers yet. Their events will go to `inputs`, their log lines to `logs`.
    #[must_use]
    pub fn new(
        launchers: Launchers,
        options: impl IntoIterator<Item = (u32, TrainerOptions)>,
        inputs: mpsc::Sender<Input>,
        logs: LogQueue,
    ) -> Self {
        Self {
            launchers,
            options: options.into_iter().collect(),
            running: BTreeMap::new(),
            inputs,
            memory: Arc::new(Mutex::new(OutOfMemoryWatch::begin())),
            logs,
            tasks: JoinSet::new(),
        }
    }
}

impl Trainers for TrainerProcesses {
    async fn shut_down(&mut self) {
        for handle in self.running.values() {
            handle.kill.notify_one();
        }
        while self.tasks.join_next().await.is_some() {}
    }

    fn start(&mut self, slot: u32, kind: TrainerKind) {
        // Remove finished tasks of trainers that have ended.
        while self.tasks.try_join_next().is_some() {}
        let Some(options) = self.options.get(&slot) else { return };
        let inputs = self.inputs.clone();
        let launched = match self.launchers.of(kind) {
            Some(launcher) => {
                launcher.launch(options).map_err(|error| format!("{}: {error}", launcher.program().display()))
            }
            None => Err("this worker does not run its kind".to_owned()),
        };
        let tail = Tail::default();
        let about = Arc::<Mutex<Arc<About>>>::default();
        let log = |stderr| {
            TrainerLog::new(slot, stderr, tail.clone(), self.logs.clone(), Arc::clone(&about))
                .map_err(|error| format!("its log cannot be read: {error}"))
        };
        let started = launched.and_then(|mut child| {
            let (Some(stdin), Some(stdout), Some(stderr)) =
                (child.stdin.take(), child.stdout.take(), child.stderr.take())
            else {
                unreachable!("all three were asked for as pipes");
            };
            Ok((stdin, stdout, log(stderr)?, child))
        });
        let (stdin, stdout, log, child) = match started {
            Ok(started) => started,
            Err(why) => {
                let status = EndStatus::NotStarted(why);
                let end = TrainerEnd { status, stderr: String::new(), killed_for_memory: false };
                self.tasks.spawn(async move {
                    let _ = inputs.send(Input::TrainerEnded { slot, end }).await;
                });
                return;
            }
        };
        let (lines, to_write) = mpsc::unbounded_channel();
        let kill = Arc::new(Notify::new());
        let supervisor = Supervisor {
            slot,
            kind,
            inputs,
            kill: Arc::clone(&kill),
            tail: tail.clone(),
            memory: Arc::clone(&self.memory),
            log: Arc::new(log),
        };
        self.tasks.spawn(supervisor.watch(child, stdin, to_write, stdout));
        self.running.insert(slot, Handle { lines, kill, tail, about });
    }

    fn command(&mut self, slot: u32, command: protocol::Command) {
        let Some(handle) = self.running.get(&slot) else { return };
        if matches!(command, protocol::Command::Train { .. }) {
            // Log lines of an earlier cohort do not explain why this one failed.
            handle.tail.clear();
        }
        let mut line = serde_json::to_vec(&command).expect("commands have text keys and finite numbers only");
        line.push(b'\n');
        // A trainer that has ended reports its end by itself.
        let _ = handle.lines.send(line);
    }

    fn log_about(&mut self, slot: u32, about: About) {
        if let Some(handle) = self.running.get(&slot) {
            *handle.about.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(about);
        }
    }

    fn kill(&mut self, slot: u32) {
        if let Some(handle) = self.running.get(&slot) {
            handle.kill.notify_one();
        }
    }

    fn remove_checkpoints(&mut self, task: TaskId) {
        while self.tasks.try_join_next().is_some() {}
        let Some(location) = self.options.values().find_map(|options| options.checkpoints.clone()) else {
            return;
        };
        // In a separate thread: a shared folder or a bucket may be slow.
        self.tasks.spawn_blocking(move || {
            let removed = Store::open(&location).and_then(|store| store.remove(task));
            if let Err(error) = removed {
                warn!("{error}; the checkpoints of task {task} are no longer needed");
            }
        });
    }
}

struct Supervisor {
    slot: u32,
    kind: TrainerKind,
    inputs: mpsc::Sender<Input>,
    kill: Arc<Notify>,
    tail: Tail,
    memory: Arc<Mutex<OutOfMemoryWatch>>,
    log: Arc<TrainerLog>,
}

impl Supervisor {
    /// Follows a trainer to its end. All its events are passed on before the end.
    async fn watch(
        self,
        mut child: Child,
        stdin: ChildStdin,
        to_write: mpsc::UnboundedReceiver<Vec<u8>>,
        stdout: ChildStdout,
    ) {
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let kill_group = || {
            if let Some(group) = group {
                // This fails only if the whole group has already ended.
                let _ = killpg(group, Signal::SIGKILL);
            }
        };
        let mut pipes = JoinSet::new();
        pipes.spawn(write(stdin, to_write));
        let following = {
            let log = Arc::clone(&self.log);
            tokio::spawn(async move { log.follow().await })
        };
        let mut listening =
            tokio::spawn(listen(self.slot, stdout, Arc::clone(&self.log), self.inputs.clone()));
        let mut killed = false;
        let mut said_all = false;
        let mut patience_ends = None;
        let status = loop {
            tokio::select! {
                biased;
                () = self.kill.notified(), if !killed => {
                    killed = true;
                    match self.kind {
                        TrainerKind::Networks => kill_group(),
                        TrainerKind::Programs => {
                            // This closes its standard input.
                            pipes.abort_all();
                            patience_ends = Some(Instant::now() + CLEANING_UP);
                        }
                    }
                }
                () = sleep_until(patience_ends) => {
                    patience_ends = None;
                    kill_group();
                }
                status = child.wait() => break status,
                _ = &mut listening, if !said_all => said_all = true,
                // Without standard output the trainer is useless.
                () = tokio::time::sleep(EXIT), if said_all && !killed => self.kill.notify_one(),
            }
        };
        // Kill all processes that it started too. The group's number is reused only when no process of it is left,
        // and numbers are assigned in turn, so this does not hit another process.
        kill_group();
        if !said_all && tokio::time::timeout(LAST_WORDS, &mut listening).await.is_err() {
            listening.abort();
        }
        let abort = following.abort_handle();
        if tokio::time::timeout(LAST_WORDS, following).await.is_err() {
            abort.abort();
        }
        let end = self.end(status, killed);
        let _ = self.inputs.send(Input::TrainerEnded { slot: self.slot, end }).await;
    }

    fn end(&self, status: io::Result<ExitStatus>, killed: bool) -> TrainerEnd {
        let status = match status {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => EndStatus::Exited(code),
                (None, signal) => EndStatus::Signalled(signal.unwrap_or(0)),
            },
            Err(error) => EndStatus::NotStarted(format!("it could not be waited for: {error}")),
        };
        let by_nine = status == EndStatus::Signalled(Signal::SIGKILL as i32);
        let killed_for_memory = by_nine && !killed && {
            // The counter is consistent even if another task panicked during a claim.
            self.memory.lock().unwrap_or_else(PoisonError::into_inner).claim()
        };
        TrainerEnd { status, stderr: self.tail.text(), killed_for_memory }
    }
}

/// Waits until a time; forever if there is none.
async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::UnboundedReceiver<Vec<u8>>) {
    while let Some(line) = lines.recv().await {
        if stdin.write_all(&line).await.is_err() || stdin.flush().await.is_err() {
            // The trainer has closed its input; another place notices its end.
            return;
        }
    }
}

/// Passes on a trainer's events, each after what it had logged until then, until it closes its output or sends something
/// that is not part of the protocol.
async fn listen(slot: u32, stdout: ChildStdout, log: Arc<TrainerLog>, inputs: mpsc::Sender<Input>) {
    let mut stdout = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        let input = match read_line(&mut stdout, &mut line, MAX_LINE_BYTES).await {
            Ok(ReadLine::End) => return,
            Ok(ReadLine::Whole) => match parse(&line) {
                Ok(event) => Input::TrainerSaid { slot, event },
                Err(what) => Input::ProtocolViolation { slot, what },
            },
            Ok(ReadLine::TooLong) => {
                Input::ProtocolViolation { slot, what: format!("a line of more than {MAX_LINE_BYTES} bytes") }
            }
            Err(error) => {
                Input::ProtocolViolation { slot, what: format!("its output cannot be read: {error}") }
            }
        };
        let violated = matches!(input, Input::ProtocolViolation { .. });
        log.catch_up();
        if inputs.send(input).await.is_err() {
            return;
        }
        if violated {
            // The trainer is about to be killed. Until then it must not block on a full pipe, and its output is
            // ignored.
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
            return;
        }
    }
}

fn parse(line: &[u8]) -> Result<protocol::Event, String> {
    let excerpt = || {
        let text = String::from_utf8_lossy(line);
        text.trim_end().chars().take(200).collect::<String>()
    };
    let event = serde_json::from_slice(line).map_err(|error| format!("{error} in `{}`", excerpt()))?;
    if let protocol::Event::Finished { result, .. } = &event {
        check_result(result).map_err(|error| error.to_string())?;
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use tokio::process::Command;

    use super::*;

    #[tokio::test]
    async fn an_event_comes_after_what_was_logged_before_it() {
        let script = "seq 1 1500 >&2; echo '{\"event\":\"idle\"}'; echo 'later' >&2";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let queue = LogQueue::default();
        let stderr = child.stderr.take().unwrap();
        let log = TrainerLog::new(1, stderr, Tail::default(), queue.clone(), Arc::default()).unwrap();
        let (inputs, mut said) = mpsc::channel(1);
        let listening = tokio::spawn(listen(1, child.stdout.take().unwrap(), Arc::new(log), inputs));
        assert!(matches!(said.recv().await, Some(Input::TrainerSaid { .. })));
        // The queue may have the later line too.
        queue.keep_newest();
        let (messages, _) = queue.take();
        let lines: Vec<&str> =
            messages.iter().flat_map(|m| &m.lines).map(|line| line.text.as_str()).collect();
        assert!(lines.contains(&"1500"), "{lines:?}");
        listening.await.unwrap();
    }

    #[test]
    fn lines_are_events_or_errors() {
        assert_eq!(parse(b"{\"event\":\"idle\"}\n"), Ok(protocol::Event::Idle));
        let error = parse(b"Segmentation fault\n").unwrap_err();
        assert!(error.contains("`Segmentation fault`"), "{error}");
    }
}

//! The real runner as a process, spoken to as the agent does, with real programs.
#![expect(
    clippy::unwrap_used,
    reason = "clippy.toml allows it in tests, which helpers of tests are not to clippy"
)]

mod endings;
mod hostile;
mod overhead;
mod results;
mod resume;
mod starting;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command as Process, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use colearn_core::{
    id::{ConfigurationId, SweepId, TaskId},
    settings::{Parameter, ProgramSettings, TaskSettings},
};
use colearn_trainer_protocol::{Command, Member};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Far more than anything takes; a test that needs it fails.
const PATIENCE: Duration = Duration::from_secs(60);

const TASK: TaskId =
    TaskId { sweep: SweepId(3), configuration: ConfigurationId(0x00ab_cdef_0123_4567), seed: 2 };
const TASK_NAME: &str = "3-00abcdef01234567-2";

/// A folder with a program in it.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// A task that runs this command here.
    fn member(&self, command: &[&str]) -> Member {
        member(ProgramSettings {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            parameters: vec![
                Parameter("lr".to_owned(), json!(0.5)),
                Parameter("optimizer".to_owned(), json!("adam w")),
                Parameter("warmup".to_owned(), Value::Null),
            ],
            directory: self.path().to_str().unwrap().to_owned(),
            metrics: vec!["accuracy".to_owned()],
            ..ProgramSettings::default()
        })
    }

    /// A task that runs this text with the shell.
    fn shell(&self, script: &str) -> Member {
        self.member(&["sh", "-c", &script.replace('$', "$$")])
    }

    /// A task that runs this text with Python; none if there is no Python.
    fn python(&self, script: &str) -> Option<Member> {
        if Process::new("python3").arg("--version").output().is_err() {
            eprintln!("skipped: there is no python3");
            return None;
        }
        self.write("train.py", script);
        Some(self.member(&["python3", "train.py", "${args}"]))
    }
}

fn member(settings: ProgramSettings) -> Member {
    Member {
        task: TASK,
        attempt: 1,
        settings: TaskSettings::Program(settings),
        checkpoint_every_epochs: 0,
        data_digest: String::new(),
        keep: Default::default(),
        name: String::new(),
        kept_in: String::new(),
    }
}

/// Changes the settings of a task.
fn with(mut member: Member, change: impl FnOnce(&mut ProgramSettings)) -> Member {
    if let TaskSettings::Program(settings) = &mut member.settings {
        change(settings);
    }
    member
}

/// The program that is written in Rust.
fn rust(folder: &Folder, what: &str) -> Member {
    folder.member(&[env!("CARGO_BIN_EXE_test-program"), what, "${args}"])
}

struct Runner {
    child: Child,
    input: Option<ChildStdin>,
    events: Receiver<Value>,
    log: Option<JoinHandle<String>>,
    /// For temporary files.
    temporary: TempDir,
}

impl Runner {
    fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), None)
    }

    fn with_checkpoints(location: &Path) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), Some(location))
    }

    fn start_in(temporary: TempDir, checkpoints: Option<&Path>) -> Self {
        let mut child = Process::new(env!("CARGO_BIN_EXE_test-runner"))
            .args(checkpoints)
            .env("TMPDIR", temporary.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut stderr = child.stderr.take().unwrap();
        let (sender, events) = channel();
        thread::spawn(move || {
            for line in output.lines() {
                if sender.send(serde_json::from_str(&line.unwrap()).unwrap()).is_err() {
                    return;
                }
            }
        });
        let log = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            text
        });
        let input = child.stdin.take();
        let runner = Self { child, input, events, log: Some(log), temporary };
        assert_eq!(runner.event(), json!({"event": "ready", "device": "cpu x2"}));
        runner
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(Process::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    fn tell(&mut self, command: &Command) {
        writeln!(self.input.as_mut().unwrap(), "{}", serde_json::to_string(command).unwrap()).unwrap();
    }

    fn train(&mut self, member: Member) {
        self.tell(&Command::Train { members: vec![member] });
    }

    fn event(&self) -> Value {
        self.event_until(Instant::now() + PATIENCE)
    }

    fn event_until(&self, deadline: Instant) -> Value {
        self.events.recv_timeout(deadline.saturating_duration_since(Instant::now())).unwrap()
    }

    /// All events until the runner is idle, without those that only say that it works.
    fn until_idle(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.event_until(deadline) {
                event if event["event"] == "idle" => return events,
                event if event["event"] == "alive" => {}
                event => events.push(event),
            }
        }
    }

    /// Works on a task to its end, and returns the last event.
    fn run(&mut self, member: Member) -> Value {
        self.train(member);
        let events = self.until_idle();
        assert_eq!(events[0]["event"], "opened", "{events:?}");
        events.last().unwrap().clone()
    }

    /// The next epoch that is told.
    fn epoch(&self) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self.event_until(deadline);
            assert_ne!(event["event"], "idle", "there was no epoch");
            if event["event"] == "epoch" {
                return event["record"].clone();
            }
        }
    }

    /// Closes the input and waits for the end. Returns the exit code and the log.
    fn end(mut self) -> (Option<i32>, String) {
        drop(self.input.take());
        let mut ended = None;
        eventually("the end of the runner", || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        });
        let code = ended.unwrap().code();
        let log = self.log.take().unwrap().join().unwrap();
        assert_eq!(fs::read_dir(self.temporary.path()).unwrap().count(), 0, "temporary files are left");
        (code, log)
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.input.take());
        if thread::panicking() {
            // A runner that hangs must not hold up the other tests.
            thread::sleep(Duration::from_secs(2));
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// The result of a task that must have one.
fn result(event: &Value) -> &Value {
    assert_eq!(event["event"], "finished", "{event}");
    &event["result"]
}

/// The message of a failure that must have this reason.
fn failure<'e>(event: &'e Value, reason: &str) -> &'e str {
    assert_eq!((&event["event"], &event["failure"]["reason"]), (&json!("failed"), &json!(reason)), "{event}");
    event["failure"]["message"].as_str().unwrap()
}

/// Whether a process is there, be it a zombie.
fn is_there(pid: &Value) -> bool {
    let pid = pid.as_f64().unwrap();
    assert!(pid > 1.0, "{pid} is no process");
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Whether a process has not ended. One that nobody waits for may stay as a zombie.
fn runs(pid: &Value) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits until something is so.
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what} does not happen");
        thread::sleep(Duration::from_millis(5));
    }
}

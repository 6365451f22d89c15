//! A worker: the agent in its own process, with a trainer that is a shell script.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use clap::Parser;
use colearn_worker::{
    exit::ExitStatus as AgentStatus,
    launcher::Launcher,
    log_queue::{LogLayer, LogQueue},
    options::AgentArgs,
    run,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tracing_subscriber::{
    Layer as _, filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

use crate::coordinator::PATIENCE;

/// The behaviour of the script for each seed.
pub(crate) mod seed {
    /// Finishes the task.
    pub(crate) const FINISH: u64 = 1;
    /// Trains forever.
    pub(crate) const TRAIN: u64 = 2;
    /// Prints something that is not part of the protocol.
    pub(crate) const BABBLE: u64 = 3;
    /// Exits with code 3 after a line on standard error.
    pub(crate) const EXIT: u64 = 4;
    /// Finishes the task when the file `go` exists.
    pub(crate) const WAIT: u64 = 5;
    /// Trains forever and reads no commands, as during a long epoch.
    pub(crate) const DEAF: u64 = 6;
    /// Runs a busy loop.
    pub(crate) const BUSY: u64 = 7;
}

/// The result is split at the position of the task's name.
const TRAINER: &str = r#"
echo $$ >> "$FOLDER/pids"
finish() {
    printf '{"event":"finished","task":%s,"result":{"metrics":{"accuracy":0.5},"confusion":[],"history":[],"best_epoch":1,"parameters":1,"seconds":0.5,"device":"script"}}\n' "$task"
    echo '{"event":"idle"}'
}
echo '{"event":"ready","device":"script"}'
while IFS= read -r line; do
    case $line in
    *'"command":"train"'*)
        task=${line#*\"task\":}
        task=${task%%\}*}\}
        case $task in
        *'"seed":1}') finish ;;
        *'"seed":2}') echo "trains for ever" >&2 ;;
        *'"seed":3}') echo "I am not JSON" ;;
        *'"seed":4}') echo "no such tensor" >&2; exit 3 ;;
        *'"seed":5}') until [ -e "$FOLDER/go" ]; do sleep 0.05; done; finish ;;
        *'"seed":6}') echo "hears nothing" >&2; sleep 1000 ;;
        *'"seed":7}') while :; do :; done ;;
        esac ;;
    *'"command":"park"'*) printf '{"event":"parked","task":%s}\n{"event":"idle"}\n' "$task" ;;
    *'"command":"abandon"'*) echo "abandons" >&2; echo '{"event":"idle"}' ;;
    esac
done
"#;

pub(crate) struct Worker {
    child: Child,
    log: mpsc::Receiver<String>,
    folder: TempDir,
}

impl Worker {
    /// A worker with one slot and the scripted trainer.
    pub(crate) fn start(coordinator: SocketAddr) -> Self {
        Self::start_with(coordinator, TRAINER)
    }

    /// A worker with one slot and the given trainer.
    pub(crate) fn start_with(coordinator: SocketAddr, trainer: &str) -> Self {
        Self::start_in(coordinator, trainer, &[])
    }

    /// A worker with the scripted trainer, and options in the environment.
    pub(crate) fn start_so(coordinator: SocketAddr, environment: &[(&str, &str)]) -> Self {
        Self::start_in(coordinator, TRAINER, environment)
    }

    /// A worker with the given trainer, and options in the environment.
    pub(crate) fn start_in(coordinator: SocketAddr, trainer: &str, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // This test program itself, with the environment that makes `agent_process` an agent.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "worker::agent_process", "--nocapture", "--test-threads=1"])
            .env("COLEARN_TEST_AGENT", format!("http://{coordinator}"))
            .env("COLEARN_TEST_TRAINER", trainer)
            .env("FOLDER", folder.path())
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, log) = mpsc::channel();
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                eprintln!("agent: {line}");
                let _ = say.send(line);
            }
        });
        Self { child, log, folder }
    }

    /// Waits for a line of the agent's log, or of its trainer's.
    pub(crate) fn expect_log(&self, part: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if line.contains(part) => return,
                Ok(_) => {}
                Err(error) => panic!("waited in vain for `{part}` in the log: {error}"),
            }
        }
    }

    /// Lets tasks of [`seed::WAIT`] finish.
    pub(crate) fn go(&self) {
        std::fs::write(self.folder.path().join("go"), "").unwrap();
    }

    /// A checkpoint of a task, as a trainer may have left it.
    pub(crate) fn checkpoint(&self, seed: u64) -> PathBuf {
        let of_task = format!("checkpoints/0000000000000001/000000000000feed-{seed}");
        let folder = self.folder.path().join(of_task);
        std::fs::create_dir_all(&folder).unwrap();
        let file = folder.join("00000005-00000001.safetensors");
        std::fs::write(&file, "weights").unwrap();
        file
    }

    /// Whether a script has made this file.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.folder.path().join(file).exists()
    }

    /// The process ids of the trainers that were started, in order.
    pub(crate) fn trainers(&self) -> Vec<Pid> {
        let pids = std::fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default();
        pids.lines().map(|pid| Pid::from_raw(pid.parse().unwrap())).collect()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Sends signals until the agent has ended.
    pub(crate) fn signal_until_exit(&mut self, signal: Signal) -> ExitStatus {
        let mut status = None;
        until("the agent has ended", || {
            status = self.child.try_wait().unwrap();
            if status.is_none() {
                self.signal(signal);
            }
            status.is_some()
        });
        status.unwrap()
    }

    /// Waits until the agent has ended.
    pub(crate) fn expect_exit(&mut self) -> ExitStatus {
        let mut status = None;
        until("the agent has ended", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    agent: AgentArgs,
}

/// Not a test: the process of the agent. Without its environment it does nothing.
#[test]
fn agent_process() {
    let (Ok(coordinator), Ok(trainer)) =
        (std::env::var("COLEARN_TEST_AGENT"), std::env::var("COLEARN_TEST_TRAINER"))
    else {
        return;
    };
    let logs = LogQueue::default();
    let own = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let own = own.with_filter(LevelFilter::INFO);
    tracing_subscriber::registry().with(own).with(LogLayer::new(logs.clone())).init();
    let folder = PathBuf::from(std::env::var_os("FOLDER").unwrap());
    let args = ["worker", "--device", "cpu", "--slots", "1", "--coordinator", &coordinator, "--checkpoints"];
    let paths = [folder.join("checkpoints").into_os_string(), "--data-dir".into(), folder.into_os_string()];
    let args = args.iter().map(Into::into).chain(paths);
    let options = Cli::parse_from(args).agent.validate().unwrap();
    let mut launchers = vec![Launcher::new("sh", ["-c", &trainer, "trainer"].map(Into::into))];
    if let Ok(runner) = std::env::var("COLEARN_TEST_RUNNER") {
        launchers.push(Launcher::of_programs("sh", ["-c", &runner, "runner"].map(Into::into)));
    }
    let launchers = launchers.into_iter().collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = match runtime.block_on(run::run(options, Some(launchers), logs)) {
        Ok(_) => AgentStatus::Success,
        Err(error) => {
            eprintln!("error: {error}");
            error.status()
        }
    };
    std::process::exit(i32::from(status as u8));
}

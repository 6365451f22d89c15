//! Real programs in a temporary folder.

use std::{
    fs,
    io::{BufRead as _, BufReader, PipeWriter},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;

/// A folder with a data set and a sweep file in it, and the programs under test.
pub(crate) struct Lab {
    folder: TempDir,
}

/// A child process that does not outlive the test.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Kills the process with `kill -9`.
    pub(crate) fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Sends SIGINT, as Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGINT).unwrap();
    }

    /// Sends SIGTERM, as a service manager does.
    pub(crate) fn terminate(&self) {
        nix::sys::signal::kill(self.pid(), nix::sys::signal::Signal::SIGTERM).unwrap();
    }

    /// Id of the process.
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.0.id().try_into().unwrap())
    }

    /// The trainer of a worker, if it has one at this moment.
    pub(crate) fn trainer(&self) -> Option<nix::unistd::Pid> {
        let pid = self.pid();
        // The agent starts children from one thread, its first.
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let child = children.split_whitespace().next()?.parse().ok()?;
        Some(nix::unistd::Pid::from_raw(child))
    }

    /// Waits for the end; returns the exit code.
    pub(crate) fn code(mut self) -> i32 {
        let deadline = Instant::now() + Duration::from_secs(300);
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code().expect("ended by itself");
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A sweep that takes a second: 3 configurations x 2 seeds. More epochs make one that is seen while it is trained.
pub(crate) const SWEEP: &str = "\
name: small
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 16, layers: 1, dropout: 0.2}
training: {epochs: 6, batch_size: 32, learning_rate: 0.003, shuffle: once, modality_draw: shared}
parameters:
  modality_dropout.audio: [0, 0.9]
  modality_dropout.video: [0, 0.9]
zip: [[modality_dropout.audio, modality_dropout.video]]
include: [{unimodal: true}]
seeds: [0, 1]
";

impl Lab {
    /// A new folder with `data/demo.safetensors` and `small.yaml`.
    pub(crate) fn new() -> Self {
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        let output = lab.colearn(&["data", "generate", "--out", "data/demo.safetensors"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        lab.write("small.yaml", SWEEP);
        lab
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).unwrap();
    }

    fn command(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        let ours = std::env::vars_os().map(|(name, _)| name);
        let ours = ours.filter(|name| name.as_encoded_bytes().starts_with(b"COLEARN_"));
        // Access files are looked for there, and put there.
        command.env("XDG_CONFIG_HOME", self.path().join("config"));
        for name in ours.chain(["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"].map(Into::into)) {
            command.env_remove(name);
        }
        command
    }

    /// A `colearn` command, to which variables and other streams can be added.
    pub(crate) fn colearn_command(&self, arguments: &[&str]) -> Command {
        self.command(&colearn(), arguments)
    }

    /// A `colearn-worker` command in the same way.
    pub(crate) fn worker_command(&self, arguments: &[&str]) -> Command {
        self.command(&worker(), arguments)
    }

    /// A command of any of the programs in the same way.
    pub(crate) fn program_command(&self, program: &Path) -> Command {
        self.command(program, &[])
    }

    /// Runs `colearn` to its end.
    pub(crate) fn colearn(&self, arguments: &[&str]) -> Output {
        self.command(&colearn(), arguments).output().unwrap()
    }

    /// Like [`Self::colearn`], with options in the environment.
    pub(crate) fn colearn_in(&self, arguments: &[&str], environment: &[(&str, String)]) -> Output {
        let mut command = self.command(&colearn(), arguments);
        command.envs(environment.iter().map(|(name, value)| (name, value))).output().unwrap()
    }

    /// Runs `colearn` with its output redirected.
    pub(crate) fn colearn_into(
        &self,
        arguments: &[&str],
        stdout: PipeWriter,
        stderr: PipeWriter,
    ) -> ExitStatus {
        self.command(&colearn(), arguments).stdout(stdout).stderr(stderr).status().unwrap()
    }

    /// Starts `colearn` in the background.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let log = fs::File::create(self.path().join("start.log")).unwrap();
        Running(self.command(&colearn(), arguments).stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    /// Starts a coordinator; returns it with its URL.
    pub(crate) fn coordinator(&self, listen: &str) -> (Running, String) {
        self.coordinator_on(listen, "state", 3).unwrap_or_else(|| panic!("{}", self.logs()))
    }

    /// Starts a coordinator on a state folder, with a lease of this number of seconds; returns `None` if it ended at
    /// once. Its log is appended to `coordinator.log`.
    pub(crate) fn coordinator_on(&self, listen: &str, state: &str, lease: u32) -> Option<(Running, String)> {
        self.coordinator_in_chaos(listen, state, lease, false)
    }

    /// The same, over TLS if that is wanted.
    pub(crate) fn coordinator_in_chaos(
        &self,
        listen: &str,
        state: &str,
        lease: u32,
        tls: bool,
    ) -> Option<(Running, String)> {
        let lease = lease.to_string();
        let mut arguments = vec!["coordinator", "--listen", listen, "--state", state, "--lease", &lease];
        arguments.extend(tls.then_some("--secure"));
        self.serve(self.command(&colearn(), &arguments))
    }

    /// Starts a coordinator with further options.
    pub(crate) fn coordinator_with(&self, listen: &str, options: &[&str]) -> (Running, String) {
        let mut arguments = vec!["coordinator", "--listen", listen, "--state", "state", "--lease", "3"];
        arguments.extend(options);
        self.serve(self.command(&colearn(), &arguments)).unwrap_or_else(|| panic!("{}", self.logs()))
    }

    /// Starts a coordinator with a soft and a hard limit of open files.
    pub(crate) fn coordinator_with_files(&self, soft: u32, hard: u32) -> (Running, String) {
        let limited = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" \"$@\"");
        let program = colearn();
        let mut arguments = vec!["-c", &limited, program.to_str().unwrap(), "coordinator"];
        arguments.extend(["--listen", "127.0.0.1:0", "--state", "state", "--lease", "20"]);
        let command = self.command(Path::new("sh"), &arguments);
        self.serve(command).unwrap_or_else(|| panic!("{}", self.logs()))
    }

    /// Starts a coordinator that settles sweeps this number of seconds after their end; `None` for the default.
    pub(crate) fn coordinator_settling(&self, after: Option<u32>) -> (Running, String) {
        let after = after.map(|after| after.to_string());
        let mut arguments = vec!["coordinator", "--listen", "127.0.0.1:0", "--state", "state"];
        arguments.extend(after.iter().flat_map(|after| ["--settle-after", after]));
        self.serve(self.command(&colearn(), &arguments)).unwrap_or_else(|| panic!("{}", self.logs()))
    }

    /// Starts a coordinator by this command.
    pub(crate) fn serve(&self, mut command: Command) -> Option<(Running, String)> {
        let log = self.log("coordinator.log");
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let running = Running(child);
        let is_url = |word: &&str| word.starts_with("http://") || word.starts_with("https://");
        let url = line.split_whitespace().find(is_url)?.to_owned();
        Some((running, url))
    }

    /// Starts a worker with one slot of one thread.
    pub(crate) fn worker(&self, url: &str, name: &str) -> Running {
        self.worker_in(url, name, &[])
    }

    /// Like [`Self::worker`], with options in the environment.
    pub(crate) fn worker_in(&self, url: &str, name: &str, environment: &[(&str, &str)]) -> Running {
        self.start_worker(url, name, &["--slots", "1", "--threads", "1", "--device", "cpu"], environment)
    }

    /// Starts a worker with other options.
    pub(crate) fn worker_with(&self, url: &str, name: &str, arguments: &[&str]) -> Running {
        self.start_worker(url, name, arguments, &[])
    }

    /// Its log, with every acknowledged result, is appended to `<name>.log`.
    pub(crate) fn start_worker(
        &self,
        url: &str,
        name: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Running {
        let program = worker();
        assert!(program.is_file(), "{} is not built: run `cargo build --workspace` first", program.display());
        let log = self.log(&format!("{name}.log"));
        let mut command = self.command(&program, &["--coordinator", url, "--name", name]);
        command
            .args(arguments)
            .env("RUST_LOG", "info,colearn_worker=debug")
            .envs(environment.iter().copied());
        Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn log(&self, name: &str) -> fs::File {
        fs::File::options().create(true).append(true).open(self.path().join(name)).unwrap()
    }

    /// A program between the agent and a real trainer: `script` gets each command as `$line` before it is passed on.
    pub(crate) fn faulty_trainer(&self, script: &str) -> String {
        let path = self.path().join("faulty-trainer.sh");
        let text = format!(
            "#!/bin/sh\nwhile IFS= read -r line; do\n{script}\nprintf '%s\\n' \"$line\"\ndone | '{}' \"$@\"\n",
            trainer().display()
        );
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    /// The parsed output of `colearn ... --json` or `--format json`.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.colearn(arguments);
        assert!(output.status.success(), "colearn {arguments:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Queries the sweep's state until `enough` is true.
    pub(crate) fn wait_until(&self, target: &[&str], enough: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let mut arguments = vec!["status", "small", "--json"];
            arguments.extend(target);
            let output = self.colearn(&arguments);
            if let Ok(status) = serde_json::from_slice::<Value>(&output.stdout)
                && enough(&status)
            {
                return status;
            }
            assert!(Instant::now() < deadline, "waited too long; last: {}", text(&output.stderr));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits until something exists.
    pub(crate) fn wait_for(&self, what: &str, mut is_there: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !is_there() {
            assert!(Instant::now() < deadline, "waited too long for {what}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The logs of the programs, for messages of failed assertions.
    pub(crate) fn logs(&self) -> String {
        let mut all = String::new();
        for name in
            ["start.log", "coordinator.log", "one.log", "two.log", "state/worker.log", ".colearn/worker.log"]
        {
            if let Ok(log) = fs::read_to_string(self.path().join(name)) {
                all += &format!("--- {name}\n{log}\n");
            }
        }
        all
    }
}

/// The `colearn` program of this build, or the one in the folder that `COLEARN_PROGRAMS` names.
pub(crate) fn colearn() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_colearn"));
    std::env::var_os("COLEARN_PROGRAMS").map_or(built, |folder| PathBuf::from(folder).join("colearn"))
}

/// The `colearn-worker` program in the same folder.
pub(crate) fn worker() -> PathBuf {
    colearn().with_file_name("colearn-worker")
}

/// The `colearn-trainer` program in the same folder.
pub(crate) fn trainer() -> PathBuf {
    colearn().with_file_name("colearn-trainer")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The largest difference between the averages of two `results --format json`; panics if they differ otherwise. What
/// is known of single tasks, such as their worker and seconds, is left out.
pub(crate) fn largest_difference(left: &Value, right: &Value) -> f64 {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            (left.as_f64().unwrap() - right.as_f64().unwrap()).abs()
        }
        (Value::Object(left), Value::Object(right)) => {
            assert!(left.keys().eq(right.keys()), "{left:?} and {right:?}");
            let averages = left.iter().filter(|(key, _)| *key != "tasks");
            averages.map(|(key, value)| largest_difference(value, &right[key])).fold(0.0, f64::max)
        }
        (Value::Array(left), Value::Array(right)) => {
            assert_eq!(left.len(), right.len());
            left.iter().zip(right).map(|(left, right)| largest_difference(left, right)).fold(0.0, f64::max)
        }
        _ => {
            assert_eq!(left, right);
            0.0
        }
    }
}

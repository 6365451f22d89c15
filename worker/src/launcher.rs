//! Starts a trainer process.

use std::{
    collections::BTreeMap,
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use colearn_trainer_protocol::Devices;

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

/// Options for starting a trainer: the arguments of `colearn-trainer train`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerOptions {
    /// Folder of the data sets.
    pub data_dir: PathBuf,
    /// Whether data sets outside that folder may be opened.
    pub allow_data_outside: bool,
    /// Location of checkpoints, see [`colearn_trainer_protocol::checkpoint::Store::open`]; `None` means no
    /// checkpoints.
    pub checkpoints: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Intra-op threads; at least 1.
    pub threads: u32,
    /// Additional environment variables, such as OMP_NUM_THREADS.
    pub environment: BTreeMap<String, String>,
}

/// The environment variable that names the trainer program.
const VARIABLE: &str = "COLEARN_TRAINER";

/// Variables with which sites let OpenMP bind threads to cores in jobs. Each trainer would bind its threads to the
/// same first cores. Without the variables the system distributes trainers over the cores of the worker.
const AFFINITY: [&str; 5] =
    ["OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_HW_SUBSET"];

/// MKL's mode of reproducible products. Without it products depend on the memory addresses of their operands, so that
/// a member's rounding would depend on its place in the cohort. The environment may name another mode, such as one
/// that gives the same bits on other processors too.
const REPRODUCIBLE_PRODUCTS: &str = "MKL_CBWR";

/// There is no trainer program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrainer {
    /// The environment variable does not name a file.
    #[error("{VARIABLE} is `{0}`, which is not a file")]
    NotAFile(PathBuf),
    /// The program is in none of the searched places.
    #[error(
        "there is no `colearn-trainer` beside this program or on the PATH; build it with `make build`, or set {VARIABLE} to it"
    )]
    Nowhere,
}

/// The trainer does not report what it can train on.
#[derive(Debug, thiserror::Error)]
#[error("failed to ask `{} devices` for its devices: {why}", program.display())]
pub struct DevicesError {
    program: PathBuf,
    why: String,
}

/// Time limit for `colearn-trainer devices`: it loads libtorch with CUDA, possibly from a network file system.
const DEVICES_TIMEOUT: Duration = Duration::from_secs(120);

/// The trainer program.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// A program that is called with these arguments, followed by those of `colearn-trainer train`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().collect() }
    }

    /// `colearn-trainer`: the program that the environment variable `COLEARN_TRAINER` names, or the one in the folder
    /// of this program, or the one on the PATH.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn find() -> Result<Self, NoTrainer> {
        const NAME: &str = "colearn-trainer";
        if let Some(path) = colearn_command_line::variable(VARIABLE).map(PathBuf::from) {
            return if path.is_file() { Ok(Self::train(path)) } else { Err(NoTrainer::NotAFile(path)) };
        }
        let beside = env::current_exe()
            .and_then(|program| program.canonicalize())
            .ok()
            .and_then(|program| program.parent().map(|folder| folder.join(NAME)));
        let on_path = env::var_os("PATH")
            .map(|paths| env::split_paths(&paths).map(|folder| folder.join(NAME)).collect::<Vec<_>>())
            .unwrap_or_default();
        let found = beside.into_iter().chain(on_path).find(|path| path.is_file());
        found.map(Self::train).ok_or(NoTrainer::Nowhere)
    }

    fn train(program: PathBuf) -> Self {
        Self::new(program, ["train".into()])
    }

    /// Asks the trainer program what libtorch can do on this host.
    ///
    /// # Errors
    /// If it cannot be started, fails, or prints something else.
    pub async fn devices(&self) -> Result<Devices, DevicesError> {
        let failed = |why: String| DevicesError { program: self.program.clone(), why };
        let mut command = Command::new(&self.program);
        command.arg("devices").stdin(Stdio::null()).kill_on_drop(true);
        let output = match tokio::time::timeout(DEVICES_TIMEOUT, command.output()).await {
            Ok(output) => output.map_err(|error| failed(error.to_string()))?,
            Err(_) => return Err(failed(format!("no answer within {} s", DEVICES_TIMEOUT.as_secs()))),
        };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(failed(format!("{}: {}", output.status, said.trim_end())));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| failed(format!("its answer is not understood: {error}")))
    }

    /// Path of the program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a child process with pipes for its three standard streams. It is killed on drop.
    ///
    /// # Errors
    /// If the system cannot start the program.
    pub fn launch(&self, options: &TrainerOptions) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg("--data-dir")
            .arg(&options.data_dir)
            .args(options.allow_data_outside.then_some("--allow-data-outside"))
            .arg("--device")
            .arg(&options.device)
            .arg("--threads")
            .arg(options.threads.to_string())
            .args(options.checkpoints.iter().flat_map(|location| ["--checkpoints", location]))
            .envs(&options.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // In its own process group, so that Ctrl-C reaches only the agent, and a kill reaches all processes of
            // the trainer.
            .process_group(0)
            .kill_on_drop(true);
        for variable in AFFINITY {
            command.env_remove(variable);
        }
        if env::var_os(REPRODUCIBLE_PRODUCTS).is_none() {
            command.env(REPRODUCIBLE_PRODUCTS, "AUTO");
        }
        #[cfg(target_os = "linux")]
        {
            let die_with_parent = || Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?);
            // The system sends this signal when the *thread* that started the child ends. That is the main thread, on
            // which the agent's single-threaded runtime runs.
            //
            // SAFETY: between fork and exec the closure makes one system call: it neither allocates nor locks.
            unsafe { command.pre_exec(die_with_parent) };
        }
        command.spawn()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn products_are_reproducible() {
        let launcher = Launcher::new("sh", ["-c", "echo $MKL_CBWR", "trainer"].map(Into::into));
        let output = launcher.launch(&options()).unwrap().wait_with_output().await.unwrap();
        let expected = env::var("MKL_CBWR").unwrap_or_else(|_| "AUTO".to_owned());
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim_end(), expected);
    }

    fn options() -> TrainerOptions {
        TrainerOptions {
            data_dir: "sets".into(),
            allow_data_outside: false,
            checkpoints: Some("here".to_owned()),
            device: "cpu".to_owned(),
            threads: 2,
            environment: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn trainers_are_told_what_the_worker_was_told() {
        let launcher = Launcher::new("sh", ["-c", "echo $@", "trainer"].map(Into::into));
        let mut options = options();
        for (allowed, said) in [
            (false, "--data-dir sets --device cpu --threads 2 --checkpoints here\n"),
            (true, "--data-dir sets --allow-data-outside --device cpu --threads 2 --checkpoints here\n"),
        ] {
            options.allow_data_outside = allowed;
            let output = launcher.launch(&options).unwrap().wait_with_output().await.unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), said);
        }
    }
}

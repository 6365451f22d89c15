//! Starts a trainer process.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use colearn_core::needs::TrainerKind;
use colearn_trainer_protocol::Devices;

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

/// Options for starting a trainer of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerOptions {
    /// Folder of the data sets, for trainers of networks.
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
        "there is no `colearn-trainer` beside this program or on the PATH; build it with `make build`, or set {VARIABLE} to it; a worker that only runs programs named in sweep files does without it: --programs-only"
    )]
    Nowhere,
    /// The path of this program, which runs programs too, is not known.
    #[error("the path of this program is not known: {0}")]
    OwnPath(String),
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

/// Environment variables for trainers of networks. A backtrace needs memory. If none is left, Rust's runtime reports
/// that in the middle of the backtrace and waits for its own lock: a trainer that should be replaced would never end.
const ENVIRONMENT: [(&str, &str); 1] = [("RUST_BACKTRACE", "0")];
/// The same on GPUs. cuBLAS gives the same bits again only with a workspace of a fixed size.
const ENVIRONMENT_ON_GPUS: [(&str, &str); 1] = [("CUBLAS_WORKSPACE_CONFIG", ":4096:8")];

/// The subcommand of `colearn-worker` that runs programs.
pub const RUN_PROGRAMS: &str = "run-programs";

/// The launchers of a worker, by the kind of their trainers.
#[derive(Clone, Debug)]
pub struct Launchers(BTreeMap<TrainerKind, Launcher>);

impl Launchers {
    /// Finds the programs for these kinds of trainers.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn find(kinds: &BTreeSet<TrainerKind>) -> Result<Self, NoTrainer> {
        let find = |kind: &TrainerKind| match kind {
            TrainerKind::Networks => Launcher::find(),
            TrainerKind::Programs => Launcher::find_own(),
        };
        kinds.iter().map(find).collect()
    }

    /// The launcher of one kind, if the worker runs it.
    #[must_use]
    pub fn of(&self, kind: TrainerKind) -> Option<&Launcher> {
        self.0.get(&kind)
    }
}

impl FromIterator<Launcher> for Launchers {
    fn from_iter<I: IntoIterator<Item = Launcher>>(launchers: I) -> Self {
        Self(launchers.into_iter().map(|launcher| (launcher.kind, launcher)).collect())
    }
}

/// Starts trainers of one kind.
#[derive(Clone, Debug)]
pub struct Launcher {
    kind: TrainerKind,
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// A program that is called with these arguments, followed by those of `colearn-trainer train`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        let kind = TrainerKind::Networks;
        Self { kind, program: program.into(), arguments: arguments.into_iter().collect() }
    }

    /// A program that runs programs of users, called with these arguments, followed by those of
    /// `colearn-worker run-programs`.
    #[must_use]
    pub fn of_programs(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { kind: TrainerKind::Programs, ..Self::new(program, arguments) }
    }

    /// This program itself, which also runs programs of users: both are always of one version.
    ///
    /// # Errors
    /// If the path of this program is not known.
    pub fn find_own() -> Result<Self, NoTrainer> {
        // This still is the running program after its file was replaced by another version.
        let running = Path::new("/proc/self/exe");
        let program = if running.exists() {
            running.to_owned()
        } else {
            env::current_exe().map_err(|error| NoTrainer::OwnPath(error.to_string()))?
        };
        Ok(Self::of_programs(program, [RUN_PROGRAMS.into()]))
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

    /// Starts a child process with pipes for its three standard streams. A trainer of networks is killed on drop. One of
    /// programs is not, because it has to end them first; it does so as soon as its standard input is closed.
    ///
    /// # Errors
    /// If the system cannot start the program.
    pub fn launch(&self, options: &TrainerOptions) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if self.kind == TrainerKind::Networks {
            command
                .arg("--data-dir")
                .arg(&options.data_dir)
                .args(options.allow_data_outside.then_some("--allow-data-outside"));
        }
        command
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
            .process_group(0);
        for variable in AFFINITY {
            command.env_remove(variable);
        }
        match self.kind {
            TrainerKind::Networks => for_networks(&mut command, options),
            // Apart from that, programs of users see the environment of the site.
            TrainerKind::Programs => {}
        }
        command.spawn()
    }
}

/// The environment of a trainer of networks, and its end.
fn for_networks(command: &mut Command, options: &TrainerOptions) {
    command.envs(ENVIRONMENT);
    if options.device.starts_with("cuda") {
        command.envs(ENVIRONMENT_ON_GPUS);
    }
    if env::var_os(REPRODUCIBLE_PRODUCTS).is_none() {
        command.env(REPRODUCIBLE_PRODUCTS, "AUTO");
    }
    command.kill_on_drop(true);
    #[cfg(target_os = "linux")]
    {
        let die_with_parent = || Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?);
        // The system sends this signal when the *thread* that started the child ends. That is the main thread, on
        // which the agent's single-threaded runtime runs.
        //
        // SAFETY: between fork and exec the closure makes one system call: it neither allocates nor locks.
        unsafe { command.pre_exec(die_with_parent) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn trainers_of_networks_are_reproducible_and_programs_see_the_environment_of_the_site() {
        let echo = ["-c", "echo [$MKL_CBWR,$RUST_BACKTRACE,$CUBLAS_WORKSPACE_CONFIG,$OWN]", "trainer"];
        let on = |device: &str| TrainerOptions {
            device: device.to_owned(),
            environment: [("OWN".to_owned(), "3".to_owned())].into(),
            ..options()
        };
        let said = async |launcher: Launcher, device: &str| {
            let output = launcher.launch(&on(device)).unwrap().wait_with_output().await.unwrap();
            String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
        };
        let of_site = |name| env::var(name).unwrap_or_default();
        let (backtrace, cublas) = (of_site("RUST_BACKTRACE"), of_site("CUBLAS_WORKSPACE_CONFIG"));
        let mode = env::var("MKL_CBWR").unwrap_or_else(|_| "AUTO".to_owned());
        let networks = || Launcher::new("sh", echo.map(Into::into));
        assert_eq!(said(networks(), "cpu").await, format!("[{mode},0,{cublas},3]"));
        assert_eq!(said(networks(), "cuda:0").await, format!("[{mode},0,:4096:8,3]"));
        let programs = Launcher::of_programs("sh", echo.map(Into::into));
        let own_mode = of_site("MKL_CBWR");
        assert_eq!(said(programs, "cuda:0").await, format!("[{own_mode},{backtrace},{cublas},3]"));
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
        let launcher = Launcher::of_programs("sh", ["-c", "echo $@", "trainer"].map(Into::into));
        let output = launcher.launch(&options).unwrap().wait_with_output().await.unwrap();
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            "--device cpu --threads 2 --checkpoints here\n",
            "they know nothing of data sets"
        );
    }
}

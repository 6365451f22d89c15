//! How a trainer child is started.

use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
};

#[cfg(target_os = "linux")]
use nix::sys::signal::Signal;
use tokio::process::{Child, Command};

use crate::protocol::TrainerOptions;

/// Which program is a trainer.
#[derive(Clone, Debug)]
pub struct Launcher {
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Launcher {
    /// A program that is called with these arguments, followed by those of `colearn-worker trainer`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = OsString>) -> Self {
        Self { program: program.into(), arguments: arguments.into_iter().collect() }
    }

    /// This very program, as `trainer`; or for tests, which let trainers fail, the one that the environment variable
    /// `COLEARN_TRAINER_PROGRAM` names.
    ///
    /// # Errors
    /// When the system does not tell where the program lies.
    pub fn this_program() -> io::Result<Self> {
        let program = std::env::var_os("COLEARN_TRAINER_PROGRAM")
            .map_or_else(std::env::current_exe, |path| Ok(path.into()));
        Ok(Self::new(program?, ["trainer".into()]))
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Starts a child with pipes for all three of its standard streams. It is killed when it is dropped.
    ///
    /// # Errors
    /// When the system can not start the program.
    pub fn launch(&self, options: &TrainerOptions) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg("--data-dir")
            .arg(&options.data_dir)
            .arg("--device")
            .arg(&options.device)
            .arg("--threads")
            .arg(options.threads.to_string())
            .args(options.checkpoints.iter().flat_map(|location| ["--checkpoints", location]))
            .envs(&options.environment)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group, so that Ctrl-C reaches the agent alone, and a kill reaches all it started.
            .process_group(0)
            .kill_on_drop(true);
        #[cfg(target_os = "linux")]
        {
            let die_with_parent = || Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?);
            // The system sends this signal when the *thread* that started the child ends. That is the main
            // thread, which the agent's single-threaded runtime runs on.
            //
            // SAFETY: between fork and exec the closure makes one system call: it neither allocates nor locks.
            unsafe { command.pre_exec(die_with_parent) };
        }
        command.spawn()
    }
}

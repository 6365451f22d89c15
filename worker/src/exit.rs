//! The exit codes of `colearn-worker`. They are stable: scripts and service managers build on them.

use std::process::ExitCode;

use super::{gpu_trouble::GpuTrouble, launcher::NoTrainer, options::OptionsError, plan::PlanError};

/// What the process says to its parent when it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// It left in good order: drained by its coordinator, stopped by a first SIGINT or SIGTERM, or out of time.
    Success = 0,
    /// Something not named below.
    Failure = 1,
    /// An option, a path or a URL is wrong. The command line parser uses the same code.
    Usage = 2,
    /// The coordinator was never reached, or turned the worker away.
    Unreachable = 3,
    /// Not one slot has a trainer that starts.
    NoUsableSlot = 4,
    /// Another SIGINT or SIGTERM, more than two seconds after the first: it left at once, without giving leases back.
    Interrupted = 5,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// Why the agent did not end well.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The slots asked for can not be had.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The coordinator was never reached.
    #[error(
        "could not reach the coordinator at {url} within {seconds} s ({cause}): check that it runs, that the URL is right and that no firewall is between, or wait longer with --connect-timeout"
    )]
    Unreachable {
        /// Where it was looked for.
        url: String,
        /// For how long.
        seconds: u64,
        /// What the last attempt ran into.
        cause: String,
    },
    /// The coordinator turned the worker away.
    #[error(
        "the coordinator at {url} turned this worker away: {why}; check that both are of the same version"
    )]
    Refused {
        /// Where it is.
        url: String,
        /// What it said.
        why: String,
    },
    /// There is no trainer program.
    #[error(transparent)]
    NoTrainer(#[from] NoTrainer),
    /// GPUs were asked for and can not be used.
    #[error("--device cuda was asked for and can not be had: {0}; or use --device cpu")]
    Gpu(GpuTrouble),
    /// No slot has a trainer that starts.
    #[error(
        "no slot is usable: every trainer died at its start, the last one like this: {why}; try `colearn-trainer devices` by hand, or --device cpu"
    )]
    NoUsableSlot {
        /// How the last one failed.
        why: String,
    },
    /// A second signal.
    #[error("interrupted by a second signal: leases were not given back and will expire")]
    Interrupted,
    /// The operating system refused something.
    #[error("failed to {what}: {cause}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What it said.
        cause: std::io::Error,
    },
}

impl AgentError {
    /// The exit code it leads to.
    #[must_use]
    pub fn status(&self) -> ExitStatus {
        match self {
            Self::Options(_) | Self::Plan(_) => ExitStatus::Usage,
            Self::Unreachable { .. } | Self::Refused { .. } => ExitStatus::Unreachable,
            Self::NoTrainer(_) | Self::Gpu(_) | Self::NoUsableSlot { .. } => ExitStatus::NoUsableSlot,
            Self::Interrupted => ExitStatus::Interrupted,
            Self::System { .. } => ExitStatus::Failure,
        }
    }
}

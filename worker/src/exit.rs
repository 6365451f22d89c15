//! The exit codes of `colearn-worker`. They are stable: scripts and service managers depend on them.

use std::process::ExitCode;

use colearn_core::needs::TrainerKind;

use super::{gpu_trouble::GpuTrouble, launcher::NoTrainer, options::OptionsError, plan::PlanError};

/// The outcome of the process, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// The worker exited in an orderly way: drained by its coordinator, stopped by a first SIGINT or SIGTERM, without a
    /// lease for too long, or out of time.
    Success = 0,
    /// Any error that is not named below.
    Failure = 1,
    /// An option, a path or a URL is wrong. clap uses the same code.
    Usage = 2,
    /// The coordinator was never reached, or refused the worker.
    Unreachable = 3,
    /// No slot has a trainer that starts.
    NoUsableSlot = 4,
    /// A further SIGINT or SIGTERM, more than two seconds after the first: the worker exited at once, without
    /// returning leases.
    Interrupted = 5,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        Self::from(status as u8)
    }
}

/// The reason why the agent ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// An option is wrong.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// The requested slots are not available.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The coordinator was never reached.
    #[error(
        "could not reach the coordinator at {url} within {seconds} s ({cause}): check that it runs, that the URL is right and that no firewall blocks it, or wait longer with --connect-timeout"
    )]
    Unreachable {
        /// URL of the coordinator.
        url: String,
        /// Duration of the attempts, in seconds.
        seconds: u64,
        /// The error of the last attempt.
        cause: String,
    },
    /// The coordinator refused the worker.
    #[error("the coordinator at {url} refused this worker: {why}")]
    Refused {
        /// URL of the coordinator.
        url: String,
        /// The reason that it gave.
        why: String,
    },
    /// There is no trainer program.
    #[error(transparent)]
    NoTrainer(#[from] NoTrainer),
    /// GPUs were requested and cannot be used.
    #[error("--device cuda is not available: {0}; or use --device cpu")]
    Gpu(GpuTrouble),
    /// No slot has a trainer that starts.
    #[error(
        "no slot is usable: every trainer ended before it was ready, the last one with: {why}; try {}",
        match kind {
            TrainerKind::Networks => "`colearn-trainer devices` by hand, or --device cpu",
            TrainerKind::Programs => "`colearn-worker run-programs --device cpu --threads 1` by hand",
        }
    )]
    NoUsableSlot {
        /// The kind of the last one.
        kind: TrainerKind,
        /// The failure of the last one.
        why: String,
    },
    /// There was a second signal.
    #[error("interrupted by a second signal: leases were not returned and will expire")]
    Interrupted,
    /// The operating system reported an error.
    #[error("failed to {what}: {cause}")]
    System {
        /// The operation that failed.
        what: &'static str,
        /// The error of the operating system.
        cause: std::io::Error,
    },
}

impl AgentError {
    /// The exit code for this error.
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

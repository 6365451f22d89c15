//! Waits for Ctrl-C and SIGTERM.

use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};

/// Signals within this time count as one request to stop: Slurm's preemption sends SIGTERM twice, 28 ms apart.
const SAME_REQUEST: Duration = Duration::from_secs(2);

/// The signals that ask a command to stop.
pub(crate) struct Interrupts {
    /// Time of the last request.
    last: Option<Instant>,
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Installs the handlers; from now on the signals no longer end the process.
    ///
    /// # Errors
    /// If the handlers cannot be installed.
    pub(crate) fn install() -> Result<Self, Failure> {
        let install = |kind| {
            signal(kind)
                .map_err(|error| Failure::new(Exit::Failure, format!("cannot listen for signals: {error}")))
        };
        Ok(Self {
            last: None,
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
        })
    }

    /// Completes at the next request to stop: a signal more than two seconds after the last request.
    pub(crate) async fn next(&mut self) {
        loop {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
            if self.last.is_none_or(|last| last.elapsed() >= SAME_REQUEST) {
                self.last = Some(Instant::now());
                return;
            }
        }
    }
}

//! The engine's time.

use std::time::SystemTime;

use colearn_core::time::Timestamp;
use tokio::time::Instant;

/// Wall time that never runs backwards while the process lives: the wall clock's word at the start, and what
/// tokio's clock counted since. With tokio's time paused, as in simulations, it stands still.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that begins at the host's wall time.
    #[must_use]
    pub fn of_the_host() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp(0).after(since_epoch))
    }

    /// A clock that begins at a given moment.
    #[must_use]
    pub fn starting_at(started_at: Timestamp) -> Self {
        Self { started_at, started: Instant::now() }
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.started_at.after(self.started.elapsed())
    }

    /// When `moment` will be, in tokio's time: rounded up, so that it has come once one has slept until then.
    pub(crate) fn instant_of(&self, moment: Timestamp) -> Instant {
        self.started + moment.since(self.started_at)
    }
}

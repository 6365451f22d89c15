//! The clock of the engine.

use std::time::SystemTime;

use colearn_core::time::Timestamp;
use tokio::time::Instant;

/// Wall time that never runs backwards during the process: the wall clock's time at the start, plus the time that
/// tokio's clock has counted since. If tokio's time is paused, as in simulations, this clock stands still.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that begins at the host's current wall time.
    #[must_use]
    pub fn of_the_host() -> Self {
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::starting_at(Timestamp(0).after(since_epoch))
    }

    /// A clock that begins at the given time.
    #[must_use]
    pub fn starting_at(started_at: Timestamp) -> Self {
        Self { started_at, started: Instant::now() }
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.started_at.after(self.started.elapsed())
    }

    /// The time `moment` in tokio's time, rounded up, so that it has passed after a sleep until then.
    pub(crate) fn instant_of(&self, moment: Timestamp) -> Instant {
        self.started + moment.since(self.started_at)
    }
}

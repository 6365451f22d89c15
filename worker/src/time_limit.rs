//! Whether a lease is still worth taking when the worker has been given a limited time.

use std::time::Duration;

use colearn_core::time::Timestamp;

use super::slot::Limits;

/// How much time is left, and how much of it a lease needs.
///
/// A lease is of use when its first epoch ends in time, since a trainer that is asked to park then leaves a
/// checkpoint behind; where no checkpoints are kept, when a task of it ends. How long that takes is the longest time
/// it took so far, on whichever slot. As long as nothing is known every lease is taken.
#[derive(Clone, Debug)]
pub(crate) struct TimeLimit {
    end: Option<Timestamp>,
    longest: Duration,
}

impl TimeLimit {
    /// For a worker that starts now.
    #[must_use]
    pub(crate) fn new(now: Timestamp, limits: &Limits) -> Self {
        let end = limits.time_limit.map(|limit| {
            now.after(limit.saturating_sub(limits.grace).saturating_sub(limits.shutdown_timeout))
        });
        Self { end, longest: Duration::ZERO }
    }

    /// When the worker has to begin to leave.
    #[must_use]
    pub(crate) fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// After when no lease is taken any more.
    #[must_use]
    pub(crate) fn last_lease(&self) -> Option<Timestamp> {
        let needed = i64::try_from(self.longest.as_millis()).unwrap_or(i64::MAX);
        self.end.map(|end| Timestamp(end.0.saturating_sub(needed)))
    }

    /// It took so long from a lease to the first thing that was of use.
    pub(crate) fn took(&mut self, needed: Duration) {
        self.longest = self.longest.max(needed);
    }
}

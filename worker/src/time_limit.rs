//! Decides whether a lease is worth taking when the worker's time is limited.

use std::time::Duration;

use colearn_core::time::Timestamp;

use super::slot::Limits;

/// The remaining time, and the time that a lease needs.
///
/// A lease is useful if its first epoch ends in time, because a trainer that is asked to park then writes a
/// checkpoint. Without checkpoints it is useful if a task ends in time. The expected time is the longest one so far,
/// on any slot. Before any time is known, every lease is taken.
#[derive(Clone, Debug)]
pub(crate) struct TimeLimit {
    end: Option<Timestamp>,
    longest: Duration,
}

impl TimeLimit {
    /// A time limit for a worker that starts now.
    #[must_use]
    pub(crate) fn new(now: Timestamp, limits: &Limits) -> Self {
        let end = limits.time_limit.map(|limit| {
            now.after(limit.saturating_sub(limits.grace).saturating_sub(limits.shutdown_timeout))
        });
        Self { end, longest: Duration::ZERO }
    }

    /// When the worker has to begin to exit.
    #[must_use]
    pub(crate) fn end(&self) -> Option<Timestamp> {
        self.end
    }

    /// The time after which no lease is taken.
    #[must_use]
    pub(crate) fn last_lease(&self) -> Option<Timestamp> {
        let needed = i64::try_from(self.longest.as_millis()).unwrap_or(i64::MAX);
        self.end.map(|end| Timestamp(end.0.saturating_sub(needed)))
    }

    /// Records the time from a lease to its first useful result.
    pub(crate) fn took(&mut self, needed: Duration) {
        self.longest = self.longest.max(needed);
    }
}

//! A sweep that fits the data of no worker.

use std::time::Duration;

use crate::{failure::Failure, time::Timestamp};

/// See [`super::Scheduler::WAIT_FOR_DATA`].
pub(super) const WAIT_FOR_DATA: Duration = Duration::from_secs(60);

/// A sweep that does not fit the data set of any worker.
#[derive(Clone, Debug)]
pub(super) struct Misfit {
    pub(super) since: Timestamp,
    pub(super) failure: Failure,
}

impl Misfit {
    /// When the sweep is refused; at once, if only one worker can come.
    pub(super) fn refused_at(&self, one_worker: bool) -> Timestamp {
        if one_worker { self.since } else { self.since.after(WAIT_FOR_DATA) }
    }
}

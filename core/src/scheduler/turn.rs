//! The events at the end of a turn, in the only correct order.

use crate::time::Timestamp;

use super::{event::Event, machine::Scheduler, settled::SettledSweep};

impl Scheduler {
    /// The events that follow from the current state. A turn first applies all inputs, then applies these events and
    /// asks again until there are none; then it calls [`Scheduler::settle_due`].
    ///
    /// First come the expired leases, then the sweeps that do not fit their data or whose tasks fail, then the workers
    /// to set aside or to restore, then the grants: lost tasks are granted again in the same turn, but not to a worker
    /// that is set aside because of them. If `all_heard` is false, some inputs are not applied yet. One of them may be
    /// the heartbeat of a lease that looks expired, so no lease expires.
    ///
    /// The call changes nothing.
    #[must_use]
    pub fn proposals(&self, now: Timestamp, all_heard: bool) -> Vec<Event> {
        let expired = if all_heard { self.expired(now) } else { Vec::new() };
        if !expired.is_empty() {
            return expired;
        }
        match self.next_refusal(now).or_else(|| self.next_stop()).or_else(|| self.next_assessment(now)) {
            Some(event) => vec![event],
            None => self.next_grants(),
        }
    }

    /// Settles the sweeps that ended long enough ago that no worker repeats a report of them. To be made durable with
    /// the turn.
    pub fn settle_due(&mut self, now: Timestamp) -> Vec<SettledSweep> {
        self.to_settle(now).into_iter().filter_map(|sweep| self.settle(sweep)).collect()
    }
}

//! What follows at the end of a turn, in the one order that is right.

use crate::time::Timestamp;

use super::{event::Event, machine::Scheduler, settle::SettledSweep};

impl Scheduler {
    /// The events that follow from what is known now. A turn applies everything that has happened, then applies these, and
    /// asks again until there are none; then it calls [`Scheduler::settle_due`].
    ///
    /// First come the leases that have run out, then whom to set aside or to take back, then grants: what is lost is granted
    /// again in the same turn, and not to a worker that is set aside for it. With `all_heard` false something that has
    /// happened is not applied yet, and it may be the heartbeat of a lease that looks expired: no lease runs out then.
    ///
    /// Nothing is changed by asking.
    #[must_use]
    pub fn proposals(&self, now: Timestamp, all_heard: bool) -> Vec<Event> {
        let expired = if all_heard { self.expired(now) } else { Vec::new() };
        if !expired.is_empty() {
            return expired;
        }
        match self.next_assessment(now) {
            Some(assessment) => vec![assessment],
            None => self.next_grants(),
        }
    }

    /// Settles the sweeps that ended long enough ago, which is to be made durable with the turn. Reports that their workers
    /// repeat are known by then.
    pub fn settle_due(&mut self, now: Timestamp) -> Vec<SettledSweep> {
        self.to_settle(now).into_iter().filter_map(|sweep| self.settle(sweep)).collect()
    }
}

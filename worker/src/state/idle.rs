//! A worker that gets no leases exits: its place in a cluster may be needed by others.

use colearn_core::time::Timestamp;

use super::{Agent, Mode};
use crate::slot::{Slot, Trainer};

impl Agent {
    /// When the worker has been without a lease for as long as it may be.
    pub(super) fn idle_end(&self) -> Option<Timestamp> {
        Some(self.idle_since?.after(self.limits.without_lease?))
    }

    /// Records whether the worker has a lease, and drains it after too long a time without one. A lease that arrives
    /// afterwards is returned, which costs no attempt.
    pub(super) fn watch_idleness(&mut self, now: Timestamp) {
        // While a trainer starts, the worker could not have a lease.
        let starts = |slot: &Slot| {
            matches!(slot.trainer, Trainer::Absent { .. } | Trainer::Starting { .. } | Trainer::Ending)
        };
        let occupied = self.slots.values().any(|slot| starts(slot) || !slot.is_unoccupied());
        if self.mode != Mode::Working || occupied || !self.outbox.is_empty() {
            self.idle_since = None;
            return;
        }
        self.idle_since.get_or_insert(now);
        if self.idle_end().is_some_and(|end| end <= now) {
            self.drain("there was no lease for as long as --idle-timeout");
        }
    }
}

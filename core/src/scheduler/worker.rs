//! A worker as the scheduler holds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    id::{LeaseToken, WorkerId},
    needs::{Needs, Offers},
    time::Timestamp,
};

use super::data_sets::DataSets;

/// A worker that is connected or has leases.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    pub(super) connected: bool,
    pub(super) about: About,
    pub(super) last_seen: Timestamp,
    /// When its leases were last renewed because it was heard.
    pub(super) renewed_at: Option<Timestamp>,
    /// Whether it was asked to take no new tasks and to exit, and whether at once.
    pub(super) draining: Option<bool>,
    pub(super) slots: BTreeMap<u32, Offer>,
    /// What its slots offer, each distinct offer once.
    pub(super) offers: BTreeSet<Arc<Offers>>,
    /// Empty until the worker reports its data sets.
    pub(super) data_sets: DataSets,
    pub(super) leases: BTreeSet<LeaseToken>,
    /// Whether an epoch or a task was finished on it.
    pub(super) has_trained: bool,
    /// Slots with an active lease.
    pub(super) busy: BTreeMap<u32, LeaseToken>,
}

/// The description of a worker for people.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) host: String,
    pub(super) version: String,
    pub(super) warnings: Vec<String>,
}

/// The properties of a slot.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// Maximum number of tasks in one cohort.
    pub(super) max_cohort: u32,
    pub(super) device: String,
    pub(super) offers: Arc<Offers>,
    /// The number of `offers` while the worker is connected, see [`super::offers::KnownOffers`].
    pub(super) kind: usize,
}

impl Offer {
    /// The slot of this number, when it waits for tasks.
    pub(super) fn free(&self, slot: u32, worker: &WorkerId) -> FreeSlot {
        FreeSlot { max_cohort: self.max_cohort, slot, worker: worker.clone(), kind: self.kind }
    }
}

impl Worker {
    /// Whether a slot of the worker meets these needs. After a start of the coordinator that is not known until the
    /// worker has returned; then it may.
    pub(super) fn can_meet(&self, needs: &Needs) -> bool {
        let unknown = !self.connected && self.slots.is_empty();
        unknown || self.offers.iter().any(|offers| needs.are_met_by(offers))
    }
}

/// A slot that waits for tasks. The order spreads scarce tasks: small slots come first, and the first slots of all
/// workers come before the second slots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FreeSlot {
    pub(super) max_cohort: u32,
    pub(super) slot: u32,
    pub(super) worker: WorkerId,
    /// The number of its offers.
    pub(super) kind: usize,
}

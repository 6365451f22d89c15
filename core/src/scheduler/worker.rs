//! A worker as the scheduler holds it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    id::{LeaseToken, WorkerId},
    needs::Offers,
    time::Timestamp,
};

use super::data_sets::DataSets;

/// A worker that is connected or has leases.
#[derive(Clone, Debug, Default)]
pub(super) struct Worker {
    pub(super) connected: bool,
    pub(super) about: About,
    pub(super) last_seen: Timestamp,
    /// Whether it was asked to take no new tasks and to exit, and whether at once.
    pub(super) draining: Option<bool>,
    pub(super) slots: BTreeMap<u32, Offer>,
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
    pub(super) offers: Offers,
}

/// A slot that waits for tasks. The order spreads scarce tasks: small slots come first, and the first slots of all
/// workers come before the second slots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FreeSlot {
    pub(super) max_cohort: u32,
    pub(super) slot: u32,
    pub(super) worker: WorkerId,
}

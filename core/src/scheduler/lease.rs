//! A lease as the scheduler holds it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    id::{SweepId, WorkerId},
    time::Timestamp,
};

use super::running_curves::RunningCurves;

/// A worker's right to tasks of one sweep, until a deadline.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) worker: WorkerId,
    pub(super) slot: u32,
    pub(super) sweep: SweepId,
    /// Number of tasks at the time of the grant.
    pub(super) size: u32,
    /// The tasks without a report so far, with the number of their finished epochs.
    pub(super) members: BTreeMap<u32, u32>,
    /// The curves of those of whom some are known.
    pub(super) curves: BTreeMap<u32, Arc<RunningCurves>>,
    pub(super) deadline: Timestamp,
    /// The worker reconnected without it: its deadline is not extended any more.
    pub(super) lost: bool,
}

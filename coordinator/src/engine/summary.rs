//! One sweep at a glance.

use colearn_core::{
    id::{SweepId, SweepName},
    scheduler::{Scheduler, SweepStatus, SweepView, TaskCounts},
    time::Timestamp,
};

/// One sweep at a glance, as it was at some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSummary {
    /// Its number.
    pub id: SweepId,
    /// Its name.
    pub name: SweepName,
    /// Where it is in its life.
    pub status: SweepStatus,
    /// How many tasks are where.
    pub counts: TaskCounts,
    /// Points of the grid.
    pub configurations: u64,
    /// Replicates.
    pub seeds: u64,
    /// When it was first submitted.
    pub submitted_at: Timestamp,
    /// Attempts that failed and were, or will be, tried again.
    pub retried: u64,
    /// Epochs that running tasks have finished, and will run in all.
    pub running_epochs: (u64, u64),
    /// Workers connected, and the slots they have.
    pub workforce: (u32, u32),
}

impl SweepSummary {
    /// The summary of a sweep of this scheduler.
    #[must_use]
    pub fn of(scheduler: &Scheduler, view: SweepView<'_>) -> Self {
        Self {
            id: view.id(),
            name: view.sweep().name.clone(),
            status: view.status(),
            counts: view.counts(),
            configurations: view.sweep().configurations.len() as u64,
            seeds: view.sweep().seeds.len() as u64,
            submitted_at: view.submitted_at(),
            retried: view.retried(),
            running_epochs: view.running_epochs(),
            workforce: scheduler.workforce(),
        }
    }
}

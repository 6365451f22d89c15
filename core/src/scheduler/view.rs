//! What can be asked of the scheduler.

use std::sync::Arc;

use crate::{
    id::{LeaseToken, SweepId, SweepName, TaskId},
    settings::TaskSettings,
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    machine::Scheduler,
    sweep_state::{FailedAttempt, SweepState},
    task::{SweepStatus, TaskCounts, TaskState},
};

/// One sweep as it stands. Every answer but the lists is kept up to date, not computed.
#[derive(Clone, Copy, Debug)]
pub struct SweepView<'a>(&'a SweepState);

impl<'a> SweepView<'a> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> SweepId {
        self.0.id
    }

    /// What it is.
    #[must_use]
    pub fn sweep(&self) -> &'a Arc<Sweep> {
        &self.0.sweep
    }

    /// When it was first submitted.
    #[must_use]
    pub fn submitted_at(&self) -> Timestamp {
        self.0.submitted_at
    }

    /// Where it is in its life.
    #[must_use]
    pub fn status(&self) -> SweepStatus {
        self.0.status()
    }

    /// How many tasks are where.
    #[must_use]
    pub fn counts(&self) -> TaskCounts {
        self.0.counts
    }

    /// The same for each configuration, in their order.
    #[must_use]
    pub fn configuration_counts(&self) -> &'a [TaskCounts] {
        &self.0.configuration_counts
    }

    /// Attempts that failed and were, or will be, tried again.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.0.retried
    }

    /// Epochs that the running tasks have finished, and how many they will run in all.
    #[must_use]
    pub fn running_epochs(&self) -> (u64, u64) {
        (self.0.epochs_done, self.0.epochs_total)
    }

    /// Failed attempts, newest first; at most 100.
    pub fn recent_failures(&self) -> impl Iterator<Item = &'a FailedAttempt> {
        self.0.recent_failures.iter()
    }

    /// The last attempt of each task that failed, with the task's place in the order of the grid
    /// (configuration by configuration, seeds within), in that order.
    #[must_use]
    pub fn failures(&self) -> Vec<(u32, &'a FailedAttempt)> {
        let mut failures: Vec<_> =
            self.0.failures.iter().map(|(index, failed)| (self.0.position(*index), failed)).collect();
        failures.sort_unstable_by_key(|(position, _)| *position);
        failures
    }
}

impl Scheduler {
    /// A sweep by number.
    #[must_use]
    pub fn sweep(&self, id: SweepId) -> Option<SweepView<'_>> {
        self.sweeps.get(&id).map(SweepView)
    }

    /// A sweep by name.
    #[must_use]
    pub fn sweep_named(&self, name: &SweepName) -> Option<SweepView<'_>> {
        self.names.get(name).and_then(|id| self.sweep(*id))
    }

    /// All sweeps, oldest first.
    pub fn sweeps(&self) -> impl Iterator<Item = SweepView<'_>> {
        self.sweeps.values().map(SweepView)
    }

    /// What a task trains.
    #[must_use]
    pub fn settings_of(&self, task: TaskId) -> Option<&TaskSettings> {
        self.find(task).map(|(state, index)| state.settings_of(index))
    }

    /// The task's place in the order of the grid: configuration by configuration, seeds within.
    #[must_use]
    pub fn position_of(&self, task: TaskId) -> Option<u32> {
        self.find(task).map(|(state, index)| state.position(index))
    }

    /// Where a task is in its life.
    #[must_use]
    pub fn state_of(&self, task: TaskId) -> Option<TaskState> {
        self.find(task).map(|(state, index)| state.task(index).state())
    }

    /// The tokens of the leases that are active.
    pub fn lease_tokens(&self) -> impl Iterator<Item = LeaseToken> {
        self.leases.keys().copied()
    }

    /// Leases that are active.
    #[must_use]
    pub fn lease_count(&self) -> usize {
        self.leases.len()
    }

    /// Workers that are connected now, and the slots they have.
    #[must_use]
    pub fn workforce(&self) -> (u32, u32) {
        let connected = self.workers.values().filter(|worker| worker.connected);
        connected.fold((0, 0), |(workers, slots), worker| (workers + 1, slots + worker.slots.len() as u32))
    }
}

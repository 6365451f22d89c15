//! Cancelling sweeps and tasks, and refusing sweeps.

use std::collections::BTreeMap;

use crate::{
    failure::Failure,
    id::{ConfigurationId, LeaseToken, SweepId, SweepName, TaskId},
    time::Timestamp,
};

use super::{
    action::{Action, DropReason},
    event::Selection,
    machine::Scheduler,
    sweep_state::SweepState,
    task::{Phase, Task, TaskCounts},
};

/// The reason why tasks cannot be selected: something in the selection does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectionError {
    /// There is no such task.
    #[error("sweep `{sweep}` has no task {}/{}", .task.configuration, .task.seed)]
    Task {
        /// Name of the sweep.
        sweep: SweepName,
        /// The task.
        task: TaskId,
    },
    /// There is no such configuration.
    #[error("sweep `{sweep}` has no configuration {configuration}")]
    Configuration {
        /// Name of the sweep.
        sweep: SweepName,
        /// The configuration.
        configuration: ConfigurationId,
    },
    /// There is no such seed.
    #[error("sweep `{sweep}` has no seed {seed}")]
    Seed {
        /// Name of the sweep.
        sweep: SweepName,
        /// The seed.
        seed: u64,
    },
}

impl SweepState {
    /// Reports of these tasks are refused from now on.
    fn forget_leases_of(&mut self, indices: &[u32]) {
        for index in indices {
            self.task_mut(*index).token = Task::NO_LEASE;
        }
    }

    /// The numbers of the selected tasks, each once.
    fn selected(&self, selection: &Selection) -> Result<Vec<u32>, SelectionError> {
        let sweep = || self.sweep.name.clone();
        let mut indices: Vec<u32> = match selection {
            Selection::Tasks(tasks) => {
                let index = |task: &TaskId| {
                    let unknown = || SelectionError::Task { sweep: sweep(), task: *task };
                    self.index_of(*task).filter(|_| task.sweep == self.id).ok_or_else(unknown)
                };
                tasks.iter().map(index).collect::<Result<_, _>>()?
            }
            Selection::Grid { configurations, seeds } => {
                let place = |id: &ConfigurationId| {
                    let unknown = || SelectionError::Configuration { sweep: sweep(), configuration: *id };
                    self.place_of(*id).ok_or_else(unknown)
                };
                let place_of_seed = |seed: &u64| {
                    let unknown = || SelectionError::Seed { sweep: sweep(), seed: *seed };
                    self.place_of_seed(*seed).ok_or_else(unknown)
                };
                let mut configurations = configurations.iter().map(place).collect::<Result<Vec<u32>, _>>()?;
                if configurations.is_empty() {
                    configurations = (0..self.sweep.configurations.len() as u32).collect();
                }
                let mut seeds = seeds.iter().map(place_of_seed).collect::<Result<Vec<u32>, _>>()?;
                if seeds.is_empty() {
                    seeds = (0..self.sweep.seeds.len() as u32).collect();
                }
                let of = |configuration: u32| seeds.iter().map(move |seed| (configuration, *seed));
                let places = configurations.into_iter().flat_map(of);
                places.map(|(configuration, seed)| self.at(configuration, seed)).collect()
            }
        };
        indices.sort_unstable();
        indices.dedup();
        Ok(indices)
    }
}

impl Scheduler {
    /// The selected tasks of a sweep, counted by their states; to be called before [`super::Event::TasksCancelled`] is
    /// journaled, which cancels those that are pending or running. None if there is no such sweep.
    ///
    /// # Errors
    /// If something in the selection does not exist.
    pub fn selected_counts(
        &self,
        sweep: SweepId,
        selection: &Selection,
    ) -> Result<TaskCounts, SelectionError> {
        let mut counts = TaskCounts::default();
        let Some(state) = self.sweeps.get(&sweep) else { return Ok(counts) };
        for index in state.selected(selection)? {
            *counts.of(state.task(index).phase) += 1;
        }
        Ok(counts)
    }

    pub(super) fn cancel(&mut self, now: Timestamp, sweep: SweepId) -> Vec<Action> {
        let mut actions = self.drop_leases_of(sweep);
        let Some(state) = self.sweeps.get_mut(&sweep) else { return actions };
        let open = state.unfinished();
        state.forget_leases_of(&open);
        state.move_all(&open, Phase::Cancelled);
        actions.extend(self.end_if_over(now, sweep));
        actions
    }

    /// Cancels the selected tasks that have not ended. Their leases go on with their other members.
    pub(super) fn cancel_tasks(
        &mut self,
        now: Timestamp,
        sweep: SweepId,
        selection: &Selection,
    ) -> Vec<Action> {
        let Some(state) = self.sweeps.get(&sweep) else { return Vec::new() };
        let Ok(selected) = state.selected(selection) else { return Vec::new() };
        let open: Vec<u32> = selected.into_iter().filter(|index| state.task(*index).is_open()).collect();
        let mut stopped: BTreeMap<LeaseToken, Vec<u32>> = BTreeMap::new();
        for index in &open {
            let Task { phase, token, not_before, .. } = *state.task(*index);
            match phase {
                Phase::Running => stopped.entry(token).or_default().push(*index),
                Phase::Waiting => drop(self.waiting.remove(&(not_before, sweep, *index))),
                _ => {}
            }
        }
        let mut actions = Vec::new();
        for (token, members) in stopped {
            actions.extend(self.drop_members(sweep, token, &members));
        }
        if let Some(state) = self.sweeps.get_mut(&sweep) {
            state.forget_leases_of(&open);
            state.move_all(&open, Phase::Cancelled);
        }
        actions.extend(self.end_if_over(now, sweep));
        actions
    }

    /// Takes members out of a lease, and ends it if none is left. They keep their state; the caller changes it.
    fn drop_members(&mut self, sweep: SweepId, token: LeaseToken, members: &[u32]) -> Option<Action> {
        let worker = self.leases.get(&token)?.worker.clone();
        let state = self.sweeps.get(&sweep)?;
        let named: Vec<TaskId> = members.iter().map(|index| state.task_id(*index)).collect();
        for index in members {
            self.end_member(token, *index);
        }
        // Without names the worker drops all of the lease, also reports that were recorded and not acknowledged yet.
        let tasks = if self.leases.contains_key(&token) { named } else { Vec::new() };
        Some(Action::DropLease { worker, token, tasks, reason: DropReason::Cancelled })
    }

    /// Fails the unfinished tasks of a sweep that does not fit its data set.
    pub(super) fn refuse(&mut self, now: Timestamp, sweep: SweepId, failure: &Failure) -> Vec<Action> {
        let mut actions = self.drop_leases_of(sweep);
        let Some(state) = self.sweeps.get_mut(&sweep) else { return actions };
        let open = state.unfinished();
        state.forget_leases_of(&open);
        state.move_all(&open, Phase::Failed(failure.reason));
        for index in open {
            let attempt = state.task(index).attempts;
            state.note_failure(index, attempt, failure, true);
        }
        actions.push(Action::RefuseSweep { sweep, failure: failure.clone() });
        actions.extend(self.end_if_over(now, sweep));
        actions
    }

    /// Ends all leases of a sweep. Its running tasks keep their state; the caller changes it.
    fn drop_leases_of(&mut self, sweep: SweepId) -> Vec<Action> {
        let leases: Vec<_> =
            self.leases.iter().filter(|(_, lease)| lease.sweep == sweep).map(|(token, _)| *token).collect();
        self.waiting.retain(|(_, of, _)| *of != sweep);
        let drop = |token: LeaseToken| {
            let lease = self.end_lease(token)?;
            let (worker, reason) = (lease.worker, DropReason::Cancelled);
            Some(Action::DropLease { worker, token, tasks: Vec::new(), reason })
        };
        leases.into_iter().filter_map(drop).collect()
    }
}

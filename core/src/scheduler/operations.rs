//! Operations of people on sweeps: retry, extend, pause, prioritise, remove.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    sync::Arc,
};

use serde_json::Value;

use crate::{
    failure::FailureReason,
    id::{LeaseToken, SweepId, SweepName, TaskId, WorkerId},
    sweep::{Configuration, Sweep},
};

use super::{
    action::Action,
    event::RetryScope,
    machine::Scheduler,
    prepared::ById,
    record::Record,
    sweeps::with_settings_of,
    task::{Phase, Task},
};

/// The reason why tasks cannot be tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RetryError {
    /// There is no such task.
    #[error("sweep `{sweep}` has no task {}/{}", .task.configuration, .task.seed)]
    Unknown {
        /// Name of the sweep.
        sweep: SweepName,
        /// The task.
        task: TaskId,
    },
    /// The task has a result, which is kept.
    #[error("task {name} is done, and training it again would give the same result")]
    Done {
        /// Name of the task, such as `demo/audio=0.8,video=0.8/0`.
        name: String,
    },
}

/// The reason why a sweep cannot be removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemovalError {
    /// Tasks are pending or running.
    #[error("sweep `{0}` has not ended: cancel it first")]
    Active(SweepName),
}

/// The reason why a sweep cannot be extended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// Existing seeds are missing in the file.
    #[error(
        "the file no longer has the seed {}: extending adds seeds and removes none; list the old \
         seeds too",
        list(.seeds)
    )]
    SeedsGone {
        /// The missing seeds.
        seeds: Vec<u64>,
    },
    /// Existing configurations are missing in the file, or differ.
    #[error("{changes}")]
    Changed {
        /// The differences, for people: one line each.
        changes: String,
    },
    /// There would be more tasks than can be numbered.
    #[error("sweep `{name}` would have {tasks} tasks; the limit is {limit}")]
    TooManyTasks {
        /// Name of the sweep.
        name: SweepName,
        /// Number of tasks that it would have.
        tasks: u64,
        /// Maximum number of tasks.
        limit: u64,
    },
}

fn list(items: &[u64]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Maximum number of configurations that an error names.
const NAMED: usize = 3;

impl Scheduler {
    /// The numbers of the tasks that a retry would affect; `None` if there is no such sweep.
    pub(super) fn retryable(&self, sweep: SweepId, scope: &RetryScope) -> Result<Vec<u32>, RetryError> {
        let Some(state) = self.sweeps.get(&sweep) else { return Ok(Vec::new()) };
        let ended = |cancelled_too: bool| {
            let wanted = move |task: &Task| match task.phase {
                Phase::Failed(_) => true,
                Phase::Cancelled => cancelled_too,
                _ => false,
            };
            (0..).zip(&state.tasks).filter(move |(_, task)| wanted(task)).map(|(index, _)| index).collect()
        };
        let tasks = match scope {
            RetryScope::Failed => return Ok(ended(false)),
            RetryScope::FailedAndCancelled => return Ok(ended(true)),
            RetryScope::Tasks(tasks) => tasks,
        };
        let name = || state.sweep.name.clone();
        let mut indices = BTreeSet::new();
        for task in tasks {
            let index =
                state.index_of(*task).ok_or_else(|| RetryError::Unknown { sweep: name(), task: *task })?;
            match state.task(index).phase {
                Phase::Done => return Err(RetryError::Done { name: self.name_of(*task) }),
                Phase::Failed(_) | Phase::Cancelled => drop(indices.insert(index)),
                Phase::Ready | Phase::Waiting | Phase::Running => {}
            }
        }
        Ok(indices.into_iter().collect())
    }

    /// The number of tasks that [`super::Event::TasksRetried`] would make pending.
    ///
    /// # Errors
    /// If a named task is unknown or done.
    pub fn retry_count(&self, sweep: SweepId, scope: &RetryScope) -> Result<u64, RetryError> {
        self.retryable(sweep, scope).map(|tasks| tasks.len() as u64)
    }

    pub(super) fn retry(&mut self, sweep: SweepId, scope: &RetryScope) -> Vec<Action> {
        let Ok(tasks) = self.retryable(sweep, scope) else { return Vec::new() };
        let Some(state) = self.sweeps.get_mut(&sweep) else { return Vec::new() };
        for &index in &tasks {
            let max_cohort = state.settings_of(index).max_cohort();
            let task = state.task_mut(index);
            task.token = Task::NO_LEASE;
            task.forgiven = task.attempts;
            // The cause of earlier memory failures may be fixed.
            task.max_cohort = max_cohort;
            state.forget_failures_of(index);
        }
        state.move_all(&tasks, Phase::Ready);
        state.go_on_after_failures();
        self.stopping.remove(&sweep);
        self.go_on(sweep);
        Vec::new()
    }

    /// Makes an ended sweep active again if it has tasks to train.
    fn go_on(&mut self, sweep: SweepId) {
        let Some(state) = self.sweeps.get_mut(&sweep) else { return };
        if !state.has_ended() {
            state.ended_at = None;
            self.active.insert(sweep);
            self.settling.retain(|(_, settling)| *settling != sweep);
            state.fits_data = false;
            self.review_data_fit();
        }
    }

    /// The sweep `id` extended with a newer sweep file: existing configurations and seeds in their order, then new
    /// ones. All settings that are not part of training come from the newer file.
    ///
    /// # Errors
    /// If something that exists is missing in the file or differs; the error lists the differences.
    pub fn extension(&self, id: SweepId, newer: &Sweep) -> Result<Sweep, ExtensionError> {
        let there = self.sweeps.get(&id).map(|state| &state.sweep);
        there.map_or_else(|| Ok(newer.clone()), |there| extended(there, newer))
    }

    pub(super) fn extension_changes_state(&self, id: SweepId, sweep: &Arc<Sweep>) -> bool {
        let Some(state) = self.sweeps.get(&id) else { return false };
        if let Some(prepared) = self.prepared_for(&state.sweep, sweep) {
            return prepared.changes();
        }
        state.sweep.name == sweep.name
            && *state.sweep != **sweep
            && extended(&state.sweep, sweep).is_ok_and(|extended| extended == **sweep)
    }

    pub(super) fn extend_sweep(&mut self, id: SweepId, sweep: Arc<Sweep>) -> Vec<Action> {
        if let Some(state) = self.sweeps.get_mut(&id)
            && sweep.schedule.priority != state.sweep.schedule.priority
        {
            state.priority = sweep.schedule.priority;
        }
        self.renumber(id, sweep);
        if let Some(state) = self.sweeps.get_mut(&id) {
            state.go_on_after_failures();
        }
        self.stopping.remove(&id);
        self.go_on(id);
        Vec::new()
    }

    pub(super) fn pause(&mut self, sweep: SweepId, paused: bool) -> Vec<Action> {
        if let Some(state) = self.sweeps.get_mut(&sweep) {
            state.paused = paused;
        }
        Vec::new()
    }

    pub(super) fn prioritize(&mut self, sweep: SweepId, priority: i32) -> Vec<Action> {
        if let Some(state) = self.sweeps.get_mut(&sweep) {
            state.priority = priority;
        }
        Vec::new()
    }

    /// The pauses of workers for the data sets or the program of a sweep. They end when a person replaces the data,
    /// with one [`super::Event::WorkerRestored`] each.
    #[must_use]
    pub fn pauses_for_data_of(&self, sweep: SweepId) -> Vec<(WorkerId, String)> {
        let Some(state) = self.sweeps.get(&sweep) else { return Vec::new() };
        let paused_for = |(worker, record): (&WorkerId, &Record)| {
            let of_sweep =
                state.data_sets.iter().filter(|name| record.pauses.contains_key(&Some((*name).clone())));
            of_sweep.map(|name| (worker.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.records.iter().flat_map(paused_for).collect()
    }

    /// The greatest active lease of a sweep.
    fn last_lease_of(&self, sweep: SweepId) -> LeaseToken {
        let of_sweep = self.leases.iter().rev().find(|(_, lease)| lease.sweep == sweep);
        of_sweep.map_or(Task::NO_LEASE, |(token, _)| *token)
    }

    pub(super) fn replacement_changes_state(&self, sweep: SweepId) -> bool {
        self.sweeps.get(&sweep).is_some_and(|state| {
            !state.data_digests.is_empty() || self.last_lease_of(sweep) > state.data_replaced_after
        })
    }

    pub(super) fn replace_data(&mut self, sweep: SweepId) -> Vec<Action> {
        let last = self.last_lease_of(sweep);
        let Some(state) = self.sweeps.get_mut(&sweep) else { return Vec::new() };
        state.data_digests.clear();
        state.data_replaced_after = state.data_replaced_after.max(last);
        // What could not be opened may be there now.
        for workers in state.failed_on.values_mut() {
            workers.retain(|_, reason| *reason != FailureReason::Data);
        }
        state.failed_on.retain(|_, workers| !workers.is_empty());
        let data_sets = state.data_sets.clone();
        for record in self.records.values_mut() {
            let pauses = &record.pauses;
            record
                .unusable
                .retain(|name, _| !data_sets.contains(name) || pauses.contains_key(&Some(name.clone())));
        }
        self.records.retain(|_, record| !record.is_clean());
        Vec::new()
    }

    /// Whether a sweep can be removed; to be called before [`super::Event::SweepRemoved`] is journaled.
    ///
    /// # Errors
    /// If it has not ended.
    pub fn removable(&self, sweep: SweepId) -> Result<(), RemovalError> {
        match self.sweeps.get(&sweep).filter(|state| !state.has_ended()) {
            Some(state) => Err(RemovalError::Active(state.sweep.name.clone())),
            None => Ok(()),
        }
    }

    /// A journal keeps only the removal of a removed sweep, because the sweep's number must not be used again.
    pub(super) fn removal_changes_state(&self, sweep: SweepId) -> bool {
        let known = self.sweeps.contains_key(&sweep) || self.settled.contains_key(&sweep);
        (known || sweep > self.last_sweep) && self.removable(sweep).is_ok()
    }

    pub(super) fn remove(&mut self, sweep: SweepId) -> Vec<Action> {
        self.last_sweep = self.last_sweep.max(sweep);
        self.discarded.extend(self.sweeps.remove(&sweep));
        self.settled.remove(&sweep);
        self.settling.retain(|(_, settling)| *settling != sweep);
        self.names.retain(|_, id| *id != sweep);
        Vec::new()
    }
}

/// A sweep extended with a newer sweep file, see [`Scheduler::extension`].
pub(super) fn extended(there: &Sweep, newer: &Sweep) -> Result<Sweep, ExtensionError> {
    let seeds: BTreeSet<u64> = newer.seeds.iter().copied().collect();
    let gone: Vec<u64> = there.seeds.iter().copied().filter(|seed| !seeds.contains(seed)).collect();
    let mut newer_by_id = ById::new(newer);
    let changed: Vec<&Configuration> = there
        .configurations
        .iter()
        .enumerate()
        .filter(|(place, configuration)| newer_by_id.find(*place, configuration.id).is_none())
        .map(|(_, configuration)| configuration)
        .collect();
    if !changed.is_empty() {
        return Err(ExtensionError::Changed { changes: changes(there, newer, &changed) });
    }
    if !gone.is_empty() {
        return Err(ExtensionError::SeedsGone { seeds: gone });
    }
    let mut sweep = with_settings_of(there, newer);
    for (place, configuration) in sweep.configurations.iter_mut().enumerate() {
        // A new parameter also distinguishes existing configurations.
        if let Some(newer) = newer_by_id.find(place, configuration.id) {
            configuration.values.clone_from(&newer.values);
        }
    }
    let mut there_by_id = ById::new(there);
    let new = newer.configurations.iter().enumerate();
    let new = new.filter(|(place, configuration)| there_by_id.find(*place, configuration.id).is_none());
    sweep.configurations.extend(new.map(|(_, configuration)| configuration.clone()));
    sweep.parameters.clone_from(&newer.parameters);
    let known: BTreeSet<u64> = there.seeds.iter().copied().collect();
    sweep.seeds.extend(newer.seeds.iter().filter(|seed| !known.contains(seed)));
    let tasks = sweep.task_count();
    if tasks > Scheduler::MAX_TASKS {
        let name = sweep.name;
        return Err(ExtensionError::TooManyTasks { name, tasks, limit: Scheduler::MAX_TASKS });
    }
    Ok(sweep)
}

/// What happened to configurations that are missing in the newer file: the difference to the configuration with the
/// same swept values.
fn changes(there: &Sweep, newer: &Sweep, changed: &[&Configuration]) -> String {
    let mut text = format!(
        "{} of the {} configurations of sweep `{}` are not in the file: extending adds \
         configurations and changes none",
        changed.len(),
        there.configurations.len(),
        there.name
    );
    for configuration in changed.iter().take(NAMED) {
        let counterpart = newer.configurations.iter().find(|other| other.values == configuration.values);
        // Writing to a String cannot fail.
        let what = if counterpart.is_some() { "differs" } else { "is gone" };
        let _ = write!(text, "\n  {} {what}: {}", configuration.id, values(&configuration.values));
        let (old, new) = (configuration.settings.flat(), counterpart.map(|other| other.settings.flat()));
        let Some(new) = new else { continue };
        let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        // What is no part of a configuration's identity is no reason.
        for path in paths.into_iter().filter(|path| !path.starts_with("program.environment.")) {
            let (old, new) = (old.get(path), new.get(path));
            if old != new {
                let text_of = |value: Option<&Value>| value.map_or("absent".to_owned(), ToString::to_string);
                let _ = write!(text, "\n    - {path}: {}\n    + {path}: {}", text_of(old), text_of(new));
            }
        }
    }
    if changed.len() > NAMED {
        let _ = write!(text, "\n  ... and {} more", changed.len() - NAMED);
    }
    text.push_str("\ngive the changed sweep another name and submit it, or restore what differs");
    text
}

fn values(values: &BTreeMap<String, Value>) -> String {
    values.iter().map(|(path, value)| format!("{path} = {value}")).collect::<Vec<_>>().join(", ")
}

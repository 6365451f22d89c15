//! Submitting, cancelling and ending sweeps.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    id::{LeaseToken, SweepId, SweepName},
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    action::{Action, DropReason},
    machine::Scheduler,
    sweep_state::SweepState,
    task::{Phase, Task},
};

/// What submitting a sweep would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// It is new and gets this number.
    New(SweepId),
    /// A sweep of this name and these tasks is there already.
    Known {
        /// Its number.
        id: SweepId,
        /// Whether the report, retry or checkpoint settings differ and would be updated.
        changed: bool,
    },
}

/// Why a sweep can not be submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// The name is taken by a sweep with other tasks.
    #[error("sweep `{name}` is there already, and this file has other tasks ({there} then, {submitted} now):{}", indented(.changes))]
    OtherTasks {
        /// The name.
        name: SweepName,
        /// Tasks of the sweep that is there.
        there: u64,
        /// Tasks of the submitted sweep.
        submitted: u64,
        /// What differs, a line for each setting.
        changes: Vec<String>,
    },
    /// There are more tasks than can be numbered.
    #[error("sweep `{name}` has {tasks} tasks; the limit is {limit}: split it into several sweeps")]
    TooManyTasks {
        /// The name.
        name: SweepName,
        /// How many it has.
        tasks: u64,
        /// How many it may have.
        limit: u64,
    },
    /// There is nothing to train.
    #[error("sweep `{0}` has no tasks: it needs at least one configuration and one seed")]
    Empty(SweepName),
    /// A sweep of this name has ended and is settled: it has to be revived to be compared.
    #[error("sweep `{0}` has been put away just now: try again")]
    Settled(SweepName),
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

impl Scheduler {
    /// The most tasks a sweep may have.
    pub const MAX_TASKS: u64 = 10_000_000;

    /// What submitting `sweep` would do; to be asked before [`super::Event::SweepSubmitted`] is journaled.
    ///
    /// # Errors
    /// When the name is taken by a sweep with other tasks, or the number of tasks is out of bounds.
    pub fn submission(&self, sweep: &Sweep) -> Result<Submission, SubmissionError> {
        let name = || sweep.name.clone();
        let tasks = sweep.task_count();
        if tasks == 0 {
            return Err(SubmissionError::Empty(name()));
        }
        if tasks > Self::MAX_TASKS {
            return Err(SubmissionError::TooManyTasks { name: name(), tasks, limit: Self::MAX_TASKS });
        }
        let Some(id) = self.names.get(&sweep.name) else {
            return Ok(Submission::New(SweepId(self.last_sweep.0 + 1)));
        };
        let Some(there) = self.sweeps.get(id).map(|state| &state.sweep) else {
            return Err(SubmissionError::Settled(name()));
        };
        if !same_tasks(there, sweep) {
            return Err(SubmissionError::OtherTasks {
                name: name(),
                there: there.task_count(),
                submitted: tasks,
                changes: there.changes_to(sweep),
            });
        }
        Ok(Submission::Known { id: *id, changed: *there.as_ref() != with_settings_of(there, sweep) })
    }

    pub(super) fn submission_is_news(&self, id: SweepId, sweep: &Sweep) -> bool {
        match self.submission(sweep) {
            Ok(Submission::New(_)) => !self.sweeps.contains_key(&id) && !self.settled.contains_key(&id),
            Ok(Submission::Known { id: known, changed }) => known == id && changed,
            Err(_) => false,
        }
    }

    pub(super) fn submit(&mut self, now: Timestamp, id: SweepId, sweep: Arc<Sweep>) -> Vec<Action> {
        if let Some(state) = self.sweeps.get_mut(&id) {
            let newer = Arc::new(with_settings_of(&state.sweep, &sweep));
            // What a person said since holds, unless the file says something else than before.
            if newer.schedule.priority != state.sweep.schedule.priority {
                state.priority = newer.schedule.priority;
            }
            if newer.schedule.order == state.sweep.schedule.order {
                state.sweep = newer;
            } else {
                self.renumber(id, newer);
            }
        } else {
            self.names.insert(sweep.name.clone(), id);
            self.sweeps.insert(id, SweepState::new(id, sweep, now));
            self.active.insert(id);
            self.last_sweep = self.last_sweep.max(id);
        }
        Vec::new()
    }

    /// Numbers the tasks of a sweep anew, wherever they are known by number.
    pub(super) fn renumber(&mut self, id: SweepId, sweep: Arc<Sweep>) {
        let Some(state) = self.sweeps.get_mut(&id) else { return };
        let moved = state.renumber(sweep);
        let new = |old: u32| moved[old as usize];
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        self.waiting =
            waiting.map(|(at, of, index)| (at, of, if of == id { new(index) } else { index })).collect();
        let of_sweep: BTreeSet<LeaseToken> =
            self.leases.iter().filter(|(_, lease)| lease.sweep == id).map(|(token, _)| *token).collect();
        for token in &of_sweep {
            let Some(lease) = self.leases.get_mut(token) else { continue };
            let members = std::mem::take(&mut lease.members).into_iter();
            lease.members = members.map(|(index, epochs)| (new(index), epochs)).collect();
        }
        let lost = std::mem::take(&mut self.lost_members).into_iter();
        let renumbered =
            lost.map(|(token, index)| (token, if of_sweep.contains(&token) { new(index) } else { index }));
        self.lost_members = renumbered.collect();
    }

    pub(super) fn cancel(&mut self, now: Timestamp, sweep: SweepId) -> Vec<Action> {
        let leases: Vec<_> =
            self.leases.iter().filter(|(_, lease)| lease.sweep == sweep).map(|(token, _)| *token).collect();
        let mut actions = Vec::new();
        for token in leases {
            if let Some(lease) = self.end_lease(token) {
                let (worker, reason) = (lease.worker, DropReason::Cancelled);
                actions.push(Action::DropLease { worker, token, tasks: Vec::new(), reason });
            }
        }
        self.waiting.retain(|(_, of, _)| *of != sweep);
        let Some(state) = self.sweeps.get_mut(&sweep) else { return actions };
        for index in 0..state.tasks.len() as u32 {
            let phase = state.task(index).phase;
            if phase.is_pending() || phase == Phase::Running {
                state.task_mut(index).token = Task::NO_LEASE;
                state.move_to(index, Phase::Cancelled);
            }
        }
        actions.extend(self.end_if_over(now, sweep));
        actions
    }

    /// To be asked whenever a task of the sweep has ended.
    pub(super) fn end_if_over(&mut self, now: Timestamp, sweep: SweepId) -> Option<Action> {
        let state = self.sweeps.get_mut(&sweep)?;
        if state.has_ended() && self.active.remove(&sweep) {
            state.ended_at = Some(now);
            state.paused = false;
            let status = state.status();
            self.settle_later(now, sweep);
            return Some(Action::EndSweep { sweep, status });
        }
        None
    }
}

fn same_tasks(a: &Sweep, b: &Sweep) -> bool {
    fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
        let mut items: Vec<T> = items.collect();
        items.sort_unstable();
        items
    }
    a.configurations.len() == b.configurations.len()
        && a.seeds.len() == b.seeds.len()
        && sorted(a.seeds.iter()) == sorted(b.seeds.iter())
        && sorted(a.configurations.iter().map(|c| c.id)) == sorted(b.configurations.iter().map(|c| c.id))
}

/// `there`, with everything taken from `newer` that is no part of what is trained: how results are shown, when
/// attempts are repeated, when checkpoints are written, what goes out when. Configurations and seeds keep their
/// order, for results are recorded by it.
pub(super) fn with_settings_of(there: &Sweep, newer: &Sweep) -> Sweep {
    let baselines: BTreeSet<_> = newer.configurations.iter().filter(|c| c.baseline).map(|c| c.id).collect();
    let mut sweep = there.clone();
    sweep.report = newer.report.clone();
    sweep.retries = newer.retries.clone();
    sweep.checkpoint = newer.checkpoint;
    sweep.schedule = newer.schedule;
    for configuration in &mut sweep.configurations {
        configuration.baseline = baselines.contains(&configuration.id);
    }
    sweep
}

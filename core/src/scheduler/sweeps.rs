//! Submitting and ending sweeps.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    id::{LeaseToken, SweepId, SweepName},
    sweep::{Configuration, Sweep},
    time::Timestamp,
};

use super::{action::Action, machine::Scheduler, prepared::ById};

/// The effect of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submission {
    /// The sweep is new and gets this number.
    New(SweepId),
    /// A sweep with this name and these tasks exists.
    Known {
        /// Its number.
        id: SweepId,
        /// Whether the report, retry or checkpoint settings differ and would be updated.
        changed: bool,
    },
}

/// The reason why a sweep cannot be submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// The name is used by a sweep with other tasks.
    #[error("sweep `{name}` exists already, and this file has other tasks ({there} then, {submitted} now):{}", indented(.changes))]
    OtherTasks {
        /// The name.
        name: SweepName,
        /// Number of tasks of the existing sweep.
        there: u64,
        /// Number of tasks of the submitted sweep.
        submitted: u64,
        /// The differences, one line per setting.
        changes: Vec<String>,
    },
    /// Its settings do not fit the data set of any worker.
    #[error("sweep `{name}` does not fit its data set: {mistakes}")]
    Misfit {
        /// The name.
        name: SweepName,
        /// The mistakes, one per line.
        mistakes: String,
    },
    /// There are more tasks than can be numbered.
    #[error("sweep `{name}` has {tasks} tasks; the limit is {limit}: split it into several sweeps")]
    TooManyTasks {
        /// The name.
        name: SweepName,
        /// Number of its tasks.
        tasks: u64,
        /// Maximum number of tasks.
        limit: u64,
    },
    /// There is nothing to train.
    #[error("sweep `{0}` has no tasks: it needs at least one configuration and one seed")]
    Empty(SweepName),
    /// A sweep of this name has ended and is settled: it has to be revived before the comparison.
    #[error("sweep `{0}` was settled just now: try again")]
    Settled(SweepName),
}

fn indented(lines: &[String]) -> String {
    lines.iter().map(|line| format!("\n  {line}")).collect()
}

impl Scheduler {
    /// Maximum number of tasks of a sweep.
    pub const MAX_TASKS: u64 = 10_000_000;

    /// The effect of submitting `sweep`; to be called before [`super::Event::SweepSubmitted`] is journaled.
    ///
    /// # Errors
    /// If the name is used by a sweep with other tasks, or the number of tasks is out of bounds.
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
        Ok(Submission::Known { id: *id, changed: settings_differ(there, sweep) })
    }

    pub(super) fn submission_changes_state(&self, id: SweepId, sweep: &Sweep) -> bool {
        match self.submission(sweep) {
            Ok(Submission::New(_)) => !self.sweeps.contains_key(&id) && !self.settled.contains_key(&id),
            Ok(Submission::Known { id: known, changed }) => known == id && changed,
            Err(_) => false,
        }
    }

    pub(super) fn submit(&mut self, now: Timestamp, id: SweepId, sweep: Arc<Sweep>) -> Vec<Action> {
        if let Some(there) = self.sweeps.get(&id).map(|state| state.sweep.clone()) {
            let newer = match self.prepared_for(&there, &sweep) {
                Some(prepared) => prepared.after().clone(),
                None => Arc::new(with_settings_of(&there, &sweep)),
            };
            let Some(state) = self.sweeps.get_mut(&id) else { return Vec::new() };
            // A later change by a person is kept, unless the file has changed since.
            if newer.schedule.priority != state.sweep.schedule.priority {
                state.priority = newer.schedule.priority;
            }
            if newer.schedule.order == state.sweep.schedule.order && state.has_data_sets_of(&newer) {
                state.sweep = newer;
            } else {
                self.renumber(id, newer);
            }
            // The newer file may allow less failures.
            self.stop_if_tasks_fail(id);
        } else {
            self.names.insert(sweep.name.clone(), id);
            let (mut state, _) = self.prepared_state(None, sweep);
            (state.id, state.submitted_at) = (id, now);
            self.sweeps.insert(id, state);
            self.active.insert(id);
            self.last_sweep = self.last_sweep.max(id);
        }
        Vec::new()
    }

    /// Numbers the tasks of a sweep again, in every place that uses the numbers.
    pub(super) fn renumber(&mut self, id: SweepId, sweep: Arc<Sweep>) {
        let Some(there) = self.sweeps.get(&id).map(|state| state.sweep.clone()) else { return };
        let (new, moved) = self.prepared_state(Some(&there), sweep);
        let Some(state) = self.sweeps.get_mut(&id) else { return };
        self.discarded.push(state.renumber(new, &moved));
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
            let curves = std::mem::take(&mut lease.curves).into_iter();
            lease.curves = curves.map(|(index, curves)| (new(index), curves)).collect();
        }
        let lost = std::mem::take(&mut self.lost_members).into_iter();
        let renumbered =
            lost.map(|(token, index)| (token, if of_sweep.contains(&token) { new(index) } else { index }));
        self.lost_members = renumbered.collect();
    }

    /// To be called whenever a task of the sweep has ended.
    pub(super) fn end_if_over(&mut self, now: Timestamp, sweep: SweepId) -> Option<Action> {
        let state = self.sweeps.get_mut(&sweep)?;
        if state.has_ended() && self.active.remove(&sweep) {
            self.misfits.remove(&sweep);
            self.stopping.remove(&sweep);
            state.ended_at = Some(now);
            state.paused = false;
            let status = state.status();
            self.settle_later(now, sweep);
            return Some(Action::EndSweep { sweep, status });
        }
        None
    }
}

pub(super) fn same_tasks(a: &Sweep, b: &Sweep) -> bool {
    fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
        let mut items: Vec<T> = items.collect();
        items.sort_unstable();
        items
    }
    let ids = |sweep| <[Configuration]>::iter(sweep).map(|configuration| configuration.id);
    let (of_a, of_b) = (|| ids(&a.configurations), || ids(&b.configurations));
    a.configurations.len() == b.configurations.len()
        && a.seeds.len() == b.seeds.len()
        && sorted(a.seeds.iter()) == sorted(b.seeds.iter())
        && (of_a().eq(of_b()) || sorted(of_a()) == sorted(of_b()))
}

/// `there`, with all settings from `newer` that are not part of training: reports, retries, checkpoints, kept
/// files, order,
/// needs, and how and where a program runs.
/// Configurations and seeds keep their order, because results are recorded by it.
pub(super) fn with_settings_of(there: &Sweep, newer: &Sweep) -> Sweep {
    let mut sweep = there.clone();
    sweep.report = newer.report.clone();
    sweep.retries = newer.retries.clone();
    sweep.checkpoint = newer.checkpoint;
    sweep.keep = newer.keep.clone();
    sweep.schedule = newer.schedule;
    sweep.needs = newer.needs.clone();
    let mut by_id = ById::new(newer);
    for (place, configuration) in sweep.configurations.iter_mut().enumerate() {
        let newer = by_id.find(place, configuration.id);
        configuration.baseline = newer.is_some_and(|newer| newer.baseline);
        configuration.compared_with = newer.and_then(|newer| newer.compared_with);
        if let Some(newer) = newer.filter(|newer| newer.settings.program().is_some()) {
            configuration.settings = newer.settings.clone();
        }
    }
    sweep
}

/// Whether [`with_settings_of`] would change something.
pub(super) fn settings_differ(there: &Sweep, newer: &Sweep) -> bool {
    let mut by_id = ById::new(newer);
    let differs = |(place, there): (usize, &Configuration)| {
        let newer = by_id.find(place, there.id);
        there.baseline != newer.is_some_and(|newer| newer.baseline)
            || there.compared_with != newer.and_then(|newer| newer.compared_with)
            || newer.is_some_and(|it| it.settings.program().is_some() && it.settings != there.settings)
    };
    there.report != newer.report
        || there.retries != newer.retries
        || there.checkpoint != newer.checkpoint
        || there.keep != newer.keep
        || there.schedule != newer.schedule
        || there.needs != newer.needs
        || there.configurations.iter().enumerate().any(differs)
}

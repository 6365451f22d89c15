//! Sweeps that are stopped because their tasks fail.

use std::collections::BTreeSet;

use crate::{
    failure::{Failure, FailureReason},
    id::SweepId,
    text::counted,
    time::Timestamp,
};

use super::{
    action::Action,
    event::Event,
    machine::Scheduler,
    sweep_state::SweepState,
    task::{Phase, Task},
};

/// A program that gives no usable result for so many configurations gives none for the others.
const WITHOUT_RESULT: usize = 2;

/// What is known of a sweep for the decision to stop it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Stop {
    /// Failed tasks that do not count: those that had failed when a person last retried or extended the sweep.
    tolerated: u32,
    /// The configurations, by their positions, for which the program ended without a result that fits the sweep file.
    without_result: BTreeSet<usize>,
    /// The last of these failures.
    last: Option<String>,
    /// Why the sweep was stopped.
    reason: Option<String>,
}

impl SweepState {
    /// A person retried or extended the sweep: the causes of its failures may be fixed.
    pub(super) fn go_on_after_failures(&mut self) {
        self.stop = Stop { tolerated: self.counts.failed, ..Stop::default() };
    }

    /// A task has failed. `failure` is what failed it, unless its worker may be the cause.
    fn note_failed_task(&mut self, index: u32, failure: Option<&Failure>) {
        let settings = failure.filter(|failure| failure.reason == FailureReason::Settings);
        if let Some(failure) = settings.filter(|_| self.runs_program()) {
            self.stop.without_result.insert(self.configuration_of(index));
            self.stop.last = Some(failure.message.clone());
        }
    }

    /// Why no other task is to begin. A sweep that was stopped stays so until a person retries or extends it.
    fn why_stop(&self) -> Option<String> {
        if let Some(reason) = &self.stop.reason {
            return Some(reason.clone());
        }
        let failed = self.counts.failed.saturating_sub(self.stop.tolerated);
        let most = self.sweep.schedule.stop_after_failures;
        if most.is_some_and(|most| failed >= most) {
            return Some(format!("{} failed (`stop_after_failures`)", counted(failed.into(), "task")));
        }
        let enough = WITHOUT_RESULT.min(self.configuration_counts.len());
        if self.counts.done > 0 || self.stop.without_result.len() < enough {
            return None;
        }
        let last = self.stop.last.as_deref().unwrap_or_default();
        Some(format!("no task of the program has a result that fits the sweep file: {last}"))
    }

    /// Why it was stopped.
    pub(super) fn stopped(&self) -> Option<&str> {
        self.stop.reason.as_deref()
    }
}

impl Scheduler {
    /// A task has failed. `failure` is what failed it, unless its worker may be the cause.
    pub(super) fn note_failed_task(&mut self, sweep: SweepId, index: u32, failure: Option<&Failure>) {
        if let Some(state) = self.sweeps.get_mut(&sweep) {
            state.note_failed_task(index, failure);
        }
        self.stop_if_tasks_fail(sweep);
    }

    /// To be called when more tasks have failed, or the sweep file allows less.
    pub(super) fn stop_if_tasks_fail(&mut self, sweep: SweepId) {
        let stops = |state: &SweepState| !state.has_ended() && state.why_stop().is_some();
        if self.sweeps.get(&sweep).is_some_and(stops) {
            self.stopping.insert(sweep);
        }
    }

    /// The end of a sweep whose tasks fail, as an event to apply.
    pub(super) fn next_stop(&self) -> Option<Event> {
        let only = self.settings.only.as_ref();
        self.stopping.iter().find_map(|sweep| {
            let state = self.sweeps.get(sweep).filter(|state| state.counts.pending > 0)?;
            only.is_none_or(|name| state.sweep.name == *name).then_some(())?;
            Some(Event::RestCancelled { sweep: *sweep, reason: state.why_stop()? })
        })
    }

    pub(super) fn rest_changes_state(&self, sweep: SweepId) -> bool {
        self.sweeps.get(&sweep).is_some_and(|state| state.counts.pending > 0)
    }

    /// Cancels the tasks that are pending. Those that run go on.
    pub(super) fn cancel_rest(&mut self, now: Timestamp, sweep: SweepId, reason: String) -> Vec<Action> {
        let Some(state) = self.sweeps.get_mut(&sweep) else { return Vec::new() };
        let pending: Vec<u32> =
            state.unfinished().into_iter().filter(|index| state.task(*index).phase.is_pending()).collect();
        for index in &pending {
            let Task { phase, not_before, .. } = *state.task(*index);
            if phase == Phase::Waiting {
                self.waiting.remove(&(not_before, sweep, *index));
            }
        }
        state.move_all(&pending, Phase::Cancelled);
        state.stop.reason = Some(reason.clone());
        let mut actions = vec![Action::StopSweep { sweep, reason }];
        actions.extend(self.end_if_over(now, sweep));
        actions
    }
}

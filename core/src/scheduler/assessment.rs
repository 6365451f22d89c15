//! Decides which workers to set aside, and which to restore.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    needs::Needs,
    time::Timestamp,
};

use super::{
    event::{Event, RestoreCause},
    machine::Scheduler,
    record::{Record, Scope, Strike},
    sweep_state::SweepState,
};

/// Number of leases that fail in a row on a worker before it is set aside.
pub(super) const FAILURES_IN_A_ROW: usize = 3;
/// The first pause of a worker; each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// A worker that was set aside and has been away for this time is forgotten. After a restart it has another id
/// anyway.
const FORGET_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// How much a failure says about the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Nothing: the same task fails elsewhere.
    None,
    /// The cause may be the worker or the task.
    Some,
    /// The cause is the worker: the same task was trained before.
    Full,
}

impl Scheduler {
    /// Maximum time for which a worker gets no tasks, before it gets one as a test.
    pub const MAX_PAUSE: Duration = Duration::from_secs(15 * 60);

    /// Converts a reported failure to an event. The failure is permanent for the task if the task also failed on
    /// certain other workers. A worker that is set aside confirms nothing.
    #[must_use]
    pub fn failed_attempt(&self, token: LeaseToken, task: TaskId, failure: Failure) -> Event {
        let excused = self.find(task).is_some_and(|(state, _)| state.is_excused(token, failure.reason));
        let settled = self.settings.one_worker || self.is_confirmed(token, task, failure.reason);
        let unconfirmed = failure.reason.needs_confirmation() && (excused || !settled);
        Event::AttemptFailed { token, task, failure, unconfirmed }
    }

    fn is_confirmed(&self, token: LeaseToken, task: TaskId, reason: FailureReason) -> bool {
        let (Some(worker), Some((state, index))) = (self.lease_holder(token), self.find(task)) else {
            return false;
        };
        let data_set = Some(state.data_of(index).0.to_owned());
        let set_aside = self.pause_of(worker, &None).or(self.pause_of(worker, &data_set)).is_some();
        if reason == FailureReason::Data && self.is_data_somewhere(state, index) {
            return false;
        }
        let failed_on = state.failed_on.get(&index).into_iter().flatten();
        let mut others = failed_on.filter(|(other, same)| *other != worker && **same == reason);
        !set_aside && others.next().is_some()
    }

    /// The reason why a result with this data digest is refused: all results of a sweep must be of one data set, or of
    /// one program, unless a person replaced it.
    #[must_use]
    pub fn wrong_data(&self, token: LeaseToken, task: TaskId, data_digest: &str) -> Option<Failure> {
        let expected = self.data_digest_of(task).filter(|_| !data_digest.is_empty())?;
        let (state, index) = self.find(task)?;
        if expected == data_digest || state.is_of_replaced_data(token) {
            return None;
        }
        let name = state.data_of(index).0;
        let short = |digest: &str| digest.chars().take(12).collect::<String>();
        let (here, expected) = (short(data_digest), short(expected));
        let why = if state.runs_program() {
            format!(
                "the program `{name}` has changed: its files have the digest {here} here, but the results so far are from {expected}; to go on with the changed program, submit the sweep file again with --changed-program"
            )
        } else {
            format!(
                "data set `{name}` has the digest {here} here, but the sweep is trained on {expected}: copy the same file to all workers"
            )
        };
        Some(Failure::new(FailureReason::Data, why))
    }

    /// The digest of the data set of the sweep's results so far; `None` if there are no results.
    #[must_use]
    pub fn data_digest_of(&self, task: TaskId) -> Option<&str> {
        let (state, index) = self.find(task)?;
        state.data_of(index).1
    }

    /// The next worker to set aside or to restore, as an event to apply; this query changes nothing. Repeat it after
    /// each applied event, until it returns `None`.
    pub(super) fn next_assessment(&self, now: Timestamp) -> Option<Event> {
        if self.settings.one_worker {
            return None;
        }
        self.records.iter().find_map(|(worker, record)| {
            self.assess_pauses(now, worker, record).or_else(|| self.assess_failures(worker, record))
        })
    }

    fn assess_pauses(&self, now: Timestamp, worker: &WorkerId, record: &Record) -> Option<Event> {
        let there = self.workers.contains_key(worker);
        record.pauses.iter().find_map(|(scope, pause)| {
            let restored =
                |cause| Event::WorkerRestored { worker: worker.clone(), data_set: scope.clone(), cause };
            let exonerated = || scope.is_none() && self.is_exonerated(worker, record);
            match pause.proven {
                Some(true) => Some(restored(RestoreCause::Succeeded)),
                _ if exonerated() => Some(restored(RestoreCause::Exonerated)),
                Some(false) => {
                    let failure = record.last_failure(scope).unwrap_or(&pause.failure);
                    let (pauses, failures) = (pause.pauses + 1, pause.failures + 1);
                    Some(set_aside(worker, scope, pause.program, pauses, failures, failure))
                }
                None if !there && record.away_since.after(FORGET_AFTER) <= now => {
                    Some(restored(RestoreCause::Gone))
                }
                None => None,
            }
        })
    }

    fn assess_failures(&self, worker: &WorkerId, record: &Record) -> Option<Event> {
        if !self.workers.contains_key(worker) || record.pauses.contains_key(&None) {
            return None;
        }
        for (data_set, (sweep, failure)) in &record.unusable {
            let scope = Some(data_set.clone());
            // If the sweep has results, the data set exists somewhere.
            let state = self.sweeps.get(sweep);
            let trained = state.is_some_and(|state| state.data_digests.contains_key(data_set));
            let needs = state.map(|state| &state.sweep.needs);
            let elsewhere = || self.has_other_for(worker, needs, &[data_set.clone()].into());
            if !record.pauses.contains_key(&scope) && (trained || elsewhere()) {
                let program = state.is_some_and(SweepState::runs_program);
                return Some(set_aside(worker, &scope, program, 1, 1, failure));
            }
        }
        let weights: Vec<Weight> = self.weights(worker, record);
        let count = |least| weights.iter().filter(|weight| **weight >= least).count();
        let enough = count(Weight::Full) >= FAILURES_IN_A_ROW
            || count(Weight::Some) >= FAILURES_IN_A_ROW && self.is_dispensable(worker, record);
        let failure = record.last_failure(&None).filter(|_| enough)?;
        Some(set_aside(worker, &None, false, 1, record.strikes.len() as u32, failure))
    }

    /// Whether there is another worker for each of the sweeps whose tasks failed on a worker.
    fn is_dispensable(&self, worker: &WorkerId, record: &Record) -> bool {
        let tasks = record.strikes.iter().flat_map(|strike| &strike.tasks);
        let sweeps: BTreeSet<SweepId> = tasks.map(|task| task.sweep).collect();
        let needs: BTreeSet<&Needs> =
            sweeps.iter().filter_map(|id| self.sweeps.get(id)).map(|state| &state.sweep.needs).collect();
        let others = |needs| self.has_other_for(worker, needs, &BTreeSet::new());
        others(None) && needs.into_iter().all(|needs| others(Some(needs)))
    }

    /// Whether the tasks turned out to be the cause of the failures for which a worker was set aside.
    fn is_exonerated(&self, worker: &WorkerId, record: &Record) -> bool {
        let weights = self.weights(worker, record);
        let held_against = weights.iter().filter(|weight| **weight > Weight::None).count();
        weights.len() >= FAILURES_IN_A_ROW && held_against < FAILURES_IN_A_ROW
    }

    fn weights(&self, worker: &WorkerId, record: &Record) -> Vec<Weight> {
        record.strikes.iter().map(|strike| self.weight(worker, strike)).collect()
    }

    fn weight(&self, worker: &WorkerId, strike: &Strike) -> Weight {
        let found = strike.tasks.first().and_then(|task| self.find(*task));
        let Some((state, index)) = found.filter(|_| strike.silent_since.is_none()) else {
            return Weight::Some;
        };
        let configuration = state.configuration_of(index);
        if state.configuration_counts[configuration].done > 0 {
            return Weight::Full;
        }
        let fails_on = state.configurations_failed_on.get(&configuration);
        let elsewhere = fails_on.is_some_and(|workers| workers.iter().any(|other| other != worker));
        if elsewhere { Weight::None } else { Weight::Some }
    }
}

impl Record {
    fn last_failure(&self, scope: &Scope) -> Option<&Failure> {
        match scope {
            None => self.strikes.back().map(|strike| &strike.failure),
            Some(data_set) => self.unusable.get(data_set).map(|(_, failure)| failure),
        }
    }
}

fn set_aside(
    worker: &WorkerId,
    scope: &Scope,
    program: bool,
    pauses: u32,
    failures: u32,
    failure: &Failure,
) -> Event {
    let pause = FIRST_PAUSE.saturating_mul(1 << pauses.saturating_sub(1).min(10));
    let pause = pause.min(Scheduler::MAX_PAUSE);
    Event::WorkerSetAside {
        worker: worker.clone(),
        data_set: scope.clone(),
        program,
        pauses,
        pause_millis: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
        failures,
        failure: failure.clone(),
    }
}

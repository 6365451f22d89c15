//! Sweeps that have ended leave the scheduler: only their outcome is kept, until somebody wants more of them.

use serde::{Deserialize, Serialize};

use crate::{
    id::{LeaseToken, SweepId, SweepName},
    time::Timestamp,
};

use super::{
    event::Event,
    machine::{Scheduler, SchedulerSettings},
    task::{SweepStatus, TaskCounts},
};

/// The outcome of a sweep that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledSweep {
    /// Its number.
    pub id: SweepId,
    /// Its name.
    pub name: SweepName,
    /// When it was first submitted.
    pub submitted_at: Timestamp,
    /// When its last task ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub status: SweepStatus,
    /// How many tasks ended how.
    pub counts: TaskCounts,
    /// Points of the grid.
    pub configurations: u64,
    /// Replicates.
    pub seeds: u64,
    /// Attempts that failed and were tried again.
    pub retried: u64,
    /// Its priority at the end.
    pub priority: i32,
    /// The most tasks that could run at a time.
    pub max_concurrent_tasks: Option<u32>,
}

/// What a store knows without its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The greatest number that was ever given to a sweep.
    pub last_sweep: SweepId,
    /// The greatest token that was ever granted.
    pub last_token: LeaseToken,
    /// Sweeps whose entries need not be replayed.
    pub settled: Vec<SettledSweep>,
}

impl Scheduler {
    /// A scheduler that is about to replay a journal from which the entries of settled sweeps are left out.
    /// [`Scheduler::recovered`] is to be told afterwards.
    #[must_use]
    pub fn recovering(settings: SchedulerSettings, settled: impl IntoIterator<Item = SettledSweep>) -> Self {
        let mut scheduler = Self::new(settings);
        for settled in settled {
            scheduler.names.insert(settled.name.clone(), settled.id);
            scheduler.last_sweep = scheduler.last_sweep.max(settled.id);
            scheduler.settled.insert(settled.id, settled);
        }
        scheduler
    }

    /// Ends the replay: numbers and tokens of what was left out do not come again.
    pub fn recovered(&mut self, last_sweep: SweepId, last_token: LeaseToken) {
        self.last_sweep = self.last_sweep.max(last_sweep);
        self.last_token = self.last_token.max(last_token);
    }

    pub(super) fn settle_later(&mut self, now: Timestamp, sweep: SweepId) {
        if let Some(wait) = self.settings.settle_after {
            self.settling.insert((now.after(wait), sweep));
        }
    }

    /// Sweeps that ended long enough ago.
    pub(super) fn to_settle(&self, now: Timestamp) -> Vec<SweepId> {
        self.settling.iter().take_while(|(at, _)| *at <= now).map(|(_, sweep)| *sweep).collect()
    }

    /// Forgets all of an ended sweep but its outcome, which is to be kept durably: from then on its entries of
    /// the journal are not replayed. `None` when it has not ended.
    pub fn settle(&mut self, sweep: SweepId) -> Option<SettledSweep> {
        let state = self.sweeps.get(&sweep)?;
        let settled = SettledSweep {
            id: sweep,
            name: state.sweep.name.clone(),
            submitted_at: state.submitted_at,
            ended_at: state.ended_at?,
            status: state.status(),
            counts: state.counts,
            configurations: state.sweep.configurations.len() as u64,
            seeds: state.sweep.seeds.len() as u64,
            retried: state.retried,
            priority: state.priority,
            max_concurrent_tasks: state.sweep.schedule.max_concurrent_tasks,
        };
        self.sweeps.remove(&sweep);
        self.settling.retain(|(_, settling)| *settling != sweep);
        self.settled.insert(sweep, settled.clone());
        Some(settled)
    }

    /// A scheduler that knows one sweep alone, from its own entries of the journal: to look at a settled
    /// sweep, or to [`Scheduler::revive`] it.
    #[must_use]
    pub fn of_one_sweep(entries: impl IntoIterator<Item = (Timestamp, Event)>) -> Self {
        let lease = std::time::Duration::MAX;
        let mut scheduler =
            Self::new(SchedulerSettings { lease, only: None, settle_after: None, one_worker: false });
        for (at, event) in entries {
            drop(scheduler.apply(at, event));
        }
        scheduler
    }

    /// Takes a settled sweep back, as [`Scheduler::of_one_sweep`] has it. Says whether it did: it does not if
    /// the sweep is not settled (any more).
    pub fn revive(&mut self, now: Timestamp, sweep: SweepId, mut alone: Self) -> bool {
        if !self.settled.contains_key(&sweep) {
            return false;
        }
        let Some(state) = alone.sweeps.remove(&sweep).filter(|state| state.has_ended()) else { return false };
        self.settled.remove(&sweep);
        self.sweeps.insert(sweep, state);
        self.settle_later(now, sweep);
        true
    }

    /// The outcome of a settled sweep.
    #[must_use]
    pub fn settled(&self, sweep: SweepId) -> Option<&SettledSweep> {
        self.settled.get(&sweep)
    }

    /// The outcomes of all settled sweeps, oldest first.
    pub fn all_settled(&self) -> impl Iterator<Item = &SettledSweep> {
        self.settled.values()
    }
}

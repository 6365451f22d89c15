//! Settling: of ended sweeps the scheduler keeps only the outcome, until more is needed.

use crate::{
    id::{LeaseToken, SweepId},
    time::Timestamp,
};

use super::{
    event::Event,
    machine::{Scheduler, SchedulerSettings},
    settled::SettledSweep,
};

impl Scheduler {
    /// A scheduler for replaying a journal without the entries of settled sweeps. [`Scheduler::recovered`] is to be
    /// called afterwards.
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

    /// Ends the replay: numbers and tokens of omitted entries are not used again.
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

    /// Removes all of an ended sweep except its outcome, which must be stored durably: from then on its journal
    /// entries are not replayed. `None` if it has not ended.
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
            stopped: state.stopped().map(str::to_owned),
        };
        self.discarded.extend(self.sweeps.remove(&sweep));
        self.settling.retain(|(_, settling)| *settling != sweep);
        self.settled.insert(sweep, settled.clone());
        Some(settled)
    }

    /// A scheduler with only one sweep, built from the sweep's own journal entries, to read a settled sweep or to
    /// [`Scheduler::revive`] it.
    #[must_use]
    pub fn of_one_sweep(entries: impl IntoIterator<Item = (Timestamp, Event)>) -> Self {
        let lease = std::time::Duration::MAX;
        let mut scheduler =
            Self::new(SchedulerSettings { lease, only: None, settle_after: None, one_worker: false });
        for (at, event) in entries {
            scheduler.replay(at, event);
        }
        scheduler
    }

    /// Restores a settled sweep from [`Scheduler::of_one_sweep`]. Returns false if the sweep is not settled, or not
    /// any more.
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

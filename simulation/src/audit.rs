//! Checks what must hold in every history, from outside: with the journal and the results only.

use std::collections::{BTreeMap, BTreeSet};

use colearn_coordinator::store::{JournalEntry, ResultRow};
use colearn_core::{
    failure::{Failure, FailureReason, RetryPolicy},
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    scheduler::{Event, Selection},
    sweep::Sweep,
};

use crate::{hosts::offers, store::WatchedStore, trace::Trace};

/// Checks the journal with rules that are independent of the scheduler's. A violation is written to the trace.
pub fn audit(store: &WatchedStore, trace: &Trace) {
    let mut auditor = Auditor::new(trace);
    for entry in store.entries() {
        auditor.take(&entry);
    }
    auditor.compare(&store.recorded());
}

struct Auditor<'a> {
    trace: &'a Trace,
    sweeps: BTreeMap<SweepId, std::sync::Arc<Sweep>>,
    names: BTreeMap<String, SweepId>,
    last_token: LeaseToken,
    /// The members of each lease: the tasks that may be reported under it.
    leases: BTreeMap<LeaseToken, BTreeSet<TaskId>>,
    /// The number of tasks that each lease was granted with.
    sizes: BTreeMap<LeaseToken, usize>,
    /// Number of charged attempts since the person last retried the task. Returned attempts do not count.
    charged: BTreeMap<TaskId, u32>,
    finished: BTreeMap<TaskId, LeaseToken>,
    /// Tasks that failed in a way that is never retried.
    hopeless: BTreeSet<TaskId>,
}

impl<'a> Auditor<'a> {
    fn new(trace: &'a Trace) -> Self {
        Self {
            trace,
            sweeps: BTreeMap::new(),
            names: BTreeMap::new(),
            last_token: LeaseToken(0),
            leases: BTreeMap::new(),
            sizes: BTreeMap::new(),
            charged: BTreeMap::new(),
            finished: BTreeMap::new(),
            hopeless: BTreeSet::new(),
        }
    }

    fn take(&mut self, entry: &JournalEntry) {
        match &entry.event {
            Event::SweepSubmitted { id, sweep } => {
                let name = sweep.name.to_string();
                if self.names.insert(name, *id).is_some_and(|before| before != *id) {
                    self.trace.wrong(format_args!("{} is two sweeps", sweep.name));
                }
                self.sweeps.insert(*id, sweep.clone());
            }
            Event::SweepExtended { id, sweep } => {
                self.sweeps.insert(*id, sweep.clone());
            }
            Event::LeaseGranted { token, worker, slot, tasks } => {
                self.check_needs(worker, *slot, tasks);
                self.grant(*token, tasks);
            }
            Event::TaskFinished { token, task, .. } => {
                self.report(*token, *task, "finished");
                if self.finished.insert(*task, *token).is_some() {
                    self.trace.wrong(format_args!("{task} finished twice"));
                }
            }
            Event::AttemptFailed { token, task, failure, unconfirmed } => {
                self.report(*token, *task, "failed");
                self.fail(*token, *task, failure, *unconfirmed);
            }
            Event::LeaseExpired { token, progressed } => {
                for (task, _) in progressed {
                    // The task got further than ever before. This resets the count to the attempt that is lost.
                    self.charged.insert(*task, 1);
                }
                if self.leases.remove(token).is_none() {
                    self.trace.wrong(format_args!("lease {token} expired and was none"));
                }
            }
            Event::LeaseReleased { token } => {
                for task in self.leases.remove(token).unwrap_or_default() {
                    self.charged.entry(task).and_modify(|charged| *charged = charged.saturating_sub(1));
                }
            }
            Event::SweepCancelled { sweep } => {
                // No report is valid under these leases after this event.
                self.leases.retain(|_, tasks| tasks.iter().all(|task| task.sweep != *sweep));
            }
            Event::TasksCancelled { sweep, tasks } => {
                // Their leases go on with the other members.
                let is_named = |task: &TaskId| {
                    task.sweep == *sweep
                        && match tasks {
                            Selection::Tasks(tasks) => tasks.contains(task),
                            Selection::Grid { configurations, seeds } => {
                                (configurations.is_empty() || configurations.contains(&task.configuration))
                                    && (seeds.is_empty() || seeds.contains(&task.seed))
                            }
                        }
                };
                for members in self.leases.values_mut() {
                    members.retain(|task| !is_named(task));
                }
                self.leases.retain(|_, members| !members.is_empty());
            }
            Event::TasksRetried { sweep, .. } => {
                let finished = &self.finished;
                let leases = &self.leases;
                let held = |task: &TaskId| leases.values().any(|tasks| tasks.contains(task));
                self.charged
                    .retain(|task, _| task.sweep != *sweep || finished.contains_key(task) || held(task));
                self.hopeless.retain(|task| task.sweep != *sweep);
            }
            _ => {}
        }
    }

    /// A task goes only to a slot that offers what it needs.
    fn check_needs(&self, worker: &WorkerId, slot: u32, tasks: &[(TaskId, u32)]) {
        let host = worker.as_str().rsplit_once('-').map_or("", |(host, _)| host);
        let offers = offers(host, slot);
        for sweep in tasks.iter().filter_map(|(task, _)| self.sweeps.get(&task.sweep)) {
            let lacks = sweep.needs.missing_in(&offers);
            if !lacks.is_empty() {
                self.trace
                    .wrong(format_args!("slot {slot} of {worker} is granted {}: {lacks:?}", sweep.name));
            }
        }
    }

    fn grant(&mut self, token: LeaseToken, tasks: &[(TaskId, u32)]) {
        if token <= self.last_token {
            self.trace.wrong(format_args!("lease {token} comes after {}", self.last_token));
        }
        self.last_token = token;
        for (task, attempt) in tasks {
            let held = self.leases.values().any(|members| members.contains(task));
            if held || self.finished.contains_key(task) || self.hopeless.contains(task) {
                self.trace.wrong(format_args!("{task} is granted again under {token}"));
            }
            let most = self.sweeps.get(&task.sweep).map_or(0, |sweep| sweep.retries.max_attempts);
            let charged = self.charged.entry(*task).or_default();
            *charged += 1;
            if *charged > most {
                self.trace.wrong(format_args!("{task} is tried {charged} times, attempt {attempt}"));
            }
        }
        self.sizes.insert(token, tasks.len());
        self.leases.insert(token, tasks.iter().map(|(task, _)| *task).collect());
    }

    /// Only the holder of a task may report it.
    fn report(&mut self, token: LeaseToken, task: TaskId, how: &str) {
        let held = self.leases.get_mut(&token).is_some_and(|members| members.remove(&task));
        if !held {
            self.trace.wrong(format_args!("{task} {how} under {token}, which is stale"));
        }
    }

    fn fail(&mut self, token: LeaseToken, task: TaskId, failure: &Failure, unconfirmed: bool) {
        let mut returned = || {
            self.charged.entry(task).and_modify(|charged| *charged = charged.saturating_sub(1));
        };
        match failure.reason.policy() {
            RetryPolicy::Fail if unconfirmed => {}
            RetryPolicy::Fail => {
                self.hopeless.insert(task);
            }
            // Halving a cohort costs no attempt; it ends when the task is alone.
            RetryPolicy::RetryAtLowerDensity if self.sizes.get(&token).is_some_and(|size| *size > 1) => {
                returned();
            }
            // The program goes on later.
            RetryPolicy::Retry if failure.reason == FailureReason::Parked => {
                returned();
            }
            RetryPolicy::Retry | RetryPolicy::RetryAtLowerDensity => {}
        }
    }

    /// A result is recorded if and only if the journal says that its task finished, under the same lease.
    fn compare(&self, recorded: &BTreeMap<TaskId, ResultRow>) {
        let kept: BTreeMap<TaskId, LeaseToken> = recorded.values().map(|row| (row.task, row.token)).collect();
        if kept != self.finished {
            self.trace.wrong(format_args!("kept {kept:?}, journaled {:?}", self.finished));
        }
    }
}

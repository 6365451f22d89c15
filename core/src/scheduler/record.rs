//! The record of a worker: its failures, and the pauses that follow from them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::{
    failure::Failure,
    id::{LeaseToken, SweepId, TaskId},
    time::Timestamp,
};

/// The scope of a pause: the tasks of one data set, or all tasks.
pub(super) type Scope = Option<String>;

/// The failure record of a worker.
///
/// Failures and successes follow from journal entries, but those of settled sweeps are not replayed: after a restart
/// fewer may be known. Pauses are journaled themselves.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    /// Failures since the last success, oldest first.
    pub(super) strikes: VecDeque<Strike>,
    /// Data sets that the worker could not open and has not trained on since.
    pub(super) unusable: BTreeMap<String, (SweepId, Failure)>,
    pub(super) pauses: BTreeMap<Scope, Pause>,
    /// Seeds whose tasks failed one after the other until a task of another seed succeeded: their failures are not held
    /// against the worker.
    pub(super) failing_seeds: BTreeSet<(SweepId, u64)>,
    /// When the worker left, or the coordinator started without it. Of no meaning while the worker is there.
    pub(super) away_since: Timestamp,
}

/// A failed lease; it counts once, however many members it had.
#[derive(Clone, Debug)]
pub(super) struct Strike {
    pub(super) token: LeaseToken,
    pub(super) tasks: BTreeSet<TaskId>,
    /// When the worker was last heard, if the failure is its silence: all leases that expired in one silence are one
    /// failure.
    pub(super) silent_since: Option<Timestamp>,
    pub(super) failure: Failure,
}

impl Record {
    /// The seeds of the tasks that failed since the last success.
    pub(super) fn struck_seeds(&self) -> BTreeSet<(SweepId, u64)> {
        self.strikes.iter().flat_map(|strike| &strike.tasks).map(|task| (task.sweep, task.seed)).collect()
    }
}

/// A worker gets no tasks until a moment, and then one task at a time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pause {
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// Whether its data set is the files of a program.
    pub(super) program: bool,
    /// Number of pauses in a row.
    pub(super) pauses: u32,
    pub(super) failures: u32,
    pub(super) failure: Failure,
    /// The pause is over: the worker may get one task as a test.
    pub(super) over: bool,
    /// The lease that tests the worker now.
    pub(super) probe: Option<LeaseToken>,
    /// The outcome of the test, until it is assessed.
    pub(super) proven: Option<bool>,
}

impl Pause {
    pub(super) fn new(
        since: Timestamp,
        until: Timestamp,
        program: bool,
        pauses: u32,
        failures: u32,
        failure: Failure,
    ) -> Self {
        Self { since, until, program, pauses, failures, failure, over: false, probe: None, proven: None }
    }

    /// Whether the worker may get one task.
    pub(super) fn allows_one(&self) -> bool {
        self.over && self.probe.is_none() && self.proven.is_none()
    }
}

/// The current pause of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct PauseView {
    /// Only for tasks with this data set; `None` means all tasks.
    pub data_set: Option<String>,
    /// Whether `data_set` names the files of a program.
    pub program: bool,
    /// When the worker was set aside.
    pub since: Timestamp,
    /// When it gets one task as a test.
    pub until: Timestamp,
    /// Number of leases that failed in a row.
    pub failures: u32,
    /// The last failure.
    pub failure: Failure,
}

impl PauseView {
    pub(super) fn of(scope: &Scope, pause: &Pause) -> Self {
        Self {
            data_set: scope.clone(),
            program: pause.program,
            since: pause.since,
            until: pause.until,
            failures: pause.failures,
            failure: pause.failure.clone(),
        }
    }
}

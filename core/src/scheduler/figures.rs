//! Numbers for people who watch many workers.

use super::machine::Scheduler;
use crate::id::WorkerId;

/// Numbers of one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerFigures<'a> {
    /// Id of the worker.
    pub worker: &'a WorkerId,
    /// False for a worker that is disconnected but still has leases and may return.
    pub connected: bool,
    /// It was asked to exit, and takes no new tasks.
    pub draining: bool,
    /// It gets no tasks of at least one data set for a while.
    pub set_aside: bool,
    /// Number of its slots.
    pub slots: u32,
    /// Number of its active leases: each has a slot.
    pub leases: u32,
    /// Number of its running tasks.
    pub tasks: u32,
}

impl Scheduler {
    /// Numbers of the workers that are connected or have leases, sorted by id. Nothing is copied.
    pub fn worker_figures(&self) -> impl Iterator<Item = WorkerFigures<'_>> {
        self.workers.iter().map(|(id, worker)| {
            let leases = worker.leases.iter().filter_map(|token| self.leases.get(token));
            let running = leases
                .fold((0, 0), |(leases, tasks), lease| (leases + 1, tasks + lease.members.len() as u32));
            WorkerFigures {
                worker: id,
                connected: worker.connected,
                draining: worker.draining.is_some(),
                set_aside: self.records.get(id).is_some_and(|record| !record.pauses.is_empty()),
                slots: worker.slots.len() as u32,
                leases: running.0,
                tasks: running.1,
            }
        })
    }
}

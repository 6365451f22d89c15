//! What there is, at one moment.

use colearn_core::scheduler::{Scheduler, SweepStatus, TaskCounts};
use colearn_proto::v1::Usage;

use crate::rpc::Usages;

/// Maximum number of sweeps that have series of their own. What is more is summed.
pub(super) const SWEEPS: usize = 100;
/// Maximum number of such workers.
pub(super) const WORKERS: usize = 256;
/// The label of all others together. No sweep or worker has this name.
pub(super) const OTHERS: &str = "(others)";

/// What there is, as the engine sees it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Number of all sweeps, settled or not, by how they are: active, complete, failed, cancelled.
    pub(super) by_state: [u64; 4],
    /// Active sweeps, oldest first, and the sum of all others.
    pub(super) sweeps: Vec<SweepLine>,
    pub(super) workers: WorkerTotals,
    /// Workers, and the sum of all others.
    pub(super) each: Vec<WorkerLine>,
}

/// One active sweep.
#[derive(Debug, Default)]
pub(super) struct SweepLine {
    pub(super) name: String,
    pub(super) counts: TaskCounts,
    pub(super) retried: u64,
    pub(super) epochs: (u64, u64),
    pub(super) paused: u64,
    pub(super) without_worker: u64,
}

/// Numbers of all workers.
#[derive(Debug, Default)]
pub(super) struct WorkerTotals {
    pub(super) connected: u64,
    pub(super) away: u64,
    pub(super) draining: u64,
    pub(super) set_aside: u64,
    pub(super) slots: u64,
    pub(super) leases: u64,
}

/// One worker.
#[derive(Debug, Default)]
pub(super) struct WorkerLine {
    pub(super) id: String,
    pub(super) slots: u64,
    pub(super) tasks: u64,
    /// What its host does; of all others together, nothing.
    pub(super) usage: Option<Usage>,
}

impl Seen {
    /// Takes time in proportion to the sweeps and the workers, not to the tasks.
    pub(super) fn of(scheduler: &Scheduler) -> Self {
        let mut seen = Self::default();
        for settled in scheduler.all_settled() {
            *seen.state(settled.status) += 1;
        }
        for view in scheduler.sweeps() {
            *seen.state(view.status()) += 1;
            if view.status() != SweepStatus::Active {
                continue;
            }
            seen.add_sweep(SweepLine {
                name: view.sweep().name.to_string(),
                counts: view.counts(),
                retried: view.retried(),
                epochs: view.running_epochs(),
                paused: view.paused().into(),
                without_worker: scheduler.why_waiting(view.id()).is_some().into(),
            });
        }
        for worker in scheduler.worker_figures() {
            let totals = &mut seen.workers;
            totals.connected += u64::from(worker.connected);
            totals.away += u64::from(!worker.connected);
            totals.draining += u64::from(worker.draining);
            totals.set_aside += u64::from(worker.connected && worker.set_aside);
            totals.slots += if worker.connected { u64::from(worker.slots) } else { 0 };
            totals.leases += u64::from(worker.leases);
            seen.add_worker(|| worker.worker.to_string(), worker.slots.into(), worker.tasks.into());
        }
        seen
    }

    /// Adds what the hosts of the workers do that have series of their own.
    pub(super) fn with_usage(mut self, usages: &Usages) -> Self {
        for line in &mut self.each {
            line.usage = usages.of(&line.id).map(|(usage, _)| usage);
        }
        self
    }

    fn state(&mut self, status: SweepStatus) -> &mut u64 {
        let [active, complete, failed, cancelled] = &mut self.by_state;
        match status {
            SweepStatus::Active => active,
            SweepStatus::Complete => complete,
            SweepStatus::Failed => failed,
            SweepStatus::Cancelled => cancelled,
        }
    }

    pub(super) fn add_worker(&mut self, id: impl FnOnce() -> String, slots: u64, tasks: u64) {
        if let Some(others) = self.each.get_mut(WORKERS) {
            others.slots += slots;
            others.tasks += tasks;
        } else {
            let full = self.each.len() == WORKERS;
            let id = if full { OTHERS.to_owned() } else { id() };
            self.each.push(WorkerLine { id, slots, tasks, usage: None });
        }
    }

    pub(super) fn add_sweep(&mut self, line: SweepLine) {
        let Some(others) = self.sweeps.get_mut(SWEEPS) else {
            let full = self.sweeps.len() == SWEEPS;
            let name = if full { OTHERS.to_owned() } else { line.name };
            self.sweeps.push(SweepLine { name, ..line });
            return;
        };
        let (sum, more) = (&mut others.counts, line.counts);
        sum.pending += more.pending;
        sum.running += more.running;
        sum.done += more.done;
        sum.failed += more.failed;
        sum.cancelled += more.cancelled;
        others.retried += line.retried;
        others.epochs.0 += line.epochs.0;
        others.epochs.1 += line.epochs.1;
        others.paused += line.paused;
        others.without_worker += line.without_worker;
    }
}

//! The summary of one sweep.

use colearn_core::{
    id::{SweepId, SweepName},
    scheduler::{Scheduler, SettledSweep, SweepStatus, SweepView, TaskCounts, WhyWaiting},
    time::Timestamp,
};

/// The summary of one sweep at some moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepSummary {
    /// Its number.
    pub id: SweepId,
    /// Its name.
    pub name: SweepName,
    /// The state of the sweep.
    pub status: SweepStatus,
    /// Numbers of tasks by state.
    pub counts: TaskCounts,
    /// Number of points of the grid.
    pub configurations: u64,
    /// Number of seeds.
    pub seeds: u64,
    /// When it was first submitted.
    pub submitted_at: Timestamp,
    /// Number of attempts that failed and were tried again, or will be.
    pub retried: u64,
    /// Finished epochs of the running tasks, and their total number of epochs.
    pub running_epochs: (u64, u64),
    /// Numbers of connected workers and of their slots.
    pub workforce: (u32, u32),
    /// Sweeps with a higher priority come first.
    pub priority: i32,
    /// Whether no new tasks start.
    pub paused: bool,
    /// Maximum number of tasks that run at a time.
    pub max_concurrent_tasks: Option<u32>,
    /// Why its pending tasks wait, if no slot of a connected worker can take them.
    pub why_waiting: Option<WhyWaiting>,
    /// Why it was stopped, if its tasks failed.
    pub stopped: Option<String>,
    /// The only sweep that this coordinator trains, if it does not train all.
    pub trains_only: Option<SweepName>,
}

impl SweepSummary {
    /// The summary of a sweep of this scheduler.
    #[must_use]
    pub fn of(scheduler: &Scheduler, view: SweepView<'_>) -> Self {
        Self {
            id: view.id(),
            name: view.sweep().name.clone(),
            status: view.status(),
            counts: view.counts(),
            configurations: view.sweep().configurations.len() as u64,
            seeds: view.sweep().seeds.len() as u64,
            submitted_at: view.submitted_at(),
            retried: view.retried(),
            running_epochs: view.running_epochs(),
            workforce: scheduler.workforce(),
            priority: view.priority(),
            paused: view.paused(),
            max_concurrent_tasks: view.sweep().schedule.max_concurrent_tasks,
            why_waiting: scheduler.why_waiting(view.id()),
            stopped: view.stopped().map(str::to_owned),
            trains_only: scheduler.only().cloned(),
        }
    }

    /// The summary of a settled sweep.
    #[must_use]
    pub fn of_settled(scheduler: &Scheduler, settled: &SettledSweep) -> Self {
        Self {
            id: settled.id,
            name: settled.name.clone(),
            status: settled.status,
            counts: settled.counts,
            configurations: settled.configurations,
            seeds: settled.seeds,
            submitted_at: settled.submitted_at,
            retried: settled.retried,
            running_epochs: (0, 0),
            workforce: scheduler.workforce(),
            priority: settled.priority,
            paused: false,
            max_concurrent_tasks: settled.max_concurrent_tasks,
            why_waiting: None,
            stopped: settled.stopped.clone(),
            trains_only: scheduler.only().cloned(),
        }
    }

    /// The summary of a sweep, settled or not.
    #[must_use]
    pub fn find(scheduler: &Scheduler, sweep: SweepId) -> Option<Self> {
        match scheduler.settled(sweep) {
            Some(settled) => Some(Self::of_settled(scheduler, settled)),
            None => scheduler.sweep(sweep).map(|view| Self::of(scheduler, view)),
        }
    }

    /// The summaries of all sweeps, oldest first.
    #[must_use]
    pub fn all(scheduler: &Scheduler) -> Vec<Self> {
        let settled = scheduler.all_settled().map(|settled| Self::of_settled(scheduler, settled));
        let mut all: Vec<Self> =
            settled.chain(scheduler.sweeps().map(|view| Self::of(scheduler, view))).collect();
        all.sort_unstable_by_key(|summary| summary.id);
        all
    }
}

#[cfg(test)]
impl SweepSummary {
    /// An active sweep without tasks.
    pub(crate) fn example(id: u64, name: &str) -> Self {
        Self {
            id: SweepId(id),
            name: SweepName::new(name).expect("it is a name"),
            status: SweepStatus::Active,
            counts: TaskCounts::default(),
            configurations: 1,
            seeds: 4,
            submitted_at: Timestamp(0),
            retried: 0,
            running_epochs: (0, 0),
            workforce: (1, 1),
            priority: 0,
            paused: false,
            max_concurrent_tasks: None,
            why_waiting: None,
            stopped: None,
            trains_only: None,
        }
    }
}

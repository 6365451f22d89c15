//! What people see of sweeps, tasks and workers.

use std::{ops::Range, sync::Arc};

use crate::{
    failure::Failure,
    id::{ConfigurationId, SweepId, SweepName, TaskId, WorkerId},
    names::Names,
    needs::Offers,
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    data_sets::DataSets,
    record::PauseView,
    sweep_state::{FailedAttempt, SweepState},
    task::{Phase, SweepStatus, TaskCounts, TaskState},
};

/// The current state of one sweep. All answers except lists are kept up to date and not computed.
#[derive(Clone, Copy, Debug)]
pub struct SweepView<'a>(pub(super) &'a SweepState);

impl<'a> SweepView<'a> {
    /// Its number.
    #[must_use]
    pub fn id(&self) -> SweepId {
        self.0.id
    }

    /// The sweep itself.
    #[must_use]
    pub fn sweep(&self) -> &'a Arc<Sweep> {
        &self.0.sweep
    }

    /// When it was first submitted.
    #[must_use]
    pub fn submitted_at(&self) -> Timestamp {
        self.0.submitted_at
    }

    /// The state of the sweep.
    #[must_use]
    pub fn status(&self) -> SweepStatus {
        self.0.status()
    }

    /// Numbers of tasks by state.
    #[must_use]
    pub fn counts(&self) -> TaskCounts {
        self.0.counts
    }

    /// Whether no new tasks start.
    #[must_use]
    pub fn paused(&self) -> bool {
        self.0.paused
    }

    /// Sweeps with a higher priority come first.
    #[must_use]
    pub fn priority(&self) -> i32 {
        self.0.priority
    }

    /// Why its pending tasks were cancelled, if its tasks failed.
    #[must_use]
    pub fn stopped(&self) -> Option<&'a str> {
        self.0.stopped()
    }

    /// When its last task ended; `None` while it is active.
    #[must_use]
    pub fn ended_at(&self) -> Option<Timestamp> {
        self.0.ended_at
    }

    /// Numbers of tasks by state for each configuration, in their order.
    #[must_use]
    pub fn configuration_counts(&self) -> &'a [TaskCounts] {
        &self.0.configuration_counts
    }

    /// Number of attempts that failed and were tried again, or will be.
    #[must_use]
    pub fn retried(&self) -> u64 {
        self.0.retried
    }

    /// Finished epochs of the running tasks, and their total number of epochs.
    #[must_use]
    pub fn running_epochs(&self) -> (u64, u64) {
        (self.0.epochs_done, self.0.epochs_total)
    }

    /// Failed attempts, newest first; at most 100.
    pub fn recent_failures(&self) -> impl Iterator<Item = &'a FailedAttempt> {
        self.0.recent_failures.iter()
    }

    /// The last attempt of each failed task, with the task's position in the order of the grid (configuration by
    /// configuration, with the seeds inside), in that order.
    #[must_use]
    pub fn failures(&self) -> Vec<(u64, &'a FailedAttempt)> {
        let mut failures: Vec<_> =
            self.0.failures.iter().map(|(index, failed)| (self.0.position(*index), failed)).collect();
        failures.sort_unstable_by_key(|(position, _)| *position);
        failures
    }

    /// The positions of its cancelled tasks in the order of the grid, in that order.
    #[must_use]
    pub fn cancelled(&self) -> Vec<u64> {
        let state = self.0;
        if state.counts.cancelled == 0 {
            return Vec::new();
        }
        let cancelled = state.in_grid_order().filter(|index| state.task(*index).phase == Phase::Cancelled);
        cancelled.map(|index| state.position(index)).collect()
    }

    /// Whether it has such a task.
    #[must_use]
    pub fn has_task(&self, task: TaskId) -> bool {
        task.sweep == self.0.id && self.0.index_of(task).is_some()
    }

    /// What the names of its configurations are made of. The first call takes time in proportion to the sweep.
    #[must_use]
    pub fn names(&self) -> &'a Arc<Names> {
        self.0.names()
    }

    /// The name of a task's configuration; empty if the sweep has no such task.
    #[must_use]
    pub fn name_of(&self, task: TaskId) -> String {
        self.0.index_of(task).map(|index| self.0.name_of(index)).unwrap_or_default()
    }

    /// The states of its tasks in the order of the grid.
    pub fn states(&self) -> impl Iterator<Item = TaskState> + use<'a> {
        let state = self.0;
        state.in_grid_order().map(move |index| state.task(index).state())
    }

    /// The positions of a configuration's tasks in the order of the grid; `None` if the sweep has no such configuration.
    #[must_use]
    pub fn positions_of(&self, configuration: ConfigurationId) -> Option<Range<usize>> {
        let (place, seeds) = (self.0.place_of(configuration)? as usize, self.0.sweep.seeds.len());
        Some(place * seeds..(place + 1) * seeds)
    }

    /// Its tasks with these positions in the order of the grid, of which only those in wanted states. Positions that the
    /// sweep does not have are left out.
    pub fn tasks(
        &self,
        positions: Range<usize>,
        is_wanted: impl Fn(TaskState) -> bool,
    ) -> impl Iterator<Item = TaskView> {
        let state = self.0;
        let seeds = state.sweep.seeds.len();
        let positions = positions.start..positions.end.min(state.tasks.len());
        let indices = positions.map(move |at| state.at((at / seeds) as u32, (at % seeds) as u32));
        indices.filter(move |index| is_wanted(state.task(*index).state())).map(move |index| {
            let task = state.task(index);
            let failure = state.failures.get(&index).map(|failed| failed.failure.clone());
            TaskView {
                task: state.task_id(index),
                name: state.name_of(index),
                state: task.state(),
                attempts: task.attempts,
                epochs: state.epochs_of(index),
                failure,
            }
        })
    }
}

/// The current state of one task.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskView {
    /// The task.
    pub task: TaskId,
    /// The name of its configuration.
    pub name: String,
    /// The state of the task.
    pub state: TaskState,
    /// Number of attempts begun and not returned.
    pub attempts: u32,
    /// Total number of its epochs; 0 if its settings do not say it.
    pub epochs: u32,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
}

/// A task in training.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningTask {
    /// The task.
    pub task: TaskId,
    /// The name of its configuration.
    pub name: String,
    /// Name of its sweep.
    pub sweep: SweepName,
    /// The worker that trains it.
    pub worker: WorkerId,
    /// The slot of the worker.
    pub slot: u32,
    /// Number of the attempt, counting from 1.
    pub attempt: u32,
    /// Number of finished epochs.
    pub epoch: u32,
    /// Total number of epochs; 0 if its settings do not say it.
    pub epochs: u32,
}

/// The current state of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerView {
    /// Id of the worker.
    pub worker: WorkerId,
    /// Name of its host.
    pub host: String,
    /// Its version of colearn.
    pub version: String,
    /// False for a worker that is disconnected but still has leases and may return.
    pub connected: bool,
    /// It was asked to exit, and takes no new tasks.
    pub draining: bool,
    /// It was asked to exit without waiting for running tasks.
    pub leaves_now: bool,
    /// Its pauses, with end and reason; usually empty.
    pub set_aside: Vec<PauseView>,
    /// When it last sent a message.
    pub last_seen: Timestamp,
    /// Warnings for its operator.
    pub warnings: Vec<String>,
    /// Its data sets, as far as it knows them.
    pub data_sets: DataSets,
    /// Its slots by number.
    pub slots: Vec<SlotView>,
}

/// A data set or program whose files are other than those that the results of a sweep were made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangedFiles {
    /// Its name, see [`crate::settings::TaskSettings::data_set`].
    pub name: String,
    /// The digest of the files that the results were made with.
    pub recorded: String,
    /// The digest of the files as they are now.
    pub now: String,
}

/// A worker that gets no tasks of a data set while another one may have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutData {
    /// The worker.
    pub worker: WorkerId,
    /// The data set that it lacks, as the sweep names it.
    pub data_set: String,
    /// Whether `data_set` names the files of a program.
    pub program: bool,
    /// The digest of the data set that it has under this name; `None` when it has none.
    pub other: Option<String>,
}

/// The current state of a slot.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotView {
    /// Number of the slot on its worker.
    pub index: u32,
    /// Device of the slot, such as `cpu x1`.
    pub device: String,
    /// Maximum number of tasks in one cohort.
    pub max_cohort: u32,
    /// What it offers to tasks; `None` if the worker has not reconnected since the coordinator's start.
    pub offers: Option<Offers>,
    /// Its running tasks.
    pub tasks: Vec<RunningTask>,
}

//! Queries of the scheduler.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use crate::{
    failure::Failure,
    id::{ConfigurationId, LeaseToken, SweepId, SweepName, TaskId, WorkerId},
    names::{Names, as_argument},
    needs::Offers,
    settings::TaskSettings,
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    data_sets::DataSets,
    event::Event,
    machine::Scheduler,
    record::PauseView,
    sweep_state::{FailedAttempt, SweepState},
    task::{Phase, SweepStatus, TaskCounts, TaskState},
    worker::Worker,
};

/// The current state of one sweep. All answers except lists are kept up to date and not computed.
#[derive(Clone, Copy, Debug)]
pub struct SweepView<'a>(&'a SweepState);

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
    /// Its name, see [`TaskSettings::data_set`].
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

impl Scheduler {
    /// A sweep by number.
    #[must_use]
    pub fn sweep(&self, id: SweepId) -> Option<SweepView<'_>> {
        self.sweeps.get(&id).map(SweepView)
    }

    /// A sweep by name.
    #[must_use]
    pub fn sweep_named(&self, name: &SweepName) -> Option<SweepView<'_>> {
        self.names.get(name).and_then(|id| self.sweep(*id))
    }

    /// The number of a sweep, settled or not.
    #[must_use]
    pub fn id_of(&self, name: &SweepName) -> Option<SweepId> {
        self.names.get(name).copied()
    }

    /// The names of all sweeps, settled or not.
    pub fn names(&self) -> impl Iterator<Item = &SweepName> {
        self.names.keys()
    }

    /// All sweeps that are not settled, oldest first.
    pub fn sweeps(&self) -> impl Iterator<Item = SweepView<'_>> {
        self.sweeps.values().map(SweepView)
    }

    /// The sweep that a durable event belongs to; `None` if it is about all of them, or about a lease that is not
    /// active any more. To be called before the event is applied. A removal belongs to no sweep: it is what remains
    /// of one.
    #[must_use]
    pub fn sweep_of(&self, event: &Event) -> Option<SweepId> {
        match event {
            Event::SweepSubmitted { id, .. } | Event::SweepExtended { id, .. } => Some(*id),
            Event::LeaseGranted { tasks, .. } => tasks.first().map(|(task, _)| task.sweep),
            Event::TaskFinished { task, .. } | Event::AttemptFailed { task, .. } => Some(task.sweep),
            Event::LeaseExpired { token, .. } | Event::LeaseReleased { token } => {
                self.leases.get(token).map(|lease| lease.sweep)
            }
            Event::SweepCancelled { sweep }
            | Event::TasksCancelled { sweep, .. }
            | Event::RestCancelled { sweep, .. }
            | Event::SweepRefused { sweep, .. }
            | Event::TasksRetried { sweep, .. }
            | Event::SweepPaused { sweep, .. }
            | Event::SweepPrioritized { sweep, .. }
            | Event::DataReplaced { sweep } => Some(*sweep),
            _ => None,
        }
    }

    /// A name of a task for logs, as commands accept it: `demo/audio=0.8,video=0.8/0`; empty if there is no such task.
    #[must_use]
    pub fn name_of(&self, task: TaskId) -> String {
        let Some((state, index)) = self.find(task) else { return String::new() };
        format!("{}/{}/{}", state.sweep.name, as_argument(&state.name_of(index)), task.seed)
    }

    /// The settings of a task.
    #[must_use]
    pub fn settings_of(&self, task: TaskId) -> Option<&TaskSettings> {
        self.find(task).map(|(state, index)| state.settings_of(index))
    }

    /// The name of the files that a task is made of, see [`TaskSettings::data_set`].
    pub(super) fn data_set_of(&self, task: TaskId) -> Option<&str> {
        self.find(task).map(|(state, index)| state.data_of(index).0)
    }

    /// The task's position in the order of the grid: configuration by configuration, with the seeds inside. It
    /// increases along the grid, not always by one, and does not change when configurations or seeds are added.
    #[must_use]
    pub fn position_of(&self, task: TaskId) -> Option<u64> {
        self.find(task).map(|(state, index)| state.position(index))
    }

    /// The state of a task.
    #[must_use]
    pub fn state_of(&self, task: TaskId) -> Option<TaskState> {
        self.find(task).map(|(state, index)| state.task(index).state())
    }

    /// The lease under which a task was finished; `None` if it is not done.
    #[must_use]
    pub fn finished_under(&self, task: TaskId) -> Option<LeaseToken> {
        let (state, index) = self.find(task)?;
        let task = state.task(index);
        (task.state() == TaskState::Done).then_some(task.token)
    }

    /// The tokens of the active leases.
    pub fn lease_tokens(&self) -> impl Iterator<Item = LeaseToken> {
        self.leases.keys().copied()
    }

    /// Number of active leases.
    #[must_use]
    pub fn lease_count(&self) -> usize {
        self.leases.len()
    }

    /// The only sweep whose tasks are granted; `None` if those of all sweeps are.
    #[must_use]
    pub fn only(&self) -> Option<&SweepName> {
        self.settings.only.as_ref()
    }

    /// Numbers of connected workers and of their slots.
    #[must_use]
    pub fn workforce(&self) -> (u32, u32) {
        let connected = self.workers.values().filter(|worker| worker.connected);
        connected.fold((0, 0), |(workers, slots), worker| (workers + 1, slots + worker.slots.len() as u32))
    }

    /// The workers that are connected or have leases, sorted by id.
    pub fn workers(&self) -> impl Iterator<Item = WorkerView> {
        self.workers.iter().map(|(id, worker)| {
            let mut slots: BTreeMap<u32, SlotView> = BTreeMap::new();
            for (index, offer) in &worker.slots {
                let view = SlotView {
                    index: *index,
                    device: offer.device.clone(),
                    max_cohort: offer.max_cohort,
                    offers: Some(Offers::clone(&offer.offers)),
                    tasks: Vec::new(),
                };
                slots.insert(*index, view);
            }
            for token in &worker.leases {
                let Some(lease) = self.leases.get(token) else { continue };
                let unknown = || SlotView {
                    index: lease.slot,
                    device: String::new(),
                    max_cohort: 0,
                    offers: None,
                    tasks: Vec::new(),
                };
                let slot = slots.entry(lease.slot).or_insert_with(unknown);
                slot.tasks.extend(self.running_under(*token));
            }
            WorkerView {
                worker: id.clone(),
                host: worker.about.host.clone(),
                version: worker.about.version.clone(),
                connected: worker.connected,
                draining: worker.draining.is_some(),
                leaves_now: worker.draining == Some(true),
                set_aside: self.set_aside_for(id),
                last_seen: worker.last_seen,
                warnings: worker.about.warnings.clone(),
                data_sets: worker.data_sets.clone(),
                slots: slots.into_values().collect(),
            }
        })
    }

    /// The pauses of a worker.
    #[must_use]
    pub fn set_aside_for(&self, worker: &WorkerId) -> Vec<PauseView> {
        let pauses = self.records.get(worker).into_iter().flat_map(|record| &record.pauses);
        pauses.map(|(scope, pause)| PauseView::of(scope, pause)).collect()
    }

    /// The present workers with slots for a sweep that get no task of it, or only one as a test, with the reasons.
    #[must_use]
    pub fn set_aside_from(&self, sweep: SweepId) -> Vec<(WorkerId, PauseView)> {
        let Some(state) = self.sweeps.get(&sweep) else { return Vec::new() };
        let uses = |name: &String| state.data_sets.contains(name);
        let can = |worker: &&WorkerId| {
            self.workers.get(worker).is_some_and(|known| known.can_meet(&state.sweep.needs))
        };
        let there = self.records.keys().filter(can);
        let pauses = there
            .flat_map(|worker| self.set_aside_for(worker).into_iter().map(|pause| (worker.clone(), pause)));
        pauses.filter(|(_, pause)| pause.data_set.as_ref().is_none_or(uses)).collect()
    }

    /// The connected workers with slots for a sweep that lack a data set of it, or have a different one of that name.
    #[must_use]
    pub fn without_data(&self, sweep: SweepId) -> Vec<WithoutData> {
        let Some(state) = self.sweeps.get(&sweep) else { return Vec::new() };
        let mut without = Vec::new();
        let can = |worker: &Worker| worker.connected && worker.can_meet(&state.sweep.needs);
        for (id, worker) in self.workers.iter().filter(|(_, worker)| can(worker)) {
            for name in &state.data_sets {
                let digest = state.data_digests.get(name).map(String::as_str);
                if !worker.data_sets.may_have(name, digest) {
                    let other = worker.data_sets.known.get(name).and_then(|known| known.digest.clone());
                    let (worker, data_set) = (id.clone(), name.clone());
                    without.push(WithoutData { worker, data_set, program: state.runs_program(), other });
                }
            }
        }
        without
    }

    /// The data sets and programs of a sweep whose results were made with other files than these, given by their
    /// digests. Names that the sweep does not have are ignored.
    #[must_use]
    pub fn changed_files(&self, sweep: SweepId, digests: &BTreeMap<String, String>) -> Vec<ChangedFiles> {
        let Some(state) = self.sweeps.get(&sweep) else { return Vec::new() };
        let changed = state.data_digests.iter().filter_map(|(name, recorded)| {
            let now = digests.get(name).filter(|now| *now != recorded)?;
            Some(ChangedFiles { name: name.clone(), recorded: recorded.clone(), now: now.clone() })
        });
        changed.collect()
    }

    /// The tasks that are trained under a lease.
    pub fn running_under(&self, token: LeaseToken) -> Vec<RunningTask> {
        let Some(lease) = self.leases.get(&token) else { return Vec::new() };
        let Some(state) = self.sweeps.get(&lease.sweep) else { return Vec::new() };
        let running = lease.members.iter().map(|(index, epoch)| RunningTask {
            task: state.task_id(*index),
            name: state.name_of(*index),
            sweep: state.sweep.name.clone(),
            worker: lease.worker.clone(),
            slot: lease.slot,
            attempt: state.task(*index).attempts,
            epoch: *epoch,
            epochs: state.epochs_of(*index),
        });
        running.collect()
    }

    /// A task in training; `None` if it is not in training.
    #[must_use]
    pub fn running(&self, task: TaskId) -> Option<RunningTask> {
        let (state, index) = self.find(task)?;
        self.running_under(state.task(index).token).into_iter().find(|running| running.task == task)
    }
}

//! What the scheduler answers about sweeps, tasks and workers.

use std::collections::BTreeMap;

use crate::{
    id::{LeaseToken, SweepId, SweepName, TaskId, WorkerId},
    names::as_argument,
    needs::Offers,
    settings::TaskSettings,
};

use super::{
    event::Event,
    machine::Scheduler,
    record::PauseView,
    task::TaskState,
    view::{ChangedFiles, RunningTask, SlotView, SweepView, WithoutData, WorkerView},
    worker::Worker,
};

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

//! The tasks, queues and counters of one sweep.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, OnceLock},
};

use crate::{
    failure::{Failure, FailureReason},
    id::{ConfigurationId, LeaseToken, SweepId, TaskId, WorkerId},
    names::Names,
    sweep::{Order, Sweep},
    time::Timestamp,
};

use super::{
    stop::Stop,
    task::{Phase, SweepStatus, Task, TaskCounts},
};

/// Maximum number of failed attempts per sweep that are kept for people.
pub(super) const RECENT_FAILURES: usize = 100;

/// Maximum number of recorded workers on which a configuration failed: enough to include a worker other than any
/// given one.
const WORKERS_KEPT: usize = 4;

/// If more than one of this many tasks has begun, queues are made again instead of changed.
const MANY: usize = 16;

/// A failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// The task.
    pub task: TaskId,
    /// Number of the attempt, counting from 1.
    pub attempt: u32,
    /// The failure.
    pub failure: Failure,
    /// Whether it was the last attempt: the task has failed.
    pub last: bool,
}

/// Tasks of one group can share a cohort: equal cohort key, and equal max_cohort limit.
pub(super) type Group = (u64, u32);

/// The tasks, queues and counters of one sweep.
///
/// Tasks are numbered in the order in which they are handed out, see [`Order`]. If the order changes or tasks are
/// added, they are numbered again: see [`SweepState::renumber`].
#[derive(Clone, Debug)]
pub(super) struct SweepState {
    pub(super) id: SweepId,
    pub(super) sweep: Arc<Sweep>,
    pub(super) submitted_at: Timestamp,
    /// Whether no new tasks start.
    pub(super) paused: bool,
    /// The priority of the sweep file, until a person changes it.
    pub(super) priority: i32,
    /// When its last task ended; `None` while it is active.
    pub(super) ended_at: Option<Timestamp>,
    /// Number of slots that train it.
    pub(super) leases: u32,
    pub(super) tasks: Vec<Task>,
    pub(super) counts: TaskCounts,
    pub(super) configuration_counts: Vec<TaskCounts>,
    /// The data sets of its tasks, by name.
    pub(super) data_sets: Vec<String>,
    /// For each configuration, the number of its data set.
    data_set_of: Vec<u32>,
    /// For each configuration, its cohort key: here it is near to those of its neighbours.
    cohort_keys: Vec<u64>,
    /// Ready tasks in order, by data set.
    pub(super) ready: Vec<BTreeSet<u32>>,
    /// The ready tasks by group.
    pub(super) groups: BTreeMap<Group, BTreeSet<u32>>,
    pub(super) retried: u64,
    pub(super) recent_failures: VecDeque<FailedAttempt>,
    /// The last failures of the failed tasks.
    pub(super) failures: BTreeMap<u32, FailedAttempt>,
    /// For tasks that are not done: the workers on which they failed since a person last retried them, with the last
    /// reason. Workers that were lost with the task, or on which its cohort was too large, do not count.
    pub(super) failed_on: BTreeMap<u32, BTreeMap<WorkerId, FailureReason>>,
    /// For configurations, by their positions: the workers on which they failed in a way that may be the fault of the
    /// configuration; if there are many workers, only some. Missing data and divergence do not count.
    pub(super) configurations_failed_on: BTreeMap<usize, BTreeSet<WorkerId>>,
    /// Digests of the data sets that its results were trained on, since a person last replaced the data.
    pub(super) data_digests: BTreeMap<String, String>,
    /// The greatest lease that was active when a person last replaced the data, see [`Self::is_of_replaced_data`].
    pub(super) data_replaced_after: LeaseToken,
    /// Whether the sweep is known to fit its data sets.
    pub(super) fits_data: bool,
    pub(super) epochs_done: u64,
    pub(super) epochs_total: u64,
    configuration_indices: HashMap<ConfigurationId, u32>,
    seed_indices: BTreeMap<u64, u32>,
    /// Whether it is to be stopped because its tasks fail.
    pub(super) stop: Stop,
    /// Computed when the first name is wanted: that takes time in proportion to the sweep.
    names: OnceLock<Arc<Names>>,
}

impl SweepState {
    pub(super) fn new(id: SweepId, sweep: Arc<Sweep>, submitted_at: Timestamp) -> Self {
        let configurations = sweep.configurations.len() as u32;
        let seeds = sweep.seeds.len() as u32;
        let total = configurations * seeds;
        let mut data_sets: Vec<String> = Vec::new();
        let mut by_name: BTreeMap<Cow<'_, str>, u32> = BTreeMap::new();
        let data_set_of: Vec<u32> = sweep
            .configurations
            .iter()
            .map(|configuration| {
                let name = configuration.settings.data_set();
                *by_name.entry(name).or_insert_with_key(|name| {
                    data_sets.push(name.clone().into_owned());
                    data_sets.len() as u32 - 1
                })
            })
            .collect();
        let order = sweep.schedule.order;
        let all = || sweep.configurations.iter();
        let max_cohorts: Vec<u32> = all().map(|it| it.settings.max_cohort()).collect();
        let new = |index: u32| {
            let configuration = if order == Order::BySeed { index % configurations } else { index / seeds };
            Task::new(max_cohorts[configuration as usize])
        };
        let mut state = Self {
            id,
            submitted_at,
            paused: false,
            priority: sweep.schedule.priority,
            ended_at: None,
            leases: 0,
            tasks: (0..total).map(new).collect(),
            counts: TaskCounts::default(),
            configuration_counts: vec![TaskCounts::default(); sweep.configurations.len()],
            data_sets,
            data_set_of,
            cohort_keys: all().map(|configuration| configuration.cohort_key).collect(),
            ready: Vec::new(),
            groups: BTreeMap::new(),
            retried: 0,
            recent_failures: VecDeque::new(),
            failures: BTreeMap::new(),
            failed_on: BTreeMap::new(),
            configurations_failed_on: BTreeMap::new(),
            data_digests: BTreeMap::new(),
            data_replaced_after: Task::NO_LEASE,
            fits_data: false,
            epochs_done: 0,
            epochs_total: 0,
            configuration_indices: (0..).zip(&sweep.configurations).map(|(i, c)| (c.id, i)).collect(),
            seed_indices: (0..).zip(&sweep.seeds).map(|(i, seed)| (*seed, i)).collect(),
            stop: Stop::default(),
            names: OnceLock::new(),
            sweep,
        };
        state.count_and_queue();
        state
    }

    /// The positions of a task's configuration and seed in the sweep.
    fn place(&self, index: u32) -> (u32, u32) {
        match self.sweep.schedule.order {
            Order::BySeed => {
                let configurations = self.configuration_counts.len() as u32;
                (index % configurations, index / configurations)
            }
            Order::ByConfiguration => {
                let seeds = self.sweep.seeds.len() as u32;
                (index / seeds, index % seeds)
            }
        }
    }

    pub(super) fn at(&self, configuration: u32, seed: u32) -> u32 {
        match self.sweep.schedule.order {
            Order::BySeed => seed * self.configuration_counts.len() as u32 + configuration,
            Order::ByConfiguration => configuration * self.sweep.seeds.len() as u32 + seed,
        }
    }

    pub(super) fn configuration_of(&self, index: u32) -> usize {
        self.place(index).0 as usize
    }

    pub(super) fn index_of(&self, task: TaskId) -> Option<u32> {
        Some(self.at(self.place_of(task.configuration)?, self.place_of_seed(task.seed)?))
    }

    /// The position of a configuration in the sweep.
    pub(super) fn place_of(&self, configuration: ConfigurationId) -> Option<u32> {
        self.configuration_indices.get(&configuration).copied()
    }

    /// The position of a seed in the sweep.
    pub(super) fn place_of_seed(&self, seed: u64) -> Option<u32> {
        self.seed_indices.get(&seed).copied()
    }

    pub(super) fn task_id(&self, index: u32) -> TaskId {
        let (configuration, seed) = self.place(index);
        TaskId {
            sweep: self.id,
            configuration: self.sweep.configurations[configuration as usize].id,
            seed: self.sweep.seeds[seed as usize],
        }
    }

    /// What the names of its configurations are made of.
    pub(super) fn names(&self) -> &Arc<Names> {
        self.names.get_or_init(|| Names::of(&self.sweep).into())
    }

    /// The name of a task's configuration.
    pub(super) fn name_of(&self, index: u32) -> String {
        self.names().name(&self.sweep.configurations[self.configuration_of(index)])
    }

    /// The task's position in the order of the grid: configuration by configuration, with the seeds inside.
    /// Configurations or seeds that are added at the end do not change it.
    pub(super) fn position(&self, index: u32) -> u64 {
        let (configuration, seed) = self.place(index);
        u64::from(configuration) << 32 | u64::from(seed)
    }

    /// Indices in the order of the grid.
    pub(super) fn in_grid_order(&self) -> impl Iterator<Item = u32> + '_ {
        let seeds = self.sweep.seeds.len() as u32;
        (0..self.configuration_counts.len() as u32).flat_map(move |c| (0..seeds).map(move |s| self.at(c, s)))
    }

    /// Replaces the sweep by one that has all its tasks, possibly more or in another order. `new` is its state in which
    /// nothing has begun, and `moved` has the new numbers of the existing tasks by their old ones. Returns the state
    /// before, which is of no use any more.
    pub(super) fn renumber(&mut self, mut new: Self, moved: &[u32]) -> Self {
        (new.id, new.submitted_at) = (self.id, self.submitted_at);
        new.take_tasks(&self.tasks, moved);
        let failures = std::mem::take(&mut self.failures).into_iter();
        new.failures = failures.map(|(old, failed)| (moved[old as usize], failed)).collect();
        new.recent_failures = std::mem::take(&mut self.recent_failures);
        let failed_on = std::mem::take(&mut self.failed_on).into_iter();
        new.failed_on = failed_on.map(|(old, workers)| (moved[old as usize], workers)).collect();
        // Configurations keep their positions.
        new.configurations_failed_on = std::mem::take(&mut self.configurations_failed_on);
        // A program may run in another folder now; its results are still of the same files.
        for (old, number) in self.data_set_of.iter().zip(&new.data_set_of) {
            if let Some(digest) = self.data_digests.get(&self.data_sets[*old as usize]) {
                let name = &new.data_sets[*number as usize];
                if !new.data_digests.contains_key(name) {
                    new.data_digests.insert(name.clone(), digest.clone());
                }
            }
        }
        new.data_replaced_after = self.data_replaced_after;
        (new.paused, new.priority, new.ended_at, new.leases) =
            (self.paused, self.priority, self.ended_at, self.leases);
        (new.retried, new.epochs_done, new.epochs_total) =
            (self.retried, self.epochs_done, self.epochs_total);
        new.stop = std::mem::take(&mut self.stop);
        std::mem::replace(self, new)
    }

    /// Gives tasks that are all pending these states at these numbers.
    fn take_tasks(&mut self, tasks: &[Task], numbers: &[u32]) {
        let numbered = numbers.iter().copied().zip(tasks);
        let begun: Vec<(u32, &Task)> = numbered.filter(|(index, task)| self.task(*index) != *task).collect();
        // To change the queues takes longer for each task than to make them again.
        if begun.len() > self.tasks.len() / MANY {
            for (index, task) in begun {
                *self.task_mut(index) = task.clone();
            }
            self.count_and_queue();
            return;
        }
        for (index, task) in begun {
            let phase = task.phase;
            // The task leaves the queues under its old max_cohort and enters them under its own.
            self.move_to(index, Phase::Running);
            *self.task_mut(index) = Task { phase: Phase::Running, ..task.clone() };
            self.move_to(index, phase);
        }
    }

    /// Computes counters and queues from the phases of the tasks.
    fn count_and_queue(&mut self) {
        self.counts = TaskCounts::default();
        self.configuration_counts.fill(TaskCounts::default());
        let mut ready: Vec<Vec<u32>> = vec![Vec::new(); self.data_sets.len()];
        let mut groups: Vec<Vec<u32>> = Vec::new();
        let mut numbers: BTreeMap<Group, usize> = BTreeMap::new();
        // Tasks that follow each other are usually of one group.
        let mut last: Option<(Group, usize)> = None;
        for index in 0..self.tasks.len() as u32 {
            let Task { phase, max_cohort, .. } = *self.task(index);
            let configuration = self.configuration_of(index);
            *self.counts.of(phase) += 1;
            *self.configuration_counts[configuration].of(phase) += 1;
            if phase != Phase::Ready {
                continue;
            }
            ready[self.data_set_of[configuration] as usize].push(index);
            let group = (self.cohort_keys[configuration], max_cohort);
            let number = match last {
                Some((same, number)) if same == group => number,
                _ => *numbers.entry(group).or_insert(groups.len()),
            };
            last = Some((group, number));
            match groups.get_mut(number) {
                Some(tasks) => tasks.push(index),
                None => groups.push(vec![index]),
            }
        }
        // Made of sorted lists, which is several times as fast as one insertion after the other.
        self.ready = ready.into_iter().map(|tasks| tasks.into_iter().collect()).collect();
        let mut queue = |number: usize| std::mem::take(&mut groups[number]).into_iter().collect();
        self.groups = numbers.into_iter().map(|(group, number)| (group, queue(number))).collect();
    }

    /// Whether the configurations of a sweep with the same configurations have the same data sets.
    pub(super) fn has_data_sets_of(&self, sweep: &Sweep) -> bool {
        let names = sweep.configurations.iter().map(|configuration| configuration.settings.data_set());
        self.data_set_of.len() == names.len()
            && self
                .data_set_of
                .iter()
                .zip(names)
                .all(|(number, name)| self.data_sets[*number as usize] == name)
    }

    /// The tasks that are pending or running.
    pub(super) fn unfinished(&self) -> Vec<u32> {
        (0..).zip(&self.tasks).filter(|(_, task)| task.is_open()).map(|(index, _)| index).collect()
    }

    /// The number of epochs of a task; 0 if its settings do not say it.
    pub(super) fn epochs_of(&self, index: u32) -> u32 {
        self.settings_of(index).epochs().unwrap_or(0)
    }

    pub(super) fn settings_of(&self, index: u32) -> &crate::settings::TaskSettings {
        &self.sweep.configurations[self.configuration_of(index)].settings
    }

    /// Whether its tasks run a program instead of training a built-in network.
    pub(super) fn runs_program(&self) -> bool {
        self.sweep.configurations.first().is_some_and(|first| first.settings.program().is_some())
    }

    /// Whether a lease began before a person replaced the data, and may be of the old data. Its results are accepted,
    /// but do not determine the data of the sweep; that it cannot open the old data is no failure.
    pub(super) fn is_of_replaced_data(&self, token: LeaseToken) -> bool {
        token <= self.data_replaced_after
    }

    /// Whether a failure under a lease is nobody's fault: the program asked to go on later, or the data that the lease
    /// is bound to was replaced.
    pub(super) fn is_excused(&self, token: LeaseToken, reason: FailureReason) -> bool {
        match reason {
            FailureReason::Parked => true,
            FailureReason::Data => self.is_of_replaced_data(token),
            _ => false,
        }
    }

    /// The number of a task's data set.
    pub(super) fn data_set_of(&self, index: u32) -> usize {
        self.data_set_of[self.configuration_of(index)] as usize
    }

    /// The data set of a task, see [`Self::data_set`].
    pub(super) fn data_of(&self, index: u32) -> (&str, Option<&str>) {
        self.data_set(self.data_set_of(index))
    }

    /// A data set by its number: its name, and its digest if it is known what the sweep is trained on.
    pub(super) fn data_set(&self, number: usize) -> (&str, Option<&str>) {
        let name = self.data_sets[number].as_str();
        (name, self.data_digests.get(name).map(String::as_str))
    }

    pub(super) fn task(&self, index: u32) -> &Task {
        &self.tasks[index as usize]
    }

    /// A task, to change anything except its phase; its max_cohort only while it is not ready.
    pub(super) fn task_mut(&mut self, index: u32) -> &mut Task {
        &mut self.tasks[index as usize]
    }

    pub(super) fn group_of(&self, index: u32) -> Group {
        (self.cohort_keys[self.configuration_of(index)], self.task(index).max_cohort)
    }

    /// The only place where a task changes its phase: counters and queues follow.
    pub(super) fn move_to(&mut self, index: u32, phase: Phase) {
        let configuration = self.configuration_of(index);
        let before = std::mem::replace(&mut self.task_mut(index).phase, phase);
        for counts in [&mut self.counts, &mut self.configuration_counts[configuration]] {
            *counts.of(before) -= 1;
            *counts.of(phase) += 1;
        }
        let group = self.group_of(index);
        let data_set = self.data_set_of(index);
        if before == Phase::Ready {
            self.ready[data_set].remove(&index);
            if let Some(queue) = self.groups.get_mut(&group) {
                queue.remove(&index);
                if queue.is_empty() {
                    self.groups.remove(&group);
                }
            }
        }
        if phase == Phase::Ready {
            self.ready[data_set].insert(index);
            self.groups.entry(group).or_default().insert(index);
        }
    }

    /// Moves tasks to one phase. To change the queues for each of many tasks takes longer than to make them again.
    pub(super) fn move_all(&mut self, indices: &[u32], phase: Phase) {
        if indices.len() <= self.tasks.len() / MANY {
            indices.iter().for_each(|index| self.move_to(*index, phase));
            return;
        }
        for index in indices {
            self.task_mut(*index).phase = phase;
        }
        self.count_and_queue();
    }

    pub(super) fn note_failure(&mut self, index: u32, attempt: u32, failure: &Failure, last: bool) {
        let failed = FailedAttempt { task: self.task_id(index), attempt, failure: failure.clone(), last };
        if self.recent_failures.len() == RECENT_FAILURES {
            self.recent_failures.pop_back();
        }
        self.recent_failures.push_front(failed.clone());
        if last {
            self.failures.insert(index, failed);
        } else {
            self.retried += 1;
        }
    }

    pub(super) fn note_failed_on(&mut self, index: u32, worker: WorkerId, reason: FailureReason) {
        if reason.may_be_the_workers() && reason != FailureReason::Data {
            let configuration = self.configuration_of(index);
            let workers = self.configurations_failed_on.entry(configuration).or_default();
            if workers.len() < WORKERS_KEPT {
                workers.insert(worker.clone());
            }
        }
        self.failed_on.entry(index).or_default().insert(worker, reason);
    }

    /// A person retries a task: the causes of its failures may be fixed.
    pub(super) fn forget_failures_of(&mut self, index: u32) {
        let configuration = self.configuration_of(index);
        self.configurations_failed_on.remove(&configuration);
        self.failed_on.remove(&index);
        self.failures.remove(&index);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.counts.pending == 0 && self.counts.running == 0
    }

    pub(super) fn status(&self) -> SweepStatus {
        if !self.has_ended() {
            SweepStatus::Active
        } else if self.counts.cancelled > 0 && self.stopped().is_none() {
            SweepStatus::Cancelled
        } else if self.counts.failed > 0 {
            SweepStatus::Failed
        } else {
            SweepStatus::Complete
        }
    }

    /// How many more tasks of the sweep may be leased now.
    pub(super) fn room(&self) -> usize {
        if self.paused {
            return 0;
        }
        let most = self.sweep.schedule.max_concurrent_tasks.unwrap_or(u32::MAX);
        self.ready
            .iter()
            .map(BTreeSet::len)
            .sum::<usize>()
            .min(most.saturating_sub(self.counts.running) as usize)
    }
}

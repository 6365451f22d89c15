//! One sweep's tasks, queues and counters.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use crate::{
    failure::Failure,
    id::{ConfigurationId, SweepId, TaskId},
    sweep::Sweep,
    time::Timestamp,
};

use super::task::{Phase, SweepStatus, Task, TaskCounts};

/// The failed attempts that are kept for people to look at, a sweep.
pub(super) const RECENT_FAILURES: usize = 100;

/// A failed attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedAttempt {
    /// At which task.
    pub task: TaskId,
    /// Counting from 1.
    pub attempt: u32,
    /// Why.
    pub failure: Failure,
    /// Whether it was the last: the task has failed.
    pub last: bool,
}

/// Which tasks may share a cohort: equal cohort key, and equal density limit.
pub(super) type Group = (u64, u32);

/// One sweep's tasks, queues and counters.
///
/// Tasks are numbered seed by seed over all configurations, which is the order they are trained in: the
/// whole table stands at one seed before the second begins.
#[derive(Clone, Debug)]
pub(super) struct SweepState {
    pub(super) id: SweepId,
    pub(super) sweep: Arc<Sweep>,
    pub(super) submitted_at: Timestamp,
    pub(super) cancelled: bool,
    pub(super) tasks: Vec<Task>,
    pub(super) counts: TaskCounts,
    pub(super) configuration_counts: Vec<TaskCounts>,
    /// Ready tasks in order.
    pub(super) ready: BTreeSet<u32>,
    /// The same tasks by group.
    pub(super) groups: BTreeMap<Group, BTreeSet<u32>>,
    pub(super) retried: u64,
    pub(super) recent_failures: VecDeque<FailedAttempt>,
    /// Why the failed tasks failed.
    pub(super) failures: BTreeMap<u32, FailedAttempt>,
    pub(super) epochs_done: u64,
    pub(super) epochs_total: u64,
    configuration_indices: BTreeMap<ConfigurationId, u32>,
    seed_indices: BTreeMap<u64, u32>,
}

impl SweepState {
    pub(super) fn new(id: SweepId, sweep: Arc<Sweep>, submitted_at: Timestamp) -> Self {
        let configurations = sweep.configurations.len() as u32;
        let seeds = sweep.seeds.len() as u32;
        let total = configurations * seeds;
        let mut by_key: BTreeMap<Group, Vec<u32>> = BTreeMap::new();
        for index in 0..total {
            let key = sweep.configurations[(index % configurations) as usize].cohort_key;
            by_key.entry((key, Task::new().density)).or_default().push(index);
        }
        let counts_of = |pending| TaskCounts { pending, ..TaskCounts::default() };
        Self {
            id,
            submitted_at,
            cancelled: false,
            tasks: vec![Task::new(); total as usize],
            counts: counts_of(total),
            configuration_counts: vec![counts_of(seeds); configurations as usize],
            ready: (0..total).collect(),
            groups: by_key.into_iter().map(|(group, tasks)| (group, tasks.into_iter().collect())).collect(),
            retried: 0,
            recent_failures: VecDeque::new(),
            failures: BTreeMap::new(),
            epochs_done: 0,
            epochs_total: 0,
            configuration_indices: (0..).zip(&sweep.configurations).map(|(i, c)| (c.id, i)).collect(),
            seed_indices: (0..).zip(&sweep.seeds).map(|(i, seed)| (*seed, i)).collect(),
            sweep,
        }
    }

    fn configuration_of(&self, index: u32) -> usize {
        index as usize % self.configuration_counts.len()
    }

    pub(super) fn index_of(&self, task: TaskId) -> Option<u32> {
        let configuration = self.configuration_indices.get(&task.configuration)?;
        let seed = self.seed_indices.get(&task.seed)?;
        Some(seed * self.configuration_counts.len() as u32 + configuration)
    }

    pub(super) fn task_id(&self, index: u32) -> TaskId {
        let seed = index as usize / self.configuration_counts.len();
        TaskId {
            sweep: self.id,
            configuration: self.sweep.configurations[self.configuration_of(index)].id,
            seed: self.sweep.seeds[seed],
        }
    }

    /// The task's place in the order of the grid: configuration by configuration, seeds within.
    pub(super) fn position(&self, index: u32) -> u32 {
        let configurations = self.configuration_counts.len() as u32;
        (index % configurations) * self.sweep.seeds.len() as u32 + index / configurations
    }

    pub(super) fn epochs_of(&self, index: u32) -> u32 {
        self.sweep.configurations[self.configuration_of(index)].settings.training.epochs
    }

    pub(super) fn settings_of(&self, index: u32) -> &crate::settings::TaskSettings {
        &self.sweep.configurations[self.configuration_of(index)].settings
    }

    pub(super) fn task(&self, index: u32) -> &Task {
        &self.tasks[index as usize]
    }

    /// A task, to change anything but its phase; its density only while it is not ready.
    pub(super) fn task_mut(&mut self, index: u32) -> &mut Task {
        &mut self.tasks[index as usize]
    }

    pub(super) fn group_of(&self, index: u32) -> Group {
        let configuration = &self.sweep.configurations[self.configuration_of(index)];
        (configuration.cohort_key, self.task(index).density)
    }

    /// The one place where a task changes its phase: counters and queues follow.
    pub(super) fn move_to(&mut self, index: u32, phase: Phase) {
        let configuration = self.configuration_of(index);
        let before = std::mem::replace(&mut self.task_mut(index).phase, phase);
        for counts in [&mut self.counts, &mut self.configuration_counts[configuration]] {
            *counts.of(before) -= 1;
            *counts.of(phase) += 1;
        }
        let group = self.group_of(index);
        if before == Phase::Ready {
            self.ready.remove(&index);
            if let Some(queue) = self.groups.get_mut(&group) {
                queue.remove(&index);
                if queue.is_empty() {
                    self.groups.remove(&group);
                }
            }
        }
        if phase == Phase::Ready {
            self.ready.insert(index);
            self.groups.entry(group).or_default().insert(index);
        }
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

    pub(super) fn has_ended(&self) -> bool {
        self.counts.pending == 0 && self.counts.running == 0
    }

    pub(super) fn status(&self) -> SweepStatus {
        if self.cancelled {
            SweepStatus::Cancelled
        } else if !self.has_ended() {
            SweepStatus::Active
        } else if self.counts.failed > 0 {
            SweepStatus::Failed
        } else {
            SweepStatus::Complete
        }
    }
}

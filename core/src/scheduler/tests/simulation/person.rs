//! Operations of people.

use std::sync::Arc;

use super::{super::env, World};
use crate::{
    id::{ConfigurationId, SweepId, TaskId},
    scheduler::{Event, Prepared, RestoreCause, RetryScope, Selection},
    sweep::Order,
};

impl World {
    /// An operation of a person.
    pub(super) fn operate(&mut self, worker: &str) {
        let journaled = self.env.journal.len();
        let sweep = SweepId(1 + self.chance.next() % 3);
        let operation = self.chance.below(10);
        if operation <= 4 || operation >= 8 {
            // As the coordinator does before an operation.
            self.env.revive(sweep);
        }
        let event = match operation {
            0 => Event::TasksRetried { sweep, scope: RetryScope::FailedAndCancelled },
            1 => Event::TasksRetried { sweep, scope: RetryScope::Failed },
            2 => self.extension(),
            3 => Event::SweepPaused { sweep, paused: self.chance.percent(50) },
            4 => Event::SweepPrioritized { sweep, priority: self.chance.below(3) as i32 },
            5 if self.chance.percent(30) => Event::SweepCancelled { sweep },
            6 if self.chance.percent(30) => Event::SweepRemoved { sweep },
            7 if self.chance.percent(50) => {
                Event::DrainRequested { worker: env::worker(worker), now: self.chance.percent(50) }
            }
            8 if self.chance.percent(50) => self.replacement(sweep),
            9 => match self.selection(sweep) {
                Some(tasks) => Event::TasksCancelled { sweep, tasks },
                None => return,
            },
            _ => return,
        };
        if let Event::TasksCancelled { sweep, tasks } = &event {
            let counts =
                self.env.scheduler.selected_counts(*sweep, tasks).expect("the person knows the sweep");
            self.cancelled_running += u64::from(counts.running);
            self.cancelled_pending += u64::from(counts.pending);
        }
        if matches!(event, Event::SweepRemoved { .. }) && self.env.scheduler.changes_state(&event) {
            self.removed.insert(sweep);
            // Its results are removed too.
            self.recorded.retain(|task, _| task.sweep != sweep);
            self.acknowledged.retain(|task| task.sweep != sweep);
        }
        self.arrive("nobody", event);
        self.operations += u64::from(self.env.journal.len() != journaled);
    }

    /// Some tasks of a sweep: a few, a configuration, or all with a seed. `None` if there is no such sweep.
    fn selection(&mut self, sweep: SweepId) -> Option<Selection> {
        let there = self.env.scheduler.sweep(sweep)?.sweep().clone();
        let mut some = || TaskId {
            sweep,
            configuration: there.configurations[self.chance.below(there.configurations.len())].id,
            seed: there.seeds[self.chance.below(there.seeds.len())],
        };
        let (first, second) = (some(), some());
        Some(match self.chance.below(6) {
            0 => Selection::Grid { configurations: vec![first.configuration], seeds: Vec::new() },
            1 => Selection::Grid { configurations: Vec::new(), seeds: vec![first.seed] },
            _ => Selection::Tasks(vec![first, second, first]),
        })
    }

    /// The sweep goes on with other data. As the coordinator does, pauses for the old data end before.
    fn replacement(&mut self, sweep: SweepId) -> Event {
        for (worker, data_set) in self.env.scheduler.pauses_for_data_of(sweep) {
            let (data_set, cause) = (Some(data_set), RestoreCause::Person);
            self.arrive("nobody", Event::WorkerRestored { worker, data_set, cause });
        }
        let event = Event::DataReplaced { sweep };
        if self.env.scheduler.changes_state(&event) {
            self.replacements += 1;
            self.trained_on.remove(&sweep);
            let leases = self.env.scheduler.leases.iter().filter(|(_, lease)| lease.sweep == sweep);
            let last = leases.map(|(token, _)| *token).max();
            self.replaced.extend(last.map(|last| (sweep, last)));
        }
        event
    }

    /// More configurations, more seeds, or another order.
    fn extension(&mut self) -> Event {
        let mut newer = self.first.clone();
        match self.chance.below(3) {
            0 if newer.configurations.len() < 8 => {
                let mut configuration = newer.configurations[0].clone();
                configuration.id = ConfigurationId(100 + newer.configurations.len() as u64);
                newer.configurations.insert(0, configuration);
            }
            1 if newer.seeds.len() < 6 => newer.seeds.insert(0, 100 + newer.seeds.len() as u64),
            _ => {
                let by_seed = newer.schedule.order == Order::BySeed;
                newer.schedule.order = if by_seed { Order::ByConfiguration } else { Order::BySeed };
                newer.schedule.max_concurrent_tasks = Some(1 + self.chance.below(4) as u32);
            }
        }
        let there = self.env.scheduler.sweep(SweepId(1)).map(|view| view.sweep().clone());
        let sweep = match there {
            // As the coordinator does for large sweeps.
            Some(there) if self.chance.percent(50) => {
                let prepared = Prepared::extension(there, &newer).expect("it only adds");
                let sweep = prepared.sweep().clone();
                self.env.scheduler.prepare(Box::new(prepared));
                sweep
            }
            _ => Arc::new(self.env.scheduler.extension(SweepId(1), &newer).expect("it only adds")),
        };
        if self.env.scheduler.sweep(SweepId(1)).is_some() {
            self.first = newer;
        }
        Event::SweepExtended { id: SweepId(1), sweep }
    }
}

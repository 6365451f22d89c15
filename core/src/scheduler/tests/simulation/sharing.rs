//! How sweeps share the slots if nothing fails: evenly, and seed by seed.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::env::{Granted, TestEnv, sweep},
    chance::{self, Chance},
};
use crate::{id::SweepId, sweep::Order};

const HISTORIES: u64 = 300;

/// A worker without idle slots: when a lease ends, its slot is offered at once.
struct Hall {
    env: TestEnv,
    chance: Chance,
    busy: Vec<Granted>,
    /// The begun leases, in order.
    begun: Vec<Granted>,
}

impl Hall {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut env = TestEnv::new();
        for number in 0..2 + chance.below(3) {
            let mut sweep = sweep(&format!("s{number}"), 2 + chance.next() % 4, 2 + chance.next() % 4);
            if chance.percent(30) {
                sweep.schedule.order = Order::ByConfiguration;
            }
            if chance.percent(20) {
                sweep.schedule.max_concurrent_tasks = Some(1 + chance.below(3) as u32);
            }
            if chance.percent(20) {
                sweep.schedule.priority = 1;
            }
            env.submit(sweep);
        }
        Self { env, chance, busy: Vec::new(), begun: Vec::new() }
    }

    fn take(&mut self, granted: Vec<Granted>) {
        self.begun.extend(granted.iter().cloned());
        self.busy.extend(granted);
        self.check_shares();
    }

    /// Asserts that sweeps that could use more slots have at most one less than any other of their priority.
    fn check_shares(&self) {
        let mut slots: BTreeMap<SweepId, u32> = BTreeMap::new();
        for lease in &self.busy {
            *slots.entry(lease.tasks[0].0.sweep).or_default() += 1;
        }
        let has = |id| slots.get(&id).copied().unwrap_or(0);
        let sweeps: Vec<_> = self.env.scheduler.sweeps().collect();
        for view in &sweeps {
            let (counts, schedule) = (view.counts(), view.sweep().schedule);
            assert!(
                counts.running <= schedule.max_concurrent_tasks.unwrap_or(u32::MAX),
                "too many run at a time"
            );
            if counts.pending == 0 || Some(counts.running) == schedule.max_concurrent_tasks {
                continue;
            }
            for other in &sweeps {
                let ahead = other.sweep().schedule.priority;
                if ahead == schedule.priority {
                    let (least, most) = (has(view.id()), has(other.id()));
                    assert!(most <= least + 1, "{} has {most} slots, {} has {least}", other.id(), view.id());
                }
                assert!(ahead >= schedule.priority || has(other.id()) == 0 || self.was_first(other.id()));
            }
        }
    }

    /// Whether a sweep of lower priority got its slots while the higher ones had no room. No sweep gains room here,
    /// except one with a limit of concurrent tasks.
    fn was_first(&self, _sweep: SweepId) -> bool {
        self.env.scheduler.sweeps().any(|view| view.sweep().schedule.max_concurrent_tasks.is_some())
    }

    fn live(&mut self) {
        let slots = 1 + self.chance.below(5);
        let granted = self.env.worker("w", &vec![1; slots]);
        self.take(granted);
        while !self.busy.is_empty() {
            let lease = self.busy.swap_remove(self.chance.below(self.busy.len()));
            self.env.finish_all(&lease);
            let granted = self.env.offer("w", &[lease.slot]);
            self.take(granted);
        }
    }
}

#[test]
fn slots_are_shared_evenly_and_a_whole_table_stands_at_one_seed_first() {
    let mut tables = 0;
    chance::every("slots_are_shared_evenly", HISTORIES, |seed| {
        let mut hall = Hall::new(seed);
        hall.live();
        for view in hall.env.scheduler.sweeps() {
            assert_eq!(view.counts().done, view.counts().total(), "everything is trained");
            let (sweep, seeds) = (view.sweep(), &view.sweep().seeds);
            let tasks = hall.begun.iter().flat_map(|lease| &lease.tasks).map(|(task, _)| *task);
            let tasks: Vec<_> = tasks.filter(|task| task.sweep == view.id()).collect();
            assert_eq!(tasks.iter().collect::<BTreeSet<_>>().len(), tasks.len(), "nothing is trained twice");
            if sweep.schedule.order == Order::BySeed {
                let place = |task: &crate::id::TaskId| seeds.iter().position(|seed| *seed == task.seed);
                assert!(tasks.is_sorted_by_key(place), "one seed of all configurations, then the next");
                tables += 1;
            }
        }
    });
    assert!(tables > 0);
}

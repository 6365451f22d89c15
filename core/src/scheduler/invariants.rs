//! Invariants that hold after every event. Tests call this check; it visits every task.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::needs::Offers;

use super::{machine::Scheduler, sweep_state::SweepState, task::Phase, task::TaskCounts};

impl Scheduler {
    /// Checks that counters, queues, leases and tasks agree with each other.
    ///
    /// # Panics
    /// If they do not agree: a defect of this module.
    pub fn check_invariants(&self) {
        for (id, state) in &self.sweeps {
            state.check_invariants();
            assert_eq!(self.names.get(&state.sweep.name), Some(id), "a sweep is found by its name");
            assert_eq!(self.active.contains(id), !state.has_ended(), "sweep {id} is active until it ended");
            for (index, task) in (0..).zip(&state.tasks) {
                let waits = self.waiting.contains(&(task.not_before, *id, index));
                assert_eq!(task.phase == Phase::Waiting, waits, "task {index} backs off iff it is queued to");
                let lease = self.leases.get(&task.token).filter(|lease| lease.sweep == *id);
                let is_member = lease.is_some_and(|lease| lease.members.contains_key(&index));
                assert_eq!(task.phase == Phase::Running, is_member, "task {index} runs iff a lease has it");
                assert!(task.token <= self.last_token, "tokens only grow");
                if task.phase == Phase::Running {
                    assert!(task.attempts >= 1, "a running task has begun an attempt");
                    assert!(
                        lease.is_none_or(|lease| lease.size <= task.max_cohort),
                        "cohorts keep the max_cohort"
                    );
                }
            }
        }
        for (id, settled) in &self.settled {
            assert!(!self.sweeps.contains_key(id), "sweep {id} is settled or not");
            assert_eq!(self.names.get(&settled.name), Some(id), "a settled sweep is found by its name");
        }
        assert_eq!(self.names.len(), self.sweeps.len() + self.settled.len(), "names are unique");
        assert!(self.stopping.is_subset(&self.active), "what has ended is not stopped any more");
        let last = self.sweeps.keys().chain(self.settled.keys()).max();
        assert!(last.is_none_or(|last| *last <= self.last_sweep), "numbers of sweeps only grow");
        self.check_leases();
        self.check_workers();
        self.check_records();
    }

    fn check_records(&self) {
        let mut waiting = 0;
        for (id, record) in &self.records {
            assert!(!record.is_clean(), "nothing is kept of a worker against which nothing is held");
            let there = self.workers.contains_key(id);
            assert!(there || !record.pauses.is_empty(), "worker {id} has left and is not set aside");
            for (scope, pause) in &record.pauses {
                let waits = self.pauses.contains(&(pause.until, id.clone(), scope.clone()));
                assert_eq!(waits, !pause.over, "a pause that is not over is waited for");
                waiting += usize::from(waits);
                assert!(pause.pauses >= 1);
                let Some(probe) = pause.probe else { continue };
                let lease = self.leases.get(&probe).expect("a worker proves itself with an active lease");
                assert_eq!((&lease.worker, lease.size), (id, 1), "it proves itself with one task");
            }
        }
        assert_eq!(self.pauses.len(), waiting, "what is waited for is a pause");
    }

    fn check_leases(&self) {
        assert_eq!(self.deadlines.len(), self.leases.len(), "one deadline a lease");
        let members: usize = self.leases.values().map(|lease| lease.members.len()).sum();
        let running: usize = self.sweeps.values().map(|state| state.counts.running as usize).sum();
        assert_eq!(members, running, "a task runs under one lease");
        for (token, lease) in &self.leases {
            assert!(!lease.members.is_empty(), "lease {token} ends with its last member");
            assert!(self.deadlines.contains(&(lease.deadline, *token)), "lease {token} has its deadline");
            let worker = self.workers.get(&lease.worker).expect("a lease's worker is known");
            assert!(worker.leases.contains(token), "lease {token} is known to its worker");
            assert!(lease.members.len() <= lease.size as usize);
            let of_members = lease.curves.keys().all(|index| lease.members.contains_key(index));
            assert!(of_members, "curves end with the attempt");
        }
        let with_curves: usize = self.leases.values().map(|lease| lease.curves.len()).sum();
        assert_eq!(self.with_curves, with_curves, "tasks with curves");
        for (token, index) in &self.lost_members {
            let lease = self.leases.get(token).expect("a lost member's lease is there");
            assert!(lease.members.contains_key(index), "a lost member is a member");
        }
        for (id, state) in &self.sweeps {
            let of_sweep = || self.leases.values().filter(|lease| lease.sweep == *id);
            let done: u64 = of_sweep().flat_map(|lease| lease.members.values()).map(|n| u64::from(*n)).sum();
            let total: u64 = of_sweep()
                .flat_map(|lease| lease.members.keys())
                .map(|index| u64::from(state.epochs_of(*index)))
                .sum();
            assert_eq!((state.epochs_done, state.epochs_total), (done, total), "epochs of running tasks");
            assert_eq!(state.leases as usize, of_sweep().count(), "leases of sweep {id}");
        }
    }

    fn check_workers(&self) {
        for (id, worker) in &self.workers {
            assert!(worker.connected || !worker.leases.is_empty(), "worker {id} is there for a reason");
            for token in &worker.leases {
                assert_eq!(self.leases.get(token).map(|lease| &lease.worker), Some(id));
            }
            for token in worker.busy.values() {
                assert!(worker.leases.contains(token), "a slot is busy with a lease of its worker");
            }
        }
        let mut offered: BTreeMap<&Arc<Offers>, u32> = BTreeMap::new();
        for offer in self.workers.values().filter(|worker| worker.connected).flat_map(|w| w.slots.values()) {
            *offered.entry(&offer.offers).or_default() += 1;
        }
        assert_eq!(offered, self.known_offers.slots().collect(), "what slots of connected workers offer");
        for free in &self.free {
            let worker = self.workers.get(&free.worker).expect("a free slot's worker is known");
            assert!(worker.connected, "only connected workers have free slots");
            let offer = worker.slots.get(&free.slot);
            let offer = offer.map(|offer| (offer.max_cohort, offer.kind));
            assert_eq!(offer, Some((free.max_cohort, free.kind)));
            assert!(!worker.busy.contains_key(&free.slot), "a leased slot is not free");
            assert!(worker.draining.is_none(), "a worker that leaves takes nothing new");
        }
    }
}

impl SweepState {
    fn check_invariants(&self) {
        let configurations = self.sweep.configurations.len();
        let mut counts = TaskCounts::default();
        let mut by_configuration = vec![TaskCounts::default(); configurations];
        let mut ready = BTreeSet::new();
        for (index, task) in (0..).zip(&self.tasks) {
            *counts.of(task.phase) += 1;
            *by_configuration[self.configuration_of(index)].of(task.phase) += 1;
            if task.phase == Phase::Ready {
                ready.insert(index);
                let queue = self.groups.get(&self.group_of(index));
                assert!(queue.is_some_and(|queue| queue.contains(&index)), "a ready task is in its group");
            }
            let failed = matches!(task.phase, Phase::Failed(_));
            assert_eq!(failed, self.failures.contains_key(&index), "a failed task has its reason");
            assert_eq!(self.index_of(self.task_id(index)), Some(index), "ids and indices agree");
            assert!(task.max_cohort >= 1);
            let failed_on = self.failed_on.get(&index);
            assert!(failed_on.is_none_or(|workers| !workers.is_empty()));
            assert!(task.phase != Phase::Done || failed_on.is_none(), "what is done has not failed");
        }
        assert_eq!(counts, self.counts, "counters of sweep {}", self.id);
        assert_eq!(by_configuration, self.configuration_counts, "counters of its configurations");
        assert_eq!(u64::from(counts.total()), self.sweep.task_count());
        let queued = |(number, tasks): (usize, &BTreeSet<u32>)| {
            assert!(
                tasks.iter().all(|index| self.data_set_of(*index) == number),
                "a queue is of one data set"
            );
            tasks.iter().copied().collect::<Vec<_>>()
        };
        let queues: BTreeSet<u32> = self.ready.iter().enumerate().flat_map(queued).collect();
        assert_eq!(ready, queues, "the queues hold the ready tasks");
        assert_eq!(
            ready.len(),
            self.groups.values().map(BTreeSet::len).sum::<usize>(),
            "and so do the groups"
        );
        assert!(self.groups.values().all(|queue| !queue.is_empty()));
        assert_eq!(self.ended_at.is_some(), self.has_ended(), "an ended sweep knows since when");
    }
}

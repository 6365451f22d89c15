//! Tests which worker gets which tasks, and in which order.

use std::time::Duration;

use super::env::{TestEnv, sweep, task};
use crate::{
    failure::FailureReason,
    id::{SweepId, SweepName},
    scheduler::{Scheduler, SchedulerSettings},
};

#[test]
fn a_whole_table_stands_at_one_seed_before_the_second_begins() {
    let mut env = TestEnv::with_sweep(3, 2);
    let mut order = Vec::new();
    let mut granted = env.worker("w", &[1]);
    while let Some(lease) = granted.pop() {
        order.extend(lease.names());
        env.finish_all(&lease);
        granted = env.offer("w", &[0]);
    }
    assert_eq!(order, [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1)]);
}

#[test]
fn of_equal_sweeps_the_oldest_comes_first() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.submit(sweep("second", 1, 1));
    let leases = env.worker("w", &[8, 8]);
    let sweeps: Vec<_> = leases.iter().map(|lease| lease.tasks[0].0.sweep).collect();
    assert_eq!(sweeps, [SweepId(1), SweepId(2)], "one lease each: a cohort is of one sweep");
}

#[test]
fn a_cohort_is_filled_up_to_what_the_slot_takes() {
    let mut env = TestEnv::with_sweep(10, 1);
    let leases = env.worker("w", &[4]);
    assert_eq!(leases[0].names(), [(1, 0), (2, 0), (3, 0), (4, 0)]);
}

#[test]
fn only_tasks_of_one_cohort_key_share_a_cohort() {
    let mut env = TestEnv::new();
    let mut mixed = sweep("mixed", 4, 1);
    mixed.configurations[1].cohort_key = 2;
    mixed.configurations[3].cohort_key = 2;
    env.submit(mixed);
    let leases = env.worker("w", &[2, 2]);
    assert_eq!(leases[0].names(), [(1, 0), (3, 0)]);
    assert_eq!(leases[1].names(), [(2, 0), (4, 0)]);
}

#[test]
fn few_tasks_are_spread_over_the_free_slots() {
    let mut env = TestEnv::new();
    env.connect("a", &[8, 8], &[]);
    env.connect("b", &[8, 8], &[]);
    env.offer("a", &[0, 1]);
    env.offer("b", &[0, 1]);
    env.submit(sweep("small", 6, 1));
    let sizes: Vec<_> = env.granted().iter().map(|lease| lease.tasks.len()).collect();
    assert_eq!(sizes, [2, 2, 1, 1]);
}

#[test]
fn what_a_small_slot_can_not_take_goes_to_the_large_ones() {
    let mut env = TestEnv::new();
    env.connect("w", &[32, 1], &[]);
    env.offer("w", &[0, 1]);
    env.submit(sweep("odd", 20, 1));
    let mut sizes: Vec<_> = env.granted().iter().map(|lease| (lease.slot, lease.tasks.len())).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [(0, 19), (1, 1)]);
}

#[test]
fn many_tasks_fill_every_slot() {
    let mut env = TestEnv::new();
    env.connect("w", &[32, 1, 4], &[]);
    env.offer("w", &[0, 1, 2]);
    env.submit(sweep("large", 37, 1));
    let mut sizes: Vec<_> = env.granted().iter().map(|lease| (lease.slot, lease.tasks.len())).collect();
    sizes.sort_unstable();
    assert_eq!(sizes, [(0, 32), (1, 1), (2, 4)]);
}

#[test]
fn a_slot_with_an_active_lease_is_not_free_even_if_offered() {
    let mut env = TestEnv::with_sweep(3, 1);
    let first = env.worker("w", &[1]).remove(0);
    assert!(env.offer("w", &[0]).is_empty(), "the offer crossed the grant");
    env.finish_all(&first);
    assert!(env.granted().is_empty(), "the worker has not said that the slot is idle again");
    assert_eq!(env.offer("w", &[0]).len(), 1);
}

#[test]
fn an_offer_replaces_the_one_before() {
    let mut env = TestEnv::new();
    env.connect("w", &[1, 1], &[]);
    env.offer("w", &[0, 1]);
    env.offer("w", &[1]);
    env.submit(sweep("s", 2, 1));
    let slots: Vec<_> = env.granted().iter().map(|lease| lease.slot).collect();
    assert_eq!(slots, [1]);
}

#[test]
fn nobody_is_granted_anything_after_leaving() {
    let mut env = TestEnv::new();
    env.worker("w", &[1]);
    env.apply(super::super::Event::WorkerDisconnected { worker: super::env::worker("w") });
    env.submit(sweep("s", 1, 1));
    assert!(env.granted().is_empty());
    assert_eq!(env.scheduler.workforce(), (0, 0));
}

#[test]
fn tasks_out_of_memory_are_packed_apart_from_the_others() {
    let mut env = TestEnv::with_sweep(6, 1);
    let lease = env.worker("w", &[4]).remove(0);
    for (member, _) in &lease.tasks {
        env.fail(&lease, *member, FailureReason::OutOfMemory);
    }
    let sizes: Vec<_> = (0..3)
        .map(|_| {
            let lease = env.offer("w", &[0]).remove(0);
            env.finish_all(&lease);
            lease.names()
        })
        .collect();
    assert_eq!(sizes, [vec![(1, 0), (2, 0)], vec![(3, 0), (4, 0)], vec![(5, 0), (6, 0)]]);
    env.pass(Duration::from_secs(1));
    assert_eq!(env.scheduler.sweep(task(1, 0).sweep).unwrap().counts().done, 6);
}

#[test]
fn places_in_the_grid_go_configuration_by_configuration() {
    let env = TestEnv::with_sweep(2, 3);
    let places: Vec<_> = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
        .map(|(configuration, seed)| env.scheduler.position_of(task(configuration, seed)).unwrap())
        .to_vec();
    let second = 1 << 32;
    assert_eq!(places, [0, 1, 2, second, second + 1, second + 2]);
}

#[test]
fn grants_that_make_no_sense_change_nothing() {
    use crate::id::LeaseToken;
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[1]).remove(0);
    let journaled = env.journal.len();
    let worker = super::env::worker("w");
    let mut grant = |token, tasks: Vec<_>| {
        let (worker, slot) = (worker.clone(), 5);
        env.apply(super::super::Event::LeaseGranted { token: LeaseToken(token), worker, slot, tasks });
    };
    grant(lease.token.0, vec![(task(2, 0), 1)]);
    grant(77, vec![(task(1, 0), 1)]);
    grant(78, vec![(task(2, 0), 1), (task(2, 0), 1)]);
    grant(79, vec![]);
    grant(80, vec![(task(9, 9), 1)]);
    assert_eq!(
        (env.journal.len(), env.granted()),
        (journaled, vec![]),
        "old token, running, twice, none, unknown"
    );
}

#[test]
fn a_million_tasks_are_no_burden() {
    let mut env = TestEnv::new();
    let id = SweepId(1);
    let large = std::sync::Arc::new(sweep("large", 1000, 1000));
    let now = env.now;
    env.scheduler.apply(now, super::super::Event::SweepSubmitted { id, sweep: large });
    let slots = super::env::slots(&[64; 64]);
    let worker = super::env::worker("w");
    let connected = super::super::Event::WorkerConnected {
        worker: worker.clone(),
        host: "h".to_owned(),
        version: "1".to_owned(),
        warnings: vec![],
        slots,
        held: vec![],
    };
    env.scheduler.apply(now, connected);
    env.scheduler.apply(now, super::super::Event::SlotsFree { worker, slots: (0..64).collect() });
    let mut finished = 0;
    for grant in env.scheduler.next_grants() {
        for action in env.scheduler.apply(now, grant) {
            let super::super::Action::GrantLease { token, tasks, .. } = action else { continue };
            for (task, _) in tasks {
                env.scheduler.apply(
                    now,
                    super::super::Event::TaskFinished { token, task, data_digest: String::new() },
                );
                finished += 1;
            }
        }
    }
    assert_eq!(finished, 64 * 64);
    let view = env.scheduler.sweep(id).unwrap();
    assert_eq!((view.counts().done, view.counts().total()), (64 * 64, 1_000_000));
    env.scheduler.check_invariants();
}

#[test]
fn a_coordinator_that_is_there_for_one_sweep_leaves_the_others_pending() {
    let mut env = TestEnv::new();
    env.scheduler = Scheduler::new(SchedulerSettings {
        lease: Duration::from_secs(30),
        only: Some(SweepName::new("second").unwrap()),
        settle_after: None,
        one_worker: false,
    });
    env.submit(sweep("first", 1, 1));
    env.submit(sweep("second", 1, 1));
    let leases = env.worker("w", &[1, 1]);
    let sweeps: Vec<_> = leases.iter().map(|lease| lease.tasks[0].0.sweep).collect();
    assert_eq!(sweeps, [SweepId(2)]);
}

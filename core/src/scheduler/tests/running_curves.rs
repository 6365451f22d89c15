//! Curves begin with the first epoch that is heard of an attempt, and end with it.

use std::sync::Arc;

use super::env::{LEASE, TestEnv, epoch_reported, sweep, task};
use crate::{
    failure::FailureReason,
    id::{SweepId, TaskId},
    scheduler::Event,
};

const FIRST: SweepId = SweepId(1);

/// The epochs that are known of a task.
fn epochs(env: &TestEnv, wanted: TaskId) -> Vec<u32> {
    let mut found = env.scheduler.running_curves(FIRST, |task| task == wanted);
    assert!(found.len() <= 1);
    found.pop().map_or_else(Vec::new, |it| it.curves.records().map(|record| record.epoch).collect())
}

#[test]
fn the_curves_of_a_running_task_grow_and_end_with_it() {
    let mut env = TestEnv::with_sweep(2, 1);
    let leases = env.worker("w", &[1, 1]);
    let [first, second] = [0, 1].map(|at: usize| (leases[at].token, leases[at].tasks[0].0));
    for epoch in 1..=3 {
        env.apply(epoch_reported(first.0, first.1, epoch));
    }
    env.apply(epoch_reported(second.0, second.1, 1));
    assert_eq!((epochs(&env, first.1), epochs(&env, second.1)), (vec![1, 2, 3], vec![1]));
    let all = env.scheduler.running_curves(FIRST, |_| true);
    assert_eq!(all.iter().map(|it| (it.task, it.attempt)).collect::<Vec<_>>(), [(first.1, 1), (second.1, 1)]);
    assert_eq!(all[0].curves.records().next().unwrap().get("train_loss"), Some(1.0));
    env.finish(&leases[0], first.1);
    env.fail(&leases[1], second.1, FailureReason::Crash);
    assert!(env.scheduler.running_curves(FIRST, |_| true).is_empty());
    assert_eq!(env.scheduler.with_curves, 0);
}

#[test]
fn the_next_attempt_begins_where_it_is() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.apply(epoch_reported(lease.token, task(1, 0), 4));
    env.apply(Event::WorkerDisconnected { worker: super::env::worker("w") });
    env.pass(LEASE);
    assert!(env.scheduler.running_curves(FIRST, |_| true).is_empty());
    // A late epoch of the lost attempt is not taken.
    env.apply(epoch_reported(lease.token, task(1, 0), 5));
    env.pass(LEASE);
    let again = env.worker("v", &[1]).remove(0);
    env.apply(epoch_reported(again.token, task(1, 0), 3));
    assert_eq!(epochs(&env, task(1, 0)), [3]);
    assert_eq!(env.scheduler.running_curves(FIRST, |_| true)[0].attempt, 2);
}

#[test]
fn a_restarted_coordinator_knows_them_from_the_next_epoch_on() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.apply(epoch_reported(lease.token, task(1, 0), 1));
    env.crash();
    assert!(epochs(&env, task(1, 0)).is_empty(), "nothing of them is in the journal");
    env.connect("w", &[1], &[&lease]);
    env.apply(epoch_reported(lease.token, task(1, 0), 2));
    assert_eq!(epochs(&env, task(1, 0)), [2]);
}

#[test]
fn cancelling_ends_them_and_extending_keeps_them() {
    let mut env = TestEnv::with_sweep(2, 1);
    let leases = env.worker("w", &[1, 1]);
    let known = leases[1].tasks[0].0;
    env.apply(epoch_reported(leases[1].token, known, 1));
    let extended = env.scheduler.extension(FIRST, &sweep("first", 2, 3)).unwrap();
    env.apply(Event::SweepExtended { id: FIRST, sweep: Arc::new(extended) });
    assert_eq!(epochs(&env, known), [1]);
    env.apply(Event::SweepCancelled { sweep: FIRST });
    assert!(env.scheduler.running_curves(FIRST, |_| true).is_empty());
    assert_eq!(env.scheduler.with_curves, 0);
}

#[test]
fn who_reads_them_sees_one_moment() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.apply(epoch_reported(lease.token, task(1, 0), 1));
    let before = env.scheduler.running_curves(FIRST, |_| true).remove(0);
    env.apply(epoch_reported(lease.token, task(1, 0), 2));
    assert_eq!(before.curves.records().count(), 1);
    assert_eq!(epochs(&env, task(1, 0)), [1, 2]);
}

#[test]
fn the_curves_of_one_member_of_a_cohort_end_with_it() {
    let mut env = TestEnv::with_sweep(1, 2);
    let lease = env.worker("w", &[2]).remove(0);
    let [first, second] = [0, 1].map(|at: usize| lease.tasks[at].0);
    for task in [first, second] {
        env.apply(epoch_reported(lease.token, task, 1));
    }
    env.finish(&lease, first);
    assert_eq!((epochs(&env, first), epochs(&env, second)), (vec![], vec![1]));
    assert_eq!(env.scheduler.with_curves, 1);
}

//! Attempts go elsewhere: not where one has failed, and the last one to a worker that is known to train.

use std::time::Duration;

use super::env::{LEASE, TestEnv, epoch_reported, sweep, task, worker};
use crate::{
    failure::FailureReason,
    scheduler::{Event, Scheduler},
};

#[test]
fn a_task_is_not_repeated_where_it_failed_while_there_is_another_worker() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("a", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    env.connect("b", &[1], &[]);
    env.offer("a", &[0]);
    env.pass(LEASE / 2);
    assert!(env.granted().is_empty(), "b may have a free slot soon");
    let again = env.offer("b", &[0]).remove(0);
    assert_eq!(again.tasks, [(task(1, 0), 2)]);
    env.fail(&again, task(1, 0), FailureReason::Crash);
    env.pass(LEASE / 2);
    assert_eq!(env.offer("a", &[0]).len(), 1, "it failed everywhere: anybody may try");
}

#[test]
fn a_task_does_not_wait_for_ever_for_a_worker_that_is_busy() {
    let mut env = TestEnv::with_sweep(2, 1);
    env.worker("busy", &[1]);
    let lease = env.worker("a", &[1]).remove(0);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    assert!(env.offer("a", &[0]).is_empty());
    let failed_at = env.now;
    while env.granted().is_empty() {
        assert!(env.now.since(failed_at) < 2 * Scheduler::MAX_PAUSE, "it waits for ever");
        env.now = env.now.after(LEASE / 2);
        env.heartbeat("busy");
        env.heartbeat("a");
    }
    assert!(env.now.since(failed_at) >= Scheduler::MAX_PAUSE);
}

#[test]
fn a_task_is_repeated_where_it_failed_when_the_other_worker_leaves() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("a", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    env.connect("b", &[1], &[]);
    env.offer("a", &[0]);
    env.pass(LEASE / 2);
    assert!(env.granted().is_empty());
    env.apply(Event::DrainRequested { worker: worker("b"), now: false });
    assert_eq!(env.granted().len(), 1);
}

#[test]
fn a_task_without_a_pause_between_its_attempts_is_not_repeated_where_it_failed_either() {
    let mut impatient = sweep("first", 1, 1);
    impatient.retries.initial_backoff = Duration::ZERO;
    let mut env = TestEnv::new();
    env.submit(impatient);
    env.connect("busy", &[1], &[]);
    let lease = env.worker("bad", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    assert!(env.offer("bad", &[0]).is_empty());
    assert_eq!(env.offer("busy", &[0]).len(), 1);
}

#[test]
fn a_last_attempt_goes_where_something_is_known_to_train() {
    let mut env = TestEnv::with_sweep(2, 1);
    let good = env.worker("good", &[1]).remove(0);
    let (token, busy_with) = (good.token, good.tasks[0].0);
    env.apply(epoch_reported(token, busy_with, 1));
    let mut lease = env.worker("a", &[1]).remove(0);
    for next in ["b", "c"] {
        env.connect(next, &[1], &[]);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        env.heartbeat("good");
        env.pass(LEASE / 2);
        let granted = env.offer(next, &[0]);
        if next == "c" {
            assert!(granted.is_empty(), "nobody knows whether c trains, and good does");
        } else {
            lease = granted.into_iter().next().unwrap();
        }
    }
    env.finish(&good, busy_with);
    assert_eq!(env.offer("good", &[0]).remove(0).tasks[0].1, 3);
}

#[test]
fn a_last_attempt_does_not_go_where_something_has_failed_since_something_trained() {
    let mut env = TestEnv::with_sweep(3, 1);
    let good = env.worker("good", &[1]).remove(0);
    let spoilt = env.worker("spoilt", &[1]).remove(0);
    for lease in [&good, &spoilt] {
        env.apply(epoch_reported(lease.token, lease.tasks[0].0, 1));
    }
    let mut lease = env.worker("a", &[1]).remove(0);
    env.connect("b", &[1], &[]);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    for name in ["good", "spoilt"] {
        env.heartbeat(name);
    }
    env.pass(LEASE / 2);
    lease = env.offer("b", &[0]).remove(0);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    env.fail(&spoilt, spoilt.tasks[0].0, FailureReason::Crash);
    env.heartbeat("good");
    env.pass(LEASE / 2);
    assert!(env.offer("spoilt", &[0]).is_empty(), "good is known to train, and spoilt not any more");
    env.finish(&good, good.tasks[0].0);
    let before = env.offer("good", &[0]).remove(0);
    assert_eq!(before.tasks, [(spoilt.tasks[0].0, 2)]);
    env.finish_all(&before);
    assert_eq!(env.offer("good", &[0]).remove(0).tasks, [(lease.tasks[0].0, 3)]);
}

//! Programs that ask to go on later.

use std::time::Duration;

use super::env::{TestEnv, everything, program, task, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    needs::Needs,
    scheduler::{Action, Event, SweepStatus, TaskState},
};

fn parks(times: u32) -> TestEnv {
    let mut env = TestEnv::new();
    env.submit(program("first", 1, 1, Needs::default()));
    let mut leases = env.worker_offering("w", &[everything()]);
    // Another worker that could take it is no reason not to repeat it here.
    env.connect_slots("other", super::env::slots_offering([(1, everything())]), &[]);
    for attempt in 1..=times {
        let lease = leases.pop().unwrap_or_else(|| panic!("attempt {attempt} is not granted"));
        assert_eq!(lease.tasks, [(task(1, 0), attempt)]);
        env.fail(&lease, task(1, 0), FailureReason::Parked);
        assert!(env.is_pending(task(1, 0)));
        assert_eq!(env.offer("w", &[0]), [], "it backs off");
        let due = env.scheduler.next_deadline().unwrap();
        env.now = due;
        env.heartbeat("other");
        env.heartbeat("w");
        leases = env.granted();
    }
    env.apply(Event::LeaseReleased { token: leases[0].token });
    env
}

#[test]
fn it_never_runs_out_of_attempts() {
    let mut env = parks(20);
    let view = env.scheduler.sweep(SweepId(1)).unwrap();
    assert_eq!((view.retried(), view.counts().pending, view.failures().len()), (20, 1, 0));
    assert!(
        view.recent_failures().all(|failed| failed.failure.reason == FailureReason::Parked && !failed.last)
    );
    assert_eq!(env.scheduler.set_aside_for(&worker("w")), []);
    assert!(env.scheduler.records.is_empty(), "it says nothing about the worker");
    env.crash();
    let state = &env.scheduler.sweeps[&SweepId(1)];
    let task = state.task(0);
    assert_eq!((task.attempts, task.charged()), (20, 0));
    assert!(state.failed_on.is_empty());
}

#[test]
fn its_waits_grow() {
    let mut env = TestEnv::new();
    env.submit(program("first", 1, 1, Needs::default()));
    let mut leases = env.worker_offering("w", &[everything()]);
    let mut waits = Vec::new();
    for _ in 0..6 {
        env.answers();
        env.fail(&leases.remove(0), task(1, 0), FailureReason::Parked);
        let Some(Action::RetryTask { not_before, .. }) = env.answers().first().cloned() else { panic!() };
        waits.push(not_before.since(env.now));
        env.offer("w", &[0]);
        env.pass(Duration::from_secs(60));
        leases = env.granted();
    }
    assert!(waits[0] <= Duration::from_secs(4) && waits[5] >= Duration::from_secs(30), "{waits:?}");
}

#[test]
fn other_failures_keep_their_number_of_attempts() {
    let mut env = parks(5);
    for attempt in 0..3 {
        let lease = env.offer("w", &[0]).pop().or_else(|| env.offer("other", &[0]).pop());
        let lease = lease.unwrap_or_else(|| panic!("crash {attempt} has no attempt"));
        assert_eq!(lease.tasks, [(task(1, 0), 6 + attempt)]);
        env.fail(&lease, task(1, 0), FailureReason::Crash);
        env.pass(Duration::from_secs(20));
        env.heartbeat("w");
        env.heartbeat("other");
        env.pass(Duration::from_secs(20));
    }
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Crash });
}

#[test]
fn a_parked_attempt_after_a_crash_does_not_make_the_next_one_the_last() {
    let mut env = TestEnv::new();
    let mut twice = program("first", 1, 1, Needs::default());
    twice.retries.max_attempts = 2;
    env.submit(twice);
    let lease = env.worker_offering("w", &[everything()]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    for _ in 0..3 {
        env.pass(Duration::from_secs(60));
        let lease = env.offer("w", &[0]).remove(0);
        env.fail(&lease, task(1, 0), FailureReason::Parked);
        assert!(env.is_pending(task(1, 0)));
    }
    env.pass(Duration::from_secs(60));
    let lease = env.offer("w", &[0]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Crash });
}

#[test]
fn a_cancelled_sweep_ends_it() {
    let mut env = parks(2);
    env.apply(Event::SweepCancelled { sweep: SweepId(1) });
    assert_eq!(env.state(task(1, 0)), TaskState::Cancelled);
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().status(), SweepStatus::Cancelled);
    env.crash();
}

//! Failed attempts and what follows from them.

use std::time::Duration;

use super::env::{LEASE, TestEnv, sweep, task};
use crate::{
    failure::FailureReason,
    scheduler::{Action, DropReason, SweepStatus, TaskState},
};

const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_crash_is_tried_again_after_a_wait() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    assert!(env.offer("w", &[0]).is_empty(), "it backs off");
    let due = env.scheduler.next_deadline().unwrap();
    let wait = due.since(env.now);
    assert!(wait >= Duration::from_secs(2) && wait <= Duration::from_secs(4), "{wait:?}");
    env.pass(wait - Duration::from_millis(1));
    assert!(env.granted().is_empty());
    env.pass(Duration::from_millis(1));
    let again = env.granted().remove(0);
    assert_eq!(again.tasks, [(task(1, 0), 2)]);
    assert!(again.token > lease.token);
}

#[test]
fn attempts_are_limited() {
    let mut env = TestEnv::with_sweep(1, 1);
    let mut leases = env.worker("w", &[1]);
    for _ in 0..2 {
        let lease = leases.remove(0);
        env.fail(&lease, task(1, 0), FailureReason::Crash);
        env.offer("w", &[0]);
        env.pass(LONG);
        leases = env.granted();
    }
    assert_eq!(leases[0].tasks, [(task(1, 0), 3)]);
    env.answers();
    env.fail(&leases[0], task(1, 0), FailureReason::Crash);
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Crash });
    let answers = env.answers();
    assert!(
        matches!(
            answers.as_slice(),
            [
                Action::GiveUpTask { attempt: 3, .. },
                Action::Acknowledge { .. },
                Action::EndSweep { status: SweepStatus::Failed, .. }
            ]
        ),
        "{answers:?}"
    );
    let view = env.scheduler.sweep(task(1, 0).sweep).unwrap();
    let last: Vec<_> = view.recent_failures().map(|failed| (failed.attempt, failed.last)).collect();
    assert_eq!(last, [(3, true), (2, false), (1, false)]);
    assert_eq!((view.failures().len(), view.retried()), (1, 2));
}

#[test]
fn what_diverged_would_diverge_again() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Diverged);
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Diverged });
    assert_eq!(env.state(task(2, 0)), TaskState::Running { token: lease.token }, "the other goes on");
    env.finish(&lease, task(2, 0));
    assert_eq!(env.scheduler.sweep(task(1, 0).sweep).unwrap().status(), SweepStatus::Failed);
}

#[test]
fn out_of_memory_halves_the_cohort_and_costs_no_attempt() {
    let mut env = TestEnv::with_sweep(8, 1);
    env.connect("w", &[8], &[]);
    for size in [8, 4, 2] {
        let lease = env.offer("w", &[0]).remove(0);
        assert_eq!(lease.tasks.len(), size);
        assert!(lease.tasks.iter().all(|(_, attempt)| *attempt == 1));
        for (member, _) in &lease.tasks {
            env.fail(&lease, *member, FailureReason::OutOfMemory);
        }
    }
    let alone = env.offer("w", &[0]).remove(0);
    assert_eq!(alone.tasks, [(task(1, 0), 1)]);
    env.fail(&alone, task(1, 0), FailureReason::OutOfMemory);
    let TaskState::Pending { not_before: Some(_) } = env.state(task(1, 0)) else {
        panic!("alone it is charged and backs off: {:?}", env.state(task(1, 0)));
    };
}

#[test]
fn out_of_memory_alone_is_limited_by_attempts() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.connect("w", &[8], &[]);
    for attempt in 1..=3 {
        let lease = env.offer("w", &[0]).remove(0);
        assert_eq!(lease.tasks, [(task(1, 0), attempt)]);
        env.fail(&lease, task(1, 0), FailureReason::OutOfMemory);
        env.pass(LONG);
    }
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::OutOfMemory });
}

#[test]
fn a_lost_worker_costs_each_of_its_unfinished_tasks_one_attempt() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[3]).remove(0);
    env.finish(&lease, task(1, 0));
    env.pass(LEASE);
    assert_eq!(env.state(task(1, 0)), TaskState::Done);
    for lost in [task(2, 0), task(3, 0)] {
        assert!(env.is_pending(lost));
    }
    env.pass(LONG);
    let again = env.worker("x", &[3]).remove(0);
    assert_eq!(again.tasks, [(task(2, 0), 2), (task(3, 0), 2)]);
}

#[test]
fn a_released_lease_gives_its_attempts_back_at_once() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.finish(&lease, task(1, 0));
    env.apply(super::super::Event::LeaseReleased { token: lease.token });
    let answers = env.answers();
    let dropped = answers.iter().any(|answer| {
        matches!(answer, Action::DropLease { token, reason: DropReason::Released, .. } if *token == lease.token)
    });
    assert!(dropped, "unanswered, the worker would give it back for ever: {answers:?}");
    let again = env.offer("w", &[0]).remove(0);
    assert_eq!(again.tasks, [(task(2, 0), 1)]);
    env.answers();
    env.finish(&lease, task(2, 0));
    assert!(matches!(env.answers()[..], [Action::RefuseReport { .. }]), "the old token is stale");
}

#[test]
fn no_initial_backoff_means_no_wait() {
    let mut env = TestEnv::new();
    let mut hasty = sweep("hasty", 1, 1);
    hasty.retries.initial_backoff = Duration::ZERO;
    env.submit(hasty);
    let lease = env.worker("w", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Hang);
    assert_eq!(env.offer("w", &[0]).len(), 1);
}

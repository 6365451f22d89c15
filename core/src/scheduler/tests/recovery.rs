//! Workers that reconnect, and coordinators that restart.

use std::time::Duration;

use super::env::{Granted, LEASE, TestEnv, sweep, task, worker};
use crate::{
    failure::FailureReason,
    id::{LeaseToken, SweepId},
    scheduler::{Action, DropReason, Event, TaskState},
};

const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_lease_that_never_reached_its_worker_is_given_back_when_the_worker_comes_back() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lost = env.worker("w", &[1]).remove(0);
    env.connect("w", &[1], &[]);
    assert!(env.is_pending(task(1, 0)), "at once, not when the lease would have run out");
    env.pass(LONG);
    let again = env.offer("w", &[0]).remove(0);
    assert_eq!(again.tasks, [(task(1, 0), 1)], "and it costs no attempt: nobody has tried");
    assert!(again.token > lost.token);
}

#[test]
fn a_heartbeat_does_not_revive_a_lost_lease() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.worker("w", &[1]);
    // In one batch of the engine, which queries expirations only at its end.
    let worker = worker("w");
    env.scheduler.apply(
        env.now,
        Event::WorkerConnected {
            worker: worker.clone(),
            host: String::new(),
            version: String::new(),
            warnings: vec![],
            slots: vec![],
            held: vec![],
        },
    );
    env.scheduler.apply(env.now, Event::Heartbeat { worker });
    assert_eq!(env.scheduler.expired(env.now), [Event::LeaseReleased { token: LeaseToken(1) }]);
}

#[test]
fn a_worker_that_comes_back_keeps_what_it_holds() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    env.apply(Event::WorkerDisconnected { worker: worker("w") });
    env.pass(LEASE - Duration::from_millis(1));
    env.connect("w", &[2], &[&lease]);
    assert_eq!(env.answers(), []);
    env.pass(LEASE - Duration::from_millis(1));
    assert_eq!(env.state(task(1, 0)), TaskState::Running { token: lease.token }, "its deadline moved");
    assert!(env.offer("w", &[0]).is_empty(), "its slot is not free");
    env.finish_all(&lease);
    assert_eq!(env.state(task(2, 0)), TaskState::Done);
}

#[test]
fn a_worker_that_comes_back_too_late_is_told_to_drop() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.apply(Event::WorkerDisconnected { worker: worker("w") });
    env.pass(LEASE);
    env.answers();
    env.connect("w", &[1], &[&lease]);
    let (token, reason) = (lease.token, DropReason::Stale);
    assert_eq!(env.answers(), [Action::DropLease { worker: worker("w"), token, tasks: vec![], reason }]);
}

#[test]
fn what_a_connecting_worker_was_not_acknowledged_for_is_acknowledged() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("w", &[3]).remove(0);
    env.finish(&lease, task(1, 0));
    env.fail(&lease, task(2, 0), FailureReason::Crash);
    env.answers();
    env.connect("w", &[3], &[&lease]);
    let token = lease.token;
    assert_eq!(
        env.answers(),
        [Action::Acknowledge { token, task: task(1, 0) }, Action::Acknowledge { token, task: task(2, 0) }]
    );
    assert_eq!(env.state(task(3, 0)), TaskState::Running { token });
}

#[test]
fn members_that_a_worker_came_back_without_are_lost_alone() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    let partly = Granted { tasks: vec![lease.tasks[0]], ..lease.clone() };
    env.connect("w", &[2], &[&partly]);
    assert_eq!(env.state(task(1, 0)), TaskState::Running { token: lease.token });
    assert!(env.is_pending(task(2, 0)));
}

#[test]
fn a_lease_of_another_worker_is_not_kept() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    let alien = Granted { tasks: vec![(task(9, 9), 1)], token: LeaseToken(77), ..lease.clone() };
    env.connect("thief", &[1], &[&alien]);
    let reason = DropReason::Unknown;
    let told = Action::DropLease { worker: worker("thief"), token: LeaseToken(77), tasks: vec![], reason };
    assert_eq!(env.answers(), [told]);
    env.pass(LEASE);
    assert!(env.is_pending(task(1, 0)), "a hello of another worker extends nothing");
}

#[test]
fn a_lease_held_without_naming_tasks_is_held_whole() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[2]).remove(0);
    let bare = Granted { tasks: vec![], ..lease.clone() };
    env.connect("w", &[2], &[&bare]);
    assert_eq!(env.answers(), []);
    assert_eq!(env.state(task(2, 0)), TaskState::Running { token: lease.token });
}

#[test]
fn a_restarted_coordinator_gives_every_lease_its_full_time() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.now = env.now.after(LONG);
    env.crash();
    env.pass(LEASE - Duration::from_millis(1));
    env.connect("w", &[1], &[&lease]);
    env.finish(&lease, task(1, 0));
    assert!(env.answers().iter().any(|action| matches!(action, Action::RecordResult { attempt: 1, .. })));
    let next = env.offer("w", &[0]).remove(0);
    assert!(next.token > lease.token, "tokens grow across restarts");
    env.crash();
    env.pass(LEASE);
    assert!(env.is_pending(task(2, 0)), "a worker that did not come back is lost");
}

#[test]
fn a_journal_leads_back_to_the_same_state() {
    let mut env = TestEnv::with_sweep(4, 2);
    let lease = env.worker("w", &[4]).remove(0);
    env.finish(&lease, task(1, 0));
    env.fail(&lease, task(2, 0), FailureReason::OutOfMemory);
    env.fail(&lease, task(3, 0), FailureReason::Crash);
    env.crash();
    env.submit(sweep("second", 2, 2));
    env.worker("v", &[2, 2]);
    env.apply(Event::SweepCancelled { sweep: SweepId(2) });
    env.pass(LONG);
    env.crash();
    env.crash();
    assert_eq!(env.state(task(1, 0)), TaskState::Done);
}

#[test]
fn a_clock_that_was_set_back_does_not_stop_retries() {
    let mut env = TestEnv::with_sweep(1, 1);
    let lease = env.worker("w", &[1]).remove(0);
    env.fail(&lease, task(1, 0), FailureReason::Crash);
    env.now = crate::time::Timestamp(env.now.0 / 2);
    env.apply(Event::CoordinatorStarted);
    env.worker("w", &[1]);
    env.pass(Duration::from_secs(60));
    assert_eq!(env.granted().len(), 1);
}

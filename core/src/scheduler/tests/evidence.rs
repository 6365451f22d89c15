//! What a failure says of its task and of its worker.

use std::time::Duration;

use super::env::{LEASE, TestEnv, sweep, task, worker};
use crate::{
    failure::{Failure, FailureReason},
    id::SweepId,
    scheduler::{Action, Event, RestoreCause, SchedulerSettings, SweepStatus, TaskState},
};

const LONG: Duration = Duration::from_secs(120);

#[test]
fn a_permanent_failure_is_one_when_a_second_worker_has_it_too() {
    for reason in [FailureReason::Data, FailureReason::Settings] {
        let mut env = TestEnv::with_sweep(1, 1);
        let lease = env.worker("a", &[1]).remove(0);
        env.fail(&lease, task(1, 0), reason);
        assert!(env.is_pending(task(1, 0)), "it may be the worker's");
        env.connect("b", &[1], &[]);
        env.pass(LEASE / 2);
        let again = env.offer("b", &[0]).remove(0);
        env.fail(&again, task(1, 0), reason);
        assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason });
        env.crash();
        assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason });
    }
}

#[test]
fn a_permanent_failure_on_the_only_worker_is_one_after_all_attempts() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.connect("w", &[1], &[]);
    for attempt in 1..=3 {
        let lease = env.offer("w", &[0]).pop().unwrap_or_else(|| panic!("no attempt {attempt}"));
        assert_eq!(lease.tasks, [(task(1, 0), attempt)]);
        env.fail(&lease, task(1, 0), FailureReason::Data);
        env.pass(LEASE / 2);
    }
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Data });
}

#[test]
fn where_there_will_be_one_worker_a_permanent_failure_is_one_at_once() {
    let settings = SchedulerSettings { one_worker: true, ..super::env::settings() };
    let mut env = TestEnv::with_settings(settings);
    env.submit(sweep("first", 4, 1));
    env.connect("w", &[1], &[]);
    for configuration in 1..=4 {
        let lease = env.offer("w", &[0]).remove(0);
        env.fail(&lease, task(configuration, 0), FailureReason::Data);
    }
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().status(), SweepStatus::Failed);
    assert!(env.scheduler.set_aside_for(&worker("w")).is_empty());
}

#[test]
fn a_journal_of_before_says_what_it_said() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.worker("w", &[1]);
    let old = r#"{"attempt_failed":{"token":1,"task":TASK,"failure":{"reason":"data","message":"gone"}}}"#;
    let old = old.replace("TASK", &serde_json::to_string(&task(1, 0)).unwrap());
    env.apply(serde_json::from_str(&old).unwrap());
    assert_eq!(env.state(task(1, 0)), TaskState::Failed { reason: FailureReason::Data });
}

#[test]
fn a_data_set_that_is_nowhere_fails_its_sweep() {
    let mut env = TestEnv::with_sweep(5, 2);
    let mut leases = env.worker("a", &[1]);
    leases.extend(env.worker("b", &[1]));
    let mut rounds = 0;
    while env.scheduler.sweep(SweepId(1)).unwrap().status() == SweepStatus::Active {
        rounds += 1;
        assert!(
            rounds < 200,
            "the sweep does not end: {:?}",
            env.scheduler.sweep(SweepId(1)).unwrap().counts()
        );
        for lease in std::mem::take(&mut leases) {
            env.fail(&lease, lease.tasks[0].0, FailureReason::Data);
        }
        env.pass(Duration::from_secs(4));
        for name in ["a", "b"] {
            leases.extend(env.offer(name, &[0]));
        }
    }
    let counts = env.scheduler.sweep(SweepId(1)).unwrap().counts();
    assert_eq!((counts.failed, rounds < 60), (10, true), "after {rounds} rounds");
}

#[test]
fn tasks_that_fail_everywhere_are_not_held_against_workers() {
    let mut env = TestEnv::with_sweep(6, 1);
    env.submit(sweep("healthy", 40, 1));
    let mut leases = env.worker("a", &[1]);
    leases.extend(env.worker("b", &[1]));
    let mut rounds = 0;
    while env.scheduler.sweep(SweepId(1)).unwrap().status() == SweepStatus::Active {
        rounds += 1;
        assert!(
            rounds < 200,
            "the sweep does not end: {:?}",
            env.scheduler.sweep(SweepId(1)).unwrap().counts()
        );
        for lease in std::mem::take(&mut leases) {
            if lease.tasks[0].0.sweep == SweepId(1) {
                env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
            } else {
                env.finish_all(&lease);
            }
        }
        env.pass(Duration::from_secs(2));
        for name in ["a", "b"] {
            leases.extend(env.offer(name, &[0]));
        }
    }
    assert_eq!(env.scheduler.sweep(SweepId(2)).unwrap().counts().failed, 0);
    assert!(rounds < 60, "{rounds} rounds");
}

#[test]
fn a_seed_that_always_fails_stops_nothing_on_the_only_worker() {
    let mut env = TestEnv::with_sweep(8, 4);
    env.submit(sweep("healthy", 4, 4));
    let mut leases = env.worker("w", &[1]);
    let mut rounds = 0;
    while env.scheduler.sweep(SweepId(2)).unwrap().status() == SweepStatus::Active
        || env.scheduler.sweep(SweepId(1)).unwrap().status() == SweepStatus::Active
    {
        rounds += 1;
        assert!(rounds < 200, "{:?}", env.scheduler.sweep(SweepId(1)).unwrap().counts());
        for lease in std::mem::take(&mut leases) {
            match lease.tasks[0].0 {
                failing if failing.sweep == SweepId(1) && failing.seed == 1 => {
                    env.fail(&lease, failing, FailureReason::Crash);
                }
                _ => env.finish_all(&lease),
            }
        }
        env.pass(Duration::from_secs(2));
        leases.extend(env.offer("w", &[0]));
    }
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().counts().failed, 8);
    // All 48 tasks, two further attempts of 8, and one pause of half a minute.
    assert!(rounds < 48 + 16 + 20, "{rounds} rounds");
}

#[test]
fn a_worker_is_tested_with_a_task_that_has_not_failed_on_it() {
    let mut env = TestEnv::with_sweep(3, 2);
    let leases = env.worker("w", &[1; 6]);
    for seed in 0..2 {
        for lease in leases.iter().filter(|lease| lease.tasks[0].0.seed == seed) {
            match seed {
                0 => env.finish_all(lease),
                _ => env.fail(lease, lease.tasks[0].0, FailureReason::Crash),
            }
        }
    }
    assert_eq!(env.scheduler.set_aside_for(&worker("w")).len(), 1);
    assert!(
        env.scheduler.why_waiting(SweepId(1)).unwrap().to_string().contains("is set aside after failures")
    );
    env.submit(sweep("newer", 1, 1));
    env.pass(LONG);
    let test = env.offer("w", &[0]);
    assert_eq!(test.iter().map(|lease| lease.tasks[0].0.sweep).collect::<Vec<_>>(), [SweepId(2)]);
    env.finish_all(&test[0]);
    assert_eq!(env.scheduler.why_waiting(SweepId(1)), None);
}

#[test]
fn one_task_that_fails_again_and_again_is_not_held_against_its_worker() {
    let mut env = TestEnv::with_sweep(1, 2);
    env.worker("busy", &[1]);
    let mut lease = env.worker("w", &[1]).remove(0);
    env.apply(Event::WorkerDisconnected { worker: worker("busy") });
    env.pass(LEASE);
    for _ in 0..2 {
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        env.pass(LONG);
        lease = env.offer("w", &[0]).remove(0);
    }
    env.connect("busy", &[1], &[]);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    assert!(env.scheduler.set_aside_for(&worker("w")).is_empty());
}

#[test]
fn cohorts_that_do_not_fit_are_not_held_against_their_worker() {
    let mut env = TestEnv::with_sweep(8, 8);
    env.worker("other", &[1]);
    env.connect("w", &[8], &[]);
    for _ in 0..6 {
        for lease in env.offer("w", &[0]) {
            for (member, _) in lease.tasks.iter().filter(|_| lease.tasks.len() > 1) {
                env.fail(&lease, *member, FailureReason::OutOfMemory);
            }
        }
    }
    assert!(env.scheduler.set_aside_for(&worker("w")).is_empty());
}

#[test]
fn a_cohort_that_does_not_fit_is_tried_in_a_smaller_one_where_it_was() {
    let mut env = TestEnv::with_sweep(8, 1);
    env.connect("busy", &[1], &[]);
    let lease = env.worker("w", &[8]).remove(0);
    assert_eq!(lease.tasks.len(), 8);
    for (member, _) in &lease.tasks {
        env.fail(&lease, *member, FailureReason::OutOfMemory);
    }
    assert_eq!(env.offer("w", &[0]).remove(0).tasks.len(), 4, "though another worker is there");
}

#[test]
fn what_says_nothing_of_a_configuration_does_not_excuse_a_worker() {
    // Elsewhere its cohort was too large, it diverged with another seed, or the data set was missing.
    for reason in [FailureReason::OutOfMemory, FailureReason::Diverged, FailureReason::Data] {
        let mut env = TestEnv::with_sweep(1, 8);
        let lease = env.worker("good", &[4]).remove(0);
        assert_eq!(lease.tasks.len(), 4);
        for (member, _) in &lease.tasks {
            env.fail(&lease, *member, reason);
        }
        env.connect("bad", &[1], &[]);
        for _ in 0..3 {
            let lease = env.offer("bad", &[0]).remove(0);
            env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        }
        assert_eq!(env.scheduler.set_aside_for(&worker("bad")).len(), 1, "{reason}");
    }
}

#[test]
fn what_a_failure_says_of_its_worker_is_told_by_its_reason() {
    for reason in FailureReason::ALL {
        let failure = Failure::new(reason, "");
        let says = failure.reason.may_be_the_workers();
        let innocent = [FailureReason::Diverged, FailureReason::Cancelled, FailureReason::Parked];
        assert_eq!(says, !innocent.contains(&reason));
    }
}

#[test]
fn a_worker_is_taken_back_when_its_tasks_fail_elsewhere_too() {
    let mut env = TestEnv::with_sweep(3, 1);
    env.connect("other", &[1], &[]);
    env.connect("w", &[1], &[]);
    for _ in 0..3 {
        let lease = env.offer("w", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    assert_eq!(env.scheduler.set_aside_for(&worker("w")).len(), 1);
    env.pass(Duration::from_secs(5));
    env.answers();
    let lease = env.offer("other", &[0]).remove(0);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    let exonerated =
        |action: &Action| matches!(action, Action::Restore { cause: RestoreCause::Exonerated, .. });
    assert!(env.answers().iter().any(exonerated), "two of its failures are left, which is not enough");
    assert!(env.scheduler.set_aside_for(&worker("w")).is_empty());
    env.crash();
    assert!(env.scheduler.set_aside_for(&worker("w")).is_empty());
}

#[test]
fn a_worker_is_not_set_aside_for_tasks_that_failed_elsewhere_before() {
    let mut env = TestEnv::with_sweep(3, 1);
    let mut lease = env.worker("other", &[1]).remove(0);
    for task in 0..3 {
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        if task < 2 {
            lease = env.offer("other", &[0]).remove(0);
        }
    }
    env.pass(Duration::from_secs(5));
    env.heartbeat("other");
    env.connect("w", &[1], &[]);
    for _ in 0..3 {
        let lease = env.offer("w", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    for name in ["other", "w"] {
        assert!(env.scheduler.set_aside_for(&worker(name)).is_empty(), "{name}");
    }
}

#[test]
fn the_last_worker_is_set_aside_for_what_was_trained_before_and_for_nothing_else() {
    for trained in [true, false] {
        let mut env = TestEnv::with_sweep(1, 4);
        env.connect("w", &[1], &[]);
        if trained {
            let lease = env.offer("w", &[0]).remove(0);
            env.finish_all(&lease);
        }
        for _ in 0..3 {
            let lease = env.offer("w", &[0]).remove(0);
            env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        }
        assert_eq!(env.scheduler.set_aside_for(&worker("w")).len(), usize::from(trained));
    }
}

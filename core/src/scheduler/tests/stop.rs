//! Sweeps whose tasks fail, one scenario each.

use std::sync::Arc;

use super::env::{Granted, TestEnv, program, programs_only, settings, sweep, task};
use crate::{
    failure::FailureReason,
    id::SweepId,
    needs::Needs,
    scheduler::{Action, Event, RetryScope, SchedulerSettings, SweepStatus, TaskState},
    sweep::Order,
};

const FIRST: SweepId = SweepId(1);

fn limited(configurations: u64, failures: u32) -> TestEnv {
    let mut env = TestEnv::new();
    let mut sweep = sweep("first", configurations, 1);
    sweep.schedule.stop_after_failures = Some(failures);
    env.submit(sweep);
    env
}

fn stops(env: &mut TestEnv) -> Vec<String> {
    let reason = |action| match action {
        Action::StopSweep { sweep, reason } => {
            assert_eq!(sweep, FIRST);
            Some(reason)
        }
        _ => None,
    };
    env.answers().into_iter().filter_map(reason).collect()
}

#[test]
fn after_so_many_failed_tasks_no_other_begins_and_those_that_run_go_on() {
    let mut env = limited(6, 2);
    let leases = env.worker("w", &[1, 1, 1]);
    env.fail(&leases[0], task(1, 0), FailureReason::Diverged);
    assert_eq!(stops(&mut env), Vec::<String>::new());
    env.offer("w", &[0]);
    env.fail(&leases[1], task(2, 0), FailureReason::Diverged);
    assert_eq!(stops(&mut env), ["2 tasks failed (`stop_after_failures`)"]);
    let view = env.scheduler.sweep(FIRST).unwrap();
    let counts = view.counts();
    assert_eq!((counts.pending, counts.running, counts.failed, counts.cancelled), (0, 2, 2, 2));
    assert_eq!(
        (view.status(), view.stopped()),
        (SweepStatus::Active, Some("2 tasks failed (`stop_after_failures`)"))
    );
    env.finish(&leases[2], task(3, 0));
    assert_eq!(env.state(task(3, 0)), TaskState::Done, "what runs is not lost");
    env.crash();
    assert!(env.scheduler.sweep(FIRST).unwrap().stopped().is_some());
    assert!(env.offer("w", &[1, 2]).is_empty());
}

#[test]
fn a_stopped_sweep_begins_nothing_again_whatever_happens_to_what_ran() {
    let mut env = limited(5, 1);
    let leases = env.worker("w", &[1, 1, 1, 1]);
    env.fail(&leases[0], task(1, 0), FailureReason::Diverged);
    assert_eq!(stops(&mut env).len(), 1);
    env.finish(&leases[1], task(2, 0));
    env.fail(&leases[2], task(3, 0), FailureReason::LeaseExpired);
    assert_eq!(env.state(task(3, 0)), TaskState::Cancelled, "it would be repeated");
    env.apply(Event::LeaseReleased { token: leases[3].token });
    assert_eq!(env.state(task(4, 0)), TaskState::Cancelled, "its worker returned it");
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().status(), SweepStatus::Failed);
    // A report of an attempt before the stop comes too late, also after a retry.
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::FailedAndCancelled });
    env.answers();
    env.finish(&leases[2], task(3, 0));
    assert!(matches!(env.answers()[..], [Action::RefuseReport { .. }]));
    assert!(env.is_pending(task(3, 0)));
}

#[test]
fn another_order_changes_nothing_about_a_stop_and_a_smaller_limit_does() {
    let mut env = limited(4, 2);
    let leases = env.worker("w", &[1, 1]);
    env.fail(&leases[0], task(1, 0), FailureReason::Diverged);
    let mut newer = sweep("first", 4, 1);
    newer.schedule.order = Order::ByConfiguration;
    newer.schedule.stop_after_failures = Some(2);
    env.submit(newer.clone());
    assert!(stops(&mut env).is_empty());
    newer.schedule.stop_after_failures = Some(1);
    env.submit(newer.clone());
    assert_eq!(stops(&mut env), ["1 task failed (`stop_after_failures`)"]);
    newer.schedule.order = Order::BySeed;
    env.submit(newer);
    assert!(env.scheduler.sweep(FIRST).unwrap().stopped().is_some());
}

#[test]
fn after_a_retry_or_an_extension_earlier_failures_do_not_count() {
    let mut env = limited(3, 1);
    let leases = env.worker("w", &[1]);
    env.fail(&leases[0], task(1, 0), FailureReason::Diverged);
    assert_eq!(stops(&mut env).len(), 1);
    // One of the cancelled tasks: the failed one stays failed.
    env.apply(Event::TasksRetried { sweep: FIRST, scope: RetryScope::Tasks(vec![task(2, 0)]) });
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().stopped(), None);
    assert!(env.is_pending(task(2, 0)) && stops(&mut env).is_empty());
    let lease = env.offer("w", &[0]).remove(0);
    env.finish(&lease, task(2, 0));
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().status(), SweepStatus::Cancelled);
    let mut more = sweep("first", 5, 1);
    more.schedule.stop_after_failures = Some(1);
    let extended = env.scheduler.extension(FIRST, &more).unwrap();
    env.apply(Event::SweepExtended { id: FIRST, sweep: Arc::new(extended) });
    assert!(env.is_pending(task(4, 0)) && env.is_pending(task(5, 0)));
    let lease = env.offer("w", &[0]).remove(0);
    env.fail(&lease, task(4, 0), FailureReason::Diverged);
    assert_eq!(env.state(task(5, 0)), TaskState::Cancelled);
}

/// A sweep of a program on two slots of the only worker there can be.
fn programs_alone() -> (TestEnv, Vec<Granted>) {
    let mut env = TestEnv::with_settings(SchedulerSettings { one_worker: true, ..settings() });
    env.submit(program("first", 4, 1, Needs::default()));
    let leases = env.worker_offering("w", &[programs_only(), programs_only()]);
    (env, leases)
}

#[test]
fn a_program_without_the_result_that_is_named_stops_the_sweep_unless_something_is_done() {
    let (mut env, leases) = programs_alone();
    env.fail(&leases[0], task(1, 0), FailureReason::Settings);
    assert_eq!(stops(&mut env), Vec::<String>::new(), "it may be this configuration");
    env.fail(&leases[1], task(2, 0), FailureReason::Settings);
    assert!(matches!(&stops(&mut env)[..], [reason] if reason.ends_with("told so by the test")));
    assert_eq!(env.state(task(4, 0)), TaskState::Cancelled);

    let (mut env, leases) = programs_alone();
    env.finish(&leases[0], task(1, 0));
    env.fail(&leases[1], task(2, 0), FailureReason::Settings);
    let lease = env.offer("w", &[0]).remove(0);
    env.fail(&lease, task(3, 0), FailureReason::Settings);
    assert!(env.is_pending(task(4, 0)) && stops(&mut env).is_empty(), "others have results");
}

#[test]
fn a_result_after_the_stop_starts_nothing() {
    let mut env = TestEnv::with_settings(SchedulerSettings { one_worker: true, ..settings() });
    env.submit(program("first", 5, 1, Needs::default()));
    let leases =
        env.worker_offering("w", &[programs_only(), programs_only(), programs_only(), programs_only()]);
    env.fail(&leases[0], task(1, 0), FailureReason::Settings);
    env.fail(&leases[1], task(2, 0), FailureReason::Settings);
    assert_eq!(stops(&mut env).len(), 1);
    env.finish(&leases[2], task(3, 0));
    env.apply(Event::LeaseReleased { token: leases[3].token });
    assert_eq!(env.state(task(4, 0)), TaskState::Cancelled, "it would begin again");
}

#[test]
fn a_host_alone_does_not_stop_a_sweep() {
    let mut env = TestEnv::new();
    let mut sweep = program("first", 4, 1, Needs::default());
    sweep.retries.max_attempts = 1;
    env.submit(sweep);
    let bad = env.worker_offering("bad", &[programs_only(), programs_only()]);
    env.worker_offering("good", &[programs_only()]);
    for (lease, configuration) in bad.iter().zip(1..) {
        env.fail(lease, task(configuration, 0), FailureReason::Settings);
    }
    assert_eq!(env.scheduler.sweep(FIRST).unwrap().counts().failed, 2);
    assert!(stops(&mut env).is_empty() && env.is_pending(task(4, 0)));
}

#[test]
fn a_network_with_impossible_settings_stops_nothing() {
    let mut env = TestEnv::with_sweep(3, 1);
    let leases = env.worker("w", &[1]);
    env.fail(&leases[0], task(1, 0), FailureReason::Settings);
    assert!(stops(&mut env).is_empty() && env.is_pending(task(2, 0)));
}

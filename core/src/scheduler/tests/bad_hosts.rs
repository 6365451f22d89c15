//! Workers on which nothing succeeds, and tasks that fail everywhere.

use std::time::Duration;

use super::env::{Granted, LEASE, TestEnv, sweep, task, worker};
use crate::{
    failure::{Failure, FailureReason},
    id::SweepId,
    scheduler::{Action, Event, RestoreCause, Scheduler, SchedulerSettings, SweepStatus, TaskState},
};

const LONG: Duration = Duration::from_secs(120);

/// The state of a sweep of 40 tasks that `bad` fails as fast as it gets them, while `good` trains one at a time.
fn sweep_with_a_bad_host(reason: FailureReason) -> (TestEnv, usize) {
    let mut env = TestEnv::with_sweep(4, 10);
    let mut good = env.worker("good", &[1]);
    let mut bad = env.worker("bad", &[1]);
    let (mut failed, mut rounds) = (0, 0);
    while env.scheduler.sweep(SweepId(1)).unwrap().status() == SweepStatus::Active {
        rounds += 1;
        assert!(rounds < 1000, "the sweep does not end");
        for lease in std::mem::take(&mut bad) {
            for (member, _) in &lease.tasks {
                env.fail(&lease, *member, reason);
                failed += 1;
            }
        }
        bad.extend(env.offer("bad", &[0]));
        if rounds % 20 == 0 {
            let lease = good.remove(0);
            env.finish_all(&lease);
            let granted = env.offer("good", &[0]);
            good.extend(granted);
        }
        env.pass(Duration::from_millis(500));
        env.heartbeat("good");
        env.heartbeat("bad");
        let (to_good, to_bad) =
            env.granted().into_iter().partition(|l: &Granted| l.worker.as_str() == "good");
        good.extend::<Vec<_>>(to_good);
        bad.extend::<Vec<_>>(to_bad);
    }
    (env, failed)
}

#[test]
fn one_bad_host_does_not_ruin_a_sweep() {
    for reason in [FailureReason::Data, FailureReason::Settings, FailureReason::Crash, FailureReason::Hang] {
        let (env, failed) = sweep_with_a_bad_host(reason);
        let counts = env.scheduler.sweep(SweepId(1)).unwrap().counts();
        assert_eq!((counts.done, counts.failed), (40, 0), "{reason}: everything is trained");
        assert!(failed <= 12, "{reason}: it took {failed} tasks in 400 seconds");
        let set_aside = env.scheduler.set_aside_from(SweepId(1));
        assert_eq!(set_aside.len(), 1, "{reason}");
        let (name, pause) = &set_aside[0];
        assert_eq!((name.as_str(), pause.failure.reason), ("bad", reason));
        let for_data = (reason == FailureReason::Data).then(|| "waves".to_owned());
        assert_eq!(pause.data_set, for_data);
    }
}

fn pauses(env: &TestEnv, name: &str) -> Vec<Duration> {
    let pauses = env.scheduler.set_aside_for(&worker(name));
    pauses.iter().map(|pause| pause.until.since(env.now)).collect()
}

/// A worker beside another one that has failed three tasks in a row.
fn set_aside() -> TestEnv {
    let mut env = TestEnv::with_sweep(20, 1);
    env.worker("good", &[1]);
    env.connect("bad", &[1], &[]);
    for _ in 0..3 {
        let lease = env.offer("bad", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    assert!(env.offer("bad", &[0]).is_empty());
    assert_eq!(pauses(&env, "bad"), [Duration::from_secs(30)]);
    env
}

#[test]
fn a_worker_on_which_tasks_fail_in_a_row_gets_one_after_growing_pauses() {
    let mut env = set_aside();
    let told = env
        .answers()
        .iter()
        .any(|action| matches!(action, Action::SetAside { worker, .. } if worker.as_str() == "bad"));
    assert!(told, "it is told so");
    env.connect("bad", &[4, 4], &[]);
    env.offer("bad", &[0, 1]);
    let mut slept = Vec::new();
    for _ in 0..7 {
        let mut wait = pauses(&env, "bad")[0];
        slept.push(wait.as_secs());
        while !wait.is_zero() {
            assert!(env.granted().is_empty(), "nothing comes before the pause is over");
            let step = wait.min(LEASE / 2);
            env.now = env.now.after(step);
            env.heartbeat("good");
            env.heartbeat("bad");
            wait -= step;
        }
        let probe = env.granted().remove(0);
        assert_eq!((probe.worker.as_str(), probe.tasks.len()), ("bad", 1), "it has two slots for four each");
        assert!(env.offer("bad", &[0, 1]).is_empty(), "and gets no other beside it");
        env.fail(&probe, probe.tasks[0].0, FailureReason::Crash);
        env.offer("bad", &[0, 1]);
    }
    assert_eq!(slept, [30, 60, 120, 240, 480, 900, 900]);
}

#[test]
fn a_worker_that_proves_itself_is_as_any_other() {
    let mut env = set_aside();
    env.heartbeat("good");
    env.pass(Duration::from_secs(29));
    assert!(env.granted().is_empty());
    env.heartbeat("good");
    env.pass(Duration::from_secs(1));
    let probe = env.granted().remove(0);
    env.crash();
    env.connect("good", &[1], &[]);
    env.connect("bad", &[1], &[&probe]);
    assert_eq!(env.scheduler.set_aside_for(&worker("bad")).len(), 1, "a restart forgets nothing");
    env.finish_all(&probe);
    let restored = env.answers().into_iter().find_map(|action| match action {
        Action::Restore { worker, cause, .. } => Some((worker.to_string(), cause)),
        _ => None,
    });
    assert_eq!(restored, Some(("bad".to_owned(), RestoreCause::Succeeded)));
    assert_eq!(env.offer("bad", &[0]).len(), 1);
    env.crash();
    assert!(env.scheduler.set_aside_for(&worker("bad")).is_empty());
}

#[test]
fn a_person_takes_a_worker_back() {
    let mut env = set_aside();
    let (cause, worker) = (RestoreCause::Person, worker("bad"));
    let event = Event::WorkerRestored { worker: worker.clone(), data_set: None, cause };
    assert!(env.scheduler.changes_state(&event));
    env.apply(event.clone());
    assert!(!env.scheduler.changes_state(&event), "twice is once");
    assert_eq!(env.granted().len(), 1, "at once");
    assert!(env.scheduler.set_aside_for(&worker).is_empty());
}

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
fn a_worker_that_was_asked_to_leave_can_stay_unless_it_is_to_leave_at_once() {
    for at_once in [false, true] {
        let mut env = TestEnv::with_sweep(1, 1);
        env.connect("w", &[1], &[]);
        env.apply(Event::DrainRequested { worker: worker("w"), now: at_once });
        assert!(env.offer("w", &[0]).is_empty());
        env.answers();
        env.apply(Event::UndrainRequested { worker: worker("w") });
        let told = env.answers() == [Action::UndrainWorker { worker: worker("w") }];
        assert_eq!((told, env.offer("w", &[0]).len()), (!at_once, usize::from(!at_once)));
    }
}

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
fn a_host_without_one_data_set_trains_on_others() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.worker("good", &[1]);
    let lease = env.worker("bad", &[1]).remove(0);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Data);
    assert!(env.offer("bad", &[0]).is_empty());
    let mut other = sweep("second", 1, 1);
    other.configurations[0].settings.dataset = "ripples".to_owned();
    env.submit(other);
    let lease = env.granted().remove(0);
    assert_eq!((lease.worker.as_str(), lease.tasks[0].0.sweep), ("bad", SweepId(2)));
    env.finish_all(&lease);
    assert!(env.offer("bad", &[0]).is_empty(), "which says nothing about the one that it lacks");
    env.heartbeat("good");
    env.pass(Duration::from_secs(29));
    env.heartbeat("good");
    env.pass(Duration::from_secs(1));
    let probe = env.granted().remove(0);
    env.finish_all(&probe);
    assert!(env.scheduler.set_aside_for(&worker("bad")).is_empty(), "somebody has copied it there");
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
fn a_worker_that_is_lost_again_and_again_without_getting_on_is_set_aside() {
    let mut env = TestEnv::with_sweep(6, 1);
    env.worker("good", &[1]);
    env.worker("bad", &[1, 1]);
    for silence in 1..=3 {
        assert!(env.scheduler.set_aside_for(&worker("bad")).is_empty(), "silence {silence} was one failure");
        for _ in 0..4 {
            env.pass(LEASE / 4);
            env.heartbeat("good");
        }
        env.connect("bad", &[1, 1], &[]);
        env.offer("bad", &[0, 1]);
        env.pass(Duration::from_secs(4));
    }
    assert_eq!(env.scheduler.set_aside_for(&worker("bad")).len(), 1);
}

#[test]
fn a_last_attempt_goes_where_something_is_known_to_train() {
    let mut env = TestEnv::with_sweep(2, 1);
    let good = env.worker("good", &[1]).remove(0);
    let (token, busy_with) = (good.token, good.tasks[0].0);
    env.apply(Event::EpochReported { token, task: busy_with, epoch: 1 });
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
fn all_results_of_a_sweep_are_of_one_data_set() {
    let mut env = TestEnv::with_sweep(3, 1);
    let leases = env.worker("a", &[1, 1]);
    let finished = |lease: &Granted, digest: &str| Event::TaskFinished {
        token: lease.token,
        task: lease.tasks[0].0,
        data_digest: digest.to_owned(),
    };
    assert_eq!(
        env.scheduler.wrong_data(leases[0].tasks[0].0, "abc"),
        None,
        "there is nothing to compare with"
    );
    env.apply(finished(&leases[0], "abc"));
    env.crash();
    let other = leases[1].tasks[0].0;
    assert_eq!(env.scheduler.data_digest_of(other), Some("abc"));
    assert_eq!(env.scheduler.wrong_data(other, "abc"), None);
    assert_eq!(env.scheduler.wrong_data(other, ""), None, "an old worker does not say");
    let failure = env.scheduler.wrong_data(other, "def").unwrap();
    assert_eq!(failure.reason, FailureReason::Data);
    assert!(failure.message.contains("def") && failure.message.contains("abc"), "{failure}");
}

#[test]
fn a_worker_that_is_set_aside_and_gone_for_a_day_is_forgotten() {
    let mut env = set_aside();
    env.apply(Event::WorkerDisconnected { worker: worker("bad") });
    env.pass(Duration::from_secs(23 * 60 * 60));
    assert_eq!(env.scheduler.set_aside_for(&worker("bad")).len(), 1);
    env.pass(Duration::from_secs(60 * 60));
    assert!(env.scheduler.set_aside_for(&worker("bad")).is_empty());
}

#[test]
fn a_worker_that_is_set_aside_for_days_and_loses_its_connection_is_not_forgotten() {
    let mut env = set_aside();
    env.pass(Duration::from_secs(48 * 60 * 60));
    env.apply(Event::WorkerDisconnected { worker: worker("bad") });
    env.pass(Duration::from_secs(5));
    assert_eq!(env.scheduler.set_aside_for(&worker("bad")).len(), 1);
    env.connect("bad", &[1], &[]);
    env.pass(Duration::from_secs(24 * 60 * 60));
    env.apply(Event::WorkerDisconnected { worker: worker("bad") });
    env.crash();
    env.pass(Duration::from_secs(23 * 60 * 60));
    assert_eq!(
        env.scheduler.set_aside_for(&worker("bad")).len(),
        1,
        "it has not been there since the restart"
    );
    env.pass(Duration::from_secs(60 * 60));
    assert!(env.scheduler.set_aside_for(&worker("bad")).is_empty());
}

#[test]
fn a_clock_that_was_set_back_does_not_prolong_a_pause() {
    let mut env = set_aside();
    env.start_again_at(crate::time::Timestamp(env.now.0 / 2));
    let pause = pauses(&env, "bad")[0];
    assert!(pause <= Scheduler::MAX_PAUSE, "{pause:?}");
    env.connect("good", &[1], &[]);
    env.worker("bad", &[1]);
    env.now = env.now.after(Scheduler::MAX_PAUSE);
    env.heartbeat("good");
    env.heartbeat("bad");
    assert!(env.granted().iter().any(|lease| lease.worker == worker("bad")));
}

#[test]
fn what_a_failure_says_of_its_worker_is_told_by_its_reason() {
    for reason in FailureReason::ALL {
        let failure = Failure::new(reason, "");
        let says = failure.reason.may_be_the_workers();
        assert_eq!(says, !matches!(reason, FailureReason::Diverged | FailureReason::Cancelled));
    }
}

//! Workers on which no task succeeds.

use std::time::Duration;

use super::env::{Granted, LEASE, TestEnv, sweep, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    scheduler::{Action, Event, RestoreCause, Scheduler, SweepStatus},
};

/// A sweep of 40 tasks: `bad` fails tasks as fast as it gets them, while `good` trains one at a time.
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

/// A worker that is set aside after three failed tasks in a row, and another worker.
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
fn a_host_without_one_data_set_trains_on_others() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.worker("good", &[1]);
    let lease = env.worker("bad", &[1]).remove(0);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Data);
    assert!(env.offer("bad", &[0]).is_empty());
    let mut other = sweep("second", 1, 1);
    other.configurations[0].network_mut().unwrap().dataset = "ripples".to_owned();
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
fn a_worker_that_is_set_aside_does_not_prove_itself_with_what_it_failed_while_another_is_there() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.worker("good", &[1]);
    env.connect("bad", &[1], &[]);
    for _ in 0..3 {
        let lease = env.offer("bad", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    assert_eq!(pauses(&env, "bad").len(), 1);
    env.offer("bad", &[0]);
    let set_aside_at = env.now;
    while env.now.since(set_aside_at) < 2 * Scheduler::MAX_PAUSE {
        env.now = env.now.after(LEASE / 2);
        env.heartbeat("good");
        env.heartbeat("bad");
        assert!(env.granted().is_empty(), "however long the tasks have waited");
    }
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
        env.scheduler.wrong_data(leases[0].token, leases[0].tasks[0].0, "abc"),
        None,
        "there is nothing to compare with"
    );
    env.apply(finished(&leases[0], "abc"));
    env.crash();
    let other = leases[1].tasks[0].0;
    assert_eq!(env.scheduler.data_digest_of(other), Some("abc"));
    assert_eq!(env.scheduler.wrong_data(leases[1].token, other, "abc"), None);
    assert_eq!(env.scheduler.wrong_data(leases[1].token, other, ""), None, "an old worker does not say");
    let failure = env.scheduler.wrong_data(leases[1].token, other, "def").unwrap();
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
    env.start_again_at(crate::time::Timestamp(1));
    let pause = pauses(&env, "bad")[0];
    assert_eq!(pause, Scheduler::MAX_PAUSE);
    env.connect("good", &[1], &[]);
    env.worker("bad", &[1]);
    env.now = env.now.after(Scheduler::MAX_PAUSE);
    env.heartbeat("good");
    env.heartbeat("bad");
    assert!(env.granted().iter().any(|lease| lease.worker == worker("bad")));
}

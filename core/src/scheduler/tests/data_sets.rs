//! Workers that say which data sets they have.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::env::{TestEnv, sweep, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    scheduler::{DataSets, Event, TaskState},
};

/// The data set of the sweeps in these tests.
const NAME: &str = "waves";

fn says(env: &mut TestEnv, name: &str, known: &[(&str, Option<&str>)]) {
    let known = known.iter().map(|(name, digest)| ((*name).to_owned(), digest.map(str::to_owned)));
    let data_sets = DataSets { known: known.collect(), complete: true };
    env.apply(Event::DataSetsKnown { worker: worker(name), data_sets });
}

#[test]
fn a_task_does_not_go_where_its_data_set_is_missing_while_it_may_be_elsewhere() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.connect("without", &[4], &[]);
    says(&mut env, "without", &[("ripples", None)]);
    env.connect("with", &[1], &[]);
    assert!(env.offer("without", &[0]).is_empty(), "the other one may have it");
    assert_eq!(env.offer("with", &[0]).len(), 1);
    assert!(env.offer("without", &[0]).is_empty(), "a busy worker is waited for");
    // Somebody copies the file.
    says(&mut env, "without", &[("ripples", None), (NAME, None)]);
    assert_eq!(env.offer("without", &[0])[0].tasks.len(), 3);
}

#[test]
fn a_data_set_that_nobody_has_fails_its_tasks_as_one_that_can_not_be_opened() {
    let mut env = TestEnv::with_sweep(1, 1);
    for name in ["one", "two"] {
        env.connect(name, &[1], &[]);
        says(&mut env, name, &[]);
    }
    let first = env.offer("one", &[0]).remove(0);
    env.fail(&first, first.tasks[0].0, FailureReason::Data);
    env.pass(Duration::from_secs(20));
    let second = env.offer("two", &[0]).remove(0);
    env.fail(&second, second.tasks[0].0, FailureReason::Data);
    assert!(matches!(env.scheduler.state_of(second.tasks[0].0), Some(TaskState::Failed { .. })));
}

#[test]
fn a_task_does_not_go_where_another_data_set_has_its_name() {
    let mut env = TestEnv::with_sweep(3, 1);
    let lease = env.worker("right", &[1]).remove(0);
    let digest = "right".to_owned();
    env.apply(Event::TaskFinished { token: lease.token, task: lease.tasks[0].0, data_digest: digest });
    env.connect("wrong", &[1], &[]);
    says(&mut env, "wrong", &[(NAME, Some("wrong"))]);
    assert!(env.offer("wrong", &[0]).is_empty());
    // The file was replaced and nobody has opened the new one yet.
    says(&mut env, "wrong", &[(NAME, None)]);
    assert_eq!(env.offer("wrong", &[0]).len(), 1);
}

#[test]
fn that_two_workers_can_not_open_a_data_set_is_no_fault_of_the_task_when_a_third_has_opened_it() {
    let mut env = TestEnv::with_sweep(1, 1);
    // It was busy with something else.
    env.connect("good", &[1], &[]);
    says(&mut env, "good", &[(NAME, Some("right"))]);
    for name in ["first", "second"] {
        let lease = env.worker(name, &[1]).remove(0);
        assert_eq!(lease.worker, worker(name));
        env.fail(&lease, lease.tasks[0].0, FailureReason::Data);
        env.pass(Duration::from_secs(20));
        env.heartbeat("good");
    }
    let failed = env.scheduler.sweep(SweepId(1)).unwrap().counts().failed;
    assert_eq!(failed, 0, "it is tried again");
    assert_eq!(env.offer("good", &[0]).len(), 1);
}

#[test]
fn workers_without_the_data_set_do_not_make_the_cohorts_of_others_small() {
    let mut env = TestEnv::new();
    env.connect("with", &[8], &[]);
    says(&mut env, "with", &[(NAME, None)]);
    for name in ["a", "b", "c"] {
        env.connect(name, &[8, 8], &[]);
        says(&mut env, name, &[]);
        env.offer(name, &[0, 1]);
    }
    env.offer("with", &[0]);
    env.submit(sweep("first", 8, 1));
    let granted = env.granted();
    assert_eq!(granted.iter().map(|lease| lease.tasks.len()).collect::<Vec<_>>(), [8]);
}

#[test]
fn a_task_that_failed_where_its_data_set_is_does_not_go_where_it_is_not() {
    let mut env = TestEnv::with_sweep(3, 1);
    env.connect("with", &[1], &[]);
    says(&mut env, "with", &[(NAME, None)]);
    env.connect("without", &[1], &[]);
    says(&mut env, "without", &[]);
    for _ in 0..3 {
        let lease = env.offer("with", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
        env.pass(Duration::from_secs(5));
        env.heartbeat("without");
        assert!(env.offer("without", &[0]).is_empty(), "it would only fail there");
    }
}

#[test]
fn a_task_does_not_go_where_its_data_set_is_not_while_the_worker_that_has_it_is_set_aside() {
    let mut env = TestEnv::with_sweep(4, 1);
    env.connect("with", &[1], &[]);
    says(&mut env, "with", &[(NAME, None)]);
    env.connect("without", &[1], &[]);
    says(&mut env, "without", &[]);
    for _ in 0..3 {
        let lease = env.offer("with", &[0]).remove(0);
        env.fail(&lease, lease.tasks[0].0, FailureReason::Crash);
    }
    assert_eq!(env.scheduler.set_aside_for(&worker("with")).len(), 1);
    assert!(env.offer("without", &[0]).is_empty(), "it would only fail there");
}

#[test]
fn a_data_set_that_can_not_be_opened_where_it_is_may_be_nowhere() {
    let mut env = TestEnv::with_sweep(1, 1);
    env.connect("damaged", &[1], &[]);
    says(&mut env, "damaged", &[(NAME, None)]);
    env.connect("without", &[1], &[]);
    says(&mut env, "without", &[]);
    let lease = env.offer("damaged", &[0]).remove(0);
    env.fail(&lease, lease.tasks[0].0, FailureReason::Data);
    env.pass(Duration::from_secs(5));
    assert_eq!(env.offer("without", &[0]).len(), 1, "so that the sweep does not wait for ever");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is about real time")]
fn many_workers_without_the_data_set_do_not_make_the_coordinator_slow() {
    let mut env = TestEnv::new();
    env.connect("with", &[1], &[]);
    says(&mut env, "with", &[(NAME, None)]);
    env.offer("with", &[0]);
    for number in 0..100 {
        let name = format!("{number}");
        env.connect(&name, &[1], &[]);
        says(&mut env, &name, &[]);
        env.offer(&name, &[0]);
    }
    let submitted = Event::SweepSubmitted { id: SweepId(1), sweep: Arc::new(sweep("first", 1000, 20)) };
    env.scheduler.apply(env.now, submitted);
    let before = Instant::now();
    assert_eq!(env.scheduler.proposals(env.now, true).len(), 1);
    // To look at each task for each worker takes half a minute; this has to be done at every heartbeat.
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
}

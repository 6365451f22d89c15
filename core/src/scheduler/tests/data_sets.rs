//! Workers that report their data sets.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::env::{TestEnv, sweep, worker};
use crate::{
    failure::FailureReason,
    id::SweepId,
    scheduler::{
        Action, DataSetShape, DataSets, Event, KnownDataSet, Scheduler, SubmissionError, SweepStatus,
        TaskState,
    },
};

/// The data set of the sweeps in these tests.
const NAME: &str = "waves";

fn says(env: &mut TestEnv, name: &str, known: &[(&str, Option<&str>)]) {
    let known = known.iter().map(|(name, digest)| {
        ((*name).to_owned(), KnownDataSet { digest: digest.map(str::to_owned), shape: None })
    });
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
    // The file is copied to the worker.
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
    // The file was replaced, and no trainer has opened the new one yet.
    says(&mut env, "wrong", &[(NAME, None)]);
    assert_eq!(env.offer("wrong", &[0]).len(), 1);
}

#[test]
fn that_two_workers_can_not_open_a_data_set_is_no_fault_of_the_task_when_a_third_has_opened_it() {
    let mut env = TestEnv::with_sweep(1, 1);
    // This worker is busy with other tasks.
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

/// A worker whose data set has these modalities.
fn has(env: &mut TestEnv, name: &str, modalities: &[&str]) {
    let modalities = modalities.iter().map(|name| (*name).to_owned()).collect();
    let shape = Some(DataSetShape { modalities, train_samples: 100 });
    let known = [(NAME.to_owned(), KnownDataSet { digest: None, shape })].into();
    let data_sets = DataSets { known, complete: true };
    env.apply(Event::DataSetsKnown { worker: worker(name), data_sets });
}

#[test]
fn a_sweep_that_fits_no_data_set_is_refused_before_anything_is_trained() {
    let mut env = TestEnv::with_sweep(4, 3);
    env.connect("one", &[1], &[]);
    has(&mut env, "one", &["skeleton", "depth"]);
    assert!(env.offer("one", &[0]).is_empty());
    env.heartbeat("one");
    env.pass(Scheduler::WAIT_FOR_DATA - Duration::from_millis(1));
    let view = env.scheduler.sweep(SweepId(1)).unwrap();
    assert_eq!((view.status(), view.counts().pending), (SweepStatus::Active, 12), "another worker may come");
    assert_eq!(env.scheduler.next_deadline(), Some(env.now.after(Duration::from_millis(1))));
    env.pass(Duration::from_millis(1));
    let view = env.scheduler.sweep(SweepId(1)).unwrap();
    assert_eq!((view.status(), view.counts().failed, view.retried()), (SweepStatus::Failed, 12, 0));
    let failures = view.failures();
    let (_, failed) = failures.first().unwrap();
    let message = "`primary` names the modality `inertial`, which `waves` of worker one does not have";
    assert!(failed.failure.message.starts_with(message), "{}", failed.failure.message);
    let refused = |action: &Action| matches!(action, Action::RefuseSweep { .. });
    assert_eq!(env.answers().iter().filter(|action| refused(action)).count(), 1);
    env.crash();
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().status(), SweepStatus::Failed);

    // The right file is copied to the worker.
    env.connect("one", &[1], &[]);
    has(&mut env, "one", &["skeleton", "inertial"]);
    env.apply(Event::TasksRetried { sweep: SweepId(1), scope: crate::scheduler::RetryScope::Failed });
    assert_eq!(env.offer("one", &[0]).len(), 1);
}

#[test]
fn a_sweep_that_fits_the_data_set_of_one_worker_is_trained() {
    let mut env = TestEnv::with_sweep(2, 1);
    for (name, modality) in [("wrong", "skeleton"), ("right", "inertial")] {
        env.connect(name, &[1], &[]);
        has(&mut env, name, &[modality]);
    }
    assert_eq!(env.offer("right", &[0]).len(), 1);
    env.pass(Scheduler::WAIT_FOR_DATA);
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().counts().failed, 0);
}

#[test]
fn a_sweep_is_not_refused_while_a_worker_may_have_data_that_nobody_knows() {
    let mut env = TestEnv::with_sweep(2, 1);
    env.connect("wrong", &[1], &[]);
    has(&mut env, "wrong", &["skeleton"]);
    // Its headers cannot be read, or it is of a version that says nothing of them.
    env.connect("unknown", &[1], &[]);
    says(&mut env, "unknown", &[(NAME, None)]);
    env.pass(2 * Scheduler::WAIT_FOR_DATA);
    assert_eq!(env.offer("unknown", &[0]).len(), 1);
    assert_eq!(env.scheduler.check_data(&sweep("second", 1, 1)), Ok(()));
}

#[test]
fn a_sweep_that_is_in_training_is_not_refused() {
    let mut env = TestEnv::with_sweep(2, 1);
    let lease = env.worker("right", &[1]).remove(0);
    env.apply(Event::WorkerDisconnected { worker: worker("right") });
    env.connect("wrong", &[1], &[]);
    has(&mut env, "wrong", &["skeleton"]);
    for _ in 0..10 {
        env.pass(Scheduler::WAIT_FOR_DATA / 5);
        env.connect("right", &[1], &[&lease]);
        env.apply(Event::WorkerDisconnected { worker: worker("right") });
    }
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().counts().running, 1, "its lease is kept");
    env.connect("right", &[1], &[&lease]);
    has(&mut env, "right", &["skeleton"]);
    env.finish_all(&lease);
    env.pass(2 * Scheduler::WAIT_FOR_DATA);
    assert_eq!(env.scheduler.sweep(SweepId(1)).unwrap().counts().failed, 0, "a result shows that it fits");
}

#[test]
fn a_sweep_is_not_refused_for_what_a_worker_said_that_has_left() {
    let mut env = TestEnv::with_sweep(2, 1);
    env.connect("wrong", &[1], &[]);
    has(&mut env, "wrong", &["skeleton"]);
    env.apply(Event::WorkerDisconnected { worker: worker("wrong") });
    env.pass(2 * Scheduler::WAIT_FOR_DATA);
    assert_eq!(env.worker("right", &[1]).len(), 1);
}

#[test]
fn a_sweep_is_checked_as_soon_as_it_is_submitted_where_its_data_set_is_known() {
    let mut env = TestEnv::new();
    let sweep = super::env::sweep("first", 1, 1);
    assert_eq!(env.scheduler.check_data(&sweep), Ok(()), "nobody knows the data set");
    env.connect("one", &[1], &[]);
    has(&mut env, "one", &["skeleton"]);
    let refused = env.scheduler.check_data(&sweep).unwrap_err();
    assert!(matches!(refused, SubmissionError::Misfit { .. }), "{refused}");
    env.connect("two", &[1], &[]);
    has(&mut env, "two", &["inertial"]);
    assert_eq!(env.scheduler.check_data(&sweep), Ok(()));
}

//! Workers that say which data sets they have.

use std::time::Duration;

use super::env::{TestEnv, worker};
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

//! Slots that run trainers of both kinds.

use TrainerKind::{Networks, Programs};

use super::*;

/// A connected worker with one slot, whose trainer of networks is idle.
fn both() -> TestEnv {
    let mut env = TestEnv::offering(1, Limits::default(), &[Networks, Programs]);
    assert_eq!(env.connect(), [free(&[0])]);
    env
}

/// The same, with a lease of a program for which the trainer of networks is ended.
fn changing() -> TestEnv {
    let mut env = both();
    assert_eq!(env.lease_of(program, 7, 0, &[1]), [kill(0)]);
    env
}

fn ended(env: &mut TestEnv) -> Vec<Action> {
    env.die(0, EndStatus::Signalled(9), "")
}

fn trains(actions: &[Action]) -> bool {
    matches!(actions, [Action::Command { slot: 0, command: Command::Train { .. } }])
}

#[test]
fn a_lease_of_the_other_kind_waits_for_a_trainer_of_its_kind() {
    let mut env = changing();
    assert_eq!(env.held(), [(7, vec![1])]);
    assert_eq!(env.ready(0), [], "events of the trainer that is ended mean nothing");
    assert_eq!(ended(&mut env), [start(0, Programs)], "and its end is no death that would cost a pause");
    assert!(trains(&env.ready(0)));
    assert_eq!(env.said(0, Event::Alive), []);
    assert_eq!(env.finish(0, 1), [finished(7, 1)]);
    assert_eq!(env.said(0, Event::Idle), [free(&[0])]);
    // A second program needs no change; a network does.
    assert!(trains(&env.lease_of(program, 8, 0, &[2])));
    env.finish(0, 2);
    env.said(0, Event::Idle);
    assert_eq!(env.lease(9, 0, &[3, 4]), [kill(0)]);
    assert_eq!(ended(&mut env), [start(0, Networks)]);
    assert!(trains(&env.ready(0)));
}

#[test]
fn a_trainer_that_starts_is_not_waited_for_if_the_lease_needs_the_other_kind() {
    let mut env = both();
    env.die(0, EndStatus::Exited(1), "");
    assert_eq!(env.lease_of(program, 7, 0, &[1]), [kill(0)]);
    assert_eq!(ended(&mut env), [start(0, Programs)]);
    assert!(trains(&env.ready(0)));
    assert_eq!(env.agent.slots[&0].deaths_at_start, 0);
}

#[test]
fn a_lease_that_comes_between_two_trainers_decides_on_the_kind_of_the_next() {
    let mut env = both();
    env.train(7, 0, &[1]);
    env.said(0, Event::Failed { task: task(1), failure: Failure::new(FailureReason::Hang, "x") });
    // The cohort does not end, and its trainer is killed.
    env.wait_until_killed();
    assert_eq!(env.lease_of(program, 8, 0, &[2]), []);
    assert_eq!(ended(&mut env), [start(0, Programs)]);
}

#[test]
fn another_lease_is_returned_while_the_trainer_changes() {
    let mut env = changing();
    assert_eq!(env.lease(8, 0, &[2]), [released(8)]);
    env.drop_tasks(8, &[]);
    assert_eq!(env.held(), [(7, vec![1])]);
}

#[test]
fn a_lease_that_is_dropped_while_the_trainer_changes_is_forgotten() {
    let mut env = changing();
    assert_eq!(env.drop_tasks(7, &[]), []);
    assert_eq!(env.held(), []);
    assert_eq!(ended(&mut env), [start(0, Networks)], "nothing needs the other kind any more");
    assert_eq!(env.ready(0), [free(&[0])]);

    let mut env = changing();
    ended(&mut env);
    assert_eq!(env.drop_tasks(7, &[]), []);
    assert_eq!(env.ready(0), [free(&[0])], "a trainer of programs is as good as one of networks");
    assert!(trains(&env.lease_of(program, 8, 0, &[1])));
}

#[test]
fn a_stream_that_is_lost_while_the_trainer_changes_loses_nothing() {
    let mut env = changing();
    env.apply(Input::Disconnected);
    ended(&mut env);
    assert!(trains(&env.ready(0)));
    env.finish(0, 1);
    assert_eq!(env.connect(), [finished(7, 1), free(&[])]);
}

#[test]
fn a_kind_that_never_starts_takes_the_slot_with_it_and_the_lease_goes_back() {
    let mut env = changing();
    ended(&mut env);
    let mut last = Vec::new();
    for _ in 0..5 {
        while !matches!(env.agent.slots[&0].trainer, Trainer::Starting { .. }) {
            env.wait();
        }
        last = env.die(0, EndStatus::NotStarted("no memory".to_owned()), "");
    }
    assert_eq!(last, [released(7)]);
    let why = "trainer could not be started: no memory".to_owned();
    let left = Action::Leave(AgentOutcome::NoUsableSlot { kind: Programs, why });
    assert_eq!(env.drop_tasks(7, &[]), [left]);
}

#[test]
fn a_worker_that_is_stopped_while_a_trainer_changes_gives_the_lease_back() {
    let mut env = changing();
    assert_eq!(env.apply(Input::Stop), [released(7)]);
    assert_eq!(ended(&mut env), [], "no trainer follows");
    assert_eq!(env.drop_tasks(7, &[]), [Action::Leave(AgentOutcome::Parked)]);

    let mut env = changing();
    ended(&mut env);
    assert_eq!(env.apply(Input::Stop), [kill(0), released(7)]);
}

#[test]
fn a_worker_that_is_drained_while_a_trainer_changes_runs_what_it_has() {
    let mut env = changing();
    env.received(ToWorker::Drain { now: false });
    assert_eq!(ended(&mut env), [start(0, Programs)]);
    assert!(trains(&env.ready(0)));
    env.finish(0, 1);
    assert_eq!(env.acknowledge(7, 1), [forgotten(1), Action::Leave(AgentOutcome::Drained)]);
}

#[test]
fn a_kind_that_the_worker_does_not_run_is_refused() {
    let mut env = TestEnv::online(1);
    let actions = env.lease_of(program, 7, 0, &[1]);
    let [(7, 1, failure)] = failures(&actions)[..] else { panic!("{actions:?}") };
    let why = "settings: slot 0 of worker worker runs no programs of users (start the worker with --allow-programs)";
    assert_eq!(failure.to_string(), why);
    assert_eq!(actions.last(), Some(&free(&[0])), "the slot is still free");

    let mut env = TestEnv::offering(1, Limits::default(), &[Programs]);
    env.connect();
    assert!(trains(&env.lease_of(program, 7, 0, &[1])));
    env.finish(0, 1);
    env.said(0, Event::Idle);
    let actions = env.lease(8, 0, &[2]);
    assert_eq!(
        failures(&actions)[0].2.to_string(),
        "settings: slot 0 of worker worker trains no built-in networks"
    );
}

#[test]
fn a_program_that_says_that_it_is_alive_is_not_silent() {
    let mut env = TestEnv::offering(1, Limits::default(), &[Programs]);
    env.connect();
    env.lease_of(program, 7, 0, &[1]);
    env.apply(Input::Disconnected);
    for _ in 0..3 {
        env.now = env.now.after(Duration::from_secs(1700));
        assert_eq!(env.said(0, Event::Alive), []);
    }
    assert_eq!(env.wait(), (Duration::from_secs(1800), vec![kill(0)]));
}

#[test]
fn a_program_that_goes_on_later_is_reported_and_keeps_its_checkpoints() {
    let mut env = TestEnv::offering(1, Limits::default(), &[Programs]);
    env.connect();
    env.lease_of(program, 7, 0, &[1]);
    let failure = Failure::new(FailureReason::Parked, "it exited with code 75");
    let actions = env.said(0, Event::Failed { task: task(1), failure: failure.clone() });
    assert_eq!(failures(&actions), [(7, 1, &failure)]);
    assert_eq!(env.said(0, Event::Idle), [free(&[0])]);
    assert_eq!(env.acknowledge(7, 1), [], "the next attempt continues");
}

/// Its epochs are reported, but nothing says that another attempt continues after one.
#[test]
fn a_program_must_end_in_time() {
    let limits =
        Limits { time_limit: Some(Duration::from_secs(100)), trainer_timeout: None, ..Limits::default() };
    let mut env = TestEnv::offering(1, limits, &[Programs]);
    env.connect();
    env.lease_of(program, 7, 0, &[1]);
    env.epoch(0, 1);
    env.now = env.now.after(Duration::from_secs(40));
    env.finish(0, 1);
    // 40 s are more than the remaining part of 65.
    assert_eq!(env.acknowledge(7, 1), [forgotten(1), Action::Leave(AgentOutcome::Drained)]);
}

//! Scenarios of workers that exit: stopped, drained, and out of time.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn park(slot: u32) -> Action {
    Action::Command { slot, command: Command::Park }
}

fn left(outcome: AgentOutcome) -> Action {
    Action::Leave(outcome)
}

impl TestEnv {
    fn parked(&mut self, slot: u32, seed: u64) -> Vec<Action> {
        self.said(slot, Event::Parked { task: task(seed) })
    }

    fn pass(&mut self, time: Duration) -> Vec<Action> {
        self.now = self.now.after(time);
        self.apply(Input::Tick)
    }

    /// A worker with one slot and this time limit, whose coordinator is away.
    fn limited(time_limit: Duration) -> Self {
        let limits = Limits { time_limit: Some(time_limit), trainer_timeout: None, ..Limits::default() };
        let mut env = Self::with_limits(1, limits);
        env.connect();
        env
    }
}

#[test]
fn a_stopped_worker_parks_gives_its_leases_back_and_delivers_what_is_done() {
    let mut env = TestEnv::online(3);
    env.train(7, 0, &[1, 2]);
    env.train(8, 1, &[3]);
    env.finish(0, 1);
    assert_eq!(env.apply(Input::Stop), [park(0), park(1), kill(2), free(&[])]);
    assert_eq!(env.apply(Input::Stop), [], "once is enough");
    // The trainer had finished its current epoch.
    assert_eq!(env.finish(1, 3), [finished(8, 3)]);
    assert_eq!(env.said(1, Event::Idle), [kill(1)]);
    assert_eq!(env.parked(0, 2), [], "the trainer is not idle yet");
    assert_eq!(env.said(0, Event::Idle), [kill(0), released(7)]);
    assert_eq!(env.acknowledge(7, 1), [forgotten(1)], "and nothing of what was parked");
    assert_eq!(env.drop_tasks(7, &[]), []);
    assert_eq!(env.acknowledge(8, 3), [forgotten(3), left(AgentOutcome::Parked)]);
}

#[test]
fn a_lease_is_given_back_as_soon_as_its_trainer_has_parked() {
    let mut env = TestEnv::online(2);
    env.train(7, 0, &[1]);
    env.train(8, 1, &[2]);
    env.apply(Input::Stop);
    env.parked(0, 1);
    assert_eq!(env.said(0, Event::Idle), [kill(0), released(7)]);
    assert_eq!(env.held(), [(7, vec![1]), (8, vec![2])]);
}

#[test]
fn an_epoch_that_takes_longer_than_the_grace_is_cut_off() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    env.apply(Input::Stop);
    assert_eq!(
        env.pass(29 * SECOND),
        [Action::Send(FromWorker::Heartbeat)],
        "its lease must not expire meanwhile"
    );
    let actions = env.pass(SECOND);
    assert_eq!(actions, [kill(0), released(7)]);
    assert_eq!(env.drop_tasks(7, &[]), [left(AgentOutcome::Parked)]);
}

#[test]
fn a_trainer_that_dies_while_it_parks_fails_and_is_not_replaced() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1, 2]);
    env.apply(Input::Stop);
    env.parked(0, 1);
    let actions = env.die(0, EndStatus::Signalled(11), "");
    assert_eq!(failures(&actions).len(), 1);
    assert!(actions.contains(&released(7)), "the one that had parked is given back");
    assert!(!actions.contains(&start(0, TrainerKind::Networks)));
    env.acknowledge(7, 2);
    assert_eq!(env.drop_tasks(7, &[]), [left(AgentOutcome::Parked)]);
}

#[test]
fn a_stopped_worker_does_not_wait_for_ever() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    env.apply(Input::Disconnected);
    assert_eq!(env.apply(Input::Stop), [park(0)]);
    env.parked(0, 1);
    assert_eq!(env.said(0, Event::Idle), [kill(0)]);
    assert_eq!(env.held(), [(7, vec![1])]);
    let mut back_in_time = TestEnv { agent: env.agent.clone(), now: env.now };
    assert_eq!(back_in_time.connect(), [released(7), free(&[])]);
    assert_eq!(back_in_time.drop_tasks(7, &[]), [left(AgentOutcome::Parked)]);
    assert_eq!(env.wait(), (Duration::from_secs(5), vec![left(AgentOutcome::Parked)]));
}

#[test]
fn a_release_that_is_lost_with_its_stream_is_said_again() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    assert_eq!(env.lease(8, 0, &[2]), [released(8)]);
    env.apply(Input::Disconnected);
    assert_eq!(
        env.held(),
        [(7, vec![1]), (8, vec![2])],
        "a lease that it came back without would cost an attempt"
    );
    assert_eq!(env.connect(), [released(8), free(&[])]);
    assert_eq!(env.drop_tasks(8, &[]), []);
    assert_eq!(env.held(), [(7, vec![1])]);
    env.apply(Input::Disconnected);
    assert_eq!(env.connect(), [free(&[])]);
}

#[test]
fn a_trainer_parks_only_when_it_was_asked_to() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    let actions = env.parked(0, 1);
    assert!(actions.contains(&kill(0)), "{actions:?}");
}

#[test]
fn a_worker_out_of_time_parks_what_it_trains_and_leaves() {
    let mut env = TestEnv::limited(100 * SECOND);
    env.train(7, 0, &[1]);
    env.apply(Input::Disconnected);
    // The grace period of 30 s and the shutdown timeout of 5 s have to fit.
    assert_eq!(env.wait(), (65 * SECOND, vec![park(0)]));
    env.parked(0, 1);
    env.said(0, Event::Idle);
    assert_eq!(env.connect(), [released(7), free(&[])]);
    assert_eq!(env.drop_tasks(7, &[]), [left(AgentOutcome::Parked)]);
}

#[test]
fn no_lease_is_taken_that_would_not_end_an_epoch_in_time() {
    let mut env = TestEnv::limited(100 * SECOND);
    env.train(7, 0, &[1]);
    env.now = env.now.after(20 * SECOND);
    env.epoch(0, 1);
    env.now = env.now.after(5 * SECOND);
    // Only the time to the first epoch counts.
    env.epoch(0, 1);
    env.finish(0, 1);
    env.acknowledge(7, 1);
    assert_eq!(env.said(0, Event::Idle), [free(&[0])]);
    env.pass(19 * SECOND);
    env.train(8, 0, &[2]);
    // 20 s before 65 it takes no new lease, but continues its running tasks.
    assert_eq!(env.pass(SECOND), []);
    assert_eq!(env.lease(9, 0, &[3]), [released(9)]);
    env.drop_tasks(9, &[]);
    env.finish(0, 2);
    assert_eq!(env.acknowledge(8, 2), [forgotten(2), left(AgentOutcome::Drained)]);
}

#[test]
fn without_checkpoints_a_lease_must_end_in_time() {
    let mut env = TestEnv::limited(100 * SECOND);
    let assignment = Assignment {
        task: task(1),
        attempt: 1,
        settings: Ok(settings()),
        checkpoint_every_epochs: 0,
        data_digest: String::new(),
        name: String::new(),
        keep: Default::default(),
        kept_in: String::new(),
    };
    env.received(ToWorker::Lease(Lease { token: LeaseToken(7), slot: 0, tasks: vec![assignment] }));
    env.now = env.now.after(10 * SECOND);
    env.epoch(0, 1);
    env.now = env.now.after(30 * SECOND);
    // 40 s are more than the remaining part of 65.
    assert_eq!(env.finish(0, 1), [Action::Send(FromWorker::Heartbeat), finished(7, 1)]);
    assert_eq!(env.acknowledge(7, 1), [forgotten(1), left(AgentOutcome::Drained)]);
}

#[test]
fn a_draining_worker_that_is_to_stay_takes_leases_again_unless_its_time_is_up() {
    let mut env = TestEnv::online(2);
    env.train(7, 0, &[1]);
    assert_eq!(env.received(ToWorker::Drain { now: false }), [free(&[])]);
    assert_eq!(env.received(ToWorker::Undrain), [free(&[1])]);
    assert_eq!(env.received(ToWorker::Undrain), [], "twice is once");
    env.train(8, 1, &[2]);
    env.apply(Input::Stop);
    assert_eq!(env.received(ToWorker::Undrain), [], "one that parks what it trains leaves");
    assert!(env.agent.is_leaving());
}

#[test]
fn what_the_coordinator_says_is_logged() {
    let mut env = TestEnv::online(1);
    let text = "this worker is set aside".to_owned();
    let actions = env.agent.apply(env.now, Input::Received(ToWorker::Notice { text: text.clone() }));
    let logged =
        |action: &Action| matches!(action, Action::Log(LogLevel::Warn, _, line) if line.contains(&text));
    assert!(actions.len() == 1 && logged(&actions[0]), "{actions:?}");
}

#[test]
fn a_worker_that_had_nothing_to_return_has_not_parked() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    env.finish(0, 1);
    env.acknowledge(7, 1);
    env.said(0, Event::Idle);
    assert_eq!(env.apply(Input::Stop), [kill(0), free(&[]), left(AgentOutcome::Stopped)]);
}

#[test]
fn a_worker_that_a_person_drains_has_not_parked() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    assert_eq!(env.received(ToWorker::Drain { now: true }), [park(0)]);
    env.parked(0, 1);
    assert_eq!(env.said(0, Event::Idle), [kill(0), released(7)]);
    assert_eq!(env.drop_tasks(7, &[]), [left(AgentOutcome::Drained)]);
}

/// A worker with one slot that exits after ten seconds without a lease.
fn impatient() -> TestEnv {
    let limits = Limits { without_lease: Some(10 * SECOND), trainer_timeout: None, ..Limits::default() };
    let mut env = TestEnv::with_limits(1, limits);
    env.connect();
    env
}

#[test]
fn a_worker_without_leases_leaves_after_its_idle_timeout() {
    let mut env = impatient();
    env.pass(9 * SECOND);
    env.train(7, 0, &[1]);
    env.pass(60 * SECOND);
    env.finish(0, 1);
    env.said(0, Event::Idle);
    env.pass(60 * SECOND);
    // Its result may be lost until it is acknowledged.
    assert_eq!(env.acknowledge(7, 1), [forgotten(1)]);
    let said = env.pass(9 * SECOND);
    assert!(!said.contains(&left(AgentOutcome::Drained)), "{said:?}");
    let said = env.pass(SECOND);
    assert!(said.ends_with(&[free(&[]), left(AgentOutcome::Drained)]), "{said:?}");
}

#[test]
fn a_worker_whose_trainer_starts_is_not_idle() {
    let mut env = impatient();
    env.die(0, EndStatus::Exited(0), "");
    let said = env.pass(60 * SECOND);
    assert!(!said.iter().any(|action| matches!(action, Action::Leave(_))), "{said:?}");
    env.ready(0);
    let deadline = env.agent.idle_end();
    assert_eq!(deadline, Some(env.now.after(10 * SECOND)));
}

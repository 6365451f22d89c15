//! Trainers that die, hang or violate the protocol.

use super::*;

#[test]
fn an_abandoned_cohort_that_does_not_end_is_ended() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    // During a long epoch the time limit counts from the abandonment, not from the last event.
    env.now = env.now.after(Duration::from_secs(600));
    env.drop_tasks(7, &[]);
    env.apply(Input::Disconnected);
    assert_eq!(env.wait(), (Duration::from_secs(5), vec![kill(0)]));
}

#[test]
fn a_trainer_that_dies_fails_its_unfinished_members_and_is_replaced() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1, 2]);
    env.finish(0, 1);
    let actions = env.die(0, EndStatus::Signalled(9), "");
    let why = Failure::new(FailureReason::Crash, "trainer was killed by signal 9");
    assert_eq!(failures(&actions), [(7, 2, &why)]);
    assert!(actions.contains(&start(0, TrainerKind::Networks)), "the first time at once");
    assert_eq!(env.ready(0), [free(&[0])]);
}

#[test]
fn a_trainer_that_ran_out_of_memory_says_so() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    let actions = env.die(0, EndStatus::Signalled(6), "what(): std::bad_alloc");
    assert_eq!(failures(&actions)[0].2.reason, FailureReason::OutOfMemory);
}

#[test]
fn a_slot_that_kills_whatever_it_trains_slows_down() {
    let mut env = TestEnv::online(1);
    env.apply(Input::Disconnected);
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let died = env.die(0, EndStatus::Exited(1), "");
        if died.is_empty() {
            pauses.push(env.wait().0.as_millis());
        }
        env.ready(0);
    }
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    env.connect();
    env.train(7, 0, &[1]);
    env.finish(0, 1);
    assert!(env.die(0, EndStatus::Exited(1), "").contains(&start(0, TrainerKind::Networks)));
}

#[test]
fn a_trainer_that_dies_at_its_start_five_times_takes_the_slot_with_it() {
    let mut env = TestEnv::online(2);
    env.die(1, EndStatus::Exited(0), "");
    for death in 1..=5 {
        while !matches!(env.agent.slots[&1].trainer, Trainer::Starting { .. }) {
            env.wait();
        }
        env.die(1, EndStatus::Exited(3), &format!("no libtorch {death}"));
    }
    assert_eq!(env.agent.hello().slots.len(), 1);
    assert!(matches!(env.agent.slots[&1].trainer, Trainer::Withdrawn));
    env.train(7, 0, &[1]);
}

#[test]
fn a_worker_whose_slots_are_all_withdrawn_gives_everything_back_and_leaves() {
    let mut env = TestEnv::online(1);
    env.die(0, EndStatus::Exited(0), "");
    assert_eq!(env.lease(7, 0, &[1]), [], "it waits for the new trainer");
    let mut last = Vec::new();
    for _ in 1..=5 {
        while !matches!(env.agent.slots[&0].trainer, Trainer::Starting { .. }) {
            env.wait();
        }
        last = env.die(0, EndStatus::NotStarted("no such file".to_owned()), "");
    }
    let why = "trainer could not be started: no such file".to_owned();
    assert_eq!(last, [released(7)]);
    assert_eq!(
        env.drop_tasks(7, &[]),
        [Action::Leave(AgentOutcome::NoUsableSlot { kind: TrainerKind::Networks, why })]
    );
}

#[test]
fn a_lease_that_comes_while_the_trainer_is_replaced_waits_for_it() {
    let mut env = TestEnv::online(1);
    env.die(0, EndStatus::Exited(0), "");
    assert_eq!(env.lease(7, 0, &[1]), []);
    assert!(matches!(env.ready(0)[..], [Action::Command { slot: 0, command: Command::Train { .. } }]));
    assert_eq!(env.finish(0, 1), [finished(7, 1)]);
}

#[test]
fn a_trainer_that_says_nothing_for_too_long_is_killed() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    env.apply(Input::Disconnected);
    let (passed, actions) = env.wait();
    assert_eq!((passed, actions), (Duration::from_secs(1800), vec![kill(0)]));
    assert_eq!(env.finish(0, 1), [], "too late");
    env.die(0, EndStatus::Signalled(9), "");
    let actions = env.connect();
    assert_eq!(failures(&actions)[0].2.reason, FailureReason::Hang);
    assert_eq!(failures(&actions).len(), 1, "its death by our hand is no second failure");
}

#[test]
fn nonsense_costs_a_trainer_its_life() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    let actions = env.apply(Input::ProtocolViolation { slot: 0, what: "expected value in `hi`".to_owned() });
    let why = Failure::new(
        FailureReason::Crash,
        "trainer violated the protocol: expected value in `hi`".to_owned(),
    );
    assert_eq!(failures(&actions), [(7, 1, &why)]);
    assert!(actions.contains(&kill(0)));
    assert_eq!(env.die(0, EndStatus::Signalled(9), ""), [start(0, TrainerKind::Networks)]);
}

#[test]
fn events_out_of_turn_are_nonsense() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    let actions = env.said(0, Event::Idle);
    assert!(failures(&actions)[0].2.message.contains("it is idle with 1 member unreported"));
    let mut env = TestEnv::online(1);
    assert_eq!(env.finish(0, 1), [kill(0), free(&[])]);
}

#[test]
fn a_trainer_that_never_gets_ready_counts_as_dead_at_its_start() {
    let mut env = TestEnv::offline(1);
    env.connect();
    env.apply(Input::Disconnected);
    env.die(0, EndStatus::Exited(0), "");
    assert_eq!(env.wait(), (Duration::from_secs(300), vec![kill(0)]));
    env.die(0, EndStatus::Signalled(9), "");
    assert_eq!(env.agent.slots[&0].deaths_at_start, 1);
}

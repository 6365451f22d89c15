//! Scenarios of one worker.

use colearn_core::{needs::TrainerKind, result::EpochRecord};
use colearn_proto::worker::{Assignment, DataSets, KnownDataSet, Lease, UnreadableSettings};
use colearn_trainer_protocol::{Command, Event};
use env::{
    HEARTBEAT, TestEnv, failures, finished, forgotten, free, kill, program, released, settings, start, task,
};

use super::*;
use crate::input::EndStatus;

mod env;
mod kinds;
mod leaving;
mod trainers;

#[test]
fn a_lease_is_trained_reported_acknowledged_and_the_slot_offered_again() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[3]);
    assert_eq!(env.held(), [(7, vec![3])]);
    assert_eq!(env.finish(0, 3), [finished(7, 3)]);
    assert_eq!(env.said(0, Event::Idle), [free(&[0])]);
    assert_eq!(env.held(), [(7, vec![3])], "a result that is not acknowledged must be kept");
    assert_eq!(env.acknowledge(7, 3), [forgotten(3)]);
    assert_eq!(env.acknowledge(7, 3), [], "only what was owed counts");
    assert_eq!(env.held(), []);
}

#[test]
fn checkpoints_stay_until_a_result_is_durable() {
    let mut env = TestEnv::online(2);
    let removals = |actions: &[Action]| actions.iter().any(|a| matches!(a, Action::RemoveCheckpoints { .. }));
    env.train(7, 0, &[1, 2]);
    assert!(!removals(&env.finish(0, 1)), "its report may be lost");
    env.apply(Input::Disconnected);
    assert!(!removals(&env.connect()));
    assert!(removals(&env.acknowledge(7, 1)));
    let failure = Failure::new(FailureReason::Crash, "");
    env.said(0, Event::Failed { task: task(2), failure });
    assert!(!removals(&env.acknowledge(7, 2)), "there may be another attempt");
    env.train(9, 1, &[4]);
    let failure = Failure::new(FailureReason::Diverged, "");
    assert!(!removals(&env.said(1, Event::Failed { task: task(4), failure })));
    assert!(removals(&env.acknowledge(9, 4)), "it would diverge again");
    env.said(1, Event::Idle);
    env.train(8, 1, &[3]);
    assert!(!removals(&env.finish(1, 3)));
    assert!(!removals(&env.drop_tasks(8, &[])), "the task may be another worker's");
}

#[test]
fn what_the_host_does_is_said_while_somebody_listens() {
    let mut env = TestEnv::online(1);
    let usage = colearn_proto::v1::Usage { busy: Some(1), ..Default::default() };
    assert_eq!(env.apply(Input::Usage(usage.clone())), [Action::Send(FromWorker::Usage(usage.clone()))]);
    env.apply(Input::Disconnected);
    assert_eq!(env.apply(Input::Usage(usage)), []);
}

#[test]
fn slots_are_offered_when_their_trainers_are_ready() {
    let mut env = TestEnv::online(2);
    env.die(1, EndStatus::Exited(0), "");
    env.wait();
    assert_eq!(env.ready(1), [free(&[0, 1])]);
}

#[test]
fn reports_wait_for_the_coordinator_in_order_and_under_their_token() {
    let mut env = TestEnv::online(2);
    env.train(7, 0, &[1]);
    env.train(8, 1, &[2]);
    env.apply(Input::Disconnected);
    assert_eq!(env.finish(1, 2), []);
    assert_eq!(env.finish(0, 1), []);
    assert_eq!(env.held(), [(7, vec![1]), (8, vec![2])]);
    assert_eq!(env.connect(), [finished(8, 2), finished(7, 1), free(&[])]);
    // The coordinator crashes before it has stored the second.
    env.acknowledge(8, 2);
    env.apply(Input::Disconnected);
    assert_eq!(env.connect(), [finished(7, 1), free(&[])]);
    env.acknowledge(7, 1);
    env.apply(Input::Disconnected);
    assert_eq!(env.connect(), [free(&[])]);
}

#[test]
fn every_report_is_sent_once_on_a_stream_whatever_is_acknowledged_in_between() {
    let mut env = TestEnv::online(2);
    env.train(7, 0, &[1]);
    env.train(8, 1, &[2, 3]);
    assert_eq!(env.finish(0, 1), [finished(7, 1)]);
    assert_eq!(env.finish(1, 2), [finished(8, 2)]);
    assert_eq!(env.acknowledge(7, 1), [forgotten(1)]);
    assert_eq!(env.finish(1, 3), [finished(8, 3)]);
}

#[test]
fn training_goes_on_without_a_coordinator_and_epochs_are_not_kept() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    let epoch =
        || Event::Epoch { task: task(1), record: EpochRecord::of_network(1, 1.0, 1.0, 0.5), epochs: 2 };
    assert!(matches!(env.said(0, epoch())[..], [Action::Send(FromWorker::Epoch { .. })]));
    assert_eq!(env.apply(Input::Disconnected), []);
    assert_eq!(env.said(0, epoch()), []);
    assert_eq!(env.connect(), [free(&[])]);
}

#[test]
fn the_coordinator_hears_a_heartbeat_while_connected() {
    let mut env = TestEnv::online(1);
    for _ in 0..3 {
        assert_eq!(env.wait(), (HEARTBEAT, vec![Action::Send(FromWorker::Heartbeat)]));
    }
    env.apply(Input::Disconnected);
    assert_eq!(env.agent.next_deadline(), None);
}

#[test]
fn a_dropped_lease_is_abandoned_and_its_reports_forgotten() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1, 2]);
    env.apply(Input::Disconnected);
    env.finish(0, 1);
    env.connect();
    let abandon = Command::Abandon { tasks: vec![task(2)] };
    assert_eq!(env.drop_tasks(7, &[]), [Action::Command { slot: 0, command: abandon }]);
    assert_eq!(env.held(), []);
    // It finished at the same moment; the result is not needed.
    assert_eq!(env.finish(0, 2), []);
    assert_eq!(env.said(0, Event::Idle), [free(&[0])]);
    env.apply(Input::Disconnected);
    assert_eq!(env.connect(), [free(&[0])]);
}

#[test]
fn one_member_is_dropped_and_the_other_goes_on() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1, 2]);
    let abandon = Command::Abandon { tasks: vec![task(1)] };
    assert_eq!(env.drop_tasks(7, &[1]), [Action::Command { slot: 0, command: abandon }]);
    assert_eq!(env.finish(0, 2), [finished(7, 2)]);
    assert_eq!(env.drop_tasks(9, &[]), [], "a lease that is not held");
}

#[test]
fn a_task_leased_anew_is_not_confused_with_its_stale_lease() {
    let mut env = TestEnv::online(2);
    env.train(7, 0, &[1]);
    env.train(9, 1, &[1]);
    env.drop_tasks(7, &[]);
    assert_eq!(env.held(), [(9, vec![1])]);
    assert_eq!(env.finish(0, 1), [], "under the stale lease");
    assert_eq!(env.finish(1, 1), [finished(9, 1)]);
}

#[test]
fn leases_that_do_not_fit_are_refused_with_a_reason() {
    let mut env = TestEnv::online(1);
    let actions = env.lease(7, 5, &[1]);
    assert_eq!(failures(&actions)[0].2.to_string(), "settings: worker worker has no slot 5");
    let actions = env.lease(8, 0, &[1, 2, 3]);
    assert_eq!(failures(&actions).len(), 3);
    assert!(failures(&actions)[0].2.message.contains("cohorts of at most 2, not 3"));
    assert_eq!(actions.last(), Some(&free(&[0])), "the slot is still free");
}

#[test]
fn the_coordinator_knows_the_data_sets_before_it_grants_and_when_more_is_known() {
    let mut env = TestEnv::offline(1);
    env.apply(Input::DataFolder(Some(BTreeMap::new())));
    let known = |digests: &[(&str, &str)]| {
        let digest = |digest: &str| KnownDataSet { digest: Some(digest.to_owned()), shape: None };
        let known = digests.iter().map(|(name, known)| ((*name).to_owned(), digest(known)));
        Action::Send(FromWorker::DataSets(DataSets { known: known.collect(), complete: true }))
    };
    assert_eq!(env.connect(), [known(&[]), free(&[0])]);
    env.train(7, 0, &[1]);
    let opened = || Event::Opened { data_set: "demo".to_owned(), digest: "d".to_owned() };
    assert_eq!(env.said(0, opened()), [known(&[("demo", "d")])]);
    assert_eq!(env.said(0, opened()), [], "that is no news");
    env.apply(Input::Disconnected);
    assert_eq!(env.connect(), [known(&[("demo", "d")]), free(&[])], "another stream knows nothing");
}

#[test]
fn settings_that_can_not_be_read_fail_their_task_alone() {
    let mut env = TestEnv::online(1);
    let bad = Assignment {
        task: task(1),
        attempt: 1,
        settings: Err(UnreadableSettings { json: "{}".to_owned(), why: "expected a string".to_owned() }),
        checkpoint_every_epochs: 5,
        data_digest: String::new(),
        name: String::new(),
        keep: Default::default(),
        kept_in: String::new(),
    };
    let good = Assignment {
        task: task(2),
        attempt: 1,
        settings: Ok(settings()),
        checkpoint_every_epochs: 5,
        data_digest: String::new(),
        name: String::new(),
        keep: Default::default(),
        kept_in: String::new(),
    };
    let actions =
        env.received(ToWorker::Lease(Lease { token: LeaseToken(7), slot: 0, tasks: vec![bad, good] }));
    assert_eq!(failures(&actions)[0].2.reason, FailureReason::Settings);
    let trains = |a: &Action| matches!(a, Action::Command { command: Command::Train { members }, .. } if members.len() == 1);
    assert!(actions.iter().any(trains), "{actions:?}");
}

#[test]
fn a_lease_for_a_busy_slot_is_given_back_without_costing_an_attempt() {
    let mut env = TestEnv::online(1);
    env.train(7, 0, &[1]);
    assert_eq!(env.lease(8, 0, &[2]), [released(8)]);
    env.drop_tasks(8, &[]);
    assert_eq!(env.held(), [(7, vec![1])]);
    assert_eq!(env.lease(7, 0, &[1]), [], "the same lease again");
}

#[test]
fn a_drained_worker_finishes_delivers_and_leaves() {
    let mut env = TestEnv::online(2);
    env.train(7, 0, &[1]);
    assert_eq!(env.received(ToWorker::Drain { now: false }), [free(&[])]);
    assert_eq!(env.lease(8, 1, &[2]), [released(8)]);
    env.drop_tasks(8, &[]);
    env.apply(Input::Disconnected);
    assert_eq!(env.finish(0, 1), []);
    assert_eq!(env.said(0, Event::Idle), [], "the result is not delivered yet");
    assert_eq!(env.connect(), [finished(7, 1), free(&[])]);
    assert_eq!(env.acknowledge(7, 1), [forgotten(1), Action::Leave(AgentOutcome::Drained)]);
}

#[test]
fn an_idle_worker_that_is_drained_leaves_at_once() {
    let mut env = TestEnv::online(1);
    assert_eq!(
        env.received(ToWorker::Drain { now: false }),
        [free(&[]), Action::Leave(AgentOutcome::Drained)]
    );
    assert_eq!(env.ready(0), [], "nothing follows");
}

#[test]
fn a_coordinator_that_is_never_reached_is_given_up() {
    let mut env = TestEnv::offline(1);
    env.apply(Input::Disconnected);
    assert_eq!(env.wait(), (Duration::from_secs(60), vec![Action::Leave(AgentOutcome::Unreachable)]));
    // Once reached, the coordinator is waited for without limit.
    let mut env = TestEnv::online(1);
    env.apply(Input::Disconnected);
    assert_eq!(env.agent.next_deadline(), None);
}

#[test]
fn a_refusal_counts_only_before_the_first_welcome() {
    let refused = || Input::Refused { why: "too old".to_owned() };
    let mut env = TestEnv::offline(1);
    let why = "too old".to_owned();
    assert_eq!(env.apply(refused()), [Action::Leave(AgentOutcome::Refused { why })]);
    let mut env = TestEnv::online(1);
    assert_eq!(env.apply(refused()), []);
    assert_eq!(env.connect(), [free(&[0])]);
}

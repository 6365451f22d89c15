//! Scenarios of one worker.

use colearn_core::{
    id::{ConfigurationId, SweepId},
    result::{EpochRecord, TaskResult},
    settings::{
        BiEflstmSettings, ModalityDraw, ModelSettings, NetworkSettings, Shuffle, TaskSettings,
        TrainingSettings,
    },
};
use colearn_proto::worker::{DataSets, HeldLease, KnownDataSet, UnreadableSettings, Welcome};
use colearn_trainer_protocol::Event;

use super::*;
use crate::input::{EndStatus, TrainerEnd};

mod leaving;
mod trainers;

const HEARTBEAT: Duration = Duration::from_secs(2);

/// A worker with this number of slots, a clock, and the effects of its actions.
struct TestEnv {
    agent: Agent,
    now: Timestamp,
}

fn task(seed: u64) -> TaskId {
    TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed }
}

fn settings() -> TaskSettings {
    TaskSettings::Network(NetworkSettings {
        dataset: "demo".to_owned(),
        primary: "inertial".to_owned(),
        unimodal: false,
        model: ModelSettings::BiEflstm(BiEflstmSettings { hidden: 8, layers: 1, dropout: 0.0 }),
        training: TrainingSettings {
            epochs: 2,
            batch_size: 4,
            learning_rate: 0.001,
            shuffle: Shuffle::Once,
            drop_last: false,
            modality_draw: ModalityDraw::Shared,
            ..TrainingSettings::default()
        },
        modality_dropout: BTreeMap::new(),
        evaluate: Vec::new(),
    })
}

fn result() -> Box<TaskResult> {
    Box::new(TaskResult {
        metrics: BTreeMap::from([("accuracy".to_owned(), 0.5)]),
        confusion: vec![],
        history: vec![],
        best_epoch: 1,
        parameters: 1,
        seconds: 1.0,
        device: "cpu x1".to_owned(),
        ..TaskResult::default()
    })
}

fn finished(token: u64, seed: u64) -> Action {
    Action::Send(FromWorker::Report(Report::Finished {
        token: LeaseToken(token),
        task: task(seed),
        result: result(),
    }))
}

fn forgotten(seed: u64) -> Action {
    Action::RemoveCheckpoints { task: task(seed) }
}

fn released(token: u64) -> Action {
    Action::Send(FromWorker::Report(Report::Released { token: LeaseToken(token) }))
}

fn free(slots: &[u32]) -> Action {
    Action::Send(FromWorker::FreeSlots(slots.to_vec()))
}

impl TestEnv {
    /// A worker with ready trainers that is not connected.
    fn offline(slots: u32) -> Self {
        Self::with_limits(slots, Limits::default())
    }

    fn with_limits(slots: u32, limits: Limits) -> Self {
        let offers = (0..slots).map(|index| SlotOffer {
            index,
            device: "cpu x1".to_owned(),
            max_cohort: 2,
            offers: colearn_core::needs::Offers::default(),
        });
        let worker = WorkerId::new("worker").unwrap();
        let agent = Agent::new(worker, "host".to_owned(), offers, limits, Timestamp(0));
        let mut env = Self { agent, now: Timestamp(0) };
        let started = env.apply(Input::Started);
        assert_eq!(started, (0..slots).map(|slot| Action::StartTrainer { slot }).collect::<Vec<_>>());
        for slot in 0..slots {
            env.ready(slot);
        }
        env
    }

    /// Like [`Self::offline`], but connected.
    fn online(slots: u32) -> Self {
        let mut env = Self::offline(slots);
        assert_eq!(env.connect(), [free(&(0..slots).collect::<Vec<_>>())]);
        env
    }

    /// The actions for an input, without log lines.
    fn apply(&mut self, input: Input) -> Vec<Action> {
        let actions = self.agent.apply(self.now, input);
        self.agent.check_invariants();
        actions.into_iter().filter(|action| !matches!(action, Action::Log(..))).collect()
    }

    fn connect(&mut self) -> Vec<Action> {
        let welcome = Welcome { lease: 3 * HEARTBEAT, heartbeat: HEARTBEAT, version: String::new() };
        self.received(ToWorker::Welcome(welcome))
    }

    fn received(&mut self, message: ToWorker) -> Vec<Action> {
        self.apply(Input::Received(message))
    }

    /// Advances time to the next deadline, and returns the time that passed.
    fn wait(&mut self) -> (Duration, Vec<Action>) {
        let next = self.agent.next_deadline().expect("nothing is due");
        let passed = next.since(self.now);
        self.now = next;
        (passed, self.apply(Input::Tick))
    }

    fn ready(&mut self, slot: u32) -> Vec<Action> {
        self.said(slot, Event::Ready { device: "cpu x1".to_owned() })
    }

    fn said(&mut self, slot: u32, event: Event) -> Vec<Action> {
        self.apply(Input::TrainerSaid { slot, event })
    }

    fn lease(&mut self, token: u64, slot: u32, seeds: &[u64]) -> Vec<Action> {
        let assignment = |&seed: &u64| Assignment {
            task: task(seed),
            attempt: 1,
            settings: Ok(settings()),
            checkpoint_every_epochs: 5,
            data_digest: String::new(),
        };
        let tasks = seeds.iter().map(assignment).collect();
        self.received(ToWorker::Lease(Lease { token: LeaseToken(token), slot, tasks }))
    }

    /// A lease that is trained at once.
    fn train(&mut self, token: u64, slot: u32, seeds: &[u64]) {
        let actions = self.lease(token, slot, seeds);
        let [Action::Command { slot: at, command: Command::Train { members } }] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!(*at, slot);
        assert_eq!(members.iter().map(|member| member.task.seed).collect::<Vec<_>>(), seeds);
    }

    fn finish(&mut self, slot: u32, seed: u64) -> Vec<Action> {
        self.said(slot, Event::Finished { task: task(seed), result: result() })
    }

    fn acknowledge(&mut self, token: u64, seed: u64) -> Vec<Action> {
        self.received(ToWorker::Acknowledged { token: LeaseToken(token), task: task(seed) })
    }

    fn drop_tasks(&mut self, token: u64, seeds: &[u64]) -> Vec<Action> {
        let tasks = seeds.iter().map(|&seed| task(seed)).collect();
        self.received(ToWorker::Drop { token: LeaseToken(token), tasks, reason: "cancelled".to_owned() })
    }

    fn die(&mut self, slot: u32, status: EndStatus, stderr: &str) -> Vec<Action> {
        let end = TrainerEnd { status, stderr: stderr.to_owned(), killed_for_memory: false };
        self.apply(Input::TrainerEnded { slot, end })
    }

    fn held(&self) -> Vec<(u64, Vec<u64>)> {
        let seeds = |held: &HeldLease| held.tasks.iter().map(|task| task.seed).collect();
        self.agent.hello().held.iter().map(|held| (held.token.0, seeds(held))).collect()
    }
}

/// Token, seed and failure of the failures among some actions.
fn failures<'a>(actions: &'a [Action]) -> Vec<(u64, u64, &'a Failure)> {
    let failure = |action: &'a Action| match action {
        Action::Send(FromWorker::Report(Report::Failed { token, task, failure })) => {
            Some((token.0, task.seed, failure))
        }
        _ => None,
    };
    actions.iter().filter_map(failure).collect()
}

impl Agent {
    /// Invariants between any two inputs.
    fn check_invariants(&self) {
        let hello = self.hello();
        let mut open = Vec::new();
        for slot in self.slots.values() {
            if let Some(waiting) = &slot.waiting {
                assert!(!waiting.members.is_empty(), "an empty cohort waits");
                assert!(!matches!(slot.trainer, Trainer::Idle), "a cohort waits for an idle trainer");
                open.extend(waiting.members.iter().map(|member| (waiting.token, member.task)));
            }
            if let Trainer::Training(training) = &slot.trainer {
                open.extend(training.members.iter().map(|task| (training.token, *task)));
            }
        }
        let owed: Vec<_> =
            self.outbox.owed().filter_map(|r| r.task().map(|task| (r.token(), task))).collect();
        for &(token, task) in open.iter().chain(&owed) {
            assert!(self.outbox.holds_task(token, task), "{task} of lease {token} is not held");
        }
        assert!(open.iter().all(|one| !owed.contains(one)), "a reported task is still trained");
        for held in &hello.held {
            // A parked cohort is returned when its trainer is idle.
            let parks = self.slots.values().any(
                |slot| matches!(&slot.trainer, Trainer::Training(training) if training.token == held.token),
            );
            let parks = parks && self.is_leaving();
            let given_back =
                parks || self.outbox.owed().any(|r| *r == Report::Released { token: held.token });
            for task in &held.tasks {
                let one = (held.token, *task);
                assert!(
                    given_back || open.contains(&one) || owed.contains(&one),
                    "{task} is held for nothing"
                );
            }
        }
        if let (Link::Up { offered: Some(offered), .. }, Mode::Working) = (&self.link, &self.mode) {
            let free: Vec<u32> = self.slots.iter().filter(|(_, s)| s.is_free()).map(|(&i, _)| i).collect();
            assert_eq!(*offered, free, "the coordinator does not know which slots are free");
        }
    }
}

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
    };
    let good = Assignment {
        task: task(2),
        attempt: 1,
        settings: Ok(settings()),
        checkpoint_every_epochs: 5,
        data_digest: String::new(),
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

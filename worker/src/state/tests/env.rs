//! A worker with a clock whose inputs are a test's.

use std::collections::BTreeSet;

use colearn_core::{
    id::{ConfigurationId, SweepId},
    needs::{Offers, TrainerKind},
    result::{EpochRecord, TaskResult},
    settings::{
        BiEflstmSettings, ModalityDraw, ModelSettings, NetworkSettings, ProgramSettings, Shuffle,
        TaskSettings, TrainingSettings,
    },
};
use colearn_proto::worker::{Assignment, HeldLease, Lease, Report, Welcome};
use colearn_trainer_protocol::{Command, Event};

use super::super::*;
use crate::input::{EndStatus, TrainerEnd};

pub(super) const HEARTBEAT: Duration = Duration::from_secs(2);

/// A worker with this number of slots, a clock, and the effects of its actions.
pub(super) struct TestEnv {
    pub(super) agent: Agent,
    pub(super) now: Timestamp,
}

pub(super) fn task(seed: u64) -> TaskId {
    TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed }
}

pub(super) fn settings() -> TaskSettings {
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

pub(super) fn program() -> TaskSettings {
    TaskSettings::Program(ProgramSettings { command: vec!["true".to_owned()], ..ProgramSettings::default() })
}

pub(super) fn result() -> Box<TaskResult> {
    Box::new(TaskResult {
        metrics: [("accuracy".to_owned(), 0.5)].into(),
        confusion: vec![],
        history: vec![],
        best_epoch: 1,
        parameters: 1,
        seconds: 1.0,
        device: "cpu x1".to_owned(),
        ..TaskResult::default()
    })
}

pub(super) fn finished(token: u64, seed: u64) -> Action {
    Action::Send(FromWorker::Report(Report::Finished {
        token: LeaseToken(token),
        task: task(seed),
        result: result(),
    }))
}

pub(super) fn start(slot: u32, kind: TrainerKind) -> Action {
    Action::StartTrainer { slot, kind }
}

pub(super) fn kill(slot: u32) -> Action {
    Action::KillTrainer { slot }
}

pub(super) fn forgotten(seed: u64) -> Action {
    Action::RemoveCheckpoints { task: task(seed) }
}

pub(super) fn released(token: u64) -> Action {
    Action::Send(FromWorker::Report(Report::Released { token: LeaseToken(token) }))
}

pub(super) fn free(slots: &[u32]) -> Action {
    Action::Send(FromWorker::FreeSlots(slots.to_vec()))
}

impl TestEnv {
    /// A worker with ready trainers that is not connected.
    pub(super) fn offline(slots: u32) -> Self {
        Self::with_limits(slots, Limits::default())
    }

    pub(super) fn with_limits(slots: u32, limits: Limits) -> Self {
        Self::offering(slots, limits, &[TrainerKind::Networks])
    }

    /// A worker that runs these kinds of trainers.
    pub(super) fn offering(slots: u32, limits: Limits, kinds: &[TrainerKind]) -> Self {
        let trainers: BTreeSet<TrainerKind> = kinds.iter().copied().collect();
        let offers = (0..slots).map(|index| SlotOffer {
            index,
            device: "cpu x1".to_owned(),
            max_cohort: 2,
            offers: Offers { trainers: trainers.clone(), ..Offers::default() },
        });
        let worker = WorkerId::new("worker").unwrap();
        let agent = Agent::new(worker, "host".to_owned(), offers, limits, Timestamp(0));
        let mut env = Self { agent, now: Timestamp(0) };
        let started = env.apply(Input::Started);
        assert_eq!(started, (0..slots).map(|slot| start(slot, kinds[0])).collect::<Vec<_>>());
        for slot in 0..slots {
            env.ready(slot);
        }
        env
    }

    /// Like [`Self::offline`], but connected.
    pub(super) fn online(slots: u32) -> Self {
        let mut env = Self::offline(slots);
        assert_eq!(env.connect(), [free(&(0..slots).collect::<Vec<_>>())]);
        env
    }

    /// The actions for an input, without log lines.
    pub(super) fn apply(&mut self, input: Input) -> Vec<Action> {
        let actions = self.agent.apply(self.now, input);
        self.agent.check_invariants();
        actions.into_iter().filter(|action| !matches!(action, Action::Log(..))).collect()
    }

    pub(super) fn connect(&mut self) -> Vec<Action> {
        let welcome = Welcome { lease: 3 * HEARTBEAT, heartbeat: HEARTBEAT, version: String::new() };
        self.received(ToWorker::Welcome(welcome))
    }

    pub(super) fn received(&mut self, message: ToWorker) -> Vec<Action> {
        self.apply(Input::Received(message))
    }

    /// Advances time to the next deadline, and returns the time that passed.
    pub(super) fn wait(&mut self) -> (Duration, Vec<Action>) {
        let next = self.agent.next_deadline().expect("nothing is due");
        let passed = next.since(self.now);
        self.now = next;
        (passed, self.apply(Input::Tick))
    }

    pub(super) fn epoch(&mut self, slot: u32, seed: u64) {
        let record = EpochRecord::of_network(1, 1.0, 1.0, 0.5);
        self.said(slot, Event::Epoch { task: task(seed), record, epochs: 2 });
    }

    /// Lets time pass until the trainer of the first slot is killed.
    pub(super) fn wait_until_killed(&mut self) {
        while !self.wait().1.contains(&kill(0)) {}
    }

    pub(super) fn ready(&mut self, slot: u32) -> Vec<Action> {
        self.said(slot, Event::Ready { device: "cpu x1".to_owned() })
    }

    pub(super) fn said(&mut self, slot: u32, event: Event) -> Vec<Action> {
        self.apply(Input::TrainerSaid { slot, event })
    }

    pub(super) fn lease(&mut self, token: u64, slot: u32, seeds: &[u64]) -> Vec<Action> {
        self.lease_of(settings, token, slot, seeds)
    }

    pub(super) fn lease_of(
        &mut self,
        settings: fn() -> TaskSettings,
        token: u64,
        slot: u32,
        seeds: &[u64],
    ) -> Vec<Action> {
        let assignment = |&seed: &u64| Assignment {
            task: task(seed),
            attempt: 1,
            settings: Ok(settings()),
            checkpoint_every_epochs: 5,
            data_digest: String::new(),
            name: String::new(),
            keep: Default::default(),
            kept_in: String::new(),
        };
        let tasks = seeds.iter().map(assignment).collect();
        self.received(ToWorker::Lease(Lease { token: LeaseToken(token), slot, tasks }))
    }

    /// A lease that is trained at once.
    pub(super) fn train(&mut self, token: u64, slot: u32, seeds: &[u64]) {
        let actions = self.lease(token, slot, seeds);
        let [Action::Command { slot: at, command: Command::Train { members } }] = &actions[..] else {
            panic!("{actions:?}")
        };
        assert_eq!(*at, slot);
        assert_eq!(members.iter().map(|member| member.task.seed).collect::<Vec<_>>(), seeds);
    }

    pub(super) fn finish(&mut self, slot: u32, seed: u64) -> Vec<Action> {
        self.said(slot, Event::Finished { task: task(seed), result: result() })
    }

    pub(super) fn acknowledge(&mut self, token: u64, seed: u64) -> Vec<Action> {
        self.received(ToWorker::Acknowledged { token: LeaseToken(token), task: task(seed) })
    }

    pub(super) fn drop_tasks(&mut self, token: u64, seeds: &[u64]) -> Vec<Action> {
        let tasks = seeds.iter().map(|&seed| task(seed)).collect();
        self.received(ToWorker::Drop { token: LeaseToken(token), tasks, reason: "cancelled".to_owned() })
    }

    pub(super) fn die(&mut self, slot: u32, status: EndStatus, stderr: &str) -> Vec<Action> {
        let end = TrainerEnd { status, stderr: stderr.to_owned(), killed_for_memory: false };
        self.apply(Input::TrainerEnded { slot, end })
    }

    pub(super) fn held(&self) -> Vec<(u64, Vec<u64>)> {
        let seeds = |held: &HeldLease| held.tasks.iter().map(|task| task.seed).collect();
        self.agent.hello().held.iter().map(|held| (held.token.0, seeds(held))).collect()
    }
}

/// Token, seed and failure of the failures among some actions.
pub(super) fn failures<'a>(actions: &'a [Action]) -> Vec<(u64, u64, &'a Failure)> {
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
    pub(super) fn check_invariants(&self) {
        let hello = self.hello();
        let mut open = Vec::new();
        for slot in self.slots.values() {
            if let Some(waiting) = &slot.waiting {
                assert!(!waiting.members.is_empty(), "an empty cohort waits");
                assert!(!matches!(slot.trainer, Trainer::Idle), "a cohort waits for an idle trainer");
                let of_its_kind =
                    !matches!(slot.trainer, Trainer::Starting { .. }) || slot.kind == waiting.kind();
                assert!(of_its_kind, "a cohort waits for a trainer of the other kind");
                open.extend(waiting.members.iter().map(|member| (waiting.token, member.task)));
            }
            assert!(
                slot.offer.offers.trainers.contains(&slot.kind),
                "a trainer of a kind that is not offered"
            );
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

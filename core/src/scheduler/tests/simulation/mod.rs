//! Histories in virtual time: messages are lost, duplicated and reordered; workers crash, are asked to exit, or are
//! bad hosts on which nothing succeeds; the coordinator crashes and rebuilds its state from its journal, with a clock
//! that was set in between. Invariants are checked after every event. For every grant the test checks that it goes to
//! the right sweep.
//!
//! A history is a function of its seed. To examine one: `COLEARN_HISTORY=17 cargo test -p colearn-core simulation`;
//! to run more: `COLEARN_HISTORIES=100000`.

mod bad_hosts;
mod chance;
mod ends;
mod sharing;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::env::{self, TestEnv, settings, sweep};
use crate::{
    id::{ConfigurationId, SweepId, TaskId},
    scheduler::{Action, Event, RetryScope, SchedulerSettings, SweepStatus, TaskState},
    sweep::{Order, Sweep},
    time::Timestamp,
};
use chance::Chance;
use worker::{Ailment, SimWorker, Work};

struct World {
    chance: Chance,
    env: TestEnv,
    /// The first sweep after its last extension.
    first: Sweep,
    removed: BTreeSet<SweepId>,
    operations: u64,
    workers: Vec<SimWorker>,
    workers_born: usize,
    upstream: Vec<(String, Event)>,
    downstream: Vec<(String, Action)>,
    recorded: BTreeMap<TaskId, usize>,
    /// The data that the results of each sweep were trained on.
    trained_on: BTreeMap<SweepId, String>,
    /// Whether a person has copied the right data to all hosts.
    data_copied: bool,
    acknowledged: BTreeSet<TaskId>,
    /// Counts of workers that were asked to exit; of reports within a millisecond of a deadline; of starts with
    /// another clock.
    drained: u64,
    races: u64,
    jumps: u64,
    /// Counts of pauses of workers, and of their ends.
    set_aside: u64,
    restored: u64,
    /// Sweeps that fit the data of no worker.
    refused: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let settle_after = Some(Duration::from_secs(20));
        let mut env = TestEnv::with_settings(SchedulerSettings { settle_after, ..settings() });
        let (configurations, seeds) = (1 + chance.below(6) as u64, 1 + chance.below(4) as u64);
        let mut first = sweep("first", configurations, seeds);
        for configuration in &mut first.configurations {
            configuration.cohort_key = chance.next() % 2;
        }
        first.checkpoint.every_epochs = 1;
        env.submit(first.clone());
        let mut world = Self {
            chance,
            env,
            first,
            removed: BTreeSet::new(),
            operations: 0,
            workers: Vec::new(),
            workers_born: 0,
            upstream: Vec::new(),
            downstream: Vec::new(),
            recorded: BTreeMap::new(),
            trained_on: BTreeMap::new(),
            data_copied: false,
            acknowledged: BTreeSet::new(),
            drained: 0,
            races: 0,
            jumps: 0,
            set_aside: 0,
            restored: 0,
            refused: 0,
        };
        for _ in 0..3 {
            let newborn = world.newborn();
            world.workers.push(newborn);
        }
        world
    }

    fn newborn(&mut self) -> SimWorker {
        self.workers_born += 1;
        let slots = (0..=self.chance.below(2)).map(|_| 1 + self.chance.below(6) as u32).collect();
        let ailment = match self.chance.below(20) {
            0..=1 => Ailment::Crashes,
            2 => Ailment::NoData,
            3 => Ailment::Misfit,
            4 => Ailment::OtherData,
            _ => Ailment::None,
        };
        SimWorker {
            name: format!("w{}", self.workers_born),
            ailment,
            draining: false,
            slots,
            connected: false,
            leases: BTreeMap::new(),
        }
    }

    fn any_worker(&mut self) -> usize {
        self.chance.below(self.workers.len())
    }

    /// The coordinator processes a worker's message, and its answers are sent.
    fn arrive(&mut self, from: &str, event: Event) {
        // As the engine does.
        let event = match event {
            Event::TaskFinished { token, task, mut data_digest } => {
                let expected = self.trained_on.get(&task.sweep).filter(|_| self.data_copied);
                data_digest = expected.cloned().unwrap_or(data_digest);
                match self.env.scheduler.wrong_data(token, task, &data_digest) {
                    Some(failure) => self.env.scheduler.failed_attempt(token, task, failure),
                    None => Event::TaskFinished { token, task, data_digest },
                }
            }
            Event::AttemptFailed { token, task, failure, .. } => {
                self.env.scheduler.failed_attempt(token, task, failure)
            }
            event => event,
        };
        let finished = match &event {
            Event::TaskFinished { task, data_digest, .. } => Some((*task, data_digest.clone())),
            _ => None,
        };
        self.env.apply(event);
        for action in self.env.answers() {
            match &action {
                Action::RecordResult { task, .. } => {
                    *self.recorded.entry(*task).or_default() += 1;
                    assert_eq!(self.recorded[task], 1, "{task} was recorded twice");
                    let (_, digest) = finished.clone().expect("a result comes with its event");
                    let first = self.trained_on.entry(task.sweep).or_insert_with(|| digest.clone());
                    assert_eq!(*first, digest, "all results of a sweep are of one data set");
                }
                Action::GrantLease { worker, .. }
                | Action::DropLease { worker, .. }
                | Action::DrainWorker { worker, .. } => {
                    self.downstream.push((worker.to_string(), action));
                }
                Action::Acknowledge { task, .. } => {
                    if finished.as_ref().is_some_and(|(finished, _)| finished == task) {
                        self.acknowledged.insert(*task);
                    }
                    self.downstream.push((from.to_owned(), action));
                }
                Action::RefuseReport { .. } => self.downstream.push((from.to_owned(), action)),
                Action::UndrainWorker { .. } => {}
                Action::SetAside { .. } => self.set_aside += 1,
                Action::Restore { .. } => self.restored += 1,
                Action::RefuseSweep { sweep, .. } => {
                    self.refused += 1;
                    let has_results = self.recorded.keys().any(|task| task.sweep == *sweep);
                    assert!(!has_results, "{sweep} was refused, and something of it is trained");
                }
                Action::RetryTask { .. } | Action::GiveUpTask { .. } | Action::EndSweep { .. } => {}
            }
        }
    }

    fn deliver(&mut self, to: &str, action: Action) {
        let Some(worker) = self.workers.iter_mut().find(|worker| worker.name == to) else { return };
        match action {
            Action::GrantLease { token, slot, tasks, .. } => {
                let training = |(task, _)| (task, Work::Training { steps_left: 2, epoch: 0 });
                worker.leases.insert(token, (slot, tasks.into_iter().map(training).collect()));
            }
            Action::Acknowledge { token, task } | Action::RefuseReport { token, task, .. } => {
                worker.drop_task(token, task);
            }
            Action::DropLease { token, tasks, .. } if tasks.is_empty() => {
                worker.leases.remove(&token);
            }
            Action::DropLease { token, tasks, .. } => {
                tasks.into_iter().for_each(|task| worker.drop_task(token, task));
            }
            Action::DrainWorker { now, .. } => {
                worker.draining = true;
                if now {
                    let (name, leases) = (worker.name.clone(), std::mem::take(&mut worker.leases));
                    let released = leases.into_keys().map(|token| Event::LeaseReleased { token });
                    self.upstream.extend(released.map(|event| (name.clone(), event)));
                }
                self.drained += 1;
            }
            _ => {}
        }
    }

    fn step(&mut self) {
        let at = self.any_worker();
        let name = self.workers[at].name.clone();
        match self.chance.below(110) {
            0..=14 => {
                let millis = self.chance.next() % 8000;
                self.env.now = self.env.now.after(Duration::from_millis(millis));
                self.arrive("nobody", Event::Tick);
            }
            15..=44 if !self.upstream.is_empty() => {
                let at = self.chance.below(self.upstream.len());
                let (from, event) = self.upstream.remove(at);
                if self.chance.percent(10) {
                    self.upstream.push((from.clone(), event.clone()));
                }
                if !self.chance.percent(10) {
                    self.arrive(&from, event);
                }
            }
            45..=64 if !self.downstream.is_empty() => {
                let at = self.chance.below(self.downstream.len());
                let (to, action) = self.downstream.remove(at);
                if self.chance.percent(10) {
                    self.downstream.push((to.clone(), action.clone()));
                }
                if !self.chance.percent(10) {
                    self.deliver(&to, action);
                }
            }
            65..=79 => {
                let mut epochs = Vec::new();
                self.workers[at].train(&mut self.chance, &mut epochs);
                let reports = self.workers[at].reports();
                self.upstream.extend(epochs.into_iter().chain(reports).map(|event| (name.clone(), event)));
            }
            80..=84 => {
                let beat = Event::Heartbeat { worker: env::worker(&name) };
                self.upstream.push((name, beat));
            }
            85..=89 => {
                let offer = self.workers[at].offer();
                self.upstream.push((name, offer));
            }
            90..=94 => {
                let hello = self.workers[at].hello();
                self.upstream.push((name.clone(), hello));
                let data_sets = self.workers[at].data_sets(&mut self.chance);
                self.upstream.push((name, data_sets));
            }
            95 => self.workers[at] = self.newborn(),
            96 => {
                let gone = Event::WorkerDisconnected { worker: env::worker(&name) };
                self.arrive(&name, gone);
            }
            97 => {
                let token = self.workers[at].leases.pop_first().map(|(token, _)| token);
                if let Some(token) = token {
                    self.upstream.push((name, Event::LeaseReleased { token }));
                }
            }
            98 => self.crash_and_jump(),
            99 if self.chance.percent(30) => {
                let second = sweep("second", 2, 2);
                if let Some(settled) = self.env.scheduler.id_of(&second.name) {
                    self.env.revive(settled);
                }
                self.env.submit(second);
                if self.chance.percent(50) {
                    self.arrive("nobody", Event::SweepCancelled { sweep: SweepId(2) });
                }
            }
            100..=105 => self.operate(&name),
            106..=107 => self.race(),
            108 if self.workers[at].draining && self.workers[at].leases.is_empty() => {
                self.arrive(&name, Event::WorkerDisconnected { worker: env::worker(&name) });
                self.workers[at] = self.newborn();
            }
            _ => {}
        }
    }

    /// An operation of a person.
    fn operate(&mut self, worker: &str) {
        let journaled = self.env.journal.len();
        let sweep = SweepId(1 + self.chance.next() % 2);
        let operation = self.chance.below(8);
        if operation <= 4 {
            // As the coordinator does before an operation.
            self.env.revive(sweep);
        }
        let event = match operation {
            0 => Event::TasksRetried { sweep, scope: RetryScope::FailedAndCancelled },
            1 => Event::TasksRetried { sweep, scope: RetryScope::Failed },
            2 => self.extension(),
            3 => Event::SweepPaused { sweep, paused: self.chance.percent(50) },
            4 => Event::SweepPrioritized { sweep, priority: self.chance.below(3) as i32 },
            5 if self.chance.percent(30) => Event::SweepCancelled { sweep },
            6 if self.chance.percent(30) => Event::SweepRemoved { sweep },
            7 if self.chance.percent(50) => {
                Event::DrainRequested { worker: env::worker(worker), now: self.chance.percent(50) }
            }
            _ => return,
        };
        if matches!(event, Event::SweepRemoved { .. }) && self.env.scheduler.changes_state(&event) {
            self.removed.insert(sweep);
            // Its results are removed too.
            self.recorded.retain(|task, _| task.sweep != sweep);
            self.acknowledged.retain(|task| task.sweep != sweep);
        }
        self.arrive("nobody", event);
        self.operations += u64::from(self.env.journal.len() != journaled);
    }

    /// More configurations, more seeds, or another order.
    fn extension(&mut self) -> Event {
        let mut newer = self.first.clone();
        match self.chance.below(3) {
            0 if newer.configurations.len() < 8 => {
                let mut configuration = newer.configurations[0].clone();
                configuration.id = ConfigurationId(100 + newer.configurations.len() as u64);
                newer.configurations.insert(0, configuration);
            }
            1 if newer.seeds.len() < 6 => newer.seeds.insert(0, 100 + newer.seeds.len() as u64),
            _ => {
                let by_seed = newer.schedule.order == Order::BySeed;
                newer.schedule.order = if by_seed { Order::ByConfiguration } else { Order::BySeed };
                newer.schedule.max_concurrent_tasks = Some(1 + self.chance.below(4) as u32);
            }
        }
        let sweep = self.env.scheduler.extension(SweepId(1), &newer).expect("it only adds");
        if self.env.scheduler.sweep(SweepId(1)).is_some() {
            self.first = newer;
        }
        Event::SweepExtended { id: SweepId(1), sweep: Arc::new(sweep) }
    }

    /// The coordinator crashes: messages in transit are lost, journaled events are not.
    fn crash(&mut self) {
        self.env.crash();
        self.upstream.clear();
        self.downstream.clear();
        self.workers.iter_mut().for_each(|worker| worker.connected = false);
    }

    /// Like [`Self::crash`]; the host's clock is set back or far ahead before the next start.
    fn crash_and_jump(&mut self) {
        let (now, by) = (self.env.now, Duration::from_secs(self.chance.next() % 100_000_000));
        let then = match self.chance.below(6) {
            0 => Timestamp(now.0.saturating_sub(Timestamp(0).after(by).0).max(0)),
            1 => now.after(by),
            _ => now,
        };
        self.jumps += u64::from(then != now);
        self.crash();
        self.env.start_again_at(then);
    }

    /// A report arrives at the moment when its lease expires, or close to it.
    fn race(&mut self) {
        let reports = |(_, event): &(String, Event)| {
            matches!(event, Event::TaskFinished { .. } | Event::AttemptFailed { .. })
        };
        let (Some(at), Some(deadline)) =
            (self.upstream.iter().position(reports), self.env.scheduler.next_deadline())
        else {
            return;
        };
        let moment = Timestamp(deadline.0 - 1 + self.chance.below(3) as i64);
        self.env.now = self.env.now.max(moment);
        let (from, event) = self.upstream.remove(at);
        self.races += 1;
        self.arrive(&from, event);
    }

    /// From now on nothing fails except training itself.
    fn calm_down(&mut self) {
        self.crash();
        // Workers that were asked to exit have exited. One of the others may be a bad host.
        self.data_copied = true;
        for at in 0..self.workers.len() {
            self.workers[at] = self.newborn();
            if at > 0 {
                self.workers[at].ailment = Ailment::None;
            }
        }
        for sweep in [1, 2].map(SweepId) {
            self.arrive("nobody", Event::SweepPaused { sweep, paused: false });
        }
        for _ in 0..2000 {
            self.env.now = self.env.now.after(Duration::from_secs(5));
            self.arrive("nobody", Event::Tick);
            for at in 0..self.workers.len() {
                let name = self.workers[at].name.clone();
                if !self.workers[at].connected {
                    let hello = self.workers[at].hello();
                    self.arrive(&name, hello);
                    let data_sets = self.workers[at].data_sets(&mut self.chance);
                    self.arrive(&name, data_sets);
                }
                let mut messages = Vec::new();
                self.workers[at].train(&mut self.chance, &mut messages);
                messages.extend(self.workers[at].reports());
                messages.push(Event::Heartbeat { worker: env::worker(&name) });
                for message in messages {
                    self.arrive(&name, message);
                }
                self.deliver_all();
                let offer = self.workers[at].offer();
                self.arrive(&name, offer);
                self.deliver_all();
            }
            if self.env.scheduler.sweeps().all(|view| view.status() != SweepStatus::Active) {
                return;
            }
        }
        panic!(
            "the sweeps do not end: {:?}",
            self.env.scheduler.sweeps().map(|v| v.counts()).collect::<Vec<_>>()
        );
    }

    fn deliver_all(&mut self) {
        for (to, action) in std::mem::take(&mut self.downstream) {
            self.deliver(&to, action);
        }
    }

    fn check_end(&mut self) {
        for sweep in self.env.scheduler.all_settled().map(|settled| settled.id).collect::<Vec<_>>() {
            let outcome = self.env.scheduler.settled(sweep).cloned().unwrap();
            self.env.revive(sweep);
            let view = self.env.scheduler.sweep(sweep).unwrap();
            assert_eq!((outcome.counts, outcome.status), (view.counts(), view.status()));
        }
        let mut journaled: BTreeMap<TaskId, usize> = BTreeMap::new();
        for (_, event) in &self.env.journal {
            if let Event::TaskFinished { task, .. } = event {
                *journaled.entry(*task).or_default() += 1;
            }
        }
        assert_eq!(journaled, self.recorded, "a result is recorded iff the journal says so");
        for view in self.env.scheduler.sweeps() {
            let mut done = 0;
            for configuration in &view.sweep().configurations {
                for seed in &view.sweep().seeds {
                    let task = TaskId { sweep: view.id(), configuration: configuration.id, seed: *seed };
                    match self.env.scheduler.state_of(task).unwrap() {
                        TaskState::Done => {
                            assert_eq!(self.recorded.get(&task), Some(&1), "{task} is done exactly once");
                            done += 1;
                        }
                        TaskState::Failed { .. } | TaskState::Cancelled => {
                            assert_eq!(self.recorded.get(&task), None, "{task} has no result");
                            assert!(!self.acknowledged.contains(&task), "{task} was acknowledged");
                        }
                        other => panic!("{task} has not ended: {other:?}"),
                    }
                }
            }
            assert_eq!(done, view.counts().done);
            for (_, failed) in view.failures() {
                let worth = failed.failure.reason.policy() == crate::failure::RetryPolicy::Fail;
                assert!(worth || failed.attempt >= 3, "{} was given up too early: {failed:?}", failed.task);
            }
        }
    }
}

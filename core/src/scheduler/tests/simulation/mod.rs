//! Histories in virtual time: messages are lost, duplicated and reordered; workers crash, are asked to exit, or are
//! bad hosts on which nothing succeeds; the coordinator crashes and rebuilds its state from its journal, with a clock
//! that was set in between. Sweeps of programs need GPUs, memory or labels that some workers offer and others do not;
//! programs park, and a person lets a sweep go on with other files. Invariants are checked after every event. For every
//! grant the test checks that it goes to the right sweep, and to a slot that meets its needs.
//!
//! A history is a function of its seed. To examine one: `COLEARN_HISTORY=17 cargo test -p colearn-core simulation`;
//! to run more: `COLEARN_HISTORIES=100000`.

mod bad_hosts;
mod calm;
mod chance;
mod ends;
mod person;
mod sharing;
mod worker;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::env::{self, TestEnv, program, settings, sweep};
use crate::{
    failure::FailureReason,
    id::{LeaseToken, SweepId, TaskId},
    needs::Needs,
    scheduler::{Action, Event, SchedulerSettings},
    sweep::Sweep,
    time::Timestamp,
};
use chance::Chance;
use worker::{Ailment, SimWorker, Work};

struct World {
    chance: Chance,
    env: TestEnv,
    /// The first sweep after its last extension.
    first: Sweep,
    /// A sweep that is submitted again and again: of a network or of a program.
    second: Sweep,
    removed: BTreeSet<SweepId>,
    operations: u64,
    workers: Vec<SimWorker>,
    workers_born: usize,
    upstream: Vec<(String, Event)>,
    downstream: Vec<(String, Action)>,
    recorded: BTreeMap<TaskId, usize>,
    /// The data that the results of each sweep were trained on since a person last replaced it.
    trained_on: BTreeMap<SweepId, String>,
    /// The greatest lease of each sweep when a person last replaced the data.
    replaced: BTreeMap<SweepId, LeaseToken>,
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
    /// Counts of attempts that parked, and of sweeps that went on with other data.
    parked: u64,
    replacements: u64,
    /// Counts of single tasks that were cancelled while they ran, and while they waited.
    cancelled_running: u64,
    cancelled_pending: u64,
    /// Sweeps that were stopped because their tasks failed.
    stopped: u64,
    /// Sweeps that nobody could run at the end.
    stranded: u64,
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
        first.schedule.stop_after_failures = chance.percent(25).then(|| 1 + chance.below(3) as u32);
        env.submit(first.clone());
        let mut second = if chance.percent(50) {
            program("second", 2, 2, needs(&mut chance))
        } else {
            sweep("second", 2, 2)
        };
        second.schedule.stop_after_failures = chance.percent(30).then(|| 1 + chance.below(3) as u32);
        if chance.percent(50) {
            let (configurations, seeds) = (1 + chance.next() % 3, 1 + chance.next() % 3);
            env.submit(program("third", configurations, seeds, needs(&mut chance)));
        }
        let mut world = Self {
            chance,
            env,
            first,
            second,
            replaced: BTreeMap::new(),
            parked: 0,
            replacements: 0,
            cancelled_running: 0,
            cancelled_pending: 0,
            stopped: 0,
            stranded: 0,
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
        let slots = self.chance.below(2);
        let offers = worker::offers(&mut self.chance);
        let slots = (0..=slots).map(|_| (1 + self.chance.below(6) as u32, offers.clone())).collect();
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
            if let Action::GrantLease { tasks, .. } = &action {
                let stopped = |(task, _): &(TaskId, u32)| {
                    self.env.scheduler.sweep(task.sweep).is_some_and(|view| view.stopped().is_some())
                };
                assert!(!tasks.iter().any(stopped), "a stopped sweep begins nothing");
            }
            match &action {
                Action::RecordResult { task, token, .. } => {
                    *self.recorded.entry(*task).or_default() += 1;
                    assert_eq!(self.recorded[task], 1, "{task} was recorded twice");
                    let (_, digest) = finished.clone().expect("a result comes with its event");
                    if self.replaced.get(&task.sweep).is_none_or(|last| token > last) {
                        let first = self.trained_on.entry(task.sweep).or_insert_with(|| digest.clone());
                        assert_eq!(*first, digest, "all results of a sweep are of one data set");
                    }
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
                Action::RetryTask { failure, .. } => {
                    self.parked += u64::from(failure.reason == FailureReason::Parked);
                }
                Action::GiveUpTask { task, failure, .. } => {
                    assert_ne!(failure.reason, FailureReason::Parked, "{task} is given up");
                }
                Action::StopSweep { sweep, .. } => {
                    self.stopped += 1;
                    let counts = self.env.scheduler.sweep(*sweep).map(|view| view.counts());
                    assert_eq!(counts.map(|counts| counts.pending), Some(0), "no other task begins");
                }
                Action::EndSweep { .. } => {}
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
                let data_sets = self.workers[at].data_sets(&mut self.chance, self.data_copied);
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
                let second = self.second.clone();
                if let Some(settled) = self.env.scheduler.id_of(&second.name) {
                    self.env.revive(settled);
                }
                let sweep = self.env.submit(second);
                if self.chance.percent(50) {
                    self.arrive("nobody", Event::SweepCancelled { sweep });
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
}

/// What a program may need besides a slot that runs programs.
fn needs(chance: &mut Chance) -> Needs {
    Needs {
        gpu: chance.percent(25),
        memory: if chance.percent(25) { 8 } else { 0 },
        threads: if chance.percent(25) { 2 } else { 0 },
        labels: chance.percent(25).then(|| "big".to_owned()).into_iter().collect(),
        ..Needs::default()
    }
}

//! Workers that train at random, and their hosts.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::env::{self, epoch_reported},
    chance::Chance,
};
use crate::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, TaskId},
    needs::{Offers, TrainerKind},
    scheduler::{DataSetShape, DataSets, Event, HeldLease, KnownDataSet},
};

/// The data set of all sweeps of networks.
const DATA_SET: &str = "waves";
/// The names of the programs of the other sweeps.
const PROGRAMS: [&str; 2] = ["/home/me/second: python3 train.py", "/home/me/third: python3 train.py"];

/// What the slots of a worker offer.
pub(super) fn offers(chance: &mut Chance) -> Offers {
    let all = all_offers();
    let trainers = match chance.below(10) {
        0..=4 => Offers::default().trainers,
        5 => [TrainerKind::Programs].into(),
        _ => all.trainers,
    };
    Offers {
        trainers,
        gpu: chance.percent(50),
        memory: *[None, Some(4), Some(9)].get(chance.below(3)).unwrap(),
        threads: *[None, Some(1), Some(2)].get(chance.below(3)).unwrap(),
        labels: if chance.percent(50) { all.labels } else { BTreeSet::new() },
    }
}

/// Everything that a sweep may need.
pub(super) fn all_offers() -> Offers {
    Offers {
        trainers: [TrainerKind::Networks, TrainerKind::Programs].into(),
        gpu: true,
        memory: Some(16),
        threads: Some(4),
        labels: ["big".to_owned()].into(),
    }
}

/// The worker's state of a task.
#[derive(Clone)]
pub(super) enum Work {
    Training {
        steps_left: u32,
        epoch: u32,
    },
    /// A report that is kept until it is acknowledged or refused.
    Report(Event),
}

/// The fault of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ailment {
    None,
    /// Its trainers crash at their first task.
    Crashes,
    /// It has no data set.
    NoData,
    /// Its data set does not fit the settings.
    Misfit,
    /// Its data set is a different file.
    OtherData,
}

impl Ailment {
    pub(super) fn data_digest(self) -> String {
        if self == Self::OtherData { "other" } else { "right" }.to_owned()
    }

    /// The failure that it reports for every task.
    pub(super) fn failure(self) -> Option<FailureReason> {
        match self {
            Self::Crashes => Some(FailureReason::Crash),
            Self::NoData => Some(FailureReason::Data),
            Self::Misfit => Some(FailureReason::Settings),
            Self::None | Self::OtherData => None,
        }
    }
}

pub(super) struct SimWorker {
    pub(super) name: String,
    pub(super) ailment: Ailment,
    /// It was asked to exit, and does so when it has nothing to do.
    pub(super) draining: bool,
    /// The maximum cohorts of its slots, and what they offer.
    pub(super) slots: Vec<(u32, Offers)>,
    pub(super) connected: bool,
    pub(super) leases: BTreeMap<LeaseToken, (u32, BTreeMap<TaskId, Work>)>,
}

impl SimWorker {
    pub(super) fn hello(&mut self) -> Event {
        self.connected = true;
        Event::WorkerConnected {
            worker: env::worker(&self.name),
            host: "h".to_owned(),
            version: "1".to_owned(),
            warnings: vec![],
            slots: env::slots_offering(self.slots.iter().cloned()),
            held: self
                .leases
                .iter()
                .map(|(token, (_, tasks))| HeldLease {
                    token: *token,
                    tasks: tasks.keys().copied().collect(),
                })
                .collect(),
        }
    }

    /// Its report of its data sets. A worker whose data set does not fit, or is a different file, may notice it
    /// later. After a person has copied the data of all sweeps to all hosts, nobody has opened the copies yet: if a host
    /// went on to announce what it had before, all tasks of a sweep that was trained on other data would be left to a
    /// bad host, which gets one in a quarter of an hour.
    pub(super) fn data_sets(&self, chance: &mut Chance, copied: bool) -> Event {
        let digest = chance.percent(50).then(|| self.ailment.data_digest()).filter(|_| !copied);
        let modality = if self.ailment == Ailment::Misfit { "skeleton" } else { "inertial" };
        let shape = DataSetShape { modalities: vec![modality.to_owned()], train_samples: 100 };
        let known = KnownDataSet { digest, shape: chance.percent(70).then_some(shape) };
        let mut all = BTreeMap::new();
        if self.ailment != Ailment::NoData {
            for program in PROGRAMS {
                let digest = chance.percent(50).then(|| self.ailment.data_digest()).filter(|_| !copied);
                all.insert(program.to_owned(), KnownDataSet { digest, shape: None });
            }
            all.insert(DATA_SET.to_owned(), known);
        }
        let data_sets = DataSets { known: all, complete: chance.percent(80) };
        Event::DataSetsKnown { worker: env::worker(&self.name), data_sets }
    }

    pub(super) fn offer(&self) -> Event {
        let busy: BTreeSet<u32> = self.leases.values().map(|(slot, _)| *slot).collect();
        let free = |slot: &u32| !busy.contains(slot) && !self.draining;
        let slots = (0..self.slots.len() as u32).filter(free).collect();
        Event::SlotsFree { worker: env::worker(&self.name), slots }
    }

    pub(super) fn reports(&self) -> Vec<Event> {
        let works = self.leases.values().flat_map(|(_, tasks)| tasks.values());
        works
            .filter_map(|work| match work {
                Work::Report(report) => Some(report.clone()),
                Work::Training { .. } => None,
            })
            .collect()
    }

    pub(super) fn train(&mut self, chance: &mut Chance, epochs: &mut Vec<Event>) {
        for (token, (_, tasks)) in &mut self.leases {
            for (task, work) in tasks {
                let Work::Training { steps_left, epoch } = work else { continue };
                if let Some(reason) = self.ailment.failure() {
                    *work = Work::Report(failed(*token, *task, reason));
                    continue;
                }
                if *steps_left > 0 {
                    *steps_left -= 1;
                    *epoch += 1;
                    epochs.push(epoch_reported(*token, *task, *epoch));
                    continue;
                }
                let (token, task) = (*token, *task);
                *work = Work::Report(match chance.below(100) {
                    0..=1 => failed(token, task, FailureReason::Diverged),
                    2..=9 => failed(token, task, FailureReason::Crash),
                    10..=17 => failed(token, task, FailureReason::OutOfMemory),
                    18..=24 => failed(token, task, FailureReason::Parked),
                    _ => Event::TaskFinished { token, task, data_digest: self.ailment.data_digest() },
                });
            }
        }
    }

    pub(super) fn drop_task(&mut self, token: LeaseToken, task: TaskId) {
        if let Some((_, tasks)) = self.leases.get_mut(&token) {
            tasks.remove(&task);
            if tasks.is_empty() {
                self.leases.remove(&token);
            }
        }
    }
}

pub(super) fn failed(token: LeaseToken, task: TaskId, reason: FailureReason) -> Event {
    Event::AttemptFailed { token, task, failure: Failure::new(reason, "simulated"), unconfirmed: false }
}

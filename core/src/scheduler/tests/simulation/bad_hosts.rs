//! Up to two bad hosts among good ones: whatever fails on them, all tasks are trained, because no task is tried twice
//! on the same bad host.

use std::{collections::BTreeMap, time::Duration};

use super::{
    super::env::{Granted, LEASE, TestEnv, epoch_reported, sweep, worker},
    Ailment,
    chance::{self, Chance},
};
use crate::{
    failure::FailureReason,
    id::SweepId,
    scheduler::{Action, SweepStatus},
};

const HISTORIES: u64 = 150;

/// Slow good hosts and fast bad ones.
struct Cluster {
    env: TestEnv,
    chance: Chance,
    hosts: Vec<(String, u32, Ailment)>,
    /// Running leases, with their remaining steps.
    busy: BTreeMap<u64, (Granted, u32)>,
}

impl Cluster {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut env = TestEnv::new();
        for number in 0..=chance.below(2) {
            let mut sweep = sweep(&format!("s{number}"), 2 + chance.next() % 6, 2 + chance.next() % 4);
            sweep.configurations.iter_mut().for_each(|c| c.cohort_key = chance.next() % 2);
            env.submit(sweep);
        }
        let mut hosts = Vec::new();
        for number in 0..3 + chance.below(2) {
            let ailment = match (number, chance.below(4)) {
                (1, 0) => Ailment::Misfit,
                (1 | 2, 0 | 1) => Ailment::NoData,
                (1 | 2, _) => Ailment::Crashes,
                _ => Ailment::None,
            };
            hosts.push((format!("w{number}"), 1 + chance.below(3) as u32, ailment));
        }
        Self { env, chance, hosts, busy: BTreeMap::new() }
    }

    fn take(&mut self) {
        for lease in self.env.granted() {
            let host = self.hosts.iter().find(|(name, ..)| *name == lease.worker.to_string()).unwrap();
            let steps = if host.2 == Ailment::None { 20 + self.chance.below(60) as u32 } else { 0 };
            self.busy.insert(lease.token.0, (lease, steps));
        }
    }

    fn connect(&mut self, host: usize) {
        let (name, slots, _) = self.hosts[host].clone();
        let held: Vec<Granted> = self.busy.values().map(|(lease, _)| lease.clone()).collect();
        let held: Vec<&Granted> = held.iter().filter(|lease| lease.worker == worker(&name)).collect();
        self.env.connect(&name, &vec![1 + slots % 2; slots as usize], &held);
    }

    fn offer(&mut self, host: usize) {
        let (name, slots, _) = self.hosts[host].clone();
        let busy = |slot: &u32| {
            self.busy.values().any(|(lease, _)| lease.worker == worker(&name) && lease.slot == *slot)
        };
        let free: Vec<u32> = (0..slots).filter(|slot| !busy(slot)).collect();
        let granted = self.env.offer(&name, &free);
        self.env.actions.extend(granted.into_iter().map(|lease| Action::GrantLease {
            token: lease.token,
            worker: lease.worker,
            slot: lease.slot,
            tasks: lease.tasks,
        }));
        self.take();
    }

    fn step(&mut self) {
        let tokens: Vec<u64> = self.busy.keys().copied().collect();
        for token in tokens {
            let (lease, steps) = self.busy.get_mut(&token).unwrap();
            if *steps > 0 {
                *steps -= 1;
                let (token, task) = (lease.token, lease.tasks[0].0);
                self.env.apply(epoch_reported(token, task, 1));
                self.take();
                continue;
            }
            let lease = lease.clone();
            let ailment = self.hosts.iter().find(|(name, ..)| *name == lease.worker.to_string()).unwrap().2;
            self.busy.remove(&token);
            for (task, _) in &lease.tasks {
                match ailment {
                    Ailment::None => self.env.finish(&lease, *task),
                    Ailment::Misfit => self.env.fail(&lease, *task, FailureReason::Settings),
                    Ailment::NoData => self.env.fail(&lease, *task, FailureReason::Data),
                    Ailment::Crashes | Ailment::OtherData => {
                        self.env.fail(&lease, *task, FailureReason::Crash);
                    }
                }
            }
            self.take();
        }
        self.env.pass(Duration::from_millis(200 + self.chance.next() % 800));
        self.take();
        for host in 0..self.hosts.len() {
            self.env.heartbeat(&self.hosts[host].0.clone());
            self.offer(host);
        }
        if self.chance.percent(1) {
            self.env.crash();
            for host in 0..self.hosts.len() {
                self.connect(host);
            }
        }
    }
}

#[test]
fn with_one_good_host_everything_is_trained() {
    let (mut attempts, mut set_aside) = (0, 0);
    let run = chance::every("with_one_good_host_everything_is_trained", HISTORIES, |seed| {
        let mut cluster = Cluster::new(seed);
        let hosts = cluster.hosts.len();
        (0..hosts).rev().for_each(|host| cluster.connect(host));
        let mut steps = 0;
        while cluster.env.scheduler.sweeps().any(|view| view.status() == SweepStatus::Active) {
            steps += 1;
            assert!(steps < 20_000, "the sweeps do not end");
            assert!(LEASE > Duration::from_secs(2));
            cluster.step();
        }
        for view in cluster.env.scheduler.sweeps() {
            assert_eq!(view.counts().done, view.counts().total(), "{:?} of {:?}", view.id(), cluster.hosts);
            attempts += view.retried();
        }
        set_aside += cluster.env.scheduler.set_aside_from(SweepId(1)).len();
    });
    println!("{attempts} attempts failed, {set_aside} workers are set aside at the end");
    assert!(run < HISTORIES || (attempts > 500 && set_aside > 150), "the hosts are too good");
}

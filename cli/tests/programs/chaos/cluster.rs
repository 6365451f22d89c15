//! A coordinator and its workers under a supervisor that restarts every process that ends.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::ledger::Tail;
use crate::lab::{Lab, Running};

/// Time limit for operations that take moments on an idle machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The kind of process that is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Victim {
    Coordinator,
    Worker,
    Trainer,
}

/// The configuration of a cluster.
pub(crate) struct Setup {
    /// Its state folder.
    pub(crate) state: &'static str,
    /// Lease in seconds.
    pub(crate) lease: u32,
    /// Whether everything is said over TLS.
    pub(crate) tls: bool,
    pub(crate) workers: usize,
    /// Options of each worker.
    pub(crate) worker: &'static [&'static str],
}

/// The processes.
pub(crate) struct Cluster<'a> {
    lab: &'a Lab,
    setup: Setup,
    url: String,
    coordinator: Option<Running>,
    workers: Vec<(String, Option<Running>)>,
    log: Tail,
    /// Times from a coordinator's kill until its successor listens.
    pub(crate) back: Vec<Duration>,
    /// Times from a coordinator's kill until the first worker has reconnected.
    pub(crate) reconnected: Vec<Duration>,
    /// Messages of coordinators about their recovery.
    pub(crate) recoveries: Vec<String>,
    /// Number of workers that exited by themselves because their trainers were killed too often, and were restarted.
    pub(crate) left: usize,
}

impl<'a> Cluster<'a> {
    pub(crate) fn start(lab: &'a Lab, setup: Setup) -> Self {
        if setup.tls {
            // The access files of an earlier cluster of the test would stay.
            let _ = std::fs::remove_dir_all(lab.path().join("config"));
        }
        let (coordinator, url) = lab
            .coordinator_in_chaos("127.0.0.1:0", setup.state, setup.lease, setup.tls)
            .unwrap_or_else(|| panic!("{}", lab.logs()));
        assert_eq!(url.starts_with("https://"), setup.tls);
        let name = |index| format!("{}-{index}", setup.state);
        let workers = (0..setup.workers).map(|index| (name(index), None)).collect();
        let log = Tail::of(lab.path().join("coordinator.log"));
        let mut cluster = Self {
            lab,
            setup,
            url,
            coordinator: Some(coordinator),
            workers,
            log,
            back: Vec::new(),
            reconnected: Vec::new(),
            recoveries: Vec::new(),
            left: 0,
        };
        cluster.revive();
        cluster
    }

    pub(crate) fn target(&self) -> [&str; 2] {
        ["--coordinator", &self.url]
    }

    /// The names of the workers, which their logs have too.
    pub(crate) fn names(&self) -> Vec<String> {
        self.workers.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Acts as a supervisor: starts every worker that has ended. A coordinator never ends by itself.
    pub(crate) fn revive(&mut self) {
        if let Some(coordinator) = &mut self.coordinator
            && let Some(status) = coordinator.0.try_wait().unwrap()
        {
            panic!("the coordinator ended by itself: {status}\n{}", self.lab.logs());
        }
        for (name, worker) in &mut self.workers {
            if let Some(running) = worker
                && let Some(status) = running.0.try_wait().unwrap()
            {
                // 4 means `no usable slot`: trainers were killed at their start five times in a row.
                assert_eq!(status.code(), Some(4), "{name} ended by itself: {status}");
                self.left += 1;
                *worker = None;
            }
            if worker.is_none() {
                *worker = Some(self.lab.worker_with(&self.url, name, self.setup.worker));
            }
        }
    }

    /// Kills a process with `kill -9` and starts it again. Returns the kind that was killed: if a worker has no
    /// trainer at this moment, the worker is killed.
    pub(crate) fn strike(&mut self, victim: Victim, worker: usize) -> Victim {
        let worker = worker % self.workers.len();
        match victim {
            Victim::Coordinator => self.strike_coordinator(),
            Victim::Worker => self.strike_worker(worker),
            Victim::Trainer => {
                if !self.strike_trainer(worker) {
                    self.strike_worker(worker);
                    return Victim::Worker;
                }
            }
        }
        victim
    }

    fn strike_worker(&mut self, worker: usize) {
        if let Some(running) = self.workers[worker].1.take() {
            running.kill();
        }
        self.revive();
    }

    fn strike_trainer(&self, worker: usize) -> bool {
        let Some(running) = &self.workers[worker].1 else { return false };
        running.trainer().is_some_and(|trainer| kill(trainer, Signal::SIGKILL).is_ok())
    }

    fn strike_coordinator(&mut self) {
        self.log.lines();
        let killed = Instant::now();
        if let Some(coordinator) = self.coordinator.take() {
            coordinator.kill();
        }
        let address = self.url.trim_start_matches("http://").trim_start_matches("https://").to_owned();
        // Another connection may have got the free port for a moment.
        let restarted = loop {
            let Setup { state, lease, tls, .. } = self.setup;
            match self.lab.coordinator_in_chaos(&address, state, lease, tls) {
                Some((running, _)) => break running,
                None => {
                    assert!(killed.elapsed() < PATIENCE, "no coordinator comes back\n{}", self.lab.logs());
                }
            }
        };
        self.coordinator = Some(restarted);
        self.back.push(killed.elapsed());
        self.await_worker(killed);
    }

    /// Waits for the first worker after a kill, so that the next kill hits a working cluster.
    fn await_worker(&mut self, killed: Instant) {
        loop {
            let lines = self.log.lines();
            let recovered = lines.iter().filter_map(|line| line.split_once(" recovered "));
            self.recoveries.extend(recovered.map(|(_, told)| told.to_owned()));
            if lines.iter().any(|line| line.contains("worker connected")) {
                break;
            }
            assert!(killed.elapsed() < PATIENCE, "no worker comes back\n{}", self.lab.logs());
            self.revive();
            std::thread::sleep(Duration::from_millis(5));
        }
        self.reconnected.push(killed.elapsed());
    }
}

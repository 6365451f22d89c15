//! The programs on the virtual hosts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use colearn_coordinator::{Config, Coordinator, Storage, engine::Clock, store::Store};
use colearn_core::{
    id::WorkerId,
    needs::{Offers, TrainerKind},
    time::Timestamp,
};
use colearn_proto::worker::SlotOffer;
use colearn_worker::{
    connection::Connection,
    run::{self, CoordinatorAddress},
    slot::Limits,
    state::Agent,
};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    chance::Chance,
    network::{self, PORT},
    store::WatchedStore,
    trace::Trace,
    trainers::{ScriptedTrainers, Surroundings},
    trouble::WORKERS,
};

/// A worker that is silent for longer loses its leases.
pub const LEASE: Duration = Duration::from_secs(14);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The coordinator's wall clock at the start of a history.
const EPOCH: Timestamp = Timestamp(1_700_000_000_000);
/// The delay after which a service manager restarts a program.
const AGAIN: Duration = Duration::from_secs(1);

/// State that all hosts of a history share: it outlives them, and the script changes it.
#[derive(Clone)]
pub struct Shared {
    /// The history's seed.
    pub seed: u64,
    /// The trace, which records all events.
    pub trace: Trace,
    /// The coordinators' store.
    pub store: Arc<WatchedStore>,
    /// Whether troubles have ended.
    pub calm: Arc<AtomicBool>,
    /// The error of the coordinator's wall clock in milliseconds; read at each start.
    pub skew: Arc<AtomicI64>,
    lives: Arc<AtomicU64>,
    stops: Arc<Mutex<BTreeMap<&'static str, mpsc::Sender<()>>>>,
}

impl Shared {
    /// The state at the start of a history.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let trace = Trace::default();
        Self {
            seed,
            store: Arc::new(WatchedStore::new(seed, trace.clone())),
            trace,
            calm: Arc::default(),
            skew: Arc::default(),
            lives: Arc::default(),
            stops: Arc::default(),
        }
    }

    /// Asks the worker on a host to leave, as a first SIGTERM does.
    pub fn stop(&self, host: &str) {
        let stops = self.stops.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(stop) = stops.get(host) {
            // The worker may have left already.
            let _ = stop.try_send(());
        }
    }
}

/// Runs a coordinator from its start to its crash.
///
/// # Errors
/// If the coordinator stops with an error, which never happens.
pub async fn coordinator(shared: Shared) -> turmoil::Result {
    let skew = shared.skew.load(Ordering::Relaxed);
    let since = turmoil::sim_elapsed().unwrap_or_default();
    let clock = Clock::starting_at(Timestamp(EPOCH.after(since).0 + skew));
    shared.trace.note("coordinator", format_args!("starts at {}", clock.now()));
    let store: Arc<dyn Store> = shared.store;
    let listen = ([0, 0, 0, 0], PORT).into();
    let mut config = Config::new(Storage::Store(store), listen);
    (config.lease, config.heartbeat) = (LEASE, HEARTBEAT);
    config.settle_after = Duration::from_secs(4);
    let mut running = Coordinator::serve(config, network::incoming().await?, clock).await?;
    running.wait().await?;
    Ok(())
}

/// What a slot of a host offers. On the first host, the first slot has no GPU, and the second one takes no programs.
#[must_use]
pub fn offers(host: &str, slot: u32) -> Offers {
    let first = WORKERS.first().is_some_and(|(first, _)| *first == host);
    let (gpu, programs) = (!first || slot > 0, !first || slot == 0);
    let trainers = [TrainerKind::Networks].into_iter().chain(programs.then_some(TrainerKind::Programs));
    Offers { trainers: trainers.collect(), gpu, ..Offers::default() }
}

/// A worker's host: its agent is started again when it ends.
///
/// # Errors
/// Never.
pub async fn worker(shared: Shared, host: &'static str, cohorts: &'static [u32]) -> turmoil::Result {
    loop {
        let life = shared.lives.fetch_add(1, Ordering::Relaxed);
        let worker = WorkerId::new(format!("{host}-{life}"))?;
        let mut chance = Chance::new(shared.seed, &format!("time of {worker}"));
        let offers = (0..).zip(cohorts).map(|(index, max_cohort)| SlotOffer {
            index,
            device: "virtual".to_owned(),
            max_cohort: *max_cohort,
            offers: offers(host, index),
        });
        let limits = Limits {
            trainer_timeout: Some(Duration::from_secs(6)),
            start_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(4),
            connect_timeout: None,
            grace: Duration::from_secs(2),
            shutdown_timeout: Duration::from_secs(3),
            // Some runs have a short time limit from the start, like jobs of a batch system.
            time_limit: chance.percent(25).then(|| chance.millis(15_000, 60_000)),
            // And some leave when they have no lease for a while.
            without_lease: chance.percent(25).then(|| chance.millis(500, 8_000)),
        };
        let agent = Agent::new(worker.clone(), host.to_owned(), offers, limits, Timestamp(0));
        let connection = Connection::new(network::dial(), worker.clone());
        let (inputs, said) = mpsc::channel(256);
        let around = Surroundings {
            worker: worker.to_string(),
            trace: shared.trace.clone(),
            store: shared.store.clone(),
            calm: shared.calm.clone(),
        };
        let mut trainers = ScriptedTrainers::new(shared.seed, around, inputs);
        let (stop, stops) = mpsc::channel(2);
        shared.stops.lock().unwrap_or_else(PoisonError::into_inner).insert(host, stop);
        let place =
            CoordinatorAddress { url: network::coordinator().to_string(), connect_timeout: Duration::ZERO };
        let left = run::serve(agent, connection, &mut trainers, said, stops, &place).await;
        shared.trace.note(worker.as_str(), format_args!("has left: {left:?}"));
        drop(trainers);
        sleep(AGAIN).await;
    }
}

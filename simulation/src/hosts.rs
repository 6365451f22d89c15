//! What runs on the virtual hosts.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use colearn_coordinator::{Config, Coordinator, Storage, SweepParser, engine::Clock, store::Store};
use colearn_core::{id::WorkerId, sweep::Sweep, time::Timestamp};
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
};

/// A worker that is silent for longer loses its leases.
pub const LEASE: Duration = Duration::from_secs(14);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// When histories begin, by the coordinator's wall clock.
const EPOCH: Timestamp = Timestamp(1_700_000_000_000);
/// How soon a service manager starts a program again.
const AGAIN: Duration = Duration::from_secs(1);

/// What all hosts of a history share: what outlives them, and what the script changes under them.
#[derive(Clone)]
pub struct Shared {
    /// The history's seed.
    pub seed: u64,
    /// Where everything is noted.
    pub trace: Trace,
    /// The coordinators' store.
    pub store: Arc<WatchedStore>,
    /// Nothing goes wrong any more.
    pub calm: Arc<AtomicBool>,
    /// How far the coordinator's wall clock is off, in milliseconds; read at each start.
    pub skew: Arc<AtomicI64>,
    lives: Arc<AtomicU64>,
    stops: Arc<Mutex<BTreeMap<&'static str, mpsc::Sender<()>>>>,
}

impl Shared {
    /// Of a history that begins.
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
            // It may have left already.
            let _ = stop.try_send(());
        }
    }
}

/// The sweep files' own parser, as the command gives it to its coordinator.
fn parser() -> SweepParser {
    Arc::new(|source, origin| match Sweep::parse(source, origin) {
        Ok(parsed) => {
            Ok((parsed.sweep, parsed.warnings.iter().map(|warning| format!("{warning:?}")).collect()))
        }
        Err(diagnostics) => Err(diagnostics.to_string()),
    })
}

/// One life of a coordinator.
///
/// # Errors
/// When it has to stop, which it never has to.
pub async fn coordinator(shared: Shared) -> turmoil::Result {
    let skew = shared.skew.load(Ordering::Relaxed);
    let since = turmoil::sim_elapsed().unwrap_or_default();
    let clock = Clock::starting_at(Timestamp(EPOCH.after(since).0 + skew));
    shared.trace.note("coordinator", format_args!("starts at {}", clock.now()));
    let store: Arc<dyn Store> = shared.store;
    let listen = ([0, 0, 0, 0], PORT).into();
    let mut config = Config::new(Storage::Store(store), listen, parser());
    (config.lease, config.heartbeat) = (LEASE, HEARTBEAT);
    config.settle_after = Duration::from_secs(4);
    let mut running = Coordinator::serve(config, network::incoming().await?, clock).await?;
    running.wait().await?;
    Ok(())
}

/// A worker's host: its agent is started again whenever it leaves.
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
        });
        let limits = Limits {
            trainer_timeout: Some(Duration::from_secs(6)),
            start_timeout: Duration::from_secs(5),
            idle_timeout: Duration::from_secs(4),
            connect_timeout: None,
            grace: Duration::from_secs(2),
            shutdown_timeout: Duration::from_secs(3),
            // Some lives are short from the beginning, as in a job of a batch system.
            time_limit: chance.percent(25).then(|| chance.millis(15_000, 60_000)),
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
        let place = CoordinatorAddress { url: network::coordinator(), connect_timeout: Duration::ZERO };
        let left = run::serve(agent, connection, &mut trainers, said, stops, &place).await;
        shared.trace.note(worker.as_str(), format_args!("has left: {left:?}"));
        drop(trainers);
        sleep(AGAIN).await;
    }
}

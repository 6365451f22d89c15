//! One history, from its seed to its result.

use std::{collections::BTreeMap, sync::PoisonError, sync::atomic::Ordering, time::Duration};

use turmoil::{Builder, Sim};

use crate::{
    audit::audit,
    hosts::{self, Shared},
    network::COORDINATOR,
    person::{Findings, Found, Person},
    trace::Trace,
    trouble::{CALM_AT, Trouble, WORKERS, script},
};

/// The step of virtual time on each host.
const TICK: Duration = Duration::from_millis(20);
/// A limit that no history reaches.
const LONGEST: Duration = Duration::from_secs(600);

/// The result of a history.
#[derive(Debug)]
pub struct History {
    /// What the person received at the end, by the sweep's name.
    pub found: BTreeMap<String, Found>,
    /// Everything that happened.
    pub trace: Trace,
    /// The reason, if the history did not end.
    pub stuck: Option<String>,
    /// Its duration in virtual time.
    pub lasted: Duration,
}

impl History {
    /// A history with the troubles that the seed gives.
    #[must_use]
    pub fn troubled(seed: u64) -> Self {
        Self::of(seed, script(seed), true)
    }

    /// A history with only the troubles that always happen.
    #[must_use]
    pub fn undisturbed(seed: u64) -> Self {
        Self::of(seed, Vec::new(), false)
    }

    /// A history with these troubles, in which trainers do not fail and the person only submits and waits.
    #[must_use]
    pub fn with(seed: u64, troubles: Vec<(Duration, Trouble)>) -> Self {
        Self::of(seed, troubles, false)
    }

    fn of(seed: u64, troubles: Vec<(Duration, Trouble)>, whims: bool) -> Self {
        let shared = Shared::new(seed);
        shared.calm.store(!whims, Ordering::Relaxed);
        let listening = shared.trace.listen();
        let findings = Findings::default();
        let mut sim = world(&shared, &findings, whims);
        let mut troubles = troubles.into_iter().peekable();
        let stuck = loop {
            while let Some((_, trouble)) = troubles.next_if(|(at, _)| *at <= sim.elapsed()) {
                trouble.happen(&mut sim, &shared);
            }
            if whims && sim.elapsed() >= CALM_AT {
                shared.calm.store(true, Ordering::Relaxed);
            }
            match sim.step() {
                Ok(false) => {}
                Ok(true) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        let lasted = sim.elapsed();
        drop(sim);
        audit(&shared.store, &shared.trace);
        drop(listening);
        let found = findings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { found, trace: shared.trace, stuck, lasted }
    }

    /// Everything that is wrong with the history; empty if nothing is.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        self.stuck.iter().cloned().chain(self.trace.wrongs()).collect()
    }
}

fn world(shared: &Shared, findings: &Findings, whims: bool) -> Sim<'static> {
    let mut sim = Builder::new()
        .rng_seed(shared.seed)
        .tick_duration(TICK)
        .simulation_duration(LONGEST)
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(TICK)
        .repair_rate(0.2)
        .tcp_capacity(4096)
        .build();
    let coordinators = shared.clone();
    sim.host(COORDINATOR, move || hosts::coordinator(coordinators.clone()));
    for (host, cohorts) in WORKERS {
        let workers = shared.clone();
        sim.host(host, move || hosts::worker(workers.clone(), host, cohorts));
    }
    sim.client("person", Person::new(shared.clone()).live(whims, findings.clone()));
    sim
}

//! One history, from its seed to what is left of it.

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

/// How much virtual time passes at once on each host.
const TICK: Duration = Duration::from_millis(20);
/// Everything has ended long before.
const LONGEST: Duration = Duration::from_secs(600);

/// What is left of a history.
#[derive(Debug)]
pub struct History {
    /// What the person found at the end, by the sweep's name.
    pub found: BTreeMap<String, Found>,
    /// All that happened.
    pub trace: Trace,
    /// Why it did not come to its end, if so.
    pub stuck: Option<String>,
    /// How long it took, in virtual time.
    pub lasted: Duration,
}

impl History {
    /// A history with the troubles of its seed.
    #[must_use]
    pub fn troubled(seed: u64) -> Self {
        Self::of(seed, script(seed), true)
    }

    /// A history in which nothing goes wrong, but what always does.
    #[must_use]
    pub fn undisturbed(seed: u64) -> Self {
        Self::of(seed, Vec::new(), false)
    }

    /// A history in which trainers do well and people ask for nothing, with these troubles.
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

    /// What is wrong with it; nothing, if all is well.
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

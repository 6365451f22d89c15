//! Makes the answer to a scrape.

use std::sync::atomic::AtomicU64;

use colearn_access::ServerAccess;
use colearn_core::pools::JobState;
use prometheus_client::{
    encoding::{prometheus_text, text},
    metrics::{counter::ConstCounter, counter::Counter, family::Family, gauge::ConstGauge, gauge::Gauge},
    registry::Registry,
};

use super::{
    Metrics,
    process::Process,
    seen::{Seen, SweepLine, WorkerLine, WorkerTotals},
};
use crate::{
    engine::{EngineHandle, Stopped},
    pools::{PoolsHandle, Shown},
    rpc::Usages,
    store::{Store, StoreFigures},
};

/// Labels with values that are not known beforehand.
pub(super) type Named<const N: usize> = [(&'static str, String); N];
pub(super) type Gauges<const N: usize> = Family<Named<N>, Gauge<u64, AtomicU64>>;

/// The answer to a scrape.
#[derive(Debug)]
pub(crate) struct Scraped {
    /// The type of its content.
    pub(crate) content_type: &'static str,
    pub(crate) text: String,
}

/// What is asked at a scrape, beside what is counted.
#[derive(Debug, Default)]
pub(super) struct Present {
    pub(super) seen: Seen,
    pub(super) waiting: usize,
    pub(super) store: StoreFigures,
    pub(super) pools: Shown,
    /// When the certificate ends, in seconds since the Unix epoch.
    pub(super) until: Option<i64>,
    pub(super) process: Option<Process>,
}

impl Metrics {
    /// Answers a scrape by a client that accepts these formats.
    ///
    /// # Errors
    /// If the engine has stopped.
    pub(crate) async fn scrape(
        &self,
        engine: &EngineHandle,
        store: &dyn Store,
        pools: &PoolsHandle,
        access: Option<&ServerAccess>,
        usages: &Usages,
        accepted: &str,
    ) -> Result<Scraped, Stopped> {
        let waiting = engine.waiting();
        let present = Present {
            seen: engine.ask(Seen::of).await?.with_usage(usages),
            waiting,
            store: store.figures(),
            // Without a manager no pool does anything, and the store would have to be read.
            pools: if pools.is_managed() {
                pools.shown().await.unwrap_or_default()
            } else {
                Shown::default()
            },
            until: access.map(|access| access.until().0),
            process: Process::look(),
        };
        Ok(self.encode(present, accepted))
    }

    pub(super) fn encode(&self, present: Present, accepted: &str) -> Scraped {
        let registry = self.registry(present);
        let mut text = String::new();
        // A String takes everything.
        let content_type = if accepted.contains("application/openmetrics-text") {
            let _ = text::encode(&mut text, &registry);
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            let _ = prometheus_text::encode(&mut text, &registry);
            "text/plain; version=0.0.4; charset=utf-8"
        };
        Scraped { content_type, text }
    }

    fn registry(&self, present: Present) -> Registry {
        let mut registry = Registry::default();
        let into = &mut registry;
        let Present { seen, waiting, store, pools, until, process } = present;
        let info = Gauges::default();
        info.get_or_create(&[("version", env!("CARGO_PKG_VERSION").to_owned())]).set(1);
        into.register("colearn_build_info", "The version of this coordinator; always 1", info);
        let states = Gauges::default();
        for (state, sweeps) in ["active", "complete", "failed", "cancelled"].into_iter().zip(seen.by_state) {
            states.get_or_create(&[("state", state.to_owned())]).set(sweeps);
        }
        into.register("colearn_sweeps", "Sweeps that are kept, by state", states);
        sweeps(into, seen.sweeps);
        super::usage::register(into, &seen.each);
        workers(into, &seen.workers, seen.each);
        self.counted(into);
        into.register(
            "colearn_engine_inputs_waiting",
            "Inputs that wait for the engine; it takes no more than 1024",
            ConstGauge::new(waiting as u64),
        );
        let StoreFigures { database_bytes, log_bytes, written_bytes } = store;
        into.register(
            "colearn_store_database_bytes",
            "Size of the database on the disk, without its log",
            ConstGauge::new(database_bytes),
        );
        into.register("colearn_store_log_bytes", "Size of the database's log", ConstGauge::new(log_bytes));
        into.register(
            "colearn_store_written_bytes",
            "Bytes of journal entries and results that were written",
            ConstCounter::new(written_bytes),
        );
        jobs(into, &pools);
        if let Some(until) = until {
            into.register(
                "colearn_certificate_expiry_timestamp_seconds",
                "When the certificate of this coordinator ends, in seconds since the Unix epoch",
                ConstGauge::new(until),
            );
        }
        if let Some(process) = process {
            of_process(into, process);
        }
        registry
    }

    fn counted(&self, into: &mut Registry) {
        let mut count =
            |name: &str, help: &str, counter: &Counter| into.register(name, help, counter.clone());
        count(
            "colearn_sweeps_submitted",
            "Submissions of sweeps that changed something",
            &self.sweeps_submitted,
        );
        count("colearn_tasks_finished", "Tasks whose result was recorded", &self.tasks_finished);
        count("colearn_tasks_failed", "Tasks that failed and are not tried again", &self.tasks_failed);
        count("colearn_leases_granted", "Leases that were granted", &self.leases_granted);
        count("colearn_leases_expired", "Leases whose worker was silent for too long", &self.leases_expired);
        count("colearn_leases_released", "Leases that workers returned", &self.leases_released);
        count("colearn_workers_set_aside", "Times that a worker was set aside", &self.workers_set_aside);
        count("colearn_workers_restored", "Times that a worker was restored", &self.workers_restored);
        into.register("colearn_sweeps_ended", "Sweeps that have ended, by state", self.sweeps_ended.clone());
        into.register(
            "colearn_attempts_failed",
            "Attempts at tasks that failed, by reason; attempts of lost workers are expired leases",
            self.attempts_failed.clone(),
        );
        into.register(
            "colearn_engine_turn_duration_seconds",
            "Time of a turn of the engine that took inputs, including the commit",
            self.turn_seconds.clone(),
        );
        into.register(
            "colearn_engine_turn_inputs",
            "Inputs that a turn of the engine took",
            self.turn_inputs.clone(),
        );
        into.register(
            "colearn_store_commit_duration_seconds",
            "Time until a batch was durable",
            self.commit_seconds.clone(),
        );
        into.register(
            "colearn_store_commit_rows",
            "Journal entries and results in a batch",
            self.commit_rows.clone(),
        );
        self.calls.register(into);
        self.notifications.register(into);
    }
}

fn sweeps(into: &mut Registry, lines: Vec<SweepLine>) {
    let (tasks, retried, paused, without) =
        (Gauges::<2>::default(), Gauges::<1>::default(), Gauges::<1>::default(), Gauges::<1>::default());
    let epochs = Gauges::<2>::default();
    for SweepLine {
        name,
        counts,
        retried: attempts,
        epochs: (done, total),
        paused: is_paused,
        without_worker,
    } in lines
    {
        for (state, number) in [
            ("pending", counts.pending),
            ("running", counts.running),
            ("done", counts.done),
            ("failed", counts.failed),
            ("cancelled", counts.cancelled),
        ] {
            tasks.get_or_create(&[("sweep", name.clone()), ("state", state.to_owned())]).set(number.into());
        }
        for (state, number) in [("finished", done), ("total", total)] {
            epochs.get_or_create(&[("sweep", name.clone()), ("state", state.to_owned())]).set(number);
        }
        let name = [("sweep", name)];
        retried.get_or_create(&name).set(attempts);
        paused.get_or_create(&name).set(is_paused);
        without.get_or_create(&name).set(without_worker);
    }
    into.register("colearn_sweep_tasks", "Tasks of an active sweep, by state", tasks);
    into.register("colearn_sweep_running_epochs", "Epochs of an active sweep's running tasks", epochs);
    into.register(
        "colearn_sweep_retried_attempts",
        "Attempts of an active sweep that were tried again",
        retried,
    );
    into.register("colearn_sweep_paused", "Whether an active sweep is paused", paused);
    into.register(
        "colearn_sweep_without_worker",
        "Whether no slot of a connected worker can ever take an active sweep's pending tasks",
        without,
    );
}

fn workers(into: &mut Registry, totals: &WorkerTotals, lines: Vec<WorkerLine>) {
    let WorkerTotals { connected, away, draining, set_aside, slots, leases } = *totals;
    let states = Gauges::default();
    for (state, number) in
        [("connected", connected), ("away", away), ("draining", draining), ("set_aside", set_aside)]
    {
        states.get_or_create(&[("state", state.to_owned())]).set(number);
    }
    into.register(
        "colearn_workers",
        "Workers by state: connected; away with leases; and of these, draining and set aside",
        states,
    );
    into.register("colearn_slots", "Slots of the connected workers", ConstGauge::new(slots));
    into.register("colearn_leases", "Active leases: each has a slot", ConstGauge::new(leases));
    let (of_each, running) = (Gauges::default(), Gauges::default());
    for WorkerLine { id, slots, tasks, .. } in lines {
        let labels = [("worker", id)];
        of_each.get_or_create(&labels).set(slots);
        running.get_or_create(&labels).set(tasks);
    }
    into.register("colearn_worker_slots", "Slots of a worker", of_each);
    into.register("colearn_worker_running_tasks", "Running tasks of a worker", running);
}

fn jobs(into: &mut Registry, pools: &Shown) {
    let (jobs, paused) = (Gauges::default(), Gauges::default());
    for (name, pool) in &pools.pools.0 {
        let name = name.to_string();
        for (state, label) in [
            (JobState::Submitting, "submitting"),
            (JobState::Queued, "queued"),
            (JobState::Running, "running"),
        ] {
            let number = pool.jobs.values().filter(|job| job.state == state).count() as u64;
            jobs.get_or_create(&[("pool", name.clone()), ("state", label.to_owned())]).set(number);
        }
        paused.get_or_create(&[("pool", name)]).set(pool.pause.is_some().into());
    }
    into.register("colearn_pool_jobs", "Jobs of a pool in its batch system, by state", jobs);
    into.register(
        "colearn_pool_paused",
        "Whether a pool submits no jobs, because of a person or of failures",
        paused,
    );
    into.register(
        "colearn_pool_trouble",
        "Whether the batch system could not be asked last time",
        ConstGauge::new(u64::from(pools.trouble.is_some())),
    );
}

fn of_process(into: &mut Registry, process: Process) {
    let Process { cpu_seconds, resident_bytes, virtual_bytes, threads, open_files, start_seconds } = process;
    into.register("process_cpu_seconds", "Processor time of this process", ConstCounter::new(cpu_seconds));
    into.register("process_resident_memory_bytes", "Memory of this process", ConstGauge::new(resident_bytes));
    into.register(
        "process_virtual_memory_bytes",
        "Virtual memory of this process",
        ConstGauge::new(virtual_bytes),
    );
    into.register("process_threads", "Threads of this process", ConstGauge::new(threads));
    into.register("process_open_fds", "Open files of this process", ConstGauge::new(open_files));
    into.register(
        "process_start_time_seconds",
        "When this process started, in seconds since the Unix epoch",
        ConstGauge::new(start_seconds),
    );
}

//! The page lists what is served, and what is served is bounded.

use std::{collections::BTreeSet, fs};

use colearn_core::{
    pools::{Pause, Pool, PoolName, PoolSettings, Pools, WorkerSettings},
    scheduler::TaskCounts,
    time::Timestamp,
};

use colearn_proto::v1::{GpuUsage, Usage};

use super::{
    Metrics,
    process::Process,
    registry::Present,
    seen::{OTHERS, Seen, SweepLine, WorkerLine},
};
use crate::{pools::Shown, store::Receiver};

fn present() -> Present {
    let sweep = SweepLine { name: "demo".to_owned(), counts: TaskCounts::default(), ..SweepLine::default() };
    let seen = Seen {
        sweeps: vec![sweep],
        each: vec![WorkerLine { id: "w-1".to_owned(), usage: Some(usage()), ..WorkerLine::default() }],
        ..Seen::default()
    };
    let process = Some(Process::default());
    let mut pool = Pool::new(settings(), "x1".to_owned(), Timestamp(0));
    pool.pause = Some(Pause::Person);
    let pools = Pools([(pool.settings.name.clone(), pool)].into());
    Present { seen, until: Some(1), process, pools: Shown { pools, trouble: None }, ..Present::default() }
}

fn usage() -> Usage {
    let gpu = GpuUsage { uuid: "GPU-0a".to_owned(), busy_percent: Some(50), ..GpuUsage::default() };
    Usage {
        processors: Some(2500),
        busy: Some(1250),
        own_busy: Some(1000),
        memory_bytes: Some(100),
        used_bytes: Some(70),
        own_bytes: Some(0),
        gpus: vec![GpuUsage { memory_bytes: Some(10), used_bytes: Some(5), ..gpu }],
        ..Usage::default()
    }
}

fn settings() -> PoolSettings {
    PoolSettings {
        name: PoolName::new("gpu").unwrap(),
        max_workers: 3,
        min_workers: 0,
        idle_seconds: 300,
        time_limit_seconds: None,
        slots: 1,
        gpu: false,
        worker: WorkerSettings {
            program: "/w".to_owned(),
            coordinator: "http://login1:7117".to_owned(),
            data_dir: None,
            checkpoints: None,
            access: None,
            allow_programs: true,
            programs_only: false,
            labels: BTreeSet::new(),
            arguments: Vec::new(),
        },
        log_dir: "/logs".to_owned(),
        arguments: Vec::new(),
    }
}

/// Everything that can be served, with a value of each label.
fn everything() -> Metrics {
    let metrics = Metrics::default();
    metrics.sweeps_ended.get_or_create(&[("state", "complete")]).inc();
    metrics.attempts_failed.get_or_create(&[("reason", "crash")]).inc();
    metrics.notifications.tried(Receiver::Webhook, true);
    metrics.notifications.waiting(Receiver::Webhook, 0);
    metrics.calls.one_of_each();
    metrics
}

/// The names, types and help of all metrics, as Prometheus names them.
fn families(text: &str) -> BTreeSet<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

#[test]
fn the_page_lists_every_metric_and_no_other() {
    let served = families(&everything().encode(present(), "").text);
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/monitoring.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` | "));
    let listed: BTreeSet<(String, String)> = rows
        .filter(|(name, _)| name.starts_with("colearn_") || name.starts_with("process_"))
        .map(|(name, rest)| {
            (name.to_owned(), rest.split_once(" |").map_or(rest, |(kind, _)| kind).to_owned())
        })
        .collect();
    let missing: Vec<_> = served.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&served).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:#?}\nnot served: {unknown:#?}");
}

#[test]
fn a_scrape_is_answered_in_the_format_that_is_asked_for() {
    let open = everything().encode(present(), "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    assert!(open.content_type.starts_with("application/openmetrics-text"));
    assert!(open.text.ends_with("# EOF\n"), "{}", open.text);
    let plain = everything().encode(present(), "*/*");
    assert!(plain.content_type.starts_with("text/plain; version=0.0.4"));
    assert!(
        plain.text.contains("# TYPE colearn_tasks_finished_total counter\ncolearn_tasks_finished_total 0\n")
    );
    assert!(
        plain.text.contains("colearn_grpc_requests_total{method=\"unknown\",code=\"OK\"} 1"),
        "{}",
        plain.text
    );
}

#[test]
fn counters_are_there_before_anything_is_counted() {
    let text = Metrics::default().encode(present(), "").text;
    for line in [
        "colearn_sweeps_ended_total{state=\"failed\"} 0",
        "colearn_attempts_failed_total{reason=\"out_of_memory\"} 0",
        "colearn_notifications_total{receiver=\"webhook\",outcome=\"failed\"} 0",
    ] {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn a_paused_pool_is_seen() {
    let text = everything().encode(present(), "").text;
    for line in ["colearn_pool_paused{pool=\"gpu\"} 1", "colearn_pool_jobs{pool=\"gpu\",state=\"queued\"} 0"]
    {
        assert!(text.lines().any(|it| it == line), "{line}\n{text}");
    }
}

#[test]
fn only_so_many_sweeps_have_series_of_their_own() {
    let mut seen = Seen::default();
    for number in 0..250_u32 {
        let counts = TaskCounts { pending: 2, done: number, ..TaskCounts::default() };
        seen.add_sweep(SweepLine { name: format!("s{number}"), counts, paused: 1, ..SweepLine::default() });
    }
    assert_eq!(seen.sweeps.len(), 101);
    let others = seen.sweeps.last().unwrap();
    assert_eq!((others.name.as_str(), others.counts.pending, others.paused), (OTHERS, 300, 150));
    assert_eq!(others.counts.done, (100..250).sum::<u32>());
}

#[test]
fn only_so_many_workers_have_series_of_their_own() {
    let mut seen = Seen::default();
    for number in 0..300_u64 {
        seen.add_worker(|| format!("w-{number}"), 2, 1);
    }
    assert_eq!(seen.each.len(), 257);
    let others = seen.each.last().unwrap();
    assert_eq!((others.id.as_str(), others.slots, others.tasks), (OTHERS, 88, 44));
}

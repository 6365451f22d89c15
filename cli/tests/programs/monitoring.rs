//! A real Prometheus scrapes a real coordinator, and the rules and the dashboard fit what it gets.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use regex::Regex;
use serde_json::Value;

use crate::{
    http::{encoded, get, try_get},
    lab::{Lab, Running, text},
};

const INSTALL: &str = "apt-get install --no-install-recommends prometheus";

/// Metrics that have no series unless something fails, or there are pools or GPUs.
const RARE: [&str; 6] = [
    "colearn_attempts_failed_total",
    "colearn_pool_jobs",
    "colearn_pool_paused",
    "colearn_worker_gpu_busy_ratio",
    "colearn_worker_gpu_memory_bytes",
    "colearn_worker_gpu_memory_used_bytes",
];

/// Whether Prometheus is installed. If it is not, this says how to install it.
fn is_installed() -> bool {
    let there = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    };
    let installed = there("prometheus") && there("promtool");
    if !installed {
        eprintln!("SKIPPED: Prometheus is missing; install it with: {INSTALL}");
        assert!(
            std::env::var_os("COLEARN_NEED_PROMETHEUS").is_none(),
            "Prometheus is not installed: {INSTALL}"
        );
    }
    installed
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring").join(name)
}

/// Runs promtool on files of deploy/monitoring, or on a text.
fn promtool(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(shipped("."))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
    said
}

/// The queries of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_slice(&fs::read(shipped("grafana.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    targets.map(|target| target["expr"].as_str().unwrap().to_owned()).collect()
}

/// The metrics that texts name.
fn named_in<'a>(texts: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    let name = Regex::new(r"\b(colearn|process)_[a-z_]+").unwrap();
    texts.into_iter().flat_map(|text| name.find_iter(text)).map(|found| found.as_str().to_owned()).collect()
}

#[test]
fn alerts_fire_when_they_should_and_only_then() {
    if !is_installed() {
        return;
    }
    promtool(&["check", "rules", "alerts.yml"], "");
    promtool(&["test", "rules", "alerts_test.yml"], "");
    promtool(&["check", "config", "--syntax-only", "prometheus.yml"], "");
    promtool(&["check", "config", "--syntax-only", "prometheus-tls.yml"], "");
    // Each alert has a test in which it fires.
    let (rules, tests) =
        (fs::read_to_string(shipped("alerts.yml")), fs::read_to_string(shipped("alerts_test.yml")));
    let (rules, tests) = (rules.unwrap(), tests.unwrap());
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        let fires = tests.contains(&format!("alertname: {name}\n        exp_alerts:"));
        assert!(fires, "{name} fires in no test");
    }
}

#[test]
fn what_a_coordinator_says_keeps_the_conventions() {
    if !is_installed() {
        return;
    }
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    assert_eq!(promtool(&["check", "metrics"], &get(&url, "/metrics")), "");
    let target = ["--coordinator", &url];
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let waiting = get(&url, "/metrics");
    assert!(waiting.contains("colearn_sweep_tasks{sweep=\"small\",state=\"pending\"} 6\n"), "{waiting}");
    assert!(waiting.contains("colearn_sweep_without_worker{sweep=\"small\"} 1\n"), "{waiting}");
    let _worker = lab.worker(&url, "one");
    lab.wait_for("epochs", || {
        let during = get(&url, "/metrics");
        let has = |line: &str| during.lines().any(|it| it == line);
        has("colearn_sweep_tasks{sweep=\"small\",state=\"running\"} 1")
            && has("colearn_sweep_running_epochs{sweep=\"small\",state=\"total\"} 6")
    });
    lab.wait_until(&target, |status| status["state"] == "complete");
    let after = get(&url, "/metrics");
    for line in [
        "colearn_sweeps{state=\"complete\"} 1",
        "colearn_sweeps_ended_total{state=\"complete\"} 1",
        "colearn_tasks_finished_total 6",
        "colearn_leases_granted_total 6",
        "colearn_leases 0",
        "colearn_grpc_requests_total{method=\"colearn.v1.SweepService/SubmitSweep\",code=\"OK\"} 1",
    ] {
        assert!(after.lines().any(|it| it == line), "{line}\n{after}");
    }
    assert!(!after.contains("sweep=\"small\""), "{after}");
    assert_eq!(promtool(&["check", "metrics"], &after), "");
}

/// A Prometheus with this configuration, and its address.
fn prometheus(lab: &Lab) -> (Running, String) {
    let log = lab.path().join("prometheus.log");
    let child = Command::new("prometheus")
        .args([
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=tsdb",
            "--web.listen-address=127.0.0.1:0",
        ])
        .current_dir(lab.path().join("prometheus"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let running = Running(child);
    let listening = Regex::new(r#"msg="Listening on" address=(127\.0\.0\.1:\d+)"#).unwrap();
    let mut address = None;
    lab.wait_for("Prometheus", || {
        let log = fs::read_to_string(&log).unwrap();
        address = listening.captures(&log).map(|found| found[1].to_owned());
        address.as_ref().is_some_and(|address| try_get(address, "/-/ready").is_ok())
    });
    (running, address.unwrap())
}

fn ask(address: &str, query: &str) -> Vec<Value> {
    let answer = get(address, &format!("/api/v1/query?query={}", encoded(query)));
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["data"]["result"].as_array().unwrap().clone()
}

#[test]
fn prometheus_answers_what_the_dashboard_and_the_alerts_ask() {
    if !is_installed() {
        return;
    }
    let lab = Lab::new();
    let options = ["--secure", "--on-event", "true"];
    let (_coordinator, url) = lab.coordinator_with("127.0.0.1:0", &options);
    let folder = lab.path().join("prometheus");
    fs::create_dir_all(folder.join("colearn")).unwrap();
    let parts = lab.colearn(&["access", "pem", "state/access/look.access", "--out", "prometheus/colearn"]);
    let said = text(&parts.stdout);
    let name = said.lines().find_map(|line| line.rsplit_once("for the name: ")).unwrap().1;
    // The shipped configuration, with the address, the name and shorter intervals.
    let shipped_config = fs::read_to_string(shipped("prometheus-tls.yml")).unwrap();
    let config = shipped_config
        .replace("HOST:7117", url.trim_start_matches("https://"))
        .replace("server_name: NAME", &format!("server_name: {name}"))
        .replace("15s", "200ms");
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    fs::copy(shipped("alerts.yml"), folder.join("alerts.yml")).unwrap();
    let (_prometheus, address) = prometheus(&lab);
    // It looks for targets some seconds after its start.
    let is_up = || ask(&address, "up{job=\"colearn\"}").first().is_some_and(|up| up["value"][1] == "1");
    lab.wait_for("the first scrape", is_up);
    let _worker = lab.worker(&url, "one");
    let target = ["--coordinator", &url];
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    lab.wait_until(&target, |status| status["state"] == "complete");

    let (queries, alerts) = (queries(), fs::read_to_string(shipped("alerts.yml")).unwrap());
    let expressions = alerts.lines().filter(|line| !line.trim_start().starts_with("- alert"));
    for metric in named_in(queries.iter().map(String::as_str).chain(expressions)) {
        if RARE.contains(&metric.as_str()) {
            continue;
        }
        // The series of the sweep have ended with it.
        lab.wait_for(&metric, || !ask(&address, &format!("last_over_time({metric}[10m])")).is_empty());
    }
    for query in &queries {
        let query =
            query.replace("$__rate_interval", "30s").replace("$job", "colearn").replace("$instance", ".+");
        // A query that Prometheus refuses fails here.
        ask(&address, &query);
    }
    lab.wait_for("a scrape in time", is_up);
    let finished = "max_over_time(colearn_tasks_finished_total[10m])";
    lab.wait_for("the last result", || ask(&address, finished)[0]["value"][1] == "6");
    let loaded: Value = serde_json::from_str(&get(&address, "/api/v1/rules")).unwrap();
    let rules = loaded["data"]["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10 && rules.iter().all(|rule| rule["health"] != "err"), "{loaded:#}");
}

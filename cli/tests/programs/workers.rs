//! Workers that are stopped or cancelled, and trainers that fail, with the real programs over gRPC.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::Value;

use crate::lab::{Lab, largest_difference, text};

/// One task of many epochs, with a checkpoint only on request.
const LONG: &str = "\
name: small
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 16, layers: 1, dropout: 0.2}
training: {epochs: 400, batch_size: 32, learning_rate: 0.003}
modality_dropout: {audio: 0.5, video: 0.5}
seeds: [3]
checkpoint: {every_epochs: 1000}
";

/// Three configurations with two seeds, which fit into one cohort.
const GRID: &str = "\
name: small
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.2}
training: {epochs: 2, batch_size: 32, learning_rate: 0.003}
parameters:
  modality_dropout.audio: [0.25, 0.5, 0.75]
seeds: [0, 1]
retries: {initial_backoff: 0s, max_attempts: 2}
";

fn said(lab: &Lab, url: &str, arguments: &[&str]) -> String {
    let output = lab.colearn(&[arguments, &["--coordinator", url]].concat());
    assert!(output.status.success(), "colearn {arguments:?}: {}\n{}", text(&output.stderr), lab.logs());
    text(&output.stdout)
}

fn tasks(lab: &Lab, url: &str) -> Vec<Value> {
    tasks_of(lab, &["--coordinator", url])
}

fn tasks_of(lab: &Lab, target: &[&str]) -> Vec<Value> {
    let tasks = lab.json(&[&["tasks", "small", "--json"], target].concat());
    tasks["tasks"].as_array().unwrap().clone()
}

/// The path of the first task: `small/CONFIGURATION/SEED`.
fn path_of(task: &Value) -> String {
    format!("small/{}/{}", task["configuration"].as_str().unwrap(), task["seed"])
}

fn undisturbed(lab: &Lab) -> Value {
    let run = ["run", "small.yaml", "--state", "undisturbed", "--slots", "1", "--threads", "1"];
    let output = lab.colearn(&[&run[..], &["--format", "json", "--device", "cpu"]].concat());
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Waits until the first task has trained this number of epochs; it has enough of them for a busy machine.
fn wait_for_epochs(lab: &Lab, target: &[&str], epochs: u64) {
    lab.wait_for("some epochs", || tasks_of(lab, target)[0]["epoch"].as_u64() >= Some(epochs));
}

#[test]
fn a_drained_worker_leaves_a_checkpoint_from_which_another_goes_on_bit_by_bit() {
    let lab = Lab::new();
    lab.write("small.yaml", LONG);
    let expected = undisturbed(&lab);
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    said(&lab, &url, &["submit", "small.yaml"]);
    let first = lab.worker(&url, "one");
    wait_for_epochs(&lab, &["--coordinator", &url], 2);
    said(&lab, &url, &["drain", "one", "--now"]);
    assert_eq!(first.code(), 0, "{}", lab.logs());
    let parked = tasks(&lab, &url);
    assert_eq!(parked[0]["state"], "pending", "{parked:?}");

    let _second = lab.worker(&url, "two");
    said(&lab, &url, &["watch", "small"]);
    assert!(lab.logs().contains("continues after epoch"), "{}", lab.logs());
    assert_eq!(tasks(&lab, &url)[0]["attempts"], 1, "to be drained costs no attempt");
    let table = lab.json(&["results", "small", "--format", "json", "--coordinator", &url]);
    assert_eq!(largest_difference(&expected["configurations"], &table["configurations"]), 0.0);
}

#[test]
fn an_interrupted_run_goes_on_after_the_epoch_it_was_in() {
    let lab = Lab::new();
    lab.write("small.yaml", LONG);
    let expected = undisturbed(&lab);
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let first = lab.start(&run);
    let log = || std::fs::read_to_string(lab.path().join("state/worker.log")).unwrap_or_default();
    lab.wait_until(&["--state", "state"], |status| status["tasks"]["running"] == 1);
    wait_for_epochs(&lab, &["--state", "state"], 2);
    first.interrupt();
    assert_eq!(first.code(), 130, "{}", lab.logs());
    assert!(log().contains("is parked"), "{}", lab.logs());
    let output = lab.colearn(&run);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    assert!(log().contains("continues after epoch"), "{}", lab.logs());
    let table = lab.json(&["results", "small", "--state", "state", "--format", "json"]);
    assert_eq!(largest_difference(&expected["configurations"], &table["configurations"]), 0.0);
}

#[test]
fn a_signal_that_reaches_the_trainer_too_parks_all_the_same() {
    let lab = Lab::new();
    lab.write("small.yaml", &LONG.replace("{epochs: 100", "{epochs: 30000"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    said(&lab, &url, &["submit", "small.yaml"]);
    let worker = lab.worker(&url, "one");
    wait_for_epochs(&lab, &["--coordinator", &url], 2);
    // As `killall colearn-worker` does, or a service manager that stops process groups.
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        kill(worker.trainer().unwrap(), signal).unwrap();
    }
    worker.terminate();
    assert_eq!(worker.code(), 0, "{}", lab.logs());
    assert!(lab.logs().contains("is parked"), "{}", lab.logs());
    let parked = &tasks(&lab, &url)[0];
    assert_eq!((&parked["state"], &parked["attempts"]), (&"pending".into(), &0.into()), "{parked}");
}

#[test]
fn a_cancelled_task_stops_within_seconds_and_a_retry_goes_on_from_its_checkpoint() {
    let lab = Lab::new();
    // The test does not wait for its end, which would take minutes.
    lab.write("small.yaml", &LONG.replace("1000", "1").replace("{epochs: 100", "{epochs: 30000"));
    lab.write("next.yaml", &LONG.replace("name: small", "name: next").replace("{epochs: 100", "{epochs: 1"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    said(&lab, &url, &["submit", "small.yaml"]);
    let _worker = lab.worker(&url, "one");
    wait_for_epochs(&lab, &["--coordinator", &url], 3);
    said(&lab, &url, &["submit", "next.yaml"]);
    let cancelled = Instant::now();
    said(&lab, &url, &["cancel", "small"]);
    // A task listed as running shows what the coordinator wants. The next trained task shows that the slot is free.
    lab.wait_for("the only slot to train the next sweep", || {
        let next = lab.json(&["status", "next", "--json", "--coordinator", &url]);
        next["state"] == "complete"
    });
    assert!(cancelled.elapsed() < Duration::from_secs(30), "{:?}", cancelled.elapsed());
    assert!(lab.path().join("checkpoints").read_dir().unwrap().count() > 0, "checkpoints stay");
    said(&lab, &url, &["retry", "small"]);
    lab.wait_for("the retry to go on", || lab.logs().contains("continues after epoch"));
}

#[test]
fn a_cancelled_configuration_leaves_its_cohort_and_stays_cancelled_though_the_coordinator_is_killed() {
    let lab = Lab::new();
    lab.write("small.yaml", &GRID.replace("epochs: 2", "epochs: 300"));
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    said(&lab, &url, &["submit", "small.yaml"]);
    let _worker = lab.worker_in(&url, "one", &[("COLEARN_MAX_COHORT", "6")]);
    wait_for_epochs(&lab, &["--coordinator", &url], 1);
    let told = said(&lab, &url, &["cancel", "small", "--configuration", "audio=0.5"]);
    coordinator.kill();
    assert!(told.contains("small: 2 tasks cancelled; the sweep goes on: 4 running, 0 pending"), "{told}");
    let unknown = lab.colearn(&["cancel", "small", "--task", "audio=0.5/7", "--coordinator", &url]);
    assert_eq!(unknown.status.code(), Some(5), "nobody answers");

    let (_coordinator, _) = lab.coordinator(url.trim_start_matches("http://"));
    let unknown = lab.colearn(&["cancel", "small", "--task", "audio=0.5/7", "--coordinator", &url]);
    assert_eq!(unknown.status.code(), Some(8), "{}", text(&unknown.stderr));
    assert!(text(&unknown.stderr).contains("has no task"), "{}", text(&unknown.stderr));
    let twice = said(&lab, &url, &["cancel", "small", "--task", "audio=0.5/1"]);
    assert_eq!(twice.lines().next(), Some("small: nothing to cancel: 1 task cancelled before"), "{twice}");
    let status = said(&lab, &url, &["status", "small"]);
    assert!(
        status.lines().any(|line| line.split_whitespace().eq(["audio=0.5", "0", "0", "0", "0", "2"])),
        "{status}"
    );
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert_eq!(watched.status.code(), Some(9), "{}\n{}", text(&watched.stderr), lab.logs());
    assert!(lab.logs().contains("2 tasks of lease"), "the worker was told: {}", lab.logs());
    let table = lab.json(&["results", "small", "--format", "json", "--coordinator", &url]);
    let rows = table["configurations"].as_array().unwrap();
    let n: Vec<_> = rows.iter().map(|row| row["n"].as_u64().unwrap()).collect();
    assert_eq!(n, [2, 0, 2]);
    assert_eq!(rows[1]["cancelled_seeds"], serde_json::json!(["0", "1"]));
    let shown = said(&lab, &url, &["results", "small"]);
    assert!(shown.contains("partial; 2 cancelled: seeds 0, 1"), "{shown}");
    let done = said(&lab, &url, &["cancel", "small", "--seed", "1", "--configuration", "audio=0.25"]);
    assert_eq!(done.lines().next(), Some("small: nothing to cancel: 1 task done before"), "{done}");
    let nothing = said(&lab, &url, &["retry", "small", "--configuration", "audio=0.25"]);
    assert_eq!(nothing, "small: nothing to retry, no such task has failed or was cancelled\n");
    said(&lab, &url, &["retry", "small", "--configuration", "audio=0.5", "--seed", "0"]);
    let states =
        || tasks(&lab, &url).iter().map(|it| it["state"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    lab.wait_for("the retried task to run", || states()[2] == "running");
    assert_eq!(states()[3], "cancelled");
}

#[test]
fn a_configuration_that_keeps_crashing_fails_alone_and_its_last_words_are_kept() {
    let lab = Lab::new();
    lab.write("small.yaml", GRID);
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    said(&lab, &url, &["submit", "small.yaml"]);
    // A segmentation fault of all processes of the trainer.
    let faulty =
        r#"case $line in *'"audio":0.5'*) echo "out of cheese" >&2; sleep 0.2; kill -SEGV 0 ;; esac"#;
    let faulty = lab.faulty_trainer(faulty);
    let environment = [("COLEARN_TRAINER", faulty.as_str()), ("COLEARN_MAX_COHORT", "6")];
    let _worker = lab.worker_in(&url, "one", &environment);
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert_eq!(watched.status.code(), Some(9), "{}\n{}", text(&watched.stderr), lab.logs());
    let tasks = tasks(&lab, &url);
    let states: Vec<&str> = tasks.iter().map(|task| task["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["done", "done", "failed", "failed", "done", "done"], "{tasks:#?}");
    for task in &tasks {
        let attempts = if task["state"] == "failed" { 2 } else { 1 };
        assert_eq!(task["attempts"], attempts, "only who was alone is charged: {task}");
    }
    let failed = said(&lab, &url, &["tasks", "small", "--only", "failed"]);
    assert!(failed.contains("crash"), "{failed}");

    let log = said(&lab, &url, &["logs", &path_of(&tasks[2])]);
    assert!(log.contains("trainer  out of cheese"), "{log}");
    let followed = said(&lab, &url, &["logs", &path_of(&tasks[2]), "--follow"]);
    assert_eq!(followed, log, "a task that has ended says nothing more");
    let log = said(&lab, &url, &["logs", "--worker", "one"]);
    assert!(log.contains("trainer was killed by signal 11"), "{log}");
    assert!(!log.contains("trainer  out of cheese"), "{log}");
}

#[test]
fn a_cohort_that_does_not_fit_into_memory_is_halved_and_costs_no_attempt() {
    let lab = Lab::new();
    lab.write("small.yaml", GRID);
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    said(&lab, &url, &["submit", "small.yaml"]);
    // More than two members are too many.
    let faulty = r#"case $line in *'"attempt"'*'"attempt"'*'"attempt"'*)
    echo "terminate called after throwing an instance of 'std::bad_alloc'" >&2; sleep 0.2; kill -ABRT 0 ;; esac"#;
    let faulty = lab.faulty_trainer(faulty);
    let environment = [("COLEARN_TRAINER", faulty.as_str()), ("COLEARN_MAX_COHORT", "6")];
    let _worker = lab.worker_in(&url, "one", &environment);
    said(&lab, &url, &["watch", "small"]);
    for task in tasks(&lab, &url) {
        assert_eq!((&task["state"], &task["attempts"]), (&"done".into(), &1.into()), "{task}");
    }
    let log = said(&lab, &url, &["logs", "--worker", "one"]);
    assert!(log.contains("out_of_memory"), "{log}");
}

#[test]
fn a_trainer_stays_for_all_tasks_and_sweeps_of_its_worker() {
    let lab = Lab::new();
    lab.write("small.yaml", GRID);
    lab.write("other.yaml", &GRID.replace("name: small", "name: other").replace("hidden: 8", "hidden: 12"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let worker = lab.worker(&url, "one");
    let target = ["--coordinator", url.as_str()];
    let mut trainers = Vec::new();
    for sweep in ["small", "other"] {
        said(&lab, &url, &["submit", &format!("{sweep}.yaml")]);
        said(&lab, &url, &["watch", sweep]);
        let status = lab.json(&[&["status", sweep, "--json"][..], &target].concat());
        assert_eq!(status["state"], "complete", "{status}");
        trainers.push(worker.trainer().expect("it has a trainer"));
    }
    assert_eq!(trainers[0], trainers[1]);
    let log = std::fs::read_to_string(lab.path().join("one.log")).unwrap();
    assert_eq!(log.matches("is ready on").count(), 1, "{log}");
}

#[test]
fn how_busy_a_host_is_is_shown_everywhere() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    let worker = lab.worker(&url, "one");
    let usage = || lab.json(&[&["workers", "--json"], &target[..]].concat())["workers"][0]["usage"].clone();
    lab.wait_for("a measurement", || usage()["processors_busy"].is_number());
    let known = usage();
    for (part, whole) in [("processors_busy", "processors"), ("memory_used", "memory")] {
        let (part, whole) = (known[part].as_f64().unwrap(), known[whole].as_f64().unwrap());
        assert!((0.0..=whole).contains(&part) && whole > 0.0, "{known}");
    }
    assert!(known["memory_used_own"].as_u64().unwrap() > 1_000_000, "{known}");
    let table = said(&lab, &url, &["workers", "--usage"]);
    assert!(table.contains("processors busy") && table.contains(" of "), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let metrics = crate::http::get(&url, "/metrics");
    for name in ["colearn_worker_processors{", "colearn_worker_memory_used_bytes{"] {
        assert!(metrics.contains(name), "{metrics}");
    }
    worker.kill();
    lab.wait_for("the end of the stream", || !usage().is_object());
    assert!(!crate::http::get(&url, "/metrics").contains("colearn_worker_processors{"));
}

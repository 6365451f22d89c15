//! The real programs, end to end, over gRPC on loopback.

use std::path::Path;

use serde_json::Value;

use crate::lab::{Lab, SWEEP, largest_difference, text};

/// Two runs of the same tasks on the same machine may differ only by float rounding.
const ROUNDING: f64 = 1e-4;

fn done(status: &Value) -> u64 {
    status["tasks"]["done"].as_u64().unwrap()
}

fn running(status: &Value) -> u64 {
    status["tasks"]["running"].as_u64().unwrap()
}

/// The table of an undisturbed run.
fn undisturbed(lab: &Lab) -> Value {
    let output = lab.colearn(&[
        "run",
        "small.yaml",
        "--state",
        "undisturbed",
        "--slots",
        "1",
        "--threads",
        "1",
        "--format",
        "json",
        "--device",
        "cpu",
    ]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_run_that_is_interrupted_continues_without_repeating_a_finished_task() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 60"));
    let expected = undisturbed(&lab);
    let configurations = expected["configurations"].as_array().unwrap();
    assert_eq!(configurations.len(), 3);
    for configuration in configurations {
        assert_eq!(
            (configuration["n"].as_u64(), configuration["state"].as_str()),
            (Some(2), Some("complete"))
        );
        let accuracy = &configuration["metrics"]["accuracy"];
        let mean = accuracy["mean"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&mean));
        assert!(
            accuracy["ci_low"].as_f64().unwrap() <= mean && mean <= accuracy["ci_high"].as_f64().unwrap()
        );
    }

    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let target = ["--state", "state"];
    let first = lab.start(&run);
    let before = lab.wait_until(&target, |status| done(status) >= 1 && running(status) >= 1);
    first.interrupt();
    assert_eq!(first.code(), 130, "{}", lab.logs());

    // Other data under the same name would give means of different things.
    let data = lab.path().join("data/demo.safetensors");
    std::fs::rename(&data, data.with_extension("first")).unwrap();
    let arguments = ["data", "generate", "--seed", "1"];
    assert!(lab.colearn(&arguments).status.success());
    let refused = lab.colearn(&run);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused.stderr));
    assert!(
        text(&refused.stderr).contains("another version of data/demo.safetensors"),
        "{}",
        text(&refused.stderr)
    );
    std::fs::rename(data.with_extension("first"), &data).unwrap();

    let kept = done(&lab.json(&["status", "small", "--json", "--state", "state"]));
    assert!(kept >= done(&before) && kept < 6, "{kept} results after the interruption");
    let output = lab.colearn(&run);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    assert!(text(&output.stderr).contains(&format!("known already; {kept} of 6 tasks done")));

    let results = ["results", "small", "--state", "state", "--format", "json"];
    let difference = largest_difference(&expected, &lab.json(&results));
    assert!(difference <= ROUNDING, "the tables differ by {difference}");

    // Again: all results exist, nothing is trained, and the output is the same.
    let again = lab.colearn(&run);
    assert!(again.status.success());
    assert_eq!(text(&again.stdout), text(&output.stdout));
}

#[test]
fn kills_of_worker_and_coordinator_leave_the_table_as_it_was() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 90"));
    let expected = undisturbed(&lab);

    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let twice = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(text(&twice.stderr).contains("known already"), "{}", text(&twice.stderr));

    let victim = lab.worker(&url, "one");
    let _survivor = lab.worker(&url, "two");
    // A task that has just begun is not done when the worker is killed.
    lab.wait_for("a task of the victim", || {
        let tasks = lab.json(&["tasks", "small", "--json", "--coordinator", &url]);
        let begun = |task: &Value| {
            task["worker"].as_str().is_some_and(|worker| worker.starts_with("one-"))
                && task["state"] == "running"
                && (1..45).contains(&task["epoch"].as_u64().unwrap_or(0))
        };
        tasks["tasks"].as_array().unwrap().iter().any(begun)
    });
    victim.kill();

    let before = lab.wait_until(&target, |status| done(status) >= 1 && done(status) < 6);
    coordinator.kill();
    let address = url.trim_start_matches("http://");
    let (_coordinator, _) = lab.coordinator(address);
    let after = lab.json(&["status", "small", "--json", "--coordinator", &url]);
    assert!(done(&after) >= done(&before), "an acknowledged result was lost: {before} then {after}");

    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert_eq!(watched.status.code(), Some(0), "{}\n{}", text(&watched.stderr), lab.logs());
    let status = lab.json(&["status", "small", "--json", "--coordinator", &url]);
    assert_eq!((done(&status), status["state"].as_str()), (6, Some("complete")));
    assert!(status["retried"].as_u64().unwrap() >= 1, "the killed worker's task cost an attempt: {status}");

    let table = lab.json(&["results", "small", "--format", "json", "--coordinator", &url]);
    let difference = largest_difference(&expected, &table);
    assert!(difference <= ROUNDING, "the tables differ by {difference}");
}

#[test]
fn a_run_that_is_killed_costs_its_tasks_no_attempt() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 60"));
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let first = lab.start(&run);
    lab.wait_until(&["--state", "state"], |status| running(status) >= 1);
    first.kill();
    let output = lab.colearn(&run);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let status = lab.json(&["status", "small", "--json", "--state", "state"]);
    assert_eq!((done(&status), status["retried"].as_u64()), (6, Some(0)), "{status}");
}

/// One task of many epochs, killed after it has written a few checkpoints.
#[test]
fn a_killed_task_goes_on_from_its_checkpoint_and_ends_the_same_bit_by_bit() {
    let lab = Lab::new();
    let sweep = "\
name: small
dataset: demo
primary: language
model: {kind: mfn, memory: 16, nn1: 16, nn2: 16, gamma1: 16, gamma2: 16, out: 16}
training: {epochs: 60, batch_size: 32, learning_rate: 0.003}
modality_dropout: {audio: 0.5, video: 0.5}
evaluate: [[audio, language, video]]
seeds: [3]
checkpoint: {every_epochs: 1}
";
    lab.write("small.yaml", sweep);
    let expected = undisturbed(&lab);
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let first = lab.start(&run);
    let folder = lab.path().join("state/checkpoints");
    lab.wait_for("a checkpoint of the fourth epoch", || {
        checkpoints(&folder).iter().any(|name| name.as_str() >= "00000004")
    });
    first.kill();
    assert!(!checkpoints(&folder).is_empty(), "the task ended before it was killed");
    let output = lab.colearn(&run);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let logs = lab.logs();
    let mut resumed = logs.lines().filter(|line| line.contains("continues after epoch")).peekable();
    assert!(resumed.peek().is_some(), "{logs}");
    let is_named = |line: &str| line.contains("small/as-in-file/");
    assert!(resumed.all(is_named), "the trainer names tasks as all programs do: {logs}");

    let table = lab.json(&["results", "small", "--state", "state", "--format", "json"]);
    assert!(table["configurations"][0]["metrics"]["accuracy@audio+language+video"].is_object(), "{table}");
    assert_eq!(largest_difference(&expected, &table), 0.0);
    assert!(checkpoints(&folder).is_empty(), "what is recorded needs no checkpoint");
}

/// The names of the checkpoints below a folder, which begin with the epoch.
fn checkpoints(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names = Vec::new();
    for entry in entries.flatten() {
        if entry.path().is_dir() {
            names.extend(checkpoints(&entry.path()));
        } else {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names
}

#[test]
fn slots_and_cohorts_change_nothing_but_rounding() {
    let lab = Lab::new();
    let expected = undisturbed(&lab);
    for (slots, cohort) in [("2", "1"), ("1", "5")] {
        let state = format!("state-{slots}-{cohort}");
        let output = lab.colearn(&[
            "run",
            "small.yaml",
            "--state",
            &state,
            "--slots",
            slots,
            "--threads",
            "1",
            "--max-cohort",
            cohort,
            "--format",
            "json",
            "--device",
            "cpu",
        ]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let log = std::fs::read_to_string(lab.path().join(&state).join("worker.log")).unwrap();
        let stacked = log.lines().any(|line| line.contains(" trains ") && line.contains(", "));
        assert_eq!(stacked, cohort != "1", "cohorts of {cohort} were not trained as such: {log}");
        let table: Value = serde_json::from_slice(&output.stdout).unwrap();
        let difference = largest_difference(&expected, &table);
        println!("{slots} slots, cohorts of {cohort}: largest difference {difference:e}");
        assert!(difference <= 5e-3, "{slots} slots, cohorts of {cohort}: the tables differ by {difference}");
    }
}

#[test]
fn cancelling_stops_and_keeps() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let _worker = lab.worker(&url, "one");
    lab.wait_until(&target, |status| done(status) >= 1);
    let cancelled = lab.colearn(&["cancel", "small", "--coordinator", &url]);
    let again = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(
        text(&again.stderr).contains("small: cancelled; no more of its tasks will run"),
        "{}",
        text(&again.stderr)
    );
    assert!(cancelled.status.success(), "{}", text(&cancelled.stderr));
    let status = lab.json(&["status", "small", "--json", "--coordinator", &url]);
    assert_eq!(status["state"], "cancelled");
    let tasks = &status["tasks"];
    assert_eq!(tasks["done"].as_u64().unwrap() + tasks["cancelled"].as_u64().unwrap(), 6, "{status}");
    assert!(done(&status) >= 1);
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert_eq!(watched.status.code(), Some(9));
}

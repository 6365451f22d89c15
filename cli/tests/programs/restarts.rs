//! A coordinator that stops, is killed or runs out of disk space while workers are connected, and a store that is
//! read while it is in use.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    chaos::{Ledger, NO_OP, check_store, many},
    lab::{Lab, Running, SWEEP, text},
    small_disk::SmallDisk,
};

/// Enough epochs for a task to be running when its coordinator ends, on any machine.
fn long() -> String {
    SWEEP.replace("epochs: 6", "epochs: 90")
}

fn log(lab: &Lab, name: &str) -> String {
    fs::read_to_string(lab.path().join(name)).unwrap_or_default()
}

/// How often a text occurs in a log.
fn told(lab: &Lab, name: &str, what: &str) -> usize {
    log(lab, name).matches(what).count()
}

fn submit(lab: &Lab, url: &str) {
    let submitted = lab.colearn(&["submit", "small.yaml", "--coordinator", url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
}

/// A coordinator and a training worker, with at least one recorded result. The coordinator ends, the worker continues
/// alone, and the next coordinator has all results.
fn restarted(end: impl Fn(Running)) {
    let lab = Lab::new();
    lab.write("small.yaml", &long().replace("epochs: 90", "epochs: 200"));
    // The worker waits longer and longer before it tries again: the lease is longer than that.
    let start =
        |listen: &str| lab.coordinator_on(listen, "state", 30).unwrap_or_else(|| panic!("{}", lab.logs()));
    let (coordinator, url) = start("127.0.0.1:0");
    submit(&lab, &url);
    let worker = lab.worker(&url, "one");
    let target = ["--coordinator", url.as_str()];
    let mut ledger = Ledger::new(&lab, &["one".to_owned()]);
    lab.wait_until(&target, |status| status["tasks"]["done"].as_u64() >= Some(1));
    ledger.check(&lab, "small", &target);
    // A task that has just begun has enough epochs left to be trained without a coordinator.
    lab.wait_for("a task to begin", || {
        let tasks = lab.json(&[&["tasks", "small", "--json"], &target[..]].concat());
        let begun = |task: &Value| task["state"] == "running" && task["epoch"].as_u64() <= Some(10);
        tasks["tasks"].as_array().unwrap().iter().any(begun)
    });

    end(coordinator);
    lab.wait_for("the stream's end", || told(&lab, "one.log", "no connection to the coordinator") > 0);
    let epochs = told(&lab, "one.log", " epoch ");
    lab.wait_for("training to go on", || told(&lab, "one.log", " epoch ") >= epochs + 3);

    let (_coordinator, _) = start(url.trim_start_matches("http://"));
    let recovered = log(&lab, "coordinator.log");
    let recovered = recovered.lines().find(|line| line.contains(" recovered ")).unwrap();
    assert!(
        recovered.contains("recovered 1 sweep (6 tasks, ") && recovered.contains(", 1 lease) from "),
        "{recovered}"
    );
    ledger.check(&lab, "small", &target);
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert!(watched.status.success(), "{}\n{}", text(&watched.stderr), lab.logs());
    ledger.check(&lab, "small", &target);
    // Watching clients learn of the end before the worker has logged it.
    lab.wait_for("every result to be acknowledged to the one worker there is", || {
        ledger.listen();
        ledger.acknowledged() == 6
    });
    assert_eq!(ledger.repeated(), 0, "a restart costs no attempt");
    assert_eq!(told(&lab, "one.log", "is ready on"), 1, "the trainer was the same throughout");
    check_store(&lab, "state");
    drop(worker);
}

#[test]
fn a_coordinator_that_is_asked_to_stop_leaves_its_workers_training() {
    restarted(|coordinator| {
        coordinator.terminate();
        assert_eq!(coordinator.code(), 0);
    });
}

#[test]
fn a_coordinator_that_is_killed_leaves_its_workers_training() {
    restarted(Running::kill);
}

#[test]
fn a_coordinator_whose_disk_is_full_stops_and_goes_on_when_there_is_space() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(lab.path().join("disk"), 1024) else { return };
    lab.write("small.yaml", &long());
    let start = |listen: &str| {
        lab.coordinator_on(listen, "disk/state", 20).unwrap_or_else(|| panic!("{}", lab.logs()))
    };
    let (coordinator, url) = start("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    submit(&lab, &url);
    let _worker = lab.worker(&url, "one");
    let mut ledger = Ledger::new(&lab, &["one".to_owned()]);
    lab.wait_until(&target, |status| status["tasks"]["done"].as_u64() >= Some(1));
    ledger.check(&lab, "small", &target);

    let hog = disk.fill();
    assert_eq!(coordinator.code(), 6, "{}", lab.logs());
    let said = log(&lab, "coordinator.log");
    let error = said.lines().last().unwrap();
    assert!(error.starts_with("error: results cannot be stored, so the coordinator stops"), "{said}");
    assert!(error.contains("no space is left for database disk/state/colearn.db: free some"), "{error}");
    assert!(!said.contains("panicked"), "{said}");

    hog.remove();
    let (_coordinator, _) = start(url.trim_start_matches("http://"));
    ledger.check(&lab, "small", &target);
    let watched = lab.colearn(&["watch", "small", "--coordinator", &url]);
    assert!(watched.status.success(), "{}\n{}", text(&watched.stderr), lab.logs());
    ledger.check(&lab, "small", &target);
    lab.wait_for("every result to be acknowledged", || {
        ledger.listen();
        ledger.acknowledged() == 6
    });
    assert_eq!(ledger.repeated(), 0, "{}", lab.logs());
    check_store(&lab, "disk/state");
}

#[test]
fn a_busy_store_is_checked_and_copied_with_all_that_was_acknowledged() {
    let lab = Lab::new();
    lab.write("small.yaml", &many(60));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    submit(&lab, &url);
    let workers = ["one".to_owned(), "two".to_owned()];
    let _workers = workers.each_ref().map(|name| lab.worker_with(&url, name, NO_OP));
    let mut ledger = Ledger::new(&lab, &workers);
    let mut copied_before = 0;
    for copy in ["first", "second"] {
        lab.wait_until(&target, |status| status["tasks"]["done"].as_u64() >= Some(copied_before + 300));
        ledger.listen();
        let promised = ledger.acknowledged();
        let file = format!("{copy}.db");
        let backup = lab.colearn(&["db", "backup", &file, "--state", "state"]);
        assert!(backup.status.success(), "{}", text(&backup.stderr));
        check_store(&lab, "state");
        restore(lab.path(), &file, copy);
        check_store(&lab, copy);
        ledger.assert_holds(&lab, "small", &["--state", copy]);
        let held = lab.json(&["status", "small", "--json", "--state", copy]);
        let held = held["tasks"]["done"].as_u64().unwrap();
        println!("{copy} copy: {held} results, {promised} acknowledged before");
        copied_before = held;
    }
    let status = lab.json(&["status", "small", "--json", "--coordinator", &url]);
    println!("{} of 3000 tasks were done after the copies", status["tasks"]["done"]);
    ledger.check(&lab, "small", &target);
}

fn restore(lab: &Path, file: &str, state: &str) {
    fs::create_dir(lab.join(state)).unwrap();
    fs::rename(lab.join(file), lab.join(state).join("colearn.db")).unwrap();
}

//! One bad host among good ones: all tasks are trained, and the bad host is named.

use std::fs;

use crate::lab::{Lab, Running, text};

/// Twelve tasks that take long enough for a second host to get some of them.
const GRID: &str = "\
name: small
dataset: demo
primary: language
model: {kind: bi-eflstm, hidden: 8, layers: 1, dropout: 0.2}
training: {epochs: 30, batch_size: 32, learning_rate: 0.003}
parameters:
  modality_dropout.audio: [0, 0.25, 0.5, 0.75]
seeds: {count: 3}
";

const SLOT: [&str; 6] = ["--slots", "1", "--threads", "1", "--device", "cpu"];

/// A worker with its own folder of data sets.
fn worker_on(lab: &Lab, url: &str, name: &str, folder: &str) -> Running {
    lab.worker_with(url, name, &[&SLOT[..], &["--data-dir", folder]].concat())
}

fn connected(lab: &Lab, url: &str, workers: usize) {
    lab.wait_for("all workers", || {
        let listed = lab.json(&["workers", "--json", "--coordinator", url]);
        listed["workers"].as_array().unwrap().len() == workers
    });
}

/// Asserts that every task is done although at least this number of attempts failed.
fn all_is_done(lab: &Lab, url: &str, failed: u64) {
    let watched = lab.colearn(&["watch", "small", "--coordinator", url]);
    assert!(watched.status.success(), "{}\n{}", text(&watched.stdout), lab.logs());
    let status = lab.json(&["status", "small", "--json", "--coordinator", url]);
    assert_eq!((&status["tasks"]["done"], &status["tasks"]["failed"]), (&12.into(), &0.into()));
    assert!(status["retried"].as_u64().unwrap() >= failed, "the bad host failed nothing: {status:#}");
}

/// Asserts that `colearn workers` and `colearn status` report the bad host in the same way.
fn named(lab: &Lab, url: &str, what: &[&str]) {
    for command in [&["workers"][..], &["status", "small"]] {
        let output = lab.colearn(&[command, &["--coordinator", url]].concat());
        let said = text(&output.stdout);
        for what in what {
            assert!(said.contains(what), "{what:?} is not said by {command:?}:\n{said}\n{}", lab.logs());
        }
    }
}

#[test]
fn hosts_without_the_data_set_do_not_fail_the_sweep() {
    let lab = Lab::new();
    lab.write("small.yaml", GRID);
    fs::create_dir(lab.path().join("missing")).unwrap();
    fs::create_dir(lab.path().join("truncated")).unwrap();
    let whole = fs::read(lab.path().join("data/demo.safetensors")).unwrap();
    fs::write(lab.path().join("truncated/demo.safetensors"), &whole[..whole.len() - 100]).unwrap();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let _good = worker_on(&lab, &url, "one", "data");
    let _bad = [("two", "missing"), ("three", "truncated")].map(|(name, f)| worker_on(&lab, &url, name, f));
    connected(&lab, &url, 3);
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    all_is_done(&lab, &url, 1);
    let no_tasks = "gets no tasks of data set demo: data: ";
    named(&lab, &url, &["three-", no_tasks, "restore it at once with: colearn undrain "]);
    let log = fs::read_to_string(lab.path().join("three.log")).unwrap();
    assert!(log.contains("the coordinator says: this worker gets no tasks of data set `demo`"), "{log}");
    // The worker that reports that it has no data set was never tried.
    let status = lab.json(&["status", "small", "--json", "--coordinator", &url]);
    let without = status["without_data"].as_array().unwrap();
    assert!(without.len() == 1 && without[0]["worker"].as_str().unwrap().starts_with("two-"), "{status:#}");
    let said = lab.colearn(&["status", "small", "--coordinator", &url]);
    assert!(text(&said.stdout).contains("of data set demo: it is not in its data folder"), "{said:?}");
    let log = fs::read_to_string(lab.path().join("two.log")).unwrap();
    assert!(!log.contains("under lease"), "{log}");

    for folder in ["missing", "truncated"] {
        fs::write(lab.path().join(folder).join("demo.safetensors"), &whole).unwrap();
    }
    lab.wait_for("the second host to say that it has the data set", || {
        let status = lab.json(&["status", "small", "--json", "--coordinator", &url]);
        status["without_data"].as_array().unwrap().is_empty()
    });
    let undrain = ["undrain", "three", "--coordinator", &url];
    let output = lab.colearn(&undrain);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let again = lab.colearn(&undrain);
    assert!(text(&again.stderr).contains("neither draining nor set aside"), "{}", text(&again.stderr));
    lab.write("small.yaml", &GRID.replace("count: 3", "count: 5"));
    assert!(lab.colearn(&["extend", "small", "small.yaml", "--coordinator", &url]).status.success());
    let status = lab.wait_until(&["--coordinator", &url], |status| status["state"] == "complete");
    assert_eq!(status["set_aside"].as_array().unwrap().len(), 0, "{status:#}");
}

#[test]
fn a_host_on_which_every_trainer_dies_does_not_fail_the_sweep() {
    let lab = Lab::new();
    lab.write("small.yaml", GRID);
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let dies = lab.faulty_trainer("kill -s ILL $$");
    let _good = worker_on(&lab, &url, "one", "data");
    let _bad = lab.worker_in(&url, "two", &[("COLEARN_TRAINER", &dies)]);
    connected(&lab, &url, 2);
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    all_is_done(&lab, &url, 3);
    named(&lab, &url, &["two-", "is set aside: 3 leases in a row failed there, the last with crash: "]);
    let log = fs::read_to_string(lab.path().join("two.log")).unwrap();
    assert!(log.contains("the coordinator says: this worker is set aside"), "{log}");
}

#[test]
fn a_host_with_another_data_set_gets_nothing_of_a_sweep_that_has_results() {
    let lab = Lab::new();
    lab.write("small.yaml", &GRID.replace("epochs: 30", "epochs: 120"));
    let other = ["data", "generate", "--out", "other/demo.safetensors", "--seed", "7"];
    assert!(lab.colearn(&other).status.success());
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let _good = worker_on(&lab, &url, "one", "data");
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    let target = ["--coordinator", &url];
    lab.wait_until(&target, |status| status["tasks"]["done"].as_u64() >= Some(1));
    let _bad = worker_on(&lab, &url, "two", "other");
    all_is_done(&lab, &url, 1);
    named(&lab, &url, &["two-", "has the digest ", "but the sweep is trained on "]);
    let results = lab.json(&["results", "small", "--format", "json", "--coordinator", &url]);
    let digests = results["data_digests"]["demo"].as_array().unwrap();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

//! Submissions of sweep files: from standard input, under another name, changed, and checked against the data.

use std::{io::Write as _, process::Stdio};

use crate::lab::{Lab, SWEEP, text};

/// A sweep whose training takes a moment.
fn quick() -> String {
    SWEEP.replace("epochs: 6", "epochs: 1")
}

#[test]
fn a_changed_file_says_what_changed_and_what_to_type() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let submit =
        |more: &[&str]| lab.colearn(&[&["submit", "small.yaml", "--coordinator", &url], more].concat());
    assert!(submit(&[]).status.success());
    let changed = SWEEP.replace("epochs: 6", "epochs: 7").replace("[0, 1]", "[0, 1, 2]");
    lab.write("small.yaml", &changed);
    let refused = submit(&[]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    for part in [
        "sweep `small` exists already",
        "\n  training.epochs: 6 -> 7\n",
        "\n  seeds: with 2",
        "--name small-2",
        "colearn extend small small.yaml --coordinator",
        "--replace",
    ] {
        assert!(said.contains(part), "{part:?} is not said:\n{said}");
    }

    assert!(submit(&["--name", "other"]).status.success());
    let replaced = submit(&["--replace"]);
    assert!(replaced.status.success(), "{}", text(&replaced.stderr));
    let tasks = |name: &str| {
        let status = lab.json(&["status", name, "--json", "--coordinator", &url]);
        status["tasks"]["total"].as_u64().unwrap()
    };
    assert_eq!((tasks("small"), tasks("other")), (9, 9));
    let again = submit(&["--replace"]);
    assert!(text(&again.stderr).contains("known already"), "it is replaced once: {}", text(&again.stderr));
}

#[test]
fn a_sweep_file_comes_from_standard_input_too() {
    let lab = Lab::new();
    let piped = |arguments: &[&str], file: &str| {
        let mut child = lab
            .colearn_command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(file.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let ran = piped(&["run", "-", "--name", "piped", "--slots", "2", "--device", "cpu"], &quick());
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let listed = lab.json(&["list", "--json"]);
    assert_eq!(listed["sweeps"][0]["name"], "piped", "{listed:#}");
    let wrong = piped(&["plan", "-"], &quick().replace("epochs: 1", "epochs: many"));
    assert_eq!(wrong.status.code(), Some(3));
    assert!(text(&wrong.stderr).contains("<stdin>:5:"), "{}", text(&wrong.stderr));
}

#[test]
fn settings_are_checked_against_the_data_before_anything_runs() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let file = SWEEP.replace(".audio", ".audoi").replace("batch_size: 32", "batch_size: 30000");
    lab.write("small.yaml", &file);
    for command in [&["plan", "small.yaml"][..], &["submit", "small.yaml", "--coordinator", &url]] {
        let refused = lab.colearn(command);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(4), "{said}");
        assert!(said.contains("audoi") && said.contains("audio"), "{said}");
    }
    assert_eq!(lab.json(&["list", "--json", "--coordinator", &url])["sweeps"].as_array().unwrap().len(), 0);
    let elsewhere = ["plan", "small.yaml", "--data-dir", "nowhere"];
    let planned = lab.colearn(&elsewhere);
    assert!(planned.status.success());
    assert!(
        text(&planned.stderr).contains("nowhere/demo.safetensors is not here"),
        "{}",
        text(&planned.stderr)
    );
}

#[test]
fn a_first_sweep_file_is_written_for_a_data_set() {
    let lab = Lab::new();
    let init = lab.colearn(&["init", "demo"]);
    assert!(init.status.success(), "{}", text(&init.stderr));
    let planned = lab.json(&["plan", "demo.yaml", "--json"]);
    assert_eq!((&planned["configurations"], &planned["tasks"]), (&5.into(), &25.into()), "{planned:#}");
    let twice = lab.colearn(&["init", "demo"]);
    assert_eq!(twice.status.code(), Some(1));
    assert!(text(&twice.stderr).contains("--out FILE"), "{}", text(&twice.stderr));
    let printed = lab.colearn(&["init", "data/demo.safetensors", "--out", "-"]);
    assert!(text(&printed.stdout).contains("dataset: data/demo.safetensors"), "{}", text(&printed.stdout));
    let absent = lab.colearn(&["init", "absent"]);
    assert_eq!(absent.status.code(), Some(4), "{}", text(&absent.stderr));
}

#[test]
fn a_sweep_that_does_not_fit_the_data_of_the_workers_trains_nothing() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace(".audio", ".audoi"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    // Nobody knows the data yet, and the person who submits does not have it.
    let submit = ["submit", "small.yaml", "--data-dir", "nowhere", "--coordinator", &url];
    let submitted = lab.colearn(&submit);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let _worker = lab.worker(&url, "one");
    let status = || lab.json(&["status", "small", "--json", "--coordinator", &url]);
    lab.wait_for("the worker's data to be compared with the sweep", || !status()["misfit"].is_null());
    let said = lab.colearn(&["status", "small", "--coordinator", &url]);
    let said = text(&said.stdout);
    assert!(said.contains("`audoi`") && said.contains("language, audio, video"), "{said}");
    assert_eq!(status()["tasks"]["pending"], 6, "nothing is trained");
    let log = std::fs::read_to_string(lab.path().join("one.log")).unwrap();
    assert!(!log.contains("under lease"), "{log}");

    assert!(lab.colearn(&["cancel", "small", "--coordinator", &url]).status.success());
    let again = lab.colearn(&[&submit[..], &["--name", "again"]].concat());
    assert_eq!(again.status.code(), Some(4), "{}", text(&again.stderr));
    let said = text(&again.stderr);
    assert!(said.contains("sweep `again` does not fit its data set: ") && said.contains("`audoi`"), "{said}");
    lab.write("small.yaml", SWEEP);
    assert!(lab.colearn(&[&submit[..], &["--name", "again"]].concat()).status.success());
}

//! Environment variables: options on the command line take precedence, and an empty variable counts as unset.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::lab::{Lab, SWEEP, text};

const NOBODY: (&str, &str) = ("COLEARN_COORDINATOR", "http://127.0.0.1:1");

#[test]
fn a_state_folder_that_is_typed_wins_over_a_coordinator_of_the_environment() {
    let lab = Lab::new();
    let (_coordinator, _url) = lab.coordinator("127.0.0.1:0");
    let typed = ["--state", "state"];
    let run = |arguments: &[&str]| {
        let arguments = [arguments, &typed].concat();
        lab.colearn_command(&arguments).envs([NOBODY]).output().unwrap()
    };
    let submitted = run(&["submit", "small.yaml"]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let told = text(&submitted.stdout);
    assert!(told.contains("watch it with: colearn watch small --state state"), "{told}");
    assert!(run(&["status", "small"]).status.success());
    // Otherwise the variable is used, but an address on the command line takes precedence.
    let output = lab.colearn_command(&["list"]).envs([NOBODY]).output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", text(&output.stderr));
    let both = ["list", "--coordinator", "http://127.0.0.1:2", "--state", "state"];
    let output = lab.colearn_command(&both).envs([NOBODY]).output().unwrap();
    assert!(text(&output.stderr).contains("http://127.0.0.1:2"), "{}", text(&output.stderr));
}

#[test]
fn empty_variables_are_unset_ones() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 1").replace("seeds: [0, 1]", "seeds: [0]"));
    let empty = [
        "COORDINATOR",
        "STATE",
        "DATA_DIR",
        "LISTEN",
        "WORKER",
        "TRAINER",
        "DEVICE",
        "CHECKPOINTS",
        "SLOTS",
        "THREADS",
        "MAX_COHORT",
        "WORKER_NAME",
        "CONNECT_TIMEOUT",
        "TRAINER_TIMEOUT",
        "GRACE",
        "TIME_LIMIT",
    ]
    .map(|name| (format!("COLEARN_{name}"), ""));
    let run = |arguments: &[&str]| {
        let output = lab.colearn_command(arguments).envs(empty.clone()).output().unwrap();
        assert!(output.status.success(), "colearn {arguments:?}: {}\n{}", text(&output.stderr), lab.logs());
    };
    run(&["run", "small.yaml"]);
    assert!(lab.path().join(".colearn/checkpoints").is_dir());
    run(&["list"]);
    run(&["data", "inspect", "demo"]);
    run(&["db", "check"]);
}

/// A worker that records its arguments and cannot work.
fn recorder(lab: &Lab) -> String {
    let path = lab.path().join("recorder.sh");
    fs::write(&path, "#!/bin/sh\nprintf '%s\\n' \"$@\" > arguments\necho refused >&2\nexit 2\n").unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path.display().to_string()
}

#[test]
fn what_the_worker_of_a_run_is_told_by_variables_reaches_it() {
    let lab = Lab::new();
    let worker = recorder(&lab);
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let arguments = [&["run", "small.yaml"], arguments].concat();
        let mut command = lab.colearn_command(&arguments);
        let output = command.env("COLEARN_WORKER", &worker).envs(variables.iter().copied()).output().unwrap();
        assert_eq!(output.status.code(), Some(10), "{}", text(&output.stderr));
        let message = text(&output.stderr);
        assert!(message.contains("the worker cannot work here") && message.contains("refused"), "{message}");
        let given = fs::read_to_string(lab.path().join("arguments")).unwrap();
        let given: Vec<String> = given.lines().map(str::to_owned).collect();
        let after = |flag: &str| given[1 + given.iter().position(|it| it == flag).unwrap()].clone();
        (after("--device"), after("--checkpoints"))
    };
    let pair = |device: &str, checkpoints: &str| (device.to_owned(), checkpoints.to_owned());
    let variables = [("COLEARN_DEVICE", "cuda"), ("COLEARN_CHECKPOINTS", "elsewhere")];
    assert_eq!(run(&[], &[]), pair("auto", ".colearn/checkpoints"));
    assert_eq!(run(&[], &variables), pair("cuda", "elsewhere"));
    assert_eq!(run(&["--device", "cpu", "--checkpoints", "here"], &variables), pair("cpu", "here"));
    let output = lab.colearn_command(&["run", "small.yaml"]).env("COLEARN_DEVICE", "tpu").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
}

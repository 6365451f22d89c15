//! Output that cannot be written is an error in every command; a closed pipe is not.

use std::{
    fs::File,
    process::{Output, Stdio},
};

use crate::lab::{Lab, SWEEP, text};

/// Runs `colearn` with its output on a full disk.
fn onto_a_full_disk(lab: &Lab, arguments: &[&str]) -> Output {
    let full = File::options().write(true).open("/dev/full").unwrap();
    lab.colearn_command(arguments).stdout(full).stderr(Stdio::piped()).output().unwrap()
}

fn refused(lab: &Lab, arguments: &[&str]) -> String {
    let output = onto_a_full_disk(lab, arguments);
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "colearn {arguments:?}: {message}");
    assert!(message.contains("the output cannot be written: No space left"), "{arguments:?}: {message}");
    message
}

#[test]
fn every_command_says_that_its_output_is_lost() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 1"));
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu", "--format", "csv"];
    let message = refused(&lab, &run);
    assert!(message.contains("kept in `state`: colearn results small --state state"), "{message}");
    let results = ["results", "small", "--state", "state", "--format", "csv"];
    assert!(text(&lab.colearn(&results).stdout).lines().count() == 4, "and they are");

    for arguments in [
        &["plan", "small.yaml"][..],
        &["settings"],
        &["data", "inspect", "demo"],
        &["list", "--state", "state"],
        &["status", "small", "--state", "state"],
        &["status", "small", "--state", "state", "--json"],
        &["watch", "small", "--state", "state"],
        &results,
        &["tasks", "small", "--state", "state"],
        &["workers", "--state", "state", "--json"],
        &["report", "small", "--state", "state"],
        &["priority", "small", "1", "--state", "state"],
        &["db", "check", "--state", "state"],
        &["--help"],
        &["run", "--help"],
        &["--version"],
        &["worker", "--help"],
    ] {
        refused(&lab, arguments);
    }
}

#[test]
fn a_run_whose_reader_has_gone_ends_as_its_sweep_does() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 1").replace("seeds: [0, 1]", "seeds: [0]"));
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"];
    // The reading end is closed at once.
    let closed = std::io::pipe().unwrap().1;
    let output = lab.colearn_command(&run).stdout(closed).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!text(&output.stderr).contains("error"), "{}", text(&output.stderr));
}

#[test]
fn a_coordinator_serves_though_its_address_can_not_be_printed() {
    let lab = Lab::new();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let log = File::create(lab.path().join("coordinator.log")).unwrap();
    let arguments = ["coordinator", "--listen", "127.0.0.1:0", "--state", "state"];
    let mut command = lab.colearn_command(&arguments);
    let coordinator = crate::lab::Running(command.stdout(full).stderr(log).spawn().unwrap());
    lab.wait_for("the warning", || lab.logs().contains("the output cannot be written"));
    assert!(lab.logs().contains("this coordinator serves at http://127.0.0.1:"), "{}", lab.logs());
    assert!(lab.json(&["list", "--json", "--state", "state"])["sweeps"].as_array().unwrap().is_empty());
    coordinator.terminate();
    assert_eq!(coordinator.code(), 0);
}

#[test]
fn a_failure_is_told_once_and_a_worker_of_ones_own_is_not_missed() {
    let lab = Lab::new();
    lab.write("bad.yaml", &SWEEP.replace("name: small", "name: bad").replace("0.003", "1e30"));
    let output = lab.colearn(&["run", "bad.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(9), "{}", lab.logs());
    let told = text(&output.stderr);
    assert_eq!(told.matches("diverged: ").count(), 1, "one line for what is alike:\n{told}");
    assert!(told.contains("6 failures alike, such as audio=0.0 video=0.0 seed 0"), "{told}");
    assert!(!told.contains("no worker is connected"), "{told}");
    assert!(told.contains("bad: 3 configurations x 2 seeds = 6 tasks\n"), "{told}");
    let table = text(&output.stdout);
    assert!(table.contains("  2 failed: diverged") && !table.contains("failed; 2 failed"), "{table}");
}

#[test]
fn nouns_agree_with_their_numbers() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let one = SWEEP.replace("[0, 0.9]", "[0]").replace("include: [{unimodal: true}]\n", "");
    lab.write("one.yaml", &one.replace("seeds: [0, 1]", "seeds: [0]"));
    let submitted = lab.colearn(&["submit", "one.yaml", "--coordinator", &url]);
    let told = text(&submitted.stderr);
    assert!(told.contains("small: 1 configuration x 1 seed = 1 task\n"), "{told}");
    let status = text(&lab.colearn(&["status", "small", "--coordinator", &url]).stdout);
    assert!(status.contains("1 configuration x 1 seed = 1 task: 0 done"), "{status}");
    assert!(status.contains("connected: 0 workers with 0 slots"), "{status}");
}

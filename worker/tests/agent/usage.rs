//! The command line of the real binary.

use std::{
    fs,
    net::TcpListener,
    process::{Command, Output, Stdio},
};

fn colearn_worker(args: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_colearn-worker"))
        .args(args)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn check(output: &Output, code: i32, part: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(part), "{stderr}");
}

#[test]
fn mistakes_are_explained() {
    let url = "http://127.0.0.1:1";
    check(&colearn_worker(&[], &[]), 2, "--coordinator <URL>");
    check(&colearn_worker(&["--coordinator", "localhost"], &[]), 2, "write it as host:port");
    check(&colearn_worker(&[], &[("COLEARN_COORDINATOR", "localhost")]), 2, "write it as host:port");
    check(
        &colearn_worker(&["--coordinator", url, "--data-dir", "/nowhere"], &[]),
        2,
        "`/nowhere` is not a folder",
    );
    let checkpoints = ["--coordinator", url, "--data-dir", ".", "--checkpoints", "gs://bucket"];
    check(&colearn_worker(&checkpoints, &[]), 2, "name another with --checkpoints");
    let slots = ["--coordinator", url, "--data-dir", ".", "--device", "cpu", "--slots"];
    check(&colearn_worker(&[&slots[..], &["0"]].concat(), &[]), 2, "--slots `0` is neither");
    check(&colearn_worker(&[&slots[..], &["many"]].concat(), &[]), 2, "nor `auto`");
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().unwrap();
    let limit = ["--coordinator", url, "--data-dir", ".", "--checkpoints", folder, "--time-limit"];
    check(&colearn_worker(&[&limit[..], &["35s"]].concat(), &[]), 2, "longer than --grace (30 s) and 5 s");
    check(&colearn_worker(&[&limit[..], &["soon"]].concat(), &[]), 2, "--time-limit <TIME>");
    let threads = ["--coordinator", url, "--data-dir", ".", "--checkpoints", folder, "--threads", "0"];
    check(&colearn_worker(&threads, &[]), 2, "--threads must be at least 1");
}

#[test]
fn a_coordinator_that_is_not_there_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    let folder = tempfile::tempdir().unwrap();
    let checkpoints = folder.path().join("made/checkpoints");
    let args = ["--coordinator", &url, "--data-dir", ".", "--connect-timeout", "1", "--device", "cpu"];
    let output = colearn_worker(&args, &[("COLEARN_CHECKPOINTS", checkpoints.to_str().unwrap())]);
    assert!(checkpoints.is_dir());
    check(&output, 3, &format!("error: could not reach the coordinator at {url} within 1 s"));
    check(&output, 3, "--connect-timeout");
}

/// The worker runs alone, in its own folder and with an empty PATH.
#[test]
fn a_worker_without_a_trainer_program_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("colearn-worker");
    // A copy may still be open for writing in a process that another test has just forked; then it cannot be started.
    let original = env!("CARGO_BIN_EXE_colearn-worker");
    fs::hard_link(original, &program).or_else(|_| fs::copy(original, &program).map(drop)).unwrap();
    let run_with = |args: &[&str], trainer: &str| {
        Command::new(&program)
            .args(["--coordinator", "http://127.0.0.1:1", "--connect-timeout", "1", "--device", "cpu"])
            .args(args)
            .envs([("PATH", folder.path().as_os_str()), ("COLEARN_TRAINER", trainer.as_ref())])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let run = |trainer: &str| run_with(&["--data-dir", "."], trainer);
    // An empty variable counts as unset.
    check(&run(""), 4, "there is no `colearn-trainer` beside this program or on the PATH");
    check(&run(""), 4, "COLEARN_TRAINER");
    check(&run(""), 4, "only runs programs named in sweep files does without it: --programs-only");
    check(&run("/nowhere/trainer"), 4, "COLEARN_TRAINER is `/nowhere/trainer`, which is not a file");
    check(&run_with(&["--data-dir", ".", "--allow-programs"], ""), 4, "there is no `colearn-trainer`");
    // It gets as far as looking for its coordinator.
    check(&run_with(&["--programs-only"], ""), 3, "could not reach the coordinator");
}

#[test]
fn the_help_names_no_part_of_the_program() {
    let help = colearn_worker(&["--help"], &[]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(text.contains("--allow-programs") && text.contains("Usage: colearn-worker [OPTIONS]"), "{text}");
    assert!(!text.contains("run-programs") && !text.to_lowercase().contains("command>"), "{text}");
    // Variables of the worker do not concern it.
    let url = [("COLEARN_COORDINATOR", "nonsense"), ("COLEARN_SLOTS", "nonsense")];
    let output = colearn_worker(&["run-programs", "--device", "cpu"], &url);
    check(&output, 2, "--threads <THREADS>");
}

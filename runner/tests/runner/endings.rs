//! Programs that end in other ways than by themselves, and whatever they leave running.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command as Process, Stdio},
    time::Duration,
};

use colearn_trainer_protocol::Command;
use serde_json::{Value, json};

use super::{Folder, Runner, TASK, eventually, failure, is_there, result, runs, rust, with};

/// Tells its process number and that of a child, then waits for the child.
const WITH_CHILD: &str =
    r#"sleep 3600 & echo "{\"epoch\": 1, \"train_loss\": $$, \"valid_loss\": $!}" >> $COLEARN_METRICS; wait"#;

#[test]
fn parking_is_asked_for_once_and_waited_for() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let park = |runner: &mut Runner, script: &str| {
        runner.train(folder.shell(script));
        runner.epoch();
        runner.tell(&Command::Park);
        runner.until_idle().pop().unwrap()
    };
    let asked = |then: &str| {
        format!(
            "trap '{then}' TERM; echo '{{\"epoch\": 1}}' >> $COLEARN_METRICS; while :; do sleep 0.01; done"
        )
    };
    for then in ["exit 75", "exit 0", "exit 3", "trap - TERM; kill $$"] {
        assert_eq!(park(&mut runner, &asked(then))["event"], "parked", "{then}");
    }
    let finishes = asked(r#"echo "{\"result\": {\"accuracy\": 1}}" >> $COLEARN_METRICS; exit 0"#);
    result(&park(&mut runner, &finishes));
    // It is late for this one.
    runner.tell(&Command::Park);
    let diverges = asked(r#"echo "{\"result\": {\"accuracy\": NaN}}" >> $COLEARN_METRICS; exit 0"#);
    failure(&park(&mut runner, &diverges), "diverged");
    runner.end();
}

/// Slurm and `killall` signal all processes: the program ends before the agent asks to park.
#[test]
fn a_program_that_the_signal_reached_too_goes_on_later() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let ends = |then: &str| {
        format!(
            "trap '{then}' USR1; echo '{{\"epoch\": 1, \"train_loss\": '$$'}}' >> $COLEARN_METRICS; while :; do sleep 0.01; done"
        )
    };
    let end = |then: &str, parks: bool, runner: &mut Runner| {
        runner.train(folder.shell(&ends(then)));
        let pid = runner.epoch()["train_loss"].as_f64().unwrap();
        let kill = |signal: &str, pid: &str| {
            assert!(Process::new("kill").args([signal, pid]).status().unwrap().success());
        };
        kill("-USR1", &pid.to_string());
        if parks {
            eventually("the end", || !is_there(&json!(pid)));
            runner.tell(&Command::Park);
        }
        runner.until_idle().pop().unwrap()
    };
    // The runner got no signal: only SIGTERM and SIGINT look like one to all processes.
    for then in ["trap - TERM; kill $$", "exit 143", "exit 130"] {
        assert_eq!(end(then, true, &mut runner)["event"], "parked", "{then}");
    }
    failure(&end("exit 143", false, &mut runner), "crash");
    failure(&end("exit 3", false, &mut runner), "crash");
    runner.signal("-TERM");
    assert_eq!(end("exit 3", true, &mut runner)["event"], "parked");
    failure(&end("exit 3", false, &mut runner), "crash");
    runner.end();
}

#[test]
fn a_program_that_does_not_park_is_waited_for_until_it_is_abandoned() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(rust(&folder, "deaf"));
    let pid = runner.epoch()["train_loss"].clone();
    runner.tell(&Command::Park);
    assert!(runner.events.recv_timeout(Duration::from_millis(1500)).is_err());
    assert!(is_there(&pid));
    runner.tell(&Command::Abandon { tasks: vec![TASK] });
    assert_eq!(runner.until_idle(), Vec::<Value>::new());
    assert!(!is_there(&pid));
    runner.end();
}

#[test]
fn an_abandoned_program_is_asked_first_and_says_nothing_more() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(folder.shell(&format!("trap 'touch asked; exit' TERM; {WITH_CHILD}")));
    let record = runner.epoch();
    // Of another task.
    runner.tell(&Command::Abandon { tasks: vec![] });
    runner.tell(&Command::Abandon { tasks: vec![TASK] });
    assert_eq!(runner.until_idle(), Vec::<Value>::new());
    assert!(!is_there(&record["train_loss"]) && !is_there(&record["valid_loss"]));
    assert!(folder.path().join("asked").exists());
    result(&runner.run(rust(&folder, "train")));
    runner.end();
}

#[test]
fn a_timeout_is_a_hang() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = format!("echo nearly there >&2; {WITH_CHILD}");
    let member = with(folder.shell(&script), |settings| settings.timeout = Some(Duration::from_secs(5)));
    runner.train(member);
    let record = runner.epoch();
    let event = runner.until_idle().pop().unwrap();
    let message = failure(&event, "hang");
    assert!(message.contains("timeout of 5 s:\nnearly there"), "{message}");
    assert!(!is_there(&record["train_loss"]) && !is_there(&record["valid_loss"]));
    runner.end();
}

#[test]
fn a_closed_input_ends_everything() {
    let folder = Folder::new();
    for member in [folder.shell(WITH_CHILD), rust(&folder, "deaf")] {
        let mut runner = Runner::start();
        runner.train(member);
        let record = runner.epoch();
        assert!(is_there(&record["train_loss"]));
        let (code, _) = runner.end();
        assert_eq!(code, Some(0));
        assert!(!is_there(&record["train_loss"]));
        if record["valid_loss"] != json!(0.0) && !record["valid_loss"].is_null() {
            assert!(!is_there(&record["valid_loss"]));
        }
    }
}

#[test]
fn a_killed_agent_leaves_no_process() {
    let folder = Folder::new();
    for script in [
        WITH_CHILD.to_owned(),
        format!("(yes; yes >&2) & {WITH_CHILD}"),
        format!("trap '' TERM; {WITH_CHILD}"),
    ] {
        let temporary = tempfile::tempdir().unwrap();
        let command = Command::Train { members: vec![folder.shell(&script)] };
        let mut agent = Process::new(env!("CARGO_BIN_EXE_test-program"))
            .args(["agent", env!("CARGO_BIN_EXE_test-runner"), &serde_json::to_string(&command).unwrap()])
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(agent.stdout.take().unwrap()).lines().map(Result::unwrap);
        let runner: Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
        let events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let epoch = events.into_iter().find(|event| event["event"] == "epoch").unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
        eventually("the end of the runner", || !runs(&runner));
        for pid in [&epoch["record"]["train_loss"], &epoch["record"]["valid_loss"]] {
            eventually("the end of every process", || !is_there(pid));
        }
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0, "temporary files are left");
    }
}

#[test]
fn the_agent_hears_that_a_program_is_alive() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(folder.shell("exec sleep 3600"));
    assert_eq!(runner.event()["event"], "opened");
    assert_eq!(runner.event(), json!({"event": "alive"}));
    runner.end();
}

#[test]
fn a_killed_runner_takes_the_program_with_it() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(rust(&folder, "deaf"));
    let pid = runner.epoch()["train_loss"].clone();
    runner.child.kill().unwrap();
    runner.child.wait().unwrap();
    eventually("the end of the program", || !is_there(&pid));
}

#[test]
fn signals_to_the_runner_and_nonsense_from_the_agent_leave_no_process() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(folder.shell(WITH_CHILD));
    let record = runner.epoch();
    for signal in ["-TERM", "-INT"] {
        let pid = runner.child.id().to_string();
        assert!(Process::new("kill").args([signal, &pid]).status().unwrap().success());
    }
    assert!(runner.events.recv_timeout(Duration::from_millis(300)).is_err());
    assert!(is_there(&record["train_loss"]));
    use std::io::Write as _;
    writeln!(runner.input.as_mut().unwrap(), "nonsense").unwrap();
    let mut code = None;
    eventually("the end of the runner", || {
        code = runner.child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    assert_eq!(code, Some(Some(2)));
    assert!(!is_there(&record["train_loss"]) && !is_there(&record["valid_loss"]));
    assert!(runner.end().1.contains("failed to understand a command"));
}

#[test]
fn what_a_program_leaves_running_is_killed_and_told() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = r#"sleep 3600 & echo "{\"epoch\": 1, \"train_loss\": $!}" >> $COLEARN_METRICS
        echo '{"result": {"accuracy": 1}}' >> $COLEARN_METRICS"#;
    runner.train(folder.shell(script));
    let events = runner.until_idle();
    result(events.last().unwrap());
    assert!(!is_there(&events[1]["record"]["train_loss"]), "{events:?}");
    let (_, log) = runner.end();
    assert!(log.contains("left 1 other process running, which the runner has killed"), "{log}");
}

#[test]
fn a_daemon_does_not_escape() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(rust(&folder, "daemon"));
    let events = runner.until_idle();
    // The daemon may have been killed before it told its number; usually it was not.
    let told = events.iter().filter(|event| event["event"] == "epoch");
    told.for_each(|event| assert!(!is_there(&event["record"]["train_loss"])));
    result(events.last().unwrap());
    let (_, log) = runner.end();
    assert!(log.contains("running, which the runner has killed"), "{log}");
}

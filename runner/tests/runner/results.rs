//! Results and epochs, in every way in which programs give them.

use colearn_core::settings::ResultSource;
use serde_json::{Value, json};

use super::{Folder, Runner, TASK_NAME, failure, result, rust, with};

#[test]
fn a_rust_program_tells_epochs_and_a_result() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    runner.train(rust(&folder, "train"));
    let events = runner.until_idle();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["opened", "epoch", "epoch", "epoch", "finished"]);
    assert_eq!((&events[1]["epochs"], &events[2]["record"]["train_loss"]), (&json!(3), &json!(0.25)));
    let told = result(&events[4]);
    assert_eq!(told["metrics"], json!({"accuracy": 0.5}));
    assert_eq!(told["history"].as_array().unwrap().len(), 3);
    assert_eq!((&told["device"], &told["best_epoch"]), (&json!("cpu x2"), &json!(0)));
    let environment = &told["environment"];
    assert_eq!((&environment["threads"], &environment["libtorch"]), (&json!("2"), &json!(null)));
    assert!(environment["colearn"].is_string() && environment["os"].is_string(), "{environment}");
    let (code, log) = runner.end();
    assert_eq!(code, Some(0));
    assert!(log.contains("arguments: --lr=0.5 --optimizer=adam w --seed=2\n"), "{log}");
}

#[test]
fn a_python_program_finds_everything_in_its_environment() {
    let folder = Folder::new();
    let script = r#"
import json, os, sys
task = json.load(open(os.environ["COLEARN_TASK"]))
assert task["parameters"] == {"lr": 0.5, "optimizer": "adam w", "warmup": None}, task
assert task["seed"] == 2 and task["attempt"] == 1 and task["configuration"] == "00abcdef01234567"
assert task["metrics"] == os.environ["COLEARN_METRICS"]
assert os.environ["COLEARN_SEED"] == "2" and os.environ["COLEARN_PARAM_LR"] == "0.5"
assert "COLEARN_PARAM_WARMUP" not in os.environ
assert os.environ["PYTHONUNBUFFERED"] == "1" and os.environ["OWN"] == "of 3-00abcdef01234567-2"
assert os.path.isdir(os.environ["COLEARN_CHECKPOINT_DIR"])
assert sys.argv[1:] == ["--lr=0.5", "--optimizer=adam w", "--seed=2"], sys.argv
assert sys.stdin.read() == ""
with open(task["metrics"], "a") as metrics:
    for epoch in range(1, 4):
        print(json.dumps({"epoch": epoch, "train_loss": 1 / epoch, "valid_loss": float("nan")}), file=metrics)
    print(json.dumps({"result": {"accuracy": 0.9}, "task": task["task"]}), file=metrics)
    print(json.dumps({"result": {"loss": 0.1}}), end="", file=metrics)
"#;
    let Some(member) = folder.python(script) else { return };
    let member = with(member, |settings| {
        settings.environment.insert("OWN".into(), "of ${task}".into());
    });
    let mut runner = Runner::start();
    let event = runner.run(member);
    assert_eq!(result(&event)["metrics"], json!({"accuracy": 0.9, "loss": 0.1}));
    assert_eq!(event["result"]["data_digest"].as_str().unwrap().len(), 64);
    let (_, log) = runner.end();
    assert_eq!(log.matches("is NaN and is left out").count(), 3, "{log}");
}

#[test]
fn an_unchanged_script_gives_its_result_by_a_pattern() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = "echo 'epoch 1 acc 0.5'; echo 'epoch 2 acc 0.75' >&2; printf 'done in 3 s'";
    let pattern = |pattern: &str| {
        with(folder.shell(script), |settings| settings.result = Some(ResultSource::Pattern(pattern.into())))
    };
    let event = runner.run(pattern(r"acc (?P<accuracy>[\d.]+)"));
    // The two outputs are read in no particular order.
    assert!(["0.5", "0.75"].contains(&&*result(&event)["metrics"]["accuracy"].to_string()), "{event}");
    let event = runner.run(pattern(r"epoch (?P<epoch>\d+) acc (?P<accuracy>[\d.]+)|in (?P<seconds>\d+) s"));
    assert_eq!(result(&event)["metrics"]["seconds"], json!(3.0));
    assert_eq!(event["result"]["history"].as_array().unwrap().len(), 2);
    let event = runner.run(pattern(r"(?P<accuracy>acc)"));
    assert!(
        failure(&event, "settings").contains("the group `accuracy` matched `acc`, which is not a number")
    );
    runner.train(pattern("("));
    assert!(failure(&runner.until_idle()[0], "settings").contains("malformed"));
    let member = with(folder.shell("echo loss nan"), |settings| {
        settings.result = Some(ResultSource::Pattern("loss (?P<accuracy>.*)".into()));
    });
    assert!(failure(&runner.run(member), "diverged").contains("`accuracy` is nan"));
    runner.end();
}

#[test]
fn files_of_the_programs_own_are_results_if_it_wrote_them() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let json_file = |script: &str| {
        with(folder.shell(script), |settings| {
            settings.result = Some(ResultSource::Json("${task}.json".into()));
        })
    };
    let name = format!("{TASK_NAME}.json");
    let event =
        runner.run(json_file(&format!(r#"echo '{{"accuracy": 0.5, "test": {{"f1": 1}}}}' > {name}"#)));
    assert_eq!(result(&event)["metrics"], json!({"accuracy": 0.5, "test/f1": 1.0}));
    let event = runner.run(json_file("true"));
    assert!(failure(&event, "settings").contains("is from before the start of the program"));
    assert!(folder.path().join(&name).exists(), "it is not removed");
    let member = with(
        folder.shell("printf 'epoch,accuracy\n1,0.5\n2,0.75\n' > $COLEARN_CHECKPOINT_DIR/log.csv"),
        |settings| {
            settings.result = Some(ResultSource::Csv("${checkpoint_dir}/log.csv".into()));
        },
    );
    assert_eq!(result(&runner.run(member))["metrics"], json!({"accuracy": 0.75, "epoch": 2.0}));
    runner.end();
}

#[test]
fn a_result_that_is_none_fails_and_says_why() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    for (line, reason, said) in [
        ("", "settings", "ended with exit code 0 but gave no result with `accuracy`"),
        ("not JSON", "settings", "line 1 of the file of metrics is not JSON"),
        (r#"{"accuracy": 0.9}"#, "settings", "has neither `epoch` nor `result`"),
        (r#"{"result": {"loss": 1, "f1": 2}}"#, "settings", "lacks `accuracy`; it has `f1`, `loss`"),
        (r#"{"result": {"accuracy": true}}"#, "settings", "`accuracy` is a boolean"),
        (r#"{"result": {"accuracy": NaN}}"#, "diverged", "`accuracy` is NaN"),
        (r#"{"result": {"accuracy": -Infinity}}"#, "diverged", "`accuracy` is -Infinity"),
        (
            r#"{"task": "3-0000000000000000-1", "result": {"accuracy": 1}}"#,
            "settings",
            "is of the task \"3-0000000000000000-1\", and this is the task \"3-00abcdef01234567-2\"",
        ),
    ] {
        let event = runner.run(folder.shell(&format!("echo '{line}' >> $COLEARN_METRICS")));
        let message = failure(&event, reason);
        assert!(message.contains(said), "{line}: {message}");
    }
    runner.end();
}

#[test]
fn another_tasks_result_stops_the_program() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    let script = r#"echo '{"epoch": 1, "task": "other"}' >> $COLEARN_METRICS; exec sleep 3600"#;
    let event = runner.run(folder.shell(script));
    assert!(failure(&event, "settings").contains("is of the task \"other\""));
    runner.end();
}

#[test]
fn epochs_are_told_while_the_program_runs() {
    let folder = Folder::new();
    let mut runner = Runner::start();
    // It goes on only when the epoch has been told.
    let script = r#"echo '{"epoch": 7, "train_loss": 0.5}' >> $COLEARN_METRICS; while [ ! -e go ]; do sleep 0.01; done
        echo '{"result": {"accuracy": 1}}' >> $COLEARN_METRICS"#;
    runner.train(folder.shell(script));
    let record = runner.epoch();
    assert_eq!((&record["epoch"], &record["train_loss"]), (&json!(7), &json!(0.5)));
    folder.write("go", "");
    let events: Vec<Value> = runner.until_idle();
    assert_eq!(events.len(), 1);
    result(&events[0]);
    runner.end();
}

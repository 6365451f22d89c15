//! Curves of running tasks grow while the tasks run, and are those of the results afterwards.

use serde_json::Value;

use crate::{
    http::get,
    lab::{Lab, SWEEP, text},
};

/// A program that reports an epoch for each file that it waits for.
const PROGRAM: &str = r#"
import json, os, pathlib, time
folder = pathlib.Path(__file__).parent
for epoch in range(1, 5):
    while not (folder / f"go-{epoch}").exists():
        time.sleep(0.01)
    with open(os.environ["COLEARN_METRICS"], "a") as file:
        print(json.dumps({"epoch": epoch, "valid_loss": 1 / epoch}), file=file)
with open(os.environ["COLEARN_METRICS"], "a") as file:
    print(json.dumps({"result": {"accuracy": 0.5}}), file=file)
"#;

fn running(url: &str) -> Value {
    let grid: Value = serde_json::from_str(&get(url, "/api/v1/sweeps/steps/grid")).unwrap();
    let id = grid["rows"][0]["id"].as_str().unwrap().to_owned();
    serde_json::from_str(&get(url, &format!("/api/v1/sweeps/steps/curves?configurations={id}"))).unwrap()
}

#[test]
fn a_running_task_has_a_curve_before_it_is_finished() {
    let lab = Lab::new();
    lab.write("steps.py", PROGRAM);
    let folder = lab.path().display();
    let sweep = "name: steps\nprogram:\n  command: [python3, steps.py]\n  directory: FOLDER\nparameters:\n  \
                 level: [1]\nseeds: [7]\nreport: {metrics: [accuracy]}\n";
    lab.write("steps.yaml", &sweep.replace("FOLDER", &folder.to_string()));
    let (coordinator, url) = lab.coordinator("127.0.0.1:0");
    let submitted = lab.colearn(&["submit", "steps.yaml", "--coordinator", &url]);
    assert!(submitted.status.success(), "{}", text(&submitted.stderr));
    let options = ["--slots", "1", "--threads", "1", "--device", "cpu", "--allow-programs"];
    let _worker = lab.worker_with(&url, "one", &options);
    let known = |url: &str| {
        let answer = running(url);
        assert_eq!(answer["tasks"], Value::Array(Vec::new()), "it is not finished: {answer}");
        answer["running"][0]["curves"].clone()
    };
    let go = |epoch: u32| lab.write(&format!("go-{epoch}"), "");
    for epoch in 1..=2 {
        go(epoch);
        let epochs: Vec<u32> = (1..=epoch).collect();
        lab.wait_for("the epoch", || known(&url)["epochs"] == serde_json::json!(epochs));
    }
    assert_eq!(known(&url)["values"], serde_json::json!({ "valid_loss": [1.0, 0.5] }));
    let task = running(&url)["running"][0].clone();
    assert_eq!((&task["seed"], &task["attempt"], &task["every"]), (&7.into(), &1.into(), &1.into()));

    // Another coordinator on the same state knows what it hears.
    let address = url.rsplit('/').next().unwrap().to_owned();
    coordinator.kill();
    let (_coordinator, url) = lab.coordinator(&address);
    let of_task = |url: &str| {
        let id = task["configuration"].as_str().unwrap();
        let page: Value =
            serde_json::from_str(&get(url, &format!("/api/v1/sweeps/steps/tasks/{id}/7"))).unwrap();
        page
    };
    let held = |page: &Value| page["task"]["state"] == "running";
    lab.wait_for("the worker", || held(&of_task(&url)));
    let connected = || lab.json(&["workers", "--json", "--coordinator", &url]);
    lab.wait_for("the worker", || connected()["workers"][0]["state"] == "connected");
    go(3);
    lab.wait_for("an epoch", || of_task(&url)["running"]["curves"]["epochs"] == serde_json::json!([3]));

    go(4);
    lab.wait_for("the result", || of_task(&url)["result"].is_object());
    let page = of_task(&url);
    assert_eq!(page["running"], Value::Null, "{page}");
    assert_eq!(page["result"]["curves"]["epochs"], serde_json::json!([1, 2, 3, 4]), "the history is whole");
    let answer = running(&url);
    assert_eq!(answer["running"], Value::Array(Vec::new()), "{answer}");
    assert_eq!(answer["tasks"][0]["curves"], page["result"]["curves"]);
}

#[test]
fn the_curves_of_a_cancelled_task_are_gone() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 20000"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let target = ["--coordinator", url.as_str()];
    assert!(lab.colearn(&[&["submit", "small.yaml"], &target[..]].concat()).status.success());
    let _worker = lab.worker(&url, "one");
    let ids = || {
        let grid: Value = serde_json::from_str(&get(&url, "/api/v1/sweeps/small/grid")).unwrap();
        let ids = grid["rows"].as_array().unwrap().iter().map(|row| row["id"].as_str().unwrap().to_owned());
        ids.collect::<Vec<_>>().join(",")
    };
    let running = || {
        let path = format!("/api/v1/sweeps/small/curves?of=running&configurations={}", ids());
        serde_json::from_str::<Value>(&get(&url, &path)).unwrap()["running"].clone()
    };
    lab.wait_for("a curve", || {
        let curves = &running()[0]["curves"];
        let names = ["train_loss", "valid_accuracy", "valid_loss"];
        names.iter().all(|name| curves["values"][name].as_array().is_some_and(|it| it.len() > 2))
    });
    assert_eq!(running()[0]["epochs"], 20000);
    assert!(lab.colearn(&[&["cancel", "small"], &target[..]].concat()).status.success());
    assert_eq!(running(), Value::Array(Vec::new()));
}

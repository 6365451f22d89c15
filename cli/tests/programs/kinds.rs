//! Slots that run programs, alone and beside networks.

use serde_json::json;

use crate::lab::{Lab, SWEEP, text};

/// A program that takes no time, with other fields of `program`.
fn program(fields: &str) -> String {
    format!(
        "name: quick\nprogram:\n  command: [sh, -c, 'echo threads $OMP_NUM_THREADS; echo score=${{param.level}}']\n  \
         result: 'score=(?P<score>[0-9.]+)'\n{fields}parameters: {{level: [0.25, 0.5]}}\nseeds: [0, 1]\n\
         report: {{metrics: [score]}}\n"
    )
}

#[test]
fn a_run_of_programs_needs_neither_a_trainer_nor_a_data_folder() {
    let lab = Lab::new();
    lab.write("quick.yaml", &program("  threads: 1\n"));
    let run = ["run", "quick.yaml", "--state", "state", "--data-dir", "nowhere", "--format", "json"];
    let output = lab.colearn_in(&run, &[("COLEARN_TRAINER", "/nowhere/trainer".to_owned())]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let table: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let means: Vec<&serde_json::Value> = table["configurations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| &row["metrics"]["score"]["mean"])
        .collect();
    assert_eq!(means, [&json!(0.25), &json!(0.5)], "{table:#}");
    assert!(lab.logs().contains("threads 1"), "{}", lab.logs());
}

#[test]
fn what_this_machine_lacks_is_said_and_nothing_is_run() {
    let lab = Lab::new();
    lab.write("quick.yaml", &program("  gpu: true\n  labels: [big]\n  memory: 1EB\n"));
    let run = ["run", "quick.yaml", "--state", "state", "--device", "cpu"];
    let output = lab.colearn(&run);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(10), "{said}");
    let lacks = "no slot of this machine can run the tasks of sweep quick: a slot has no GPU, and has ";
    assert!(said.contains(lacks) && said.contains("not 1.0 EB, and has no label `big`"), "{said}");
    let tasks = lab.json(&["tasks", "quick", "--json", "--state", "state"]);
    assert!(tasks["tasks"].as_array().unwrap().iter().all(|task| task["attempts"] == 0), "{tasks}");

    lab.write("quick.yaml", &program("  labels: [big]\n"));
    let output = lab.colearn_in(&run, &[("COLEARN_LABELS", "big".to_owned())]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
}

#[test]
fn one_slot_takes_networks_and_programs_in_turn() {
    let lab = Lab::new();
    lab.write("quick.yaml", &program("  labels: [big]\n  memory: 1GB\n"));
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 1"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let said = |arguments: &[&str]| {
        let output = lab.colearn(&[arguments, &["--coordinator", &url]].concat());
        assert!(output.status.success(), "{arguments:?}: {}\n{}", text(&output.stderr), lab.logs());
        text(&output.stdout)
    };
    said(&["submit", "small.yaml"]);
    said(&["submit", "quick.yaml"]);
    let offered = ["--slots", "1", "--threads", "1", "--device", "cpu", "--label", "big", "--memory", "1GB"];
    let _worker = lab.worker_with(&url, "one", &[&offered[..], &["--allow-programs"]].concat());
    said(&["watch", "small"]);
    said(&["watch", "quick"]);
    let workers = lab.json(&["workers", "--json", "--coordinator", &url]);
    let worker = &workers["workers"][0];
    assert_eq!(worker["labels"], json!(["big"]));
    let slot = &worker["slots"][0];
    assert_eq!(slot["trainers"], json!(["networks", "programs"]));
    assert_eq!((&slot["memory"], &slot["threads"]), (&json!(1_000_000_000), &json!(1)));
    assert!(said(&["workers"]).contains("networks+programs, 1 thread, 1.0 GB, big"), "{workers:#}");
    assert!(lab.logs().contains("slot 0 changes to another kind of trainer"), "{}", lab.logs());
    for name in ["small", "quick"] {
        let tasks = lab.json(&["tasks", name, "--json", "--coordinator", &url]);
        for task in tasks["tasks"].as_array().unwrap() {
            assert_eq!((&task["state"], &task["attempts"]), (&json!("done"), &json!(1)), "{}", lab.logs());
        }
    }
}

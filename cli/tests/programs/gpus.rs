//! Messages about a GPU that exists and cannot be used; a fake `nvidia-smi` lists it.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::lab::{Lab, text, trainer};

/// The environment of a host with a GPU, and a trainer whose libtorch has no CUDA half.
fn host_with_a_gpu(lab: &Lab) -> Vec<(&'static str, String)> {
    let program = |name: &str, script: &str| {
        let path = lab.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    };
    program("nvidia-smi", "echo '0, NVIDIA H100, GPU-a'");
    let devices = r#"{"libtorch":"2.11.0","cuda_library":null,"cuda_error":null,"cuda_devices":0}"#;
    let trainer = trainer().display().to_string();
    let script = format!("[ \"$1\" = devices ] && echo '{devices}' || exec '{trainer}' \"$@\"");
    let path = std::env::var("PATH").unwrap_or_default();
    vec![
        ("COLEARN_TRAINER", program("trainer", &script)),
        ("PATH", format!("{}:{path}", lab.path().display())),
        ("CUDA_VISIBLE_DEVICES", "0".to_owned()),
    ]
}

const WARNING: &str =
    "this host has 1 GPU (NVIDIA H100), but libtorch has no CUDA half: `make libtorch CUDA=1`";

#[test]
fn a_run_says_what_it_trains_on_and_that_a_gpu_is_not_used() {
    let lab = Lab::new();
    let environment = host_with_a_gpu(&lab);
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--threads", "1"];
    let output = lab.colearn_in(&[&run[..], &["--max-cohort", "3"]].concat(), &environment);
    let said = text(&output.stderr);
    assert!(output.status.success(), "{said}\n{}", lab.logs());
    let lines: Vec<&str> = said.lines().collect();
    let at = lines.iter().position(|line| *line == "1 slot: cpu x1");
    let at = at.unwrap_or_else(|| panic!("{said}"));
    assert!(lines[at + 1].starts_with(&format!("warning: {WARNING}")), "{said}");
    assert!(lines[at + 2].starts_with("small: "), "only then comes the progress: {said}");

    let output = lab.colearn_in(&[&run[..], &["--device", "cuda"]].concat(), &environment);
    assert!(output.status.success(), "there is nothing left to train: {}", text(&output.stderr));
    lab.write("small.yaml", &crate::lab::SWEEP.replace("name: small", "name: other"));
    let output = lab.colearn_in(&[&run[..], &["--device", "cuda"]].concat(), &environment);
    assert_eq!(output.status.code(), Some(10), "{}", text(&output.stderr));
    assert!(text(&output.stderr).contains(&format!("--device cuda is not available: {WARNING}")));
}

#[test]
fn workers_are_listed_with_what_is_wrong_about_them() {
    let lab = Lab::new();
    let environment = host_with_a_gpu(&lab);
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let options = ["--slots", "1", "--threads", "1", "--device", "auto"];
    let _worker = lab.start_worker(&url, "one", &options, &environment);
    let list = || lab.json(&["workers", "--json", "--coordinator", &url])["workers"].clone();
    lab.wait_for("the worker", || list().as_array().is_some_and(|workers| workers.len() == 1));
    let worker = &list()[0];
    assert_eq!(worker["slots"][0]["device"], "cpu x1", "{worker}");
    let warnings = worker["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "{worker}");
    assert!(warnings[0].as_str().unwrap().starts_with(WARNING), "{worker}");

    let output = lab.colearn(&["workers", "--coordinator", &url]);
    let id = worker["id"].as_str().unwrap();
    assert!(text(&output.stdout).contains("cpu x1"), "{}", text(&output.stdout));
    assert!(
        text(&output.stderr).starts_with(&format!("warning: {id}: {WARNING}")),
        "{}",
        text(&output.stderr)
    );
}

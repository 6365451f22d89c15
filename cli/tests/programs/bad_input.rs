//! Each mistake gives one clear error and its exit code, and does not change recorded results.

use std::{collections::BTreeSet, net::TcpListener, process::Output};

#[cfg(target_os = "linux")]
use crate::small_disk::SmallDisk;
use crate::{
    lab::{Lab, SWEEP, text},
    tensors::Tensors,
};

/// Asserts the exit code and that the error names every one of `words`, in one message and without a panic.
fn refused(output: &Output, code: i32, words: &[&str]) {
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{message}");
    for word in words {
        assert!(message.contains(word), "no `{word}` in:\n{message}");
    }
    assert!(!message.contains("panicked"), "{message}");
    for twice in ["error: error", "error: warning"] {
        assert!(!message.contains(twice), "{message}");
    }
}

#[test]
fn sweep_files() {
    let lab = Lab::new();
    for (from, to, words) in [
        ("dataset: demo", "datset: demo", &["bad.yaml:2:1", "datset", "dataset"][..]),
        (
            "modality_dropout.audio: [0, 0.9]",
            "modality_droput.audio: [0, 0.9]",
            &["modality_dropout", "bad.yaml:7:"],
        ),
        ("modality_dropout.audio: [0, 0.9]", "modality_dropout.audio: [0, 0.5, 0.9]", &["zip", "3", "2"]),
        ("epochs: 6", "epochs: six", &["epochs", "bad.yaml:5:"]),
        ("learning_rate: 0.003", "learning_rate: .nan", &["learning_rate", "bad.yaml:5:"]),
        ("seeds: [0, 1]", "seeds: []", &["seeds", "bad.yaml:11:"]),
        ("seeds: [0, 1]", "seeds: {count: 1000000}", &["max_tasks"]),
        ("name: small", "name: small\nname: small", &["name", "bad.yaml:2:1"]),
        ("name: small", "name: [small", &["bad.yaml"]),
        // The no-break space comes first, and is a warning.
        (
            "dataset: demo\nprimary",
            "dataset: de\u{a0}mo\nprimry",
            &["warning: ", "error: ", "bad.yaml:2:12", "bad.yaml:3:1"],
        ),
    ] {
        let source = SWEEP.replace(from, to);
        assert_ne!(source, SWEEP, "nothing to replace: {from}");
        lab.write("bad.yaml", &source);
        refused(&lab.colearn(&["plan", "bad.yaml"]), 3, words);
        refused(&lab.colearn(&["run", "bad.yaml"]), 3, words);
    }
    refused(&lab.colearn(&["plan", "nowhere.yaml"]), 3, &["nowhere.yaml"]);
    assert!(!lab.path().join(".colearn").exists(), "a refused sweep leaves no state folder");
}

#[test]
fn several_mistakes_are_told_at_once() {
    let lab = Lab::new();
    lab.write("bad.yaml", &SWEEP.replace("dataset: demo", "datset: demo").replace("epochs: 6", "epochs: 0"));
    refused(&lab.colearn(&["plan", "bad.yaml"]), 3, &["bad.yaml:2:1", "bad.yaml:5:"]);
}

#[test]
fn data_sets() {
    let lab = Lab::new();
    lab.write("sweep.yaml", &SWEEP.replace("dataset: demo", "dataset: nowhere"));
    refused(&lab.colearn(&["run", "sweep.yaml"]), 4, &["nowhere.safetensors"]);

    lab.write("sweep.yaml", &SWEEP.replace("primary: language", "primary: langage"));
    refused(
        &lab.colearn(&["run", "sweep.yaml"]),
        4,
        &["`primary`", "`langage`", "language, audio, video", "did you mean `language`?"],
    );
    // Also if it is never dropped.
    let dropped = SWEEP.replace("modality_dropout.audio", "modality_dropout.adio").replace("[0, 0.9]", "[0]");
    lab.write("sweep.yaml", &dropped);
    refused(
        &lab.colearn(&["run", "sweep.yaml"]),
        4,
        &["`modality_dropout`", "`adio`", "language, audio, video", "did you mean `audio`?"],
    );

    lab.write("sweep.yaml", &SWEEP.replace("batch_size: 32", "batch_size: 100000"));
    refused(&lab.colearn(&["run", "sweep.yaml"]), 4, &["batch_size", "768"]);

    let good = std::fs::read(lab.path().join("data/demo.safetensors")).unwrap();
    let mut nan = good.clone();
    // The last eight bytes hold features or labels of some tensor; a NaN pattern in the middle hits features.
    let middle = (nan.len() / 2) & !3;
    nan[middle..middle + 4].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(lab.path().join("data/nan.safetensors"), nan).unwrap();
    lab.write("sweep.yaml", &SWEEP.replace("dataset: demo", "dataset: nan"));
    refused(&lab.colearn(&["run", "sweep.yaml"]), 4, &["nan.safetensors", "train/"]);
    refused(&lab.colearn(&["data", "inspect", "data/nan.safetensors"]), 4, &["train/"]);

    std::fs::write(lab.path().join("data/short.safetensors"), &good[..good.len() - 100]).unwrap();
    refused(&lab.colearn(&["data", "inspect", "data/short.safetensors"]), 4, &["short.safetensors"]);

    std::fs::write(lab.path().join("data/text.safetensors"), "hello").unwrap();
    refused(&lab.colearn(&["data", "inspect", "data/text.safetensors"]), 4, &["text.safetensors"]);
    assert!(!lab.path().join(".colearn").exists(), "a refused data set leaves no state folder");
}

/// A user who runs a sweep may read the files that it names. A user who submits one may not be the owner of the files
/// that a worker can read.
#[test]
fn a_data_set_outside_the_data_folder_is_for_run_alone() {
    let lab = Lab::new();
    std::fs::rename(lab.path().join("data/demo.safetensors"), lab.path().join("elsewhere.safetensors"))
        .unwrap();
    let (outside, nothing) =
        (lab.path().join("elsewhere.safetensors"), lab.path().join("nothing.safetensors"));
    let quick = SWEEP
        .replace("dataset: demo", &format!("dataset: {}", outside.display()))
        .replace("epochs: 6", "epochs: 1")
        .replace("[0, 0.9]", "[0]")
        .replace("[0, 1]", "[0]");
    lab.write("small.yaml", &quick);
    let output = lab.colearn(&["run", "small.yaml", "--slots", "1", "--device", "cpu"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());

    // The same on a cluster, with another data set that does not exist.
    let other = format!("include: [{{dataset: {}}}]", nothing.display());
    let both = quick.replace("include: [{unimodal: true}]", &other);
    lab.write("small.yaml", &format!("{both}retries: {{initial_backoff: 0s, max_attempts: 1}}\n"));
    let (_coordinator, url) = lab.coordinator("127.0.0.1:0");
    let worker = lab.worker(&url, "one");
    let output = lab.colearn(&["submit", "small.yaml", "--coordinator", &url]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    lab.wait_until(&["--coordinator", &url], |status| status["state"] != "active");
    let tasks = lab.json(&["tasks", "small", "--json", "--coordinator", &url]);
    let told: BTreeSet<String> = tasks["tasks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|task| format!("{} {}", task["reason"], task["message"]))
        .map(|told| told.replace("elsewhere.safetensors", "X").replace("nothing.safetensors", "X"))
        .collect();
    assert_eq!(told.len(), 1, "a file that is there is told from one that is not: {told:?}");
    assert!(told.first().unwrap().contains("X` is outside this worker's data folder"), "{told:?}");
    assert_eq!(tasks["tasks"].as_array().unwrap().len(), 2);

    // A worker that was told to opens what is there.
    let options = ["--slots", "1", "--threads", "1", "--device", "cpu", "--allow-data-outside"];
    let _trusting = lab.worker_with(&url, "two", &options);
    drop(worker);
    let retried = lab.colearn(&["retry", "small", "--failed", "--coordinator", &url]);
    assert!(retried.status.success(), "{}", text(&retried.stderr));
    let ended = lab.wait_until(&["--coordinator", &url], |status| status["state"] != "active");
    assert_eq!((&ended["tasks"]["done"], &ended["tasks"]["failed"]), (&1.into(), &1.into()), "{ended:#}");
    let told = text(&lab.colearn(&["tasks", "small", "--coordinator", &url]).stdout);
    // The reason is wrapped.
    let joined = |text: &str| text.split_whitespace().collect::<String>();
    assert!(joined(&told).contains(&joined(&format!("no data set at {}", nothing.display()))), "{told}");
}

#[test]
fn a_data_set_in_the_home_folder_is_written_out() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("dataset: demo", "dataset: ~/demo.safetensors"));
    let advice = "only shells replace `~` by the home folder: write the path out";
    refused(&lab.colearn(&["run", "small.yaml"]), 4, &["~/demo.safetensors", advice]);
    lab.write("small.yaml", &SWEEP.replace("dataset: demo", "dataset: ./demo.safetensors"));
    let output = lab.colearn(&["run", "small.yaml"]);
    refused(&output, 4, &["demo.safetensors"]);
    assert!(!text(&output.stderr).contains('~'), "{}", text(&output.stderr));
}

#[test]
fn labels_and_features_that_can_not_be_trained_on() {
    let lab = Lab::new();
    lab.write("sweep.yaml", &SWEEP.replace("dataset: demo", "dataset: bad"));
    let good = || Tensors::read(&lab.path().join("data/demo.safetensors"));
    let refused_as_bad = |tensors: &Tensors, words: &[&str]| {
        tensors.write(&lab.path().join("data/bad.safetensors"));
        for command in [&["run", "sweep.yaml"][..], &["data", "inspect", "bad"]] {
            let output = lab.colearn(command);
            refused(&output, 4, words);
            refused(&output, 4, &["bad.safetensors"]);
            assert_eq!(text(&output.stderr).lines().count(), 1, "one error: {}", text(&output.stderr));
        }
    };
    // The file is taken apart and put together again unchanged, so that the refusals below are caused by the changes.
    good().write(&lab.path().join("data/bad.safetensors"));
    let output = lab.colearn(&["data", "inspect", "bad"]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    let mut tensors = good();
    tensors.labels("test", |index, label| if index == 3 || index == 5 { 99 } else { label });
    refused_as_bad(&tensors, &["`test/labels`", "2 label(s) are out of range", "99 at sample 3", "0 to "]);
    let mut tensors = good();
    tensors.labels("train", |index, label| if index == 7 { -1 } else { label });
    refused_as_bad(&tensors, &["`train/labels`", "-1 at sample 7"]);
    for split in ["train", "valid", "test"] {
        let mut tensors = good();
        tensors.empty(split);
        refused_as_bad(&tensors, &[&format!("the {split} split is empty")]);
    }
    for (tensor, value) in [("train/audio", f32::NAN), ("test/video", f32::NEG_INFINITY)] {
        let mut tensors = good();
        tensors.fill(tensor, value);
        refused_as_bad(&tensors, &[&format!("`{tensor}`"), "NaN or infinite", "the first at [0, 0, 0]"]);
    }
    assert!(!lab.path().join(".colearn").exists(), "a refused data set leaves no state folder");
}

#[test]
fn a_class_that_training_never_shows_is_a_warning() {
    let lab = Lab::new();
    let mut tensors = Tensors::read(&lab.path().join("data/demo.safetensors"));
    tensors.labels("train", |_, label| if label == 2 { 0 } else { label });
    tensors.write(&lab.path().join("data/rare.safetensors"));
    let short = SWEEP.replace("dataset: demo", "dataset: rare").replace("epochs: 6", "epochs: 1");
    lab.write("sweep.yaml", &short.replace("seeds: [0, 1]", "seeds: [0]"));
    let output = lab.colearn(&["run", "sweep.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let warnings = text(&output.stderr);
    for split in ["valid", "test"] {
        let found = warnings.lines().find(|line| line.contains(&format!("{split} sample(s)")));
        let line = found.unwrap_or_else(|| panic!("nothing of {split} in {warnings}"));
        assert!(line.starts_with("warning: data/rare.safetensors: class `"), "{line}");
        assert!(line.ends_with("and none to train on"), "{line}");
    }
    assert_eq!(lab.json(&["results", "small", "--format", "json"])["configurations"][0]["n"], 1);
}

#[test]
fn references_of_another_sweep() {
    let lab = Lab::new();
    let reported = SWEEP.replace("epochs: 6", "epochs: 1").replace("seeds: [0, 1]", "seeds: [0]");
    lab.write("sweep.yaml", &format!("{reported}report: {{reference: published.csv}}\n"));
    let output = lab.colearn(&["run", "sweep.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let report = |published: &str| {
        lab.write("published.csv", published);
        lab.colearn(&["report", "small"])
    };
    refused(
        &report("modality_dropout.audio,accuracy\n0.5,.4\n0.6,.4\n"),
        3,
        &["published.csv", "sweep small", "modality_dropout.audio=0.5", "audio=0.9 video=0.9", "unimodal"],
    );
    refused(&report("unimodal,accuracy\ntrue,.4,.5\n"), 3, &["published.csv", "line: 2"]);
    refused(&report("modality_dropot.audio,accuracy\n0,.4\n"), 3, &["`modality_dropot.audio`, which is no"]);
    refused(&report("\0\u{1},\"\n"), 3, &["published.csv"]);
    assert!(!lab.path().join("reports").exists(), "a refused reference leaves no report");

    let output = report("modality_dropout.audio,unimodal,accuracy\n0.9,false,.4\n0.5,false,.3\n");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let warnings = text(&output.stderr);
    assert!(warnings.contains("warning: line 3 of the reference (modality_dropout.audio=0.5"), "{warnings}");
    assert!(
        warnings
            .contains("no row for 2 of the 3 configurations of this sweep: audio=0.0 video=0.0; unimodal"),
        "{warnings}"
    );
}

#[test]
fn addresses() {
    let lab = Lab::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&lab.colearn(&["coordinator", "--listen", &address]), 7, &[&address]);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}");
    refused(&lab.colearn(&["submit", "small.yaml", "--coordinator", &url]), 5, &[&url]);
    refused(&lab.colearn(&["list", "--coordinator", "login1"]), 2, &["`login1` has no port", "host:port"]);
    refused(&lab.colearn(&["list", "--coordinator", "login1:7117"]), 11, &["login1:7117", "--access FILE"]);
    refused(&lab.colearn(&["status", "small"]), 8, &[".colearn"]);
}

#[test]
fn a_state_folder_has_one_holder_and_a_name_one_sweep() {
    let lab = Lab::new();
    let (_holder, url) = lab.coordinator("127.0.0.1:0");
    refused(&lab.colearn(&["coordinator", "--listen", "127.0.0.1:0", "--state", "state"]), 6, &["state"]);
    refused(&lab.colearn(&["run", "small.yaml", "--state", "state"]), 6, &["state"]);

    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    lab.write("other.yaml", &SWEEP.replace("epochs: 6", "epochs: 7"));
    refused(&lab.colearn(&["submit", "other.yaml", "--coordinator", &url]), 1, &["small"]);
    refused(&lab.colearn(&["status", "smal", "--coordinator", &url]), 8, &["smal"]);
    // Commands that only name the folder find the process that uses it.
    assert_eq!(lab.json(&["status", "small", "--json", "--state", "state"])["tasks"]["total"], 6);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_loses_nothing_that_was_recorded() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(lab.path().join("disk"), 1024) else { return };
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 60"));
    let run =
        ["run", "small.yaml", "--state", "disk/state", "--slots", "1", "--threads", "1", "--device", "cpu"];
    let target = ["--state", "disk/state"];
    let first = lab.start(&run);
    let before = lab.wait_until(&target, |status| status["tasks"]["done"].as_u64() >= Some(1));
    let hog = disk.fill();
    assert_eq!(first.code(), 6, "{}", lab.logs());
    let log = std::fs::read_to_string(lab.path().join("start.log")).unwrap();
    assert!(log.contains("no space is left") && !log.contains("panicked"), "{log}");
    assert_eq!(log.matches("error").count(), 1, "one clear error, in: {log}");

    hog.remove();
    let after = lab.json(&["status", "small", "--json", "--state", "disk/state"]);
    assert!(after["tasks"]["done"].as_u64() >= before["tasks"]["done"].as_u64(), "{before} then {after}");
    let output = lab.colearn(&run);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn nobody_waits_for_a_coordinator_that_has_no_workers() {
    let lab = Lab::new();
    std::fs::create_dir(lab.path().join(".colearn")).unwrap();
    refused(&lab.colearn(&["submit", "small.yaml"]), 5, &["--coordinator", "colearn run"]);
    refused(&lab.colearn(&["watch", "small"]), 8, &["small"]);
    assert!(lab.json(&["list", "--json"])["sweeps"].as_array().unwrap().is_empty(), "nothing was submitted");
}

#[test]
fn a_pipe_that_is_closed_is_no_panic() {
    let lab = Lab::new();
    for arguments in [&["plan", "small.yaml"][..], &["data", "inspect", "demo"], &["plan", "nowhere.yaml"]] {
        // The reading ends are closed at once.
        let (stdout, stderr) = (std::io::pipe().unwrap().1, std::io::pipe().unwrap().1);
        let status = lab.colearn_into(arguments, stdout, stderr);
        assert_ne!(status.code(), Some(101), "colearn {arguments:?} panicked");
    }
}

#[test]
fn sweep_files_in_other_encodings() {
    let lab = Lab::new();
    let utf16: Vec<u8> = SWEEP.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let with_mark = [&[0xff, 0xfe], utf16.as_slice()].concat();
    let latin1 = [SWEEP.as_bytes(), b"description: s\xe9rie\n"].concat();
    for (bytes, words) in [
        (utf16, &["bad.yaml", "UTF-16", "iconv -f UTF-16 -t UTF-8"][..]),
        (with_mark, &["bad.yaml", "UTF-16"]),
        (latin1, &["bad.yaml", "line 12 is not UTF-8 (byte 0xe9)"]),
    ] {
        std::fs::write(lab.path().join("bad.yaml"), bytes).unwrap();
        refused(&lab.colearn(&["plan", "bad.yaml"]), 3, words);
        refused(&lab.colearn(&["submit", "bad.yaml", "--coordinator", "http://127.0.0.1:1"]), 3, words);
    }
    lab.write("bad.yaml", &SWEEP.replace("epochs: 6", "\u{a0}epochs: 6"));
    refused(&lab.colearn(&["plan", "bad.yaml"]), 3, &["a no-break space (U+00A0)", "bad.yaml:5:12"]);
}

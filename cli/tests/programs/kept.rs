//! The files that tasks keep: written, exported, checked, compared and removed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::lab::{Lab, SWEEP, text};

/// The sweep with one epoch, whose tasks keep both files.
fn keeping() -> String {
    SWEEP.replace("epochs: 6", "epochs: 2")
        + "report: {baseline: {unimodal: true}}\nkeep: [predictions, weights]\n"
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files(&path) } else { vec![path] }
        })
        .collect();
    found.sort();
    found
}

fn succeeds(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.colearn(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn fails(lab: &Lab, arguments: &[&str]) -> String {
    let output = lab.colearn(arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", text(&output.stdout));
    text(&output.stderr)
}

/// The rows of a table whose fields have no commas, but for the quoted names of configurations.
fn rows(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn kept_files_are_exported_checked_and_removed() {
    let lab = Lab::new();
    lab.write("small.yaml", &keeping());
    succeeds(&lab, &["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"]);
    let store = lab.path().join("state/checkpoints");
    assert_eq!(
        files(&store).len(),
        12,
        "two files of each of six tasks, and no checkpoints: {:?}",
        files(&store)
    );

    let list = succeeds(&lab, &["export", "small", "--state", "state", "--list", "--json"]);
    let list: Value = serde_json::from_str(&list).unwrap();
    let listed = list["files"].as_array().unwrap();
    assert_eq!((listed.len(), list["missing"].as_array().unwrap().len()), (12, 0));
    let place = PathBuf::from(listed[0]["location"].as_str().unwrap());
    assert_eq!(place.parent(), Some(&*store.canonicalize().unwrap()), "each sweep has a folder of its own");
    let list = succeeds(&lab, &["export", "small", "--state", "state", "--list"]);
    for file in listed {
        let line = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.contains(&file["file"].as_str().unwrap())
                && words.contains(&&file["digest"].as_str().unwrap()[..12])
        };
        let found = list.lines().find(line).unwrap_or_else(|| panic!("{file} is not in {list}"));
        assert!(found.contains(" kB "), "its size: {found}");
    }
    assert!(list.contains("12 files of ") && list.lines().all(|line| line.len() <= 240), "{list}");

    let exported = succeeds(&lab, &["export", "small", "--state", "state", "--only", "predictions"]);
    assert!(exported.contains("small: 6 files in exports/small (6 fetched, 0 there before)"), "{exported}");
    let exported = succeeds(&lab, &["export", "small", "--state", "state"]);
    assert!(exported.contains("12 files in exports/small (6 fetched, 6 there before)"), "{exported}");
    let out = lab.path().join("exports/small");
    let unimodal = out.join("unimodal/1/predictions.csv");
    assert!(unimodal.exists(), "{:?}", files(&out));
    let index = rows(&out.join("index.csv"));
    assert_eq!((index.len(), index[0][0].as_str()), (13, "path"));

    // The accuracy of the test split, from the predictions alone.
    let results = succeeds(&lab, &["results", "small", "--state", "state", "--format", "json"]);
    let results: Value = serde_json::from_str(&results).unwrap();
    let accuracy = |id: &str| {
        let all = results["configurations"].as_array().unwrap();
        all.iter().find(|row| row["id"] == id).unwrap()["metrics"]["accuracy"]["mean"].as_f64().unwrap()
    };

    let id =
        listed.iter().find(|file| file["name"] == "unimodal").unwrap()["configuration"].as_str().unwrap();
    let share = |seed: u32| {
        let table = rows(&out.join(format!("unimodal/{seed}/predictions.csv")));
        assert_eq!(table[0][..7].join(","), "split,index,id,group,modalities,truth,prediction");
        let test: Vec<_> = table.iter().filter(|row| row[0] == "test").collect();
        test.iter().filter(|row| row[5] == row[6]).count() as f64 / test.len() as f64
    };
    assert!(((share(0) + share(1)) / 2.0 - accuracy(id)).abs() < 1e-12);

    let rows_of = |arguments: &[&str]| -> Value {
        let text = succeeds(
            &lab,
            &[&["bootstrap", "exports/small", "--json", "--replicates", "1000"], arguments].concat(),
        );
        serde_json::from_str(&text).unwrap()
    };
    let compared = rows_of(&[]);
    assert_eq!(compared, rows_of(&[]), "the same replicates every time");
    assert_eq!(compared.as_array().unwrap().len(), 4, "accuracy and f_score of two configurations");
    for row in compared.as_array().unwrap().iter().filter(|row| row["metric"] == "accuracy") {
        let file = listed.iter().find(|file| file["name"] == row["configuration"]).unwrap();
        let expected = accuracy(file["configuration"].as_str().unwrap()) - accuracy(id);
        assert!((row["difference"].as_f64().unwrap() - expected).abs() < 1e-12, "{row}");
        assert_eq!((row["seeds"].as_u64(), row["items"].as_u64()), (Some(2), Some(512)));
        assert!(row["ci_low"].as_f64() <= row["difference"].as_f64(), "{row}");
    }
    assert!(
        succeeds(&lab, &["bootstrap", "exports/small"])
            .contains("seeds and 512 items were resampled 10000 times")
    );

    // A copy that was changed is replaced; a kept file that was changed is refused.
    let right = fs::read(&unimodal).unwrap();
    fs::write(&unimodal, "something else").unwrap();
    assert!(
        succeeds(&lab, &["export", "small", "--state", "state"]).contains("(1 fetched, 11 there before)")
    );
    assert_eq!(fs::read(&unimodal).unwrap(), right);
    let kept = files(&store).into_iter().find(|path| path.to_str().unwrap().contains("weights")).unwrap();
    let mut bytes = fs::read(&kept).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&kept, &bytes).unwrap();
    let message = fails(&lab, &["export", "small", "--state", "state", "--out", "again"]);
    assert!(message.contains("was altered: it has the digest"), "{message}");
    assert!(message.contains("error: 1 of 12 files of small could not be exported"), "{message}");
    assert_eq!(rows(&lab.path().join("again/index.csv")).len(), 12, "the others are there");

    // The folder is somewhere else now.
    let moved = lab.path().join("moved");
    fs::rename(&store, &moved).unwrap();
    let message = fails(&lab, &["export", "small", "--state", "state", "--out", "third"]);
    assert!(
        message.contains("there is no such folder on this host") && message.contains("--from"),
        "{message}"
    );
    let message = fails(&lab, &["rm", "small", "--state", "state", "--yes"]);
    assert!(message.contains("small was not removed, because its 12 kept files cannot be"), "{message}");
    let task =
        ["export", "small", "--state", "state", "--out", "third", "--from", "moved", "--task", "unimodal/1"];
    assert!(succeeds(&lab, &[&task[..], &["--only", "predictions"]].concat()).contains("1 file in third"));

    let removed = succeeds(&lab, &["rm", "small", "--state", "state", "--yes", "--from", "moved"]);
    assert!(removed.contains("removed, and 6 results and 12 kept files with it"), "{removed}");
    assert_eq!(files(&moved).len(), 0);
    assert_eq!(fs::read_dir(&moved).unwrap().count(), 0, "no empty folders either");
}

#[test]
fn a_sweep_that_keeps_nothing_says_what_to_do() {
    let lab = Lab::new();
    let sweep = SWEEP.replace("epochs: 6", "epochs: 1").replace("seeds: [0, 1]", "seeds: [0]");
    lab.write("small.yaml", &sweep);
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"];
    succeeds(&lab, &run);
    let message = fails(&lab, &["export", "small", "--state", "state"]);
    assert!(message.contains("small keeps no files; add `keep: [predictions, weights]`"), "{message}");

    // Tasks that are added keep files; those that had a result do not.
    let more = sweep.replace("seeds: [0]", "seeds: [0, 1]") + "keep: [predictions]\n";
    lab.write("small.yaml", &more);
    succeeds(&lab, &["extend", "small", "small.yaml", "--state", "state"]);
    succeeds(&lab, &run);
    let message = fails(&lab, &["export", "small", "--state", "state"]);
    assert!(
        message.contains("unimodal/0 kept no predictions.csv: its result was recorded before `keep`"),
        "{message}"
    );
    assert!(message.contains("error: 3 of 6 files of small could not be exported"), "{message}");
    assert_eq!(rows(&lab.path().join("exports/small/index.csv")).len(), 4);
    let removed = succeeds(&lab, &["rm", "small", "--state", "state", "--yes", "--keep-files"]);
    assert!(removed.contains("removed, and 6 results with it"), "{removed}");
    assert_eq!(files(&lab.path().join("state/checkpoints")).len(), 3);
}

/// Both number their first sweep 1, and its tasks are the same.
#[test]
fn of_two_coordinators_with_one_location_neither_removes_the_files_of_the_other() {
    let lab = Lab::new();
    let sweep = keeping().replace("seeds: [0, 1]", "seeds: [0]").replace("epochs: 2", "epochs: 1");
    lab.write("small.yaml", &sweep);
    for state in ["one", "two"] {
        let run = ["run", "small.yaml", "--state", state, "--slots", "1", "--device", "cpu"];
        let shared = ["--checkpoints", "shared"];
        succeeds(&lab, &[&run[..], &shared].concat());
    }
    assert_eq!(files(&lab.path().join("shared")).len(), 12);
    let removed = succeeds(&lab, &["rm", "small", "--state", "one", "--yes"]);
    assert!(removed.contains("3 results and 6 kept files"), "{removed}");
    assert!(succeeds(&lab, &["export", "small", "--state", "two"]).contains("6 files in exports/small"));
}

/// A Python that has PyTorch: that of `COLEARN_PYTORCH`, of `make pytorch`, or of the benchmarks.
fn pytorch() -> Option<PathBuf> {
    let needed = "import numpy, safetensors, torch; assert torch.__version__.startswith('2.11.')";
    let has_it = |python: &PathBuf| {
        let probe = Command::new(python).args(["-c", needed]).output();
        probe.is_ok_and(|output| output.status.success())
    };
    if let Some(python) = std::env::var_os("COLEARN_PYTORCH").map(PathBuf::from) {
        assert!(has_it(&python), "COLEARN_PYTORCH is {}, which has no PyTorch 2.11", python.display());
        return Some(python);
    }
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let own = [".venv-pytorch", ".venv-bench"].map(|folder| checkout.join(folder).join("bin/python"));
    let found = own.into_iter().find(has_it);
    if found.is_none() {
        eprintln!("skipped: there is no PyTorch 2.11; `make pytorch` installs it");
    }
    found
}

/// The outputs of PyTorch's networks with these weights are those in the tables of predictions.
#[test]
fn kept_weights_are_those_of_the_same_network_in_pytorch() {
    let Some(python) = pytorch() else { return };
    let lab = Lab::new();
    let sweep = keeping().replace("seeds: [0, 1]", "seeds: [0]");
    let mfn = "model: {kind: mfn, hidden: {language: 12, audio: 8}, memory: 10, nn1: 9, nn1_dropout: 0.1, nn2: 8, \
               nn2_dropout: 0.1, gamma1: 7, gamma1_dropout: 0.1, gamma2: 6, gamma2_dropout: 0.1, out: 5, out_dropout: 0.1}";
    let bi_eflstm = "model: {kind: bi-eflstm, hidden: 16, layers: 1, dropout: 0.2}";
    assert!(sweep.contains(bi_eflstm));
    let sweeps = [
        ("small", sweep.replace("layers: 1", "layers: 2")),
        ("mfn", sweep.replace("name: small", "name: mfn").replace(bi_eflstm, mfn)),
    ];
    for (name, sweep) in sweeps {
        lab.write("small.yaml", &sweep);
        succeeds(&lab, &["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"]);
        succeeds(&lab, &["export", name, "--state", "state"]);
        let folder = format!("exports/{name}");
        let check = || {
            let script =
                Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/tests/parity/check_weights.py");
            let arguments = [folder.as_str(), "data/demo.safetensors"];
            Command::new(&python).arg(script).args(arguments).current_dir(lab.path()).output().unwrap()
        };
        let output = check();
        assert!(output.status.success(), "{}", text(&output.stdout) + &text(&output.stderr));
        assert!(text(&output.stdout).contains("3 tasks, at most "), "{}", text(&output.stdout));
        // The weights of another task have other outputs.
        let path = |task: &str| lab.path().join(&folder).join(task).join("weights.safetensors");
        let files: Vec<PathBuf> = files(&lab.path().join(&folder)).into_iter().collect();
        let folders: Vec<&str> = files
            .iter()
            .filter(|file| file.ends_with("weights.safetensors"))
            .filter_map(|file| file.parent()?.strip_prefix(lab.path().join(&folder)).ok()?.to_str())
            .filter(|task| !task.starts_with("unimodal"))
            .collect();
        fs::copy(path(folders[0]), path(folders[1])).unwrap();
        assert_eq!(check().status.code(), Some(1), "{name}: the weights of another task pass");
    }
}

/// A file stands where the folder of the sweep should be.
#[test]
fn what_could_not_be_kept_is_said_at_the_end_of_the_run_and_with_the_results() {
    let lab = Lab::new();
    let sweep = keeping().replace("epochs: 2", "epochs: 1");
    let keeps_nothing = sweep.replace("keep: [predictions, weights]\n", "");
    lab.write("small.yaml", &keeps_nothing.replace("seeds: [0, 1]", "seeds: [0]"));
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"];
    succeeds(&lab, &run);
    let status = succeeds(&lab, &["status", "small", "--state", "state", "--json"]);
    let status: Value = serde_json::from_str(&status).unwrap();
    let submitted: jiff::Timestamp = status["submitted_at"].as_str().unwrap().parse().unwrap();
    let folder = format!("state/checkpoints/kept-{:x}", submitted.as_millisecond());
    lab.write(&folder, "in the way");
    lab.write("small.yaml", &sweep.replace("seeds: [0, 1]", "seeds: {count: 3}"));
    succeeds(&lab, &["extend", "small", "small.yaml", "--state", "state"]);
    for arguments in [&run[..], &["results", "small", "--state", "state", "--format", "csv"]] {
        let output = lab.colearn(arguments);
        assert!(output.status.success(), "the results are complete: {}", text(&output.stderr));
        let told = text(&output.stderr);
        assert!(told.contains("warning: small: 6 tasks could not keep all files, for example: "), "{told}");
        assert!(told.contains("run the sweep again under another --name"), "{told}");
    }
}

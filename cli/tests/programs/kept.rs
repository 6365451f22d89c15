//! The files that tasks keep: written, exported, checked, compared and removed.

use std::{
    fs,
    path::{Path, PathBuf},
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
    assert_eq!(listed[0]["location"], store.canonicalize().unwrap().to_str().unwrap());

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

/// A file stands where the folder of the sweep should be.
#[test]
fn what_could_not_be_kept_is_said_at_the_end_of_the_run_and_with_the_results() {
    let lab = Lab::new();
    lab.write("small.yaml", &keeping());
    fs::create_dir_all(lab.path().join("state/checkpoints")).unwrap();
    lab.write("state/checkpoints/0000000000000001", "in the way");
    let run = ["run", "small.yaml", "--state", "state", "--slots", "1", "--device", "cpu"];
    for arguments in [&run[..], &["results", "small", "--state", "state", "--format", "csv"]] {
        let output = lab.colearn(arguments);
        assert!(output.status.success(), "the results are complete: {}", text(&output.stderr));
        let told = text(&output.stderr);
        assert!(told.contains("warning: small: 6 tasks could not keep all files, for example: "), "{told}");
        assert!(told.contains("run the sweep again under another --name"), "{told}");
    }
}

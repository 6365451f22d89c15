//! `colearn data import`: from files as NumPy writes them to a data set that a sweep is planned on.

use std::fs;

use crate::lab::{Lab, text};

/// A `.npy` file of version 1.
fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let padding = 64 - (10 + header.len() + 1) % 64;
    header += &" ".repeat(padding);
    header.push('\n');
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), data].concat()
}

/// 24 samples of 4 steps: language (float64), audio (big-endian float32), video (int16); two classes by name.
fn write_inputs(lab: &Lab) {
    let values = |width: usize| (0..24 * 4 * width).map(|at| ((at * 37) % 101) as f64 / 10.0);
    let language: Vec<u8> = values(3).flat_map(f64::to_le_bytes).collect();
    let audio: Vec<u8> = values(2).flat_map(|value| (value as f32).to_be_bytes()).collect();
    let video: Vec<u8> = values(5).flat_map(|value| (value as i16).to_le_bytes()).collect();
    let put = |name: &str, bytes: Vec<u8>| fs::write(lab.path().join(name), bytes).unwrap();
    put("language.npy", npy("<f8", "(24, 4, 3)", &language));
    put("audio.npy", npy(">f4", "(24, 4, 2)", &audio));
    put("video.npy", npy("<i2", "(24, 4, 5)", &video));
    let rows = |row: &dyn Fn(usize) -> String| (0..24).map(row).collect::<String>();
    let labels = rows(&|at| format!("s{at},{},p{}\n", if at % 2 == 0 { "calm" } else { "angry" }, at / 4));
    lab.write("labels.csv", &format!("id,mood,speaker\n{labels}"));
}

const MODALITIES: [&str; 8] = [
    "data",
    "import",
    "--modality",
    "language=language.npy",
    "--modality",
    "audio=audio.npy",
    "--modality",
    "video=video.npy",
];

/// Six tasks of two configurations on three folds.
const FOLDS: &str = "\
name: folds
dataset: mine-fold0
primary: language
model: {hidden: 4, layers: 1}
training: {epochs: 1, batch_size: 4}
modality_dropout: {audio: 0.5}
parameters:
  dataset: [mine-fold0, mine-fold1, mine-fold2]
  unimodal: [false, true]
seeds: [0, 1]
report: {metrics: [accuracy], replicates: [dataset]}
";

#[test]
fn three_arrays_and_labels_become_a_data_set_that_is_planned_on() {
    let lab = Lab::new();
    write_inputs(&lab);
    let rest = [
        "--labels",
        "labels.csv:mood",
        "--groups",
        "labels.csv:speaker",
        "--split",
        "0.6,0.2,0.2",
        "--standardize",
        "train",
        "--out",
        "sets/mine.safetensors",
    ];
    let output = lab.colearn(&[&MODALITIES[..], &rest].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for line in [
        "language: float64 -> float32, 24 x 4 x 3, from language.npy",
        "audio: float32 big-endian -> float32, 24 x 4 x 2, from audio.npy",
        "video: int16 -> float32, 24 x 4 x 5, from video.npy",
        "labels: CSV, 2 classes in alphabetical order, from labels.csv:mood",
        "wrote sets/mine.safetensors",
    ] {
        assert!(said.contains(line), "no `{line}` in:\n{said}");
    }

    let set = lab.json(&["data", "inspect", "sets/mine.safetensors", "--json"]);
    assert_eq!(set["steps"], 4);
    assert_eq!(set["task"]["classes"], serde_json::json!(["angry", "calm"]));
    let samples: Vec<u64> =
        set["splits"].as_array().unwrap().iter().map(|split| split["samples"].as_u64().unwrap()).collect();
    assert_eq!(samples.iter().sum::<u64>(), 24);
    assert!(samples.iter().all(|samples| samples % 4 == 0), "speakers stay together: {samples:?}");

    assert!(said.contains("next: `colearn init sets/mine.safetensors`"), "{said}");
    let output = lab.colearn(&["init", "sets/mine.safetensors"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let output = lab.colearn(&["plan", "mine.yaml"]);
    assert!(output.status.success(), "{}", text(&output.stderr));

    // The same again gives the same bytes in the place of the old ones.
    let first = fs::read(lab.path().join("sets/mine.safetensors")).unwrap();
    assert!(lab.colearn(&[&MODALITIES[..], &rest].concat()).status.success());
    assert_eq!(fs::read(lab.path().join("sets/mine.safetensors")).unwrap(), first);
    assert_eq!(fs::read_dir(lab.path().join("sets")).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn every_mistake_is_reported_at_once_and_the_old_file_stays() {
    let lab = Lab::new();
    write_inputs(&lab);
    lab.write("old.safetensors", "old");
    fs::write(lab.path().join("audio.npy"), npy("|O", "(24,)", b"pickle")).unwrap();
    fs::write(lab.path().join("video.npy"), npy("<f4", "(23, 4, 1)", &[0; 23 * 4 * 4])).unwrap();
    lab.write("labels.csv", &format!("label\n{}", "1\n2\n".repeat(12)));
    let rest = ["--labels", "labels.csv", "--split", "0.7,0.1,0.1", "--out", "old.safetensors"];
    let output = lab.colearn(&[&MODALITIES[..], &rest].concat());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{message}");
    for words in [
        "error: audio.npy: holds Python objects",
        "allow_pickle=False",
        "language.npy has 24, video.npy has 23, labels.csv has 24",
        "labels are counted from 1",
        "--one-based-labels",
        "sum up to 0.9",
        "4 mistakes; nothing was written",
    ] {
        assert!(message.contains(words), "no `{words}` in:\n{message}");
    }
    assert!(!message.contains("error: error"), "{message}");
    assert!(output.stdout.is_empty() && !message.contains("panicked"), "{message}");
    assert_eq!(fs::read(lab.path().join("old.safetensors")).unwrap(), b"old");

    // What is wrong with the command line itself is reported by its parser.
    for (arguments, words) in [
        (&["--labels", "labels.csv", "--out", "x.safetensors"][..], "--split"),
        (&["--labels", "labels.csv", "--split", "0.5,0.5", "--out", "x.safetensors"], "three shares"),
        (&["--labels", "labels.csv", "--split", "s.csv", "--fold", "1", "--out", "x.safetensors"], "--split"),
        (&["--labels", "labels.csv", "--fold", "1", "--out", "x.safetensors"], "--folds"),
        (
            &["--labels", "~/labels.csv", "--split", "s.csv", "--out", "x.safetensors"],
            "only a shell replaces",
        ),
    ] {
        let output = lab.colearn(&[&MODALITIES[..], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(words), "{}", text(&output.stderr));
    }
}

#[test]
fn all_folds_are_imported_at_once_and_averaged_over() {
    let lab = Lab::new();
    write_inputs(&lab);
    let labels = ["--labels", "labels.csv:mood", "--groups", "labels.csv:speaker", "--folds"];
    let import = |rest: &[&str]| lab.colearn(&[&MODALITIES[..], &labels, rest].concat());
    let output = import(&["3", "--out", "data/mine.safetensors"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    assert_eq!(said.matches("language: float64").count(), 1, "{said}");
    let names = ["mine-fold0", "mine-fold1", "mine-fold2"];
    for (fold, name) in names.iter().enumerate() {
        let line = format!("wrote data/{name}.safetensors: 8 train, 8 valid, 8 test\n");
        assert!(said.contains(&line), "no `{line}` in:\n{said}");
        let fold = fold.to_string();
        let one = import(&["3", "--fold", &fold, "--out", "one.safetensors"]);
        assert!(one.status.success(), "{}", text(&one.stderr));
        let file = format!("data/{name}.safetensors");
        let [all, one] = [&file[..], "one.safetensors"].map(|file| fs::read(lab.path().join(file)).unwrap());
        assert!(all == one, "fold {fold} is the same alone");
    }
    assert!(!lab.path().join("data/mine.safetensors").exists());
    let added =
        "parameters: {dataset: [mine-fold0, mine-fold1, mine-fold2]}\n  report: {replicates: [dataset]}\n";
    assert!(said.contains("next: `colearn init mine-fold0`") && said.contains(added), "{said}");

    lab.write("folds.yaml", FOLDS);
    let plan = text(&lab.colearn(&["plan", "folds.yaml"]).stdout);
    let rows = "the table has 2 rows, each with 3 values of dataset x 2 seeds = 6 replicates\n";
    assert!(plan.contains(rows), "{plan}");
    let output = lab.colearn(&["run", "folds.yaml", "--slots", "1", "--threads", "1", "--device", "cpu"]);
    assert!(output.status.success(), "{}\n{}", text(&output.stderr), lab.logs());
    let table = text(&output.stdout);
    assert!(table.contains("over n replicates (dataset and seed)"), "{table}");
    assert!(!table.contains("mine-fold"), "{table}");
    let results = lab.json(&["results", "folds", "--format", "json"]);
    let rows = results["configurations"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row["n"] == 6 && row["expected"] == 6), "{results}");
    assert_eq!(rows[0]["comparisons"]["accuracy"]["pairs"], 6);
    assert_eq!(results["data_digests"].as_object().unwrap().keys().collect::<Vec<_>>(), names);
    let report = lab.colearn(&["report", "folds", "--out", "report"]);
    assert!(report.status.success(), "{}", text(&report.stderr));
    let page = fs::read_to_string(lab.path().join("report/index.html")).unwrap();
    assert!(page.contains("2 configurations × 3 values of dataset × 2 seeds; 12 of 12 results."), "{page}");
}

#[test]
fn a_mistake_in_one_fold_is_reported_before_anything_is_written() {
    let lab = Lab::new();
    write_inputs(&lab);
    // The samples of one class are in two folds only: with one of them for test, training has none.
    let rare = |at: usize| if at == 0 || at == 4 { "rare" } else { "usual" };
    let labels: String = (0..24).map(|at| format!("s{at},{},p{}\n", rare(at), at / 4)).collect();
    lab.write("labels.csv", &format!("id,mood,speaker\n{labels}"));
    let rest = ["--labels", "labels.csv:mood", "--groups", "labels.csv:speaker", "--folds", "3", "--out"];
    let output = lab.colearn(&[&MODALITIES[..], &rest, &["new/mine.safetensors"]].concat());
    let message = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{message}");
    assert!(message.contains(" for test: 1 class without a training sample: \"rare"), "{message}");
    assert!(message.contains("with fold ") && message.contains("nothing was written"), "{message}");
    assert!(!lab.path().join("new").exists(), "not even its folder");
    // What is wrong with all folds is said once.
    let output =
        lab.colearn(&[&MODALITIES[..], &rest[..5], &["9", "--out", "new/mine.safetensors"]].concat());
    let message = text(&output.stderr);
    assert!(message.contains("--folds 9: there are only 6 groups"), "{message}");
    assert!(message.contains("\n1 mistake; nothing was written"), "{message}");
}

#[test]
fn text_of_others_does_not_steer_the_terminal() {
    let lab = Lab::new();
    write_inputs(&lab);
    let labels = "a\u{1b}[2Jb\nc\u{202e}d\n".repeat(12);
    lab.write("labels.txt", &labels);
    let rest = ["--labels", "labels.txt", "--split", "0.6,0.2,0.2", "--out", "set.safetensors"];
    let output = lab.colearn(&[&MODALITIES[..], &rest].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(!said.contains('\u{1b}') && !said.contains('\u{202e}'), "{said:?}");
}

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
        (&["--labels", "labels.csv", "--folds", "5", "--out", "x.safetensors"], "--fold"),
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

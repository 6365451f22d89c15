//! Every kind of invalid file has its own error, which names the place.

use std::fs;
use std::path::Path;

use colearn_data_format::{Dataset, DatasetError, NewDataset, NewLabels, Split, Task, TensorProblem, write};

use crate::support::{assert_same, change_file, put_together, small, split, take_apart, written};

/// The error on opening the small set after a change of its header's text.
fn with_header(change: impl Fn(&str) -> String) -> DatasetError {
    let (_folder, path) = written();
    change_file(&path, |bytes| {
        let (header, data) = take_apart(bytes);
        let mut changed = change(header);
        assert_ne!(changed, header, "the change must find its place");
        let padding = changed.len().next_multiple_of(8) - changed.len();
        changed.push_str(&" ".repeat(padding));
        put_together(&changed, data)
    });
    Dataset::open(&path).unwrap_err()
}

/// The tensor and problem reported when the small set is written after a change.
fn with_data(change: impl Fn(&mut NewDataset)) -> (String, TensorProblem) {
    let mut set = small();
    change(&mut set);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    let error = write(&path, &set).unwrap_err();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "a refused set leaves nothing behind");
    match error {
        DatasetError::Tensor { path: named, tensor, problem } => {
            assert_eq!(named, path, "not the temporary file's");
            (tensor, problem)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let error = Dataset::open(Path::new("nowhere/demo.safetensors")).unwrap_err();
    assert!(matches!(error, DatasetError::Missing { .. }));
    let text = error.to_string();
    assert!(text.contains("nowhere/demo.safetensors") && text.contains("colearn data generate"), "{text}");
    let error = Dataset::open(Path::new("nowhere/utd-mhad.safetensors")).unwrap_err();
    assert!(error.to_string().contains("datasets/README.md"), "{error}");
}

#[test]
fn a_folder_is_not_a_data_set() {
    let folder = tempfile::tempdir().unwrap();
    let error = Dataset::open(folder.path()).unwrap_err();
    assert!(matches!(error, DatasetError::NotAFile { kind: "a directory", .. }), "{error}");
}

#[test]
fn other_files_are_not_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    let contents = [
        &b""[..],
        b"short",
        b"PK\x03\x04 a zip archive and more",
        b"\x02\0\0\0\0\0\0\0[]",
        b"\x04\0\0\0\0\0\0\0\xff\xff\xff\xff",
    ];
    for content in contents {
        fs::write(&path, content).unwrap();
        let error = Dataset::open(&path).unwrap_err();
        assert!(matches!(error, DatasetError::NotSafetensors { .. }), "{error}");
    }
    // A safetensors file that is not a colearn data set.
    fs::write(&path, put_together("{}", b"")).unwrap();
    let error = Dataset::open(&path).unwrap_err();
    assert!(matches!(error, DatasetError::Format { found: None, .. }), "{error}");
}

#[test]
fn sizes_that_overflow_are_refused() {
    // Eight tensors of just under 2^61 bytes: together with the header they exceed 2^64.
    let size = (1_u64 << 61) - 1;
    let tensor = |i: u64| {
        let (start, end) = (i * size, (i + 1) * size);
        format!(r#""t{i}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#)
    };
    let header = format!("{{{}}}", (0..8).map(tensor).collect::<Vec<_>>().join(","));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    fs::write(&path, put_together(&header, b"")).unwrap();
    let error = Dataset::open(&path).unwrap_err();
    assert!(matches!(error, DatasetError::Size { .. }), "{error}");
}

#[test]
fn a_truncated_or_grown_file_is_damaged() {
    for removed in [1, 100] {
        let (_folder, path) = written();
        change_file(&path, |bytes| bytes[..bytes.len() - removed].to_vec());
        match Dataset::open(&path).unwrap_err() {
            DatasetError::Size { found, expected, .. } => {
                assert_eq!(found, fs::metadata(&path).unwrap().len());
                assert!(expected > found);
            }
            other => panic!("{other}"),
        }
    }
    let (_folder, path) = written();
    change_file(&path, |bytes| bytes[..100].to_vec());
    let error = Dataset::open(&path).unwrap_err().to_string();
    assert!(error.ends_with("it ends before its header does; copy or make it again"), "{error}");
    let (_folder, path) = written();
    change_file(&path, |bytes| [bytes, b"x"].concat());
    assert!(matches!(Dataset::open(&path).unwrap_err(), DatasetError::Size { .. }));
}

#[test]
fn another_format_version_is_refused() {
    let error = with_header(|header| header.replace("colearn-dataset/1", "colearn-dataset/2"));
    assert!(
        matches!(&error, DatasetError::Format { found: Some(found), .. } if found == "colearn-dataset/2")
    );
    assert!(error.to_string().contains("expected `colearn-dataset/1`"), "{error}");
}

#[test]
fn header_entries_are_checked() {
    let list = r#""modalities":"[\"language\",\"audio\"]""#;
    let task = r#""task":"classification""#;
    let classes = r#"[\"a\",\"b\",\"c \\\"quoted\\\"\"]"#;
    let cases = [
        (list, r#""modalitie":"[]""#, "modalities", "missing"),
        (list, r#""modalities":"language""#, "modalities", "JSON list"),
        (list, r#""modalities":"[]""#, "modalities", "at least 1"),
        (list, r#""modalities":"[\"language\",\"language\"]""#, "modalities", "twice"),
        (list, r#""modalities":"[\"language\",\"labels\"]""#, "modalities", "labels"),
        (list, r#""modalities":"[\"language\",\"au.dio\"]""#, "modalities", "letters"),
        (list, r#""modalities":"[\"language\",\"\"]""#, "modalities", "empty"),
        (task, r#""task":"ranking""#, "task", "ranking"),
        (task, r#""tusk":"classification""#, "task", "missing"),
        (classes, r#"[\"a\",\"b\",\"a\"]"#, "classes", "twice"),
        (classes, r#"[\"a\"]"#, "classes", "at least 2"),
    ];
    for (from, to, expected_key, expected_text) in cases {
        match with_header(|header| header.replace(from, to)) {
            DatasetError::Metadata { key, problem, .. } => {
                assert_eq!(key, expected_key);
                assert!(problem.contains(expected_text), "{to}: {problem}");
            }
            other => panic!("{to}: {other}"),
        }
    }
}

#[test]
fn tensors_are_those_of_the_header() {
    // A tensor that no modality names, and a modality without a tensor.
    match with_header(|header| header.replace(r#""valid/audio""#, r#""valid/radio""#)) {
        DatasetError::Tensor { tensor, problem: TensorProblem::Unexpected, .. } => {
            assert_eq!(tensor, "valid/radio");
        }
        other => panic!("{other}"),
    }
    match with_header(|header| header.replace(r#"[\"language\","#, r#"[\"language\",\"video\","#)) {
        DatasetError::Tensor { tensor, problem: TensorProblem::Missing, .. } => {
            assert_eq!(tensor, "train/video");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn element_types_are_checked() {
    let cases = [
        ("train/labels", "I64", "F64", "holds F64, expected I64"),
        ("test/audio", "F32", "I32", "holds I32, expected F32"),
    ];
    for (name, from, to, expected) in cases {
        let text = |dtype| format!(r#""{name}":{{"dtype":"{dtype}""#);
        let error = with_header(|header| header.replace(&text(from), &text(to))).to_string();
        assert!(error.contains(&format!("`{name}`")) && error.contains(expected), "{error}");
    }
}

#[test]
fn shapes_must_agree() {
    let cases = [
        ("valid/audio", "[2,5,1]", "[1,10,1]", "[2, 5, 1]"),
        ("test/language", "[3,5,3]", "[5,3,3]", "[3, 5, 3]"),
        ("train/audio", "[4,5,1]", "[4,1,5]", "5 steps as in `train/language`"),
        ("train/audio", "[4,5,1]", "[20]", "[samples, steps, features]"),
        ("valid/labels", "[2]", "[2,1]", "[samples]"),
    ];
    for (name, from, to, expected_text) in cases {
        let change = |header: &str| {
            let at = header.find(&format!("{name:?}")).unwrap();
            format!("{}{}", &header[..at], header[at..].replacen(from, to, 1))
        };
        match with_header(change) {
            DatasetError::Tensor { tensor, problem: TensorProblem::Shape { expected, .. }, .. } => {
                assert_eq!(tensor, name);
                assert!(expected.contains(expected_text), "{name}: {expected}");
            }
            other => panic!("{name}: {other}"),
        }
    }
}

#[test]
fn an_odd_header_length_is_unaligned_not_undefined() {
    let (_folder, path) = written();
    change_file(&path, |bytes| {
        let (header, data) = take_apart(bytes);
        put_together(&format!("{header} "), data)
    });
    match Dataset::open(&path).unwrap_err() {
        DatasetError::Tensor { tensor, problem, .. } => {
            assert_eq!((tensor.as_str(), problem), ("train/language", TensorProblem::Unaligned));
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_empty_split_is_refused() {
    let (tensor, problem) = with_data(|set| set.valid = split(0, 5, &[3, 1], NewLabels::Classes(vec![])));
    assert_eq!((tensor.as_str(), problem), ("valid/labels", TensorProblem::EmptySplit(Split::Valid)));
}

#[test]
fn no_steps_are_refused() {
    let (_, problem) = with_data(|set| {
        set.steps = 0;
        for split in [&mut set.train, &mut set.valid, &mut set.test] {
            split.features.iter_mut().for_each(Vec::clear);
        }
    });
    assert!(matches!(problem, TensorProblem::Shape { .. }), "{problem}");
}

#[test]
fn non_finite_values_are_counted_and_placed() {
    let (tensor, problem) = with_data(|set| {
        // Sample 2, step 4, feature 1 of [4, 5, 3], and a later one.
        set.train.features[0][2 * 15 + 4 * 3 + 1] = f32::NAN;
        set.train.features[0][59] = f32::NEG_INFINITY;
    });
    assert_eq!(tensor, "train/language");
    assert_eq!(problem, TensorProblem::NonFinite { count: 2, first: vec![2, 4, 1] });
}

#[test]
fn labels_out_of_range_are_counted_and_placed() {
    for bad in [3, -1, i64::MIN, i64::MAX] {
        let (tensor, problem) = with_data(|set| set.test.labels = NewLabels::Classes(vec![0, bad, bad]));
        assert_eq!(tensor, "test/labels");
        assert_eq!(problem, TensorProblem::LabelOutOfRange { count: 2, first: 1, label: bad, classes: 3 });
        assert!(problem.to_string().ends_with("expected 0 to 2"), "{problem}");
    }
}

#[test]
fn data_that_does_not_fill_its_shape_is_refused() {
    let (tensor, problem) = with_data(|set| set.valid.features[1].truncate(9));
    assert_eq!((tensor.as_str(), problem), ("valid/audio", TensorProblem::Length { found: 9, expected: 10 }));
    let (tensor, _) = with_data(|set| set.test.features.truncate(1));
    assert_eq!(tensor, "test/audio");
}

#[test]
fn regression_labels_are_finite_floats_and_a_refused_set_spares_the_good_one() {
    let mut set = small();
    set.task = Task::Regression;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    let error = write(&path, &set).unwrap_err();
    assert!(error.to_string().contains("holds I64, expected F32"), "{error}");

    set.train.labels = NewLabels::Values(vec![-3.0, 0.0, 1.5, 2.0]);
    set.valid.labels = NewLabels::Values(vec![0.5, 0.25]);
    set.test.labels = NewLabels::Values(vec![0.5, 0.25, -1.0]);
    write(&path, &set).unwrap();
    assert_same(&Dataset::open(&path).unwrap(), &set);

    let mut bad = set.clone();
    bad.valid.labels = NewLabels::Values(vec![0.5, f32::NAN]);
    let error = write(&path, &bad).unwrap_err();
    assert!(error.to_string().contains("`valid/labels`") && error.to_string().contains("[1]"), "{error}");
    assert_same(&Dataset::open(&path).unwrap(), &set);
}

use std::path::Path;

use super::*;
use crate::{
    LabelOptions,
    testing::{Folder, counting, doubles, npy},
};

/// Audio (8 x 2 x 3) and video (8 x 2 x 1) with the labels 0 and 1 in turn.
fn folder() -> Folder {
    let folder = Folder::new();
    folder.put("audio.npy", counting(&[8, 2, 3]));
    folder.put("video.npy", counting(&[8, 2, 1]));
    folder.put("labels.csv", "id,label\na,0\nb,1\nc,0\nd,1\ne,0\nf,1\ng,0\nh,1\n");
    folder
        .put("split.csv", "id,split\nh,test\ng,test\nf,valid\ne,valid\nd,train\nc,train\nb,train\na,train\n");
    folder
}

fn request(folder: &Path, modalities: &[&str]) -> Request {
    let reference = |name: &str| Reference::parse(folder.join(name).to_str().unwrap());
    Request {
        modalities: modalities
            .iter()
            .map(|file| (file.split('.').next().unwrap().to_owned(), reference(file)))
            .collect(),
        labels: reference("labels.csv"),
        label_options: LabelOptions::default(),
        division: Division::Table(reference("split.csv")),
        groups: None,
        ids: None,
        steps: None,
        pad: Side::Front,
        cut: Side::Front,
        standardize: false,
        nan_as_zero: false,
        source: "a test".to_owned(),
        licence: "none".to_owned(),
        preparation: None,
    }
}

/// The error of an import, without the folder's path.
fn refused(folder: &Folder, request: &Request) -> String {
    let error = import(request).unwrap_err().to_string();
    error.replace(&format!("{}/", folder.path().display()), "")
}

fn contains(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "no `{word}` in:\n{text}");
    }
}

#[test]
fn arrays_and_tables_become_a_data_set() {
    let folder = folder();
    let imported = import(&request(folder.path(), &["audio.npy", "video.npy"])).unwrap();
    let set = &imported.dataset;
    assert_eq!(
        set.modalities,
        [Modality { name: "audio".into(), dim: 3 }, Modality { name: "video".into(), dim: 1 }]
    );
    assert_eq!(set.steps, 2);
    let expected: Vec<f32> = (24..36).map(|value| value as f32 + 0.5).collect();
    assert_eq!(
        set.valid.features[0], expected,
        "samples 4 and 5 in their order, though the table has another"
    );
    assert_eq!(set.test.features[1], [12.5, 13.5, 14.5, 15.5]);
    assert_eq!(set.train.labels, NewLabels::Classes(vec![0, 1, 0, 1]));
    let path = folder.path().display();
    assert_eq!(
        imported.notes,
        [
            format!("audio: float64 -> float32, 8 x 2 x 3, from {path}/audio.npy"),
            format!("video: float64 -> float32, 8 x 2 x 1, from {path}/video.npy"),
            format!("labels: CSV, 2 classes, from {path}/labels.csv"),
            format!("samples: 8, named by {path}/labels.csv"),
            "split: as in split.csv".to_owned(),
        ]
    );
    assert!(imported.warnings.is_empty(), "{:?}", imported.warnings);
    let preparation = &set.description.preparation;
    assert!(
        preparation.starts_with("colearn data import: audio from audio.npy (float64, 8 x 2 x 3);"),
        "{preparation}"
    );
    let out = folder.path().join("set.safetensors");
    colearn_data_format::write(&out, set).unwrap();
}

#[test]
fn what_has_other_numbers_of_samples_is_reported_with_the_numbers() {
    let folder = folder();
    folder.put("audio.npy", counting(&[7, 2, 3]));
    folder.put("labels.csv", "label\n0\n1\n0\n1\n0\n1\n0\n1\n0.5\n");
    let error = refused(&folder, &request(folder.path(), &["audio.npy", "video.npy"]));
    contains(
        &error,
        &[
            "samples: their numbers differ: audio.npy has 7, video.npy has 8, labels.csv has 9",
            "help: every file has one entry per sample",
            "labels.csv: 1 label is not whole numbers, the first is 0.5 at sample 8",
            "2 mistakes; nothing was written",
        ],
    );
    // With names, what has none is compared with them.
    let mut named = request(folder.path(), &["audio.npy", "video.npy"]);
    named.ids = Some(Reference::parse(folder.path().join("split.csv:id").to_str().unwrap()));
    contains(
        &refused(&folder, &named),
        &["audio.npy: has 7 entries, split.csv:id has 8", "labels.csv: has 9 entries"],
    );
}

#[test]
fn labels_and_splits_are_looked_up_by_id() {
    let folder = folder();
    folder.put("labels.csv", "id,label\nz,0\nh,1\ng,1\nf,1\ne,1\nd,0\nc,0\nb,1\na,0\n");
    let mut by_id = request(folder.path(), &["audio.npy"]);
    folder.put("ids.txt", "a\nb\nc\nd\ne\nf\ng\nh\n");
    by_id.ids = Some(Reference::parse(folder.path().join("ids.txt").to_str().unwrap()));
    let imported = import(&by_id).unwrap();
    assert_eq!(imported.dataset.train.labels, NewLabels::Classes(vec![0, 1, 0, 0]));
    assert!(
        imported.warnings[0].ends_with("labels.csv: left out 1 row of no sample"),
        "{:?}",
        imported.warnings
    );

    folder.put("labels.csv", "id,label\nh,1\ng,1\nf,1\nf,0\ne,1\nd,0\nc,0\na,0\n");
    contains(&refused(&folder, &by_id), &["labels.csv: id \"f\" occurs twice, with \"1\" and \"0\""]);
    folder.put("labels.csv", "id,label\nh,1\ng,1\nf,1\ne,1\nd,0\nc,0\na,0\n");
    contains(&refused(&folder, &by_id), &["labels.csv: has no label for 1 sample: \"b\""]);
    by_id.ids = None;
    contains(&refused(&folder, &by_id), &["labels.csv: has 7 rows, the arrays 8 samples", "--ids"]);
}

#[test]
fn values_that_can_not_be_stored_are_counted_and_placed() {
    let folder = folder();
    let mut values: Vec<f64> = vec![0.25; 48];
    values[2 * 6 + 3 + 1] = f64::NAN;
    values[47] = f64::NEG_INFINITY;
    folder.put("audio.npy", doubles(&[8, 2, 3], &values));
    let mut video: Vec<f64> = (0..16).map(f64::from).collect();
    video[5] = -1e39;
    folder.put("video.npy", doubles(&[8, 2, 1], &video));
    let mut request = request(folder.path(), &["audio.npy", "video.npy"]);
    contains(
        &refused(&folder, &request),
        &[
            "audio.npy: 2 values are NaN or infinite, the first (NaN) at sample \"c\" (2), step 1, feature 1",
            "--nan-as-zero",
            "video.npy: 1 value is beyond what a float32 holds (3.4e38), the first (-1e39) at sample \"c\" (2), step 1, feature 0",
        ],
    );
    request.nan_as_zero = true;
    let error = refused(&folder, &request);
    assert!(!error.contains("NaN") && error.contains("1 mistake;"), "{error}");
    video[5] = 0.0;
    folder.put("video.npy", doubles(&[8, 2, 1], &video));
    let imported = import(&request).unwrap();
    assert_eq!(imported.dataset.train.features[0][16], 0.0);
    assert_eq!(imported.warnings, ["audio: 2 NaN or infinite value(s) became 0"]);

    let large: Vec<u8> = [(1_i64 << 24) + 1; 16].iter().flat_map(|value| value.to_le_bytes()).collect();
    folder.put("video.npy", npy("<i8", false, &[8, 2, 1], &large));
    let imported = import(&request).unwrap();
    assert!(
        imported.warnings.iter().any(|it| it.contains("video: 16 integers beyond 16777216")),
        "{:?}",
        imported.warnings
    );
}

#[test]
fn two_dimensions_are_one_step_where_that_fits() {
    let folder = folder();
    folder.put("video.npy", counting(&[8, 5]));
    let alone = import(&request(folder.path(), &["video.npy"])).unwrap();
    assert_eq!((alone.dataset.steps, alone.dataset.modalities[0].dim), (1, 5));
    assert!(alone.notes[0].contains("8 x 1 x 5 (2-D, read as one step), from"), "{}", alone.notes[0]);
    let both = request(folder.path(), &["audio.npy", "video.npy"]);
    contains(
        &refused(&folder, &both),
        &[
            "time steps: they differ: audio has 2, video has 1 (2-D: one step per sample)",
            "np.repeat(array[:, None], 2, axis=1)",
        ],
    );
    for (shape, words) in [
        (
            &[8][..],
            &["video.npy: video has 1 dimension (8), expected samples x steps x features", "reshape(-1, 1)"]
                [..],
        ),
        (
            &[8, 2, 2, 1],
            &["video has 4 dimensions (8 x 2 x 2 x 1)", "reshape(len(array), array.shape[1], -1)"],
        ),
        (&[8, 0, 3], &["video is empty: its shape is [8, 0, 3]"]),
    ] {
        folder.put("video.npy", counting(shape));
        contains(&refused(&folder, &both), words);
    }
}

#[test]
fn folders_of_samples_are_padded_and_cut() {
    let folder = folder();
    for (at, id) in ["a", "b", "c", "d", "e", "f", "g", "h"].into_iter().enumerate() {
        folder.put(&format!("speech/{id}.npy"), counting(&[1 + at % 4, 1]));
    }
    folder.put("speech/notes.md", "");
    let mut request = request(folder.path(), &["speech"]);
    contains(&refused(&folder, &request), &["time steps: they differ: speech has 1 to 4", "--steps 4 pads"]);
    request.steps = Some(2);
    let imported = import(&request).unwrap();
    assert_eq!(imported.dataset.train.features[0], [0.0, 0.5, 0.5, 1.5, 1.5, 2.5, 2.5, 3.5]);
    assert!(imported.notes[0].contains("8 x 1..4 x 1, from"), "{}", imported.notes[0]);
    assert!(
        imported.notes[0].ends_with(", 2 padded to 2 steps in front, 4 cut to 2 steps in front"),
        "{}",
        imported.notes[0]
    );
    assert!(
        imported.warnings[0].contains("left out 1 entry without the ending .npy"),
        "{:?}",
        imported.warnings
    );
    (request.pad, request.cut) = (Side::Back, Side::Back);
    let imported = import(&request).unwrap();
    assert_eq!(imported.dataset.train.features[0], [0.5, 0.0, 0.5, 1.5, 0.5, 1.5, 0.5, 1.5]);

    folder.put("speech/c.npy", counting(&[2, 2]));
    folder.put("speech/d.npy", "no array");
    folder.put("speech/e.npy", counting(&[2]));
    contains(
        &refused(&folder, &request),
        &[
            "speech/c.npy: has 2 features, the files before it 1",
            "speech/d.npy: is not a .npy file",
            "speech/e.npy: has shape [2], expected [steps, features]",
        ],
    );
}

#[test]
fn folders_are_matched_by_name() {
    let folder = folder();
    for id in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        folder.put(&format!("speech/{id}.npy"), counting(&[2, 1]));
        folder.put(&format!("face/{id}.npy"), counting(&[2, 3]));
    }
    std::fs::remove_file(folder.path().join("face/d.npy")).unwrap();
    folder.put("face/x.npy", counting(&[2, 3]));
    let mut request = request(folder.path(), &["speech", "face"]);
    contains(&refused(&folder, &request), &["face: has no file for 1 sample: \"d\""]);
    folder.put("ids.txt", "h\nc\nb\na\ne\nf\ng\n");
    request.ids = Some(Reference::parse(folder.path().join("ids.txt").to_str().unwrap()));
    let imported = import(&request).unwrap();
    assert_eq!(
        imported.dataset.train.labels,
        NewLabels::Classes(vec![0, 1, 0]),
        "c, b, a: in the order of --ids"
    );
    contains(
        &imported.warnings.join("\n"),
        &["speech: left out 1 file of no sample", "face: left out 1 file of no sample"],
    );

    // An array beside a folder has the order of the file names, which is worth a warning.
    let mixed = Request { ids: None, ..self::request(folder.path(), &["audio.npy", "speech"]) };
    contains(&import(&mixed).unwrap().warnings.join("\n"), &["audio: ", "in the order of the file names in"]);
}

#[test]
fn what_training_never_shows_and_splits_that_are_wrong() {
    let folder = folder();
    let both = request(folder.path(), &["audio.npy", "video.npy"]);
    // Nothing but the split names samples: its rows are in the order of the arrays.
    folder.put("labels.csv", "label\nodd\nsad\nsad\nodd\nsad\nmad\nmad\nsad\n");
    contains(
        &refused(&folder, &both),
        &["labels.csv: 1 class without a training sample: \"odd (1 valid, 1 test)\""],
    );
    folder.put("labels.csv", "label\n0\n1\n0\n1\n0\n1\n0\n1\n");
    folder.put("split.csv", "split\ntrain\ntrain\ntrain\ntrain\nhold\ntest\ntest\ntest\n");
    contains(
        &refused(&folder, &both),
        &["split.csv: 1 sample in an unknown split: \"hold\", the first at sample 4"],
    );
    folder.put(
        "split.csv",
        "split,speaker\ntrain,x\ntrain,x\ntrain,x\ntrain,x\ntest,x\ntest,y\ntest,y\ntest,y\n",
    );
    let mut grouped = both.clone();
    let reference = |name: &str| Reference::parse(folder.path().join(name).to_str().unwrap());
    grouped.groups = Some(reference("split.csv:speaker"));
    contains(
        &refused(&folder, &grouped),
        &[
            "the valid split is empty",
            "split.csv:speaker: 1 group in more than one split: \"x (4 train, 1 test)\"",
        ],
    );
}

#[test]
fn mistakes_of_every_file_are_reported_at_once() {
    let folder = folder();
    folder.put("audio.npy", npy("|O", false, &[8], b"pickle"));
    folder.put("video.npy", b"\x93NUMPY");
    folder.put("labels.csv", "label\n1\n2\n1\n2\n1\n2\n1\n2\n");
    folder.put("split.csv", "split\n");
    let mut all = request(folder.path(), &["audio.npy", "video.npy", "text.npy", "readme.md"]);
    all.modalities.push(("no name".to_owned(), Reference::parse("x.npy")));
    all.modalities.push(("audio".to_owned(), Reference::parse("x.npy")));
    folder.put("readme.md", "");
    let error = refused(&folder, &all);
    contains(
        &error,
        &[
            "--modality no name=x.npy: a name has letters",
            "--modality audio=x.npy: a modality of that name was given before",
            "audio.npy: holds Python objects",
            "video.npy: is not a .npy file, or ends before its header does",
            "text.npy: cannot be read: No such file",
            "readme.md: readme is no .npy or .npz file",
            "labels.csv: labels are counted from 1 (1 to 2)",
            "split.csv: has no rows",
            "10 mistakes; nothing was written",
        ],
    );
}

#[test]
fn every_fold_is_made_from_one_reading() {
    let folder = folder();
    let folds = Division::Folds { count: 4, fold: 0, seed: 3 };
    let request = Request { division: folds, ..request(folder.path(), &["audio.npy", "video.npy"]) };
    let all: Vec<Imported> = import_each(&request, request.division.all_folds()).unwrap().collect();
    assert_eq!(all.len(), 4);
    for (fold, imported) in all.iter().enumerate() {
        let alone = Request { division: Division::Folds { count: 4, fold, seed: 3 }, ..request.clone() };
        assert_eq!(*imported, import(&alone).unwrap());
        contains(&imported.notes.join("\n"), &[&format!("split: fold {fold} of 4 with seed 3")]);
        assert_eq!(imported.dataset.test.features[0].len(), 2 * 2 * 3);
    }
    // Each sample is tested once.
    let mut tested: Vec<f32> = all.iter().flat_map(|it| it.dataset.test.features[1].clone()).collect();
    tested.sort_by(f32::total_cmp);
    assert_eq!(tested, (0..16).map(|value| value as f32 + 0.5).collect::<Vec<_>>());
}

#[test]
fn standardizing_uses_the_training_part_and_leaves_padding_alone() {
    let folder = folder();
    // The first step of each sample is padding that was saved with it.
    let values: Vec<f64> =
        (0..8).flat_map(|sample| [0.0, 7.0, f64::from(sample)].into_iter().cycle().take(3)).collect();
    let padded: Vec<f64> =
        values.chunks(3).flat_map(|steps| [[0.0, 0.0], [steps[1], steps[2]]]).flatten().collect();
    folder.put("audio.npy", doubles(&[8, 2, 2], &padded));
    let mut request = request(folder.path(), &["audio.npy"]);
    request.standardize = true;
    let imported = import(&request).unwrap();
    let train = &imported.dataset.train.features[0];
    let (mean, deviation) = (1.5, 1.25_f32.sqrt());
    for (sample, steps) in train.chunks(4).enumerate() {
        assert_eq!(steps[..3], [0.0, 0.0, 0.0], "padding, and a feature that is always 7");
        assert!((steps[3] - (sample as f32 - mean) / deviation).abs() < 1e-6, "{train:?}");
    }
    let note = imported.notes.last().unwrap();
    contains(
        note,
        &[
            "over the 4 steps of the training part; its 4 steps of padding stay 0",
            "1 of 2 features do not vary",
        ],
    );
    assert!(
        imported.dataset.description.preparation.ends_with("standardized by feature over the training part")
    );
}

#[test]
fn samples_in_two_splits_are_warned_of() {
    let folder = folder();
    let mut values: Vec<f64> = (0..16).map(f64::from).collect();
    values.copy_within(0..2, 14);
    folder.put("video.npy", doubles(&[8, 2, 1], &values));
    let imported = import(&request(folder.path(), &["video.npy"])).unwrap();
    contains(
        &imported.warnings.join("\n"),
        &["1 sample in another split with the same content", "\"a\" (0) (train) and sample \"h\" (7) (test)"],
    );
}

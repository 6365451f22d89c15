//! A small data set, and helpers.

use std::fs;
use std::path::{Path, PathBuf};

use colearn_data_format::{
    Dataset, Description, Labels, Modality, Names, NewDataset, NewLabels, NewSplit, Split, Task, write,
};

/// A split with features that count upwards.
pub(crate) fn split(samples: usize, steps: usize, dims: &[usize], labels: NewLabels) -> NewSplit {
    let features = dims
        .iter()
        .enumerate()
        .map(|(m, dim)| (0..samples * steps * dim).map(|i| i as f32 * 0.5 - m as f32).collect())
        .collect();
    NewSplit { features, labels }
}

/// Language (3 features) and audio (1), 5 steps, three classes; 4, 2 and 3 samples.
pub(crate) fn small() -> NewDataset {
    let part = |labels: &[i64]| split(labels.len(), 5, &[3, 1], NewLabels::Classes(labels.to_vec()));
    NewDataset {
        modalities: vec![
            Modality { name: "language".into(), dim: 3 },
            Modality { name: "audio".into(), dim: 1 },
        ],
        steps: 5,
        task: Task::Classification { classes: vec!["a".into(), "b".into(), "c \"quoted\"".into()] },
        description: Description {
            source: "a test".into(),
            licence: "none".into(),
            preparation: String::new(),
        },
        names: Names::default(),
        train: part(&[0, 1, 2, 0]),
        valid: part(&[1, 1]),
        test: part(&[2, 1, 0]),
    }
}

/// A folder with the small set in it.
pub(crate) fn written() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("set.safetensors");
    write(&path, &small()).unwrap();
    (folder, path)
}

/// The text of the header, and the bytes behind it.
pub(crate) fn take_apart(bytes: &[u8]) -> (&str, &[u8]) {
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    (std::str::from_utf8(&bytes[8..8 + length]).unwrap(), &bytes[8 + length..])
}

/// A file made of a header and the bytes behind it, without padding.
pub(crate) fn put_together(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// Replaces the small set's file by a changed copy.
pub(crate) fn change_file(path: &Path, change: impl FnOnce(&[u8]) -> Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    // A new file instead of new content: an open data set must not change under its map.
    fs::remove_file(path).unwrap();
    fs::write(path, change(&bytes)).unwrap();
}

/// Asserts that everything written was read back.
pub(crate) fn assert_same(opened: &Dataset, set: &NewDataset) {
    assert_eq!(opened.modalities(), set.modalities);
    assert_eq!(opened.steps(), set.steps);
    assert_eq!(opened.task(), &set.task);
    assert_eq!(opened.description(), &set.description);
    for (split, new) in Split::ALL.into_iter().zip([&set.train, &set.valid, &set.test]) {
        let view = opened.split(split);
        for (index, features) in new.features.iter().enumerate() {
            assert_eq!(view.features(index), features);
        }
        match (&new.labels, view.labels()) {
            (NewLabels::Classes(a), Labels::Classes(b)) => assert_eq!(a, b),
            (NewLabels::Values(a), Labels::Values(b)) => assert_eq!(a, b),
            (a, b) => panic!("{a:?} came back as {b:?}"),
        }
        assert_eq!(view.len(), view.labels().len());
    }
}

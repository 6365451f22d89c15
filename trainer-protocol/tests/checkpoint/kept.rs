//! Tests of the files that stay when a task is over.

use std::{fs, path::PathBuf};

use colearn_core::result::Artifact;
use colearn_trainer_protocol::checkpoint::{Store, StoreError, encode};
use tempfile::TempDir;

use crate::{checkpoint, task};

fn opened() -> (Store, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Store::open(folder.path().to_str().unwrap()).unwrap(), folder)
}

fn path_of(folder: &TempDir, artifact: &Artifact) -> PathBuf {
    let object = format!("kept-{}-{}", &artifact.digest[..16], artifact.name);
    folder.path().join("000000000000001a/000000000000feed-1").join(object)
}

#[test]
fn kept_files_stay_when_checkpoints_are_removed() {
    let (store, folder) = opened();
    let artifact = store.keep(task(1), "a.csv", b"1,2\n".to_vec()).unwrap();
    assert_eq!(
        (artifact.bytes, artifact.location.as_str()),
        (4, folder.path().canonicalize().unwrap().to_str().unwrap())
    );
    store.save(task(1), 1, 5, encode(&checkpoint(1, 1, 5))).unwrap();
    let staged = path_of(&folder, &artifact).with_extension("csv#3");
    fs::write(&staged, "left by a writer that was killed").unwrap();
    store.remove(task(1)).unwrap();
    assert!(store.newest_first(task(1)).unwrap().is_empty() && !staged.exists());
    assert_eq!(store.load_kept(task(1), &artifact).unwrap(), b"1,2\n");
    assert_eq!(store.remove_kept(task(1)).unwrap(), 1);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no folder is left");
    assert_eq!(store.remove_kept(task(1)).unwrap(), 0);
    assert!(matches!(store.load_kept(task(1), &artifact), Err(StoreError::NotKept { .. })));
}

#[test]
fn attempts_do_not_replace_each_others_files() {
    let (store, _folder) = opened();
    let first = store.keep(task(1), "a.csv", b"first".to_vec()).unwrap();
    let second = store.keep(task(1), "a.csv", b"second".to_vec()).unwrap();
    assert_eq!(store.load_kept(task(1), &first).unwrap(), b"first");
    assert_eq!(store.load_kept(task(1), &second).unwrap(), b"second");
    assert_eq!(store.remove_kept(task(1)).unwrap(), 2, "those without a result too");
}

#[test]
fn other_bytes_than_were_recorded_are_refused() {
    let (store, folder) = opened();
    let artifact = store.keep(task(1), "a.csv", b"1,2\n".to_vec()).unwrap();
    let refused = |bytes: &str, why: &str| {
        fs::write(path_of(&folder, &artifact), bytes).unwrap();
        let error = store.load_kept(task(1), &artifact).unwrap_err();
        assert!(matches!(error, StoreError::Altered { .. }) && error.to_string().contains(why), "{error}");
    };
    refused("1,3\n", "was altered: it has the digest");
    refused("1,2", "the digest");
    refused("1,2\n\n", "5 bytes");
}

/// The numbers of sweeps of two coordinators are the same.
#[test]
fn what_one_sweep_keeps_is_not_removed_with_another_of_the_same_number() {
    let (store, folder) = opened();
    let places = ["kept-18c", "kept-18d"].map(|name| store.within(name).unwrap());
    let artifacts = places.each_ref().map(|it| it.keep(task(1), "a.csv", b"1,2\n".to_vec()).unwrap());
    assert!(artifacts[0].location.ends_with("/kept-18c"), "{artifacts:?}");
    assert_eq!(places[0].remove_kept(task(1)).unwrap(), 1);
    places[0].remove_empty();
    assert!(!folder.path().join("kept-18c").exists());
    assert_eq!(places[1].load_kept(task(1), &artifacts[1]).unwrap(), b"1,2\n");
    places[1].remove_empty();
    assert_eq!(places[1].load_kept(task(1), &artifacts[1]).unwrap(), b"1,2\n", "it is not empty");
    store.remove_empty();
    assert!(folder.path().exists(), "the location itself stays");
    for wrong in ["", "..", "a/b", "kept-18c\n", &"x".repeat(65)] {
        assert!(matches!(store.within(wrong), Err(StoreError::Open { .. })), "{wrong:?}");
    }
}

#[test]
fn a_location_that_is_not_here_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("elsewhere");
    let error = Store::open_existing(place.to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("there is no such folder on this host") && !place.exists(), "{error}");
}

//! Tests of the store, in real folders.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use colearn_trainer_protocol::checkpoint::{Checkpoint, Store, StoreError, encode};
use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

use crate::{checkpoint, expected, same, task};

struct TestEnv {
    store: Store,
    folder: TempDir,
}

impl TestEnv {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Store::open(folder.path().to_str().unwrap()).unwrap(), folder }
    }

    fn save(&self, seed: u64, attempt: u32, epoch: u32) {
        let bytes = encode(&checkpoint(seed, attempt, epoch));
        self.store.save(task(seed), attempt, epoch, bytes).unwrap();
    }

    fn of_task(&self, seed: u64) -> PathBuf {
        self.folder.path().join(format!("000000000000001a/000000000000feed-{seed}"))
    }

    fn files(&self, seed: u64) -> BTreeSet<String> {
        let Ok(files) = fs::read_dir(self.of_task(seed)) else { return BTreeSet::new() };
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn latest(&self, seed: u64) -> (Option<Checkpoint>, Vec<String>) {
        let mut warnings = Vec::new();
        let latest = self.store.latest(task(seed), &expected(seed), &mut |warning| warnings.push(warning));
        (latest, warnings)
    }
}

fn names(of: &[&str]) -> BTreeSet<String> {
    of.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn what_is_saved_is_found_again_by_its_task_alone() {
    let env = TestEnv::new();
    assert_eq!(env.latest(1), (None, vec![]));
    env.save(1, 1, 5);
    env.save(2, 1, 10);
    let reopened = Store::open(env.folder.path().to_str().unwrap()).unwrap();
    let found = reopened.latest(task(1), &expected(1), &mut |warning| panic!("{warning}")).unwrap();
    assert!(same(&found, &checkpoint(1, 1, 5)));
    assert_eq!(env.files(1), names(&["00000005-00000001.safetensors"]));
}

#[test]
fn the_newest_two_remain() {
    let env = TestEnv::new();
    for epoch in [5, 10, 15, 20] {
        env.save(1, 1, epoch);
    }
    assert_eq!(env.files(1), names(&["00000015-00000001.safetensors", "00000020-00000001.safetensors"]));
    env.save(1, 2, 20);
    assert_eq!(env.files(1), names(&["00000020-00000001.safetensors", "00000020-00000002.safetensors"]));
    assert_eq!(env.latest(1).0.unwrap().header.attempt, 2);
}

#[test]
fn what_starts_over_is_not_pruned_in_favour_of_what_it_could_not_use() {
    let env = TestEnv::new();
    for epoch in [95, 100] {
        env.store.save(task(1), 1, epoch, b"damaged".to_vec()).unwrap();
    }
    env.save(1, 1, 5);
    let (found, warnings) = env.latest(1);
    assert_eq!(found.unwrap().header.epoch, 5);
    assert_eq!(warnings.len(), 1);
}

#[test]
fn a_damaged_newest_falls_back_to_the_one_before() {
    let env = TestEnv::new();
    env.save(1, 1, 5);
    env.save(1, 1, 10);
    let newest = env.of_task(1).join("00000010-00000001.safetensors");
    let bytes = fs::read(&newest).unwrap();
    fs::write(&newest, &bytes[..bytes.len() / 2]).unwrap();
    let (found, warnings) = env.latest(1);
    assert!(same(&found.unwrap(), &checkpoint(1, 1, 5)));
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(
        warning.starts_with(&format!("checkpoint {} is refused: it is truncated", newest.display())),
        "{warning}"
    );
    assert!(warning.ends_with("; trying the one before"), "{warning}");
}

#[test]
fn when_none_fits_the_task_starts_over() {
    let env = TestEnv::new();
    env.store.save(task(1), 1, 5, encode(&checkpoint(2, 1, 5))).unwrap();
    env.store.save(task(1), 1, 10, b"nothing".to_vec()).unwrap();
    let (found, warnings) = env.latest(1);
    assert_eq!(found, None);
    assert!(warnings[0].ends_with("trying the one before"), "{warnings:?}");
    assert!(warnings[1].contains("it belongs to another task"), "{warnings:?}");
    assert!(warnings[1].ends_with("; the task starts over"), "{warnings:?}");
}

#[test]
fn what_is_too_large_is_not_read() {
    let env = TestEnv::new();
    env.save(1, 1, 5);
    let [entry] = &env.store.newest_first(task(1)).unwrap()[..] else { panic!() };
    assert_eq!((entry.epoch, entry.attempt), (5, 1));
    assert_eq!(env.store.load(entry, entry.size).unwrap().len() as u64, entry.size);
    let error = env.store.load(entry, entry.size - 1).unwrap_err();
    assert!(matches!(error, StoreError::Oversized { .. }), "{error}");
    // A sparse file of a terabyte, which takes no space on the disk.
    let huge = fs::File::create(env.of_task(1).join("00000010-00000001.safetensors")).unwrap();
    huge.set_len(1 << 40).unwrap();
    let (found, warnings) = env.latest(1);
    assert_eq!(found.unwrap().header.epoch, 5);
    assert!(warnings[0].contains("has 1099511627776 bytes; at most "), "{warnings:?}");
}

#[test]
fn other_names_are_left_alone() {
    let env = TestEnv::new();
    env.save(1, 1, 5);
    let others = ["notes.txt", "5-1.safetensors", "+0000005-00000001.safetensors", "00000009-00000001.pt"];
    for other in others {
        fs::write(env.of_task(1).join(other), "mine").unwrap();
    }
    fs::create_dir(env.of_task(1).join("00000020-00000001.safetensors")).unwrap();
    env.save(1, 1, 10);
    env.save(1, 1, 15);
    assert_eq!(env.latest(1).0.unwrap().header.epoch, 15);
    assert!(others.iter().all(|other| env.files(1).contains(*other)), "{:?}", env.files(1));
    assert_eq!(env.files(1).len(), others.len() + 3);
}

/// The result of a call that must not take long.
fn promptly<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(call()));
    receiver.recv_timeout(Duration::from_secs(30)).expect("the call ends")
}

/// Reading a named pipe would wait until somebody writes to it, and this device never ends.
#[test]
fn what_is_not_a_regular_file_is_ignored_with_a_warning() {
    let env = TestEnv::new();
    env.save(1, 1, 5);
    let name = |epoch: u32| format!("{epoch:08}-00000001.safetensors");
    let folder = env.of_task(1);
    let at = |epoch: u32| folder.join(name(epoch));
    mkfifo(&at(10), Mode::S_IRWXU).unwrap();
    symlink("/dev/zero", at(11)).unwrap();
    symlink(name(5), at(12)).unwrap();
    fs::create_dir(at(13)).unwrap();
    let others: BTreeSet<String> = (10..14).map(name).collect();
    let (env, latest, warnings) = promptly(move || {
        let (latest, warnings) = env.latest(1);
        (env, latest, warnings)
    });
    assert_eq!(latest.unwrap().header.epoch, 5);
    let told = |epoch, kind| {
        format!("checkpoint {} is {kind}, not a regular file, and is ignored", at(epoch).display())
    };
    let more = format!("{} holds 1 more object(s) that are not regular files", env.of_task(1).display());
    assert_eq!(warnings, [told(10, "a named pipe"), told(11, "a link"), told(12, "a link"), more]);
    // These objects neither count as checkpoints nor are removed.
    env.save(1, 1, 20);
    env.save(1, 1, 25);
    let kept: BTreeSet<String> = others.iter().cloned().chain([name(20), name(25)]).collect();
    assert_eq!(env.files(1), kept);
    let error = env.store.remove(task(1)).unwrap_err().to_string();
    let expected =
        format!("failed to remove checkpoint {}: it holds `{}`", env.of_task(1).display(), name(10));
    assert!(error.starts_with(&expected), "{error}");
    assert_eq!(env.files(1), others);
}

/// A checkpoint may be replaced by something else between listing and reading.
#[test]
fn what_is_swapped_in_for_a_listed_checkpoint_is_not_read() {
    let env = TestEnv::new();
    env.save(1, 1, 5);
    let listed = env.store.newest_first(task(1)).unwrap().remove(0);
    let file = env.of_task(1).join("00000005-00000001.safetensors");
    let swap = |kind: &str, make: &dyn Fn()| {
        fs::remove_file(&file).unwrap();
        make();
        let (store, listed) = (Store::open(env.folder.path().to_str().unwrap()).unwrap(), listed.clone());
        let error = promptly(move || store.load(&listed, 1 << 20)).unwrap_err().to_string();
        assert!(error.ends_with(&format!("it is {kind}, not a regular file")), "{error}");
    };
    fs::write(env.folder.path().join("elsewhere"), "secret").unwrap();
    swap("a link", &|| symlink("../../elsewhere", &file).unwrap());
    swap("a link", &|| symlink("/dev/zero", &file).unwrap());
    swap("a named pipe", &|| mkfifo(&file, Mode::S_IRWXU).unwrap());
}

#[test]
fn linked_folders_are_not_followed() {
    let outside = tempfile::tempdir().unwrap();
    let precious = ["00000001-00000001.safetensors", "00000002-00000001.safetensors#1", "keep.txt"];
    let write_precious = |folder: &Path| {
        fs::create_dir_all(folder).unwrap();
        for name in precious {
            fs::write(folder.join(name), "precious").unwrap();
        }
    };
    write_precious(outside.path());
    write_precious(&outside.path().join("000000000000feed-1"));
    let linked_task = TestEnv::new();
    fs::create_dir_all(linked_task.of_task(1).parent().unwrap()).unwrap();
    symlink(outside.path(), linked_task.of_task(1)).unwrap();
    let linked_sweep = TestEnv::new();
    symlink(outside.path(), linked_sweep.of_task(1).parent().unwrap()).unwrap();
    for (env, link) in [(linked_task, "000000000000feed-1"), (linked_sweep, "000000000000001a")] {
        let told = format!("`{link}` is a link, which is not followed; put a folder in its place");
        let saved = env.store.save(task(1), 1, 5, encode(&checkpoint(1, 1, 5))).unwrap_err().to_string();
        assert!(saved.starts_with("failed to save checkpoint ") && saved.ends_with(&told), "{saved}");
        let removed = env.store.remove(task(1)).unwrap_err().to_string();
        assert!(removed.ends_with(&told), "{removed}");
        let (latest, warnings) = env.latest(1);
        assert_eq!(latest, None);
        assert!(warnings[0].contains(&told) && warnings[0].ends_with(" starts over"), "{warnings:?}");
        for folder in [outside.path().to_owned(), outside.path().join("000000000000feed-1")] {
            for name in precious {
                assert_eq!(fs::read(folder.join(name)).unwrap(), b"precious");
            }
        }
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), precious.len() + 1);
    }
}

#[test]
fn the_location_itself_may_be_a_link_and_be_made_again() {
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("real")).unwrap();
    symlink("real", place.path().join("link")).unwrap();
    let store = Store::open(place.path().join("link").to_str().unwrap()).unwrap();
    for epoch in [5, 10] {
        store.save(task(1), 1, epoch, encode(&checkpoint(1, 1, epoch))).unwrap();
        let found = store.latest(task(1), &expected(1), &mut |warning| panic!("{warning}")).unwrap();
        assert_eq!(found.header.epoch, epoch);
        fs::remove_dir_all(place.path().join("real")).unwrap();
    }
}

#[test]
fn removing_removes_all_of_one_task() {
    let env = TestEnv::new();
    env.store.remove(task(1)).unwrap();
    env.save(1, 1, 5);
    env.save(1, 2, 10);
    env.save(2, 1, 5);
    // A temporary file of a process that was killed while it was writing.
    fs::write(env.of_task(1).join("00000015-00000001.safetensors#1"), "half").unwrap();
    env.store.remove(task(1)).unwrap();
    assert!(!env.of_task(1).exists());
    assert!(env.latest(2).0.is_some());
    env.store.remove(task(2)).unwrap();
    assert_eq!(fs::read_dir(env.folder.path()).unwrap().count(), 0);
}

/// A worker that was given up and its successor write at the same time, while a third process reads.
#[test]
fn two_writers_do_each_other_no_harm() {
    let env = TestEnv::new();
    env.save(1, 1, 1);
    let location = env.folder.path().to_str().unwrap();
    thread::scope(|scope| {
        for attempt in [1, 2] {
            scope.spawn(move || {
                let store = Store::open(location).unwrap();
                for epoch in 2..40 {
                    // Sometimes both write the same object.
                    let attempt = if epoch % 3 == 0 { 3 } else { attempt };
                    store.save(task(1), attempt, epoch, encode(&checkpoint(1, attempt, epoch))).unwrap();
                }
            });
        }
        let store = Store::open(location).unwrap();
        for _ in 0..40 {
            // An object that was removed since it was listed is missing; half a checkpoint is never seen.
            store.latest(task(1), &expected(1), &mut |warning| {
                assert!(warning.contains("No such file"), "{warning}");
            });
        }
    });
    assert!(env.latest(1).0.is_some());
    assert!(env.files(1).iter().all(|name| !name.contains('#')), "{:?}", env.files(1));
}

#[test]
fn what_can_not_be_written_is_an_error_with_its_cause() {
    let env = TestEnv::new();
    fs::create_dir_all(env.of_task(1).parent().unwrap()).unwrap();
    fs::write(env.of_task(1), "in the way").unwrap();
    let error = env.store.save(task(1), 1, 5, vec![0]).unwrap_err().to_string();
    let file = env.of_task(1).join("00000005-00000001.safetensors");
    assert!(error.starts_with(&format!("failed to save checkpoint {}: ", file.display())), "{error}");
    assert!(error.contains("Not a directory") || error.contains("File exists"), "{error}");
}

/// A user who may write everywhere, as root may, does not see this error.
#[test]
fn a_read_only_folder_is_an_error() {
    use std::os::unix::fs::PermissionsExt as _;
    let env = TestEnv::new();
    env.save(1, 1, 5);
    let restrict = |mode| fs::set_permissions(env.of_task(1), fs::Permissions::from_mode(mode)).unwrap();
    restrict(0o500);
    if fs::write(env.of_task(1).join("probe"), "").is_ok() {
        restrict(0o700);
        eprintln!("skipped: this user may write into read-only folders");
        return;
    }
    let error = env.store.save(task(1), 1, 10, vec![0]).unwrap_err().to_string();
    assert!(error.contains("Permission denied"), "{error}");
    assert_eq!(env.latest(1).0.unwrap().header.epoch, 5);
    restrict(0o700);
}

/// The limit on the size of files replaces a full disk, which would need a separate file system.
#[test]
fn a_full_disk_leaves_what_was_there() {
    let env = TestEnv::new();
    env.save(1, 1, 5);
    // The limit would also apply to the output, if that goes to a file.
    let output = std::process::Command::new("sh")
        .args(["-c", r#"ulimit -f 1; trap '' XFSZ; exec "$0" --exact store::fills_the_disk --nocapture"#])
        .arg(std::env::current_exe().unwrap())
        .env("COLEARN_TEST_FULL", env.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(env.latest(1).0.unwrap().header.epoch, 5);
    assert_eq!(env.files(1), names(&["00000005-00000001.safetensors"]), "no half file remains");
}

/// Not a test by itself: the child process that may not write more than a block.
#[test]
fn fills_the_disk() {
    let Some(folder) = std::env::var_os("COLEARN_TEST_FULL") else { return };
    let store = Store::open(Path::new(&folder).to_str().unwrap()).unwrap();
    let error = store.save(task(1), 1, 10, vec![0; 1 << 20]).unwrap_err().to_string();
    assert!(error.contains("File too large"), "{error}");
}

#[test]
fn locations_that_can_not_be_used_say_what_to_do() {
    let error = |location: &str| Store::open(location).unwrap_err().to_string();
    assert!(error("gs://bucket").contains("give the path of a folder, or s3://bucket/prefix"));
    assert!(error("").contains("it is empty"));
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(error(file.path().to_str().unwrap()).contains("File exists"));
    if !cfg!(feature = "s3") {
        assert!(error("s3://bucket/prefix").contains("build it with the default features"));
    }
}

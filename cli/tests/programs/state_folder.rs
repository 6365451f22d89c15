//! State folders that are changed from outside: by a second coordinator, a restored backup, links, and read-only
//! folders.

use std::{
    fs,
    io::Read as _,
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{
    lab::{Lab, Running, SWEEP, text},
    small_disk::SmallDisk,
};

const ANYWHERE: &str = "127.0.0.1:0";

fn submit(lab: &Lab, name: &str, url: &str) -> Output {
    let file = format!("{name}.yaml");
    lab.write(&file, &SWEEP.replace("name: small", &format!("name: {name}")));
    lab.colearn(&["submit", &file, "--coordinator", url])
}

fn names(lab: &Lab, target: &[&str]) -> Vec<String> {
    let listed = lab.json(&[&["list", "--json"], target].concat());
    let sweeps = listed["sweeps"].as_array().unwrap();
    sweeps.iter().map(|sweep| sweep["name"].as_str().unwrap().to_owned()).collect()
}

fn is_consistent(lab: &Lab) {
    let checked = lab.colearn(&["db", "check", "--state", "state"]);
    assert!(checked.status.success(), "{}", text(&checked.stderr));
}

#[test]
fn of_two_coordinators_on_one_folder_the_first_stops_and_nothing_acknowledged_is_lost() {
    let lab = Lab::new();
    let (first, first_url) = lab.coordinator(ANYWHERE);
    assert!(submit(&lab, "a", &first_url).status.success());
    // Somebody removes the lock because it looks stale.
    fs::remove_file(lab.path().join("state/lock")).unwrap();
    let (second, second_url) = lab.coordinator(ANYWHERE);
    assert!(submit(&lab, "c", &second_url).status.success());
    let refused = submit(&lab, "b", &first_url);
    assert!(!refused.status.success(), "{}", text(&refused.stdout));
    assert_eq!(first.code(), 6);
    let logs = lab.logs();
    assert!(logs.contains("taken over by another coordinator; the lock file names process"), "{logs}");
    assert!(submit(&lab, "d", &second_url).status.success());
    second.kill();
    is_consistent(&lab);
    let (_third, url) = lab.coordinator(ANYWHERE);
    assert_eq!(names(&lab, &["--coordinator", &url]), ["a", "c", "d"]);
}

#[test]
fn a_backup_that_is_restored_under_a_coordinator_stops_it_and_stays_whole() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator(ANYWHERE);
    assert!(submit(&lab, "a", &url).status.success());
    assert!(lab.colearn(&["db", "backup", "copy.db", "--state", "state"]).status.success());
    assert!(submit(&lab, "b", &url).status.success());
    let state = lab.path().join("state");
    fs::copy(lab.path().join("copy.db"), state.join("colearn.db")).unwrap();
    fs::remove_file(state.join("colearn.db-wal")).unwrap();
    fs::remove_file(state.join("colearn.db-shm")).unwrap();
    assert!(!submit(&lab, "c", &url).status.success(), "it would be lost");
    assert_eq!(coordinator.code(), 6);
    is_consistent(&lab);
    let (_next, url) = lab.coordinator(ANYWHERE);
    assert_eq!(names(&lab, &["--coordinator", &url]), ["a"]);
}

#[test]
fn a_folder_that_is_moved_from_under_a_coordinator_stops_it() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator(ANYWHERE);
    assert!(submit(&lab, "a", &url).status.success());
    fs::rename(lab.path().join("state"), lab.path().join("moved")).unwrap();
    assert!(!submit(&lab, "b", &url).status.success());
    assert_eq!(coordinator.code(), 6);
    assert_eq!(names(&lab, &["--state", "moved"]), ["a"]);
}

#[test]
fn links_in_a_state_folder_are_not_followed_and_its_files_are_for_their_owner() {
    let lab = Lab::new();
    let (running, _) = lab.coordinator(ANYWHERE);
    running.terminate();
    assert_eq!(running.code(), 0);
    let state = lab.path().join("state");
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&state), 0o700);
    for file in fs::read_dir(&state).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    lab.write("victim", "precious");
    for name in ["lock", "colearn.db", "colearn.db-wal", "address", "logs.db"] {
        let trap = lab.path().join(format!("trap-{name}"));
        fs::create_dir(&trap).unwrap();
        symlink("../victim", trap.join(name)).unwrap();
        let started = lab.coordinator_on(ANYWHERE, trap.to_str().unwrap(), 3);
        // Files that can be replaced or are not needed do not prevent a start.
        assert_eq!(started.is_some(), ["address", "logs.db"].contains(&name), "{name}");
        drop(started);
        assert_eq!(fs::read_to_string(lab.path().join("victim")).unwrap(), "precious", "{name}");
    }
    assert!(lab.logs().contains("is a symbolic link"), "{}", lab.logs());
}

fn make_read_only(folder: &Path) {
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status();
    assert!(remounted.unwrap().success());
}

/// Runs every command that only reads, on a sweep that was not trained.
fn can_be_looked_at(lab: &Lab) {
    let target = ["--state", "disk/state"];
    assert_eq!(names(lab, &target), ["a"]);
    for looking in [
        &["status", "a"][..],
        &["tasks", "a"],
        &["results", "a"],
        &["report", "a", "--out", "out"],
        &["workers"],
        &["logs", "--worker", "w"],
        &["db", "check"],
        &["db", "backup", "copy.db"],
    ] {
        let output = lab.colearn(&[looking, &target].concat());
        let told = text(&output.stderr);
        // There are no log lines.
        let nothing = looking[0] == "logs" && told.contains("there is no worker `w`");
        assert!(output.status.success() || nothing, "{looking:?}: {told}");
    }
    fs::remove_file(lab.path().join("copy.db")).unwrap();
    let output = lab.colearn(&[&["cancel", "a"], &target[..]].concat());
    assert_eq!(output.status.code(), Some(6), "{}", text(&output.stderr));
}

#[test]
fn a_state_folder_that_can_not_be_written_can_be_looked_at() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(lab.path().join("disk"), 4096) else { return };
    let state = lab.path().join("disk/state");
    let (coordinator, url) = lab.coordinator_on(ANYWHERE, "disk/state", 3).unwrap();
    assert!(submit(&lab, "a", &url).status.success());
    coordinator.terminate();
    assert_eq!(coordinator.code(), 0);
    for log in ["colearn.db-wal", "logs.db-wal"] {
        assert!(state.join(log).metadata().map_or(true, |log| log.len() == 0), "{log} was copied");
    }
    make_read_only(&lab.path().join("disk"));
    can_be_looked_at(&lab);
    drop(disk);
}

#[test]
fn a_log_that_can_not_be_read_is_named_with_the_remedy() {
    let lab = Lab::new();
    let Some(disk) = SmallDisk::mount(lab.path().join("disk"), 4096) else { return };
    let state = lab.path().join("disk/state");
    let (coordinator, url) = lab.coordinator_on(ANYWHERE, "disk/state", 3).unwrap();
    assert!(submit(&lab, "a", &url).status.success());
    coordinator.kill();
    assert!(state.join("colearn.db-wal").metadata().unwrap().len() > 0);
    fs::remove_file(state.join("colearn.db-shm")).unwrap();
    make_read_only(&lab.path().join("disk"));
    let output = lab.colearn(&["list", "--state", "disk/state"]);
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{told}");
    assert!(
        told.contains("colearn.db-wal, which cannot be read") && told.contains("copy the folder"),
        "{told}"
    );
    let copied = Command::new("cp").args(["-r", "disk/state", "mine"]).current_dir(lab.path()).status();
    assert!(copied.unwrap().success());
    assert_eq!(names(&lab, &["--state", "mine"]), ["a"], "the remedy helps");
    drop(disk);
}

/// The numbers of two users that are neither root nor whoever runs the tests.
const SOMEBODY: u32 = 54_321;
const SOMEBODY_ELSE: u32 = 54_322;

/// `colearn` as another user; none where the tests may not do that, or that user may not start the program.
fn as_user(lab: &Lab, user: u32, arguments: &[&str]) -> Option<Output> {
    let mut command = lab.colearn_command(arguments);
    let Ok(child) = command.uid(user).gid(user).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn() else {
        eprintln!("skipped: the tests can not start `colearn` as another user");
        return None;
    };
    let mut running = Running(child);
    lab.wait_for("an end", || running.0.try_wait().unwrap().is_some());
    let mut output = Output { status: running.0.wait().unwrap(), stdout: Vec::new(), stderr: Vec::new() };
    running.0.stdout.take().unwrap().read_to_end(&mut output.stdout).unwrap();
    running.0.stderr.take().unwrap().read_to_end(&mut output.stderr).unwrap();
    Some(output)
}

#[test]
fn a_state_folder_of_somebody_else_is_refused() {
    let lab = Lab::new();
    let theirs = lab.path().join("theirs");
    fs::create_dir(&theirs).unwrap();
    // Everybody may write there, so that nothing but its owner is a reason to refuse it.
    for folder in [lab.path(), &theirs] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o777)).unwrap();
    }
    if chown(&theirs, Some(SOMEBODY), Some(SOMEBODY)).is_err() {
        eprintln!("skipped: only root can give a folder away");
        return;
    }
    for arguments in [&["coordinator", "--listen", ANYWHERE][..], &["run", "small.yaml"]] {
        let arguments = [arguments, &["--state", "theirs"]].concat();
        let Some(output) = as_user(&lab, SOMEBODY_ELSE, &arguments) else { return };
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{told}");
        assert!(told.contains(&format!("belongs to user id {SOMEBODY}")), "{told}");
        assert!(told.contains("choose a folder of your own with --state"), "{told}");
    }
    assert_eq!(fs::read_dir(&theirs).unwrap().count(), 0, "nothing was left in it");
}

#[test]
fn a_state_folder_of_a_colleague_that_may_be_read_can_be_looked_at() {
    let lab = Lab::new();
    let (coordinator, url) = lab.coordinator(ANYWHERE);
    assert!(submit(&lab, "a", &url).status.success());
    coordinator.terminate();
    assert_eq!(coordinator.code(), 0);
    let state = lab.path().join("state");
    for folder in [lab.path(), &state] {
        fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
    }
    for file in fs::read_dir(&state).unwrap() {
        fs::set_permissions(file.unwrap().path(), PermissionsExt::from_mode(0o644)).unwrap();
    }
    for with_log in [true, false] {
        for arguments in [&["list", "--state", "state"][..], &["results", "a", "--state", "state"]] {
            let Some(output) = as_user(&lab, SOMEBODY_ELSE, arguments) else { return };
            assert!(output.status.success(), "log there: {with_log}: {}", text(&output.stderr));
        }
        let listed = as_user(&lab, SOMEBODY_ELSE, &["list", "--state", "state"]).unwrap();
        assert!(text(&listed.stdout).lines().any(|line| line.starts_with("a ")), "{}", text(&listed.stdout));
        // As in a copy of the databases alone. What SQLite has beside them can not be made in this folder.
        for beside in ["colearn.db-wal", "colearn.db-shm", "logs.db-wal", "logs.db-shm"] {
            let _ = fs::remove_file(state.join(beside));
        }
    }
}

#[test]
fn a_state_folder_that_may_not_be_read_is_not_called_empty() {
    let lab = Lab::new();
    let (coordinator, _) = lab.coordinator(ANYWHERE);
    coordinator.terminate();
    assert_eq!(coordinator.code(), 0);
    fs::set_permissions(lab.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(lab.path().join("state"), PermissionsExt::from_mode(0o700)).unwrap();
    let Some(output) = as_user(&lab, SOMEBODY_ELSE, &["list", "--state", "state"]) else { return };
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{said}");
    assert!(said.contains("state/colearn.db cannot be read (Permission denied"), "{said}");
}

#[test]
fn a_worker_that_has_not_come_back_was_not_seen_in_1970() {
    let lab = Lab::new();
    lab.write("small.yaml", &SWEEP.replace("epochs: 6", "epochs: 500"));
    let (coordinator, url) = lab.coordinator_on(ANYWHERE, "state", 60).unwrap();
    let worker = lab.worker(&url, "one");
    assert!(lab.colearn(&["submit", "small.yaml", "--coordinator", &url]).status.success());
    lab.wait_until(&["--coordinator", &url], |status| status["tasks"]["running"] == 1);
    worker.kill();
    coordinator.kill();
    let (_coordinator, url) = lab.coordinator_on(ANYWHERE, "state", 60).unwrap();
    let workers = lab.json(&["workers", "--json", "--coordinator", &url]);
    let away = &workers["workers"][0];
    assert_eq!(away["state"], "away", "{workers:#}");
    for field in ["last_seen", "host", "version"] {
        assert!(away[field].is_null(), "{workers:#}");
    }
    let told = text(&lab.colearn(&["workers", "--coordinator", &url]).stdout);
    assert!(told.contains("not since the restart") && !told.contains("ago"), "{told}");
}

#[test]
fn diagnostics_of_any_length_and_number_arrive() {
    let lab = Lab::new();
    let (_coordinator, url) = lab.coordinator(ANYWHERE);
    let entries: Vec<String> =
        (1..=200).map(|n| format!("  - {{modality_dropuot.audio: 0.{n}, training.epochs: {n}}}")).collect();
    let typos = SWEEP.replace("include: [{unimodal: true}]", &format!("include:\n{}", entries.join("\n")));
    let digits = SWEEP.replacen("[0, 0.9]", &format!("[0, 1{}]", "0".repeat(100_000)), 1);
    for (name, source, all) in [("typos", typos, 50), ("digits", digits, 1)] {
        let file = format!("{name}.yaml");
        lab.write(&file, &source);
        for arguments in [&["submit", file.as_str()][..], &["extend", "small", file.as_str()]] {
            let output = lab.colearn(&[arguments, &["--coordinator", &url]].concat());
            let told = text(&output.stderr);
            assert_eq!(output.status.code(), Some(3), "{told}");
            assert!(told.matches(&format!("--> {file}:")).count() >= all, "{told}");
            assert!(told.len() < 64 << 10 && !told.contains("h2"), "{told}");
        }
    }
}

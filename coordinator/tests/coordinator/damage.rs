//! Databases that are damaged in many ways, and the report of a check on each.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails is a test that fails")]

use std::path::Path;

use colearn_coordinator::{
    Storage,
    store::{backup, check},
};
use colearn_proto::v1;
use sqlx::{ConnectOptions as _, sqlite::SqliteConnectOptions};

use crate::support::{Person, ScriptedWorker, config, small_sweep, start_with, tasks};

/// Two complete sweeps; the first is settled.
async fn two_sweeps(folder: &Path) {
    for name in ["first", "second"] {
        let mut config = config(folder);
        config.settle_after = std::time::Duration::from_secs(if name == "first" { 0 } else { 3600 });
        let coordinator = start_with(config).await.unwrap();
        let mut person = Person::at(&coordinator).await;
        person.submit(&small_sweep(name, 2, 1)).await;
        let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
        for _ in 0..2 {
            worker.offer(&[0]).await;
            let lease = worker.lease().await;
            worker.finish(lease.token, &tasks(&lease)[0], 0.5).await;
            worker.acknowledged().await;
        }
        coordinator.stop().await.unwrap();
    }
}

async fn damage(folder: &Path, statement: &'static str) {
    let options = SqliteConnectOptions::new().filename(folder.join("colearn.db")).foreign_keys(false);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(statement).execute(&mut connection).await.unwrap();
}

#[tokio::test]
async fn every_kind_of_damage_is_found_and_named() {
    let whole = tempfile::tempdir().unwrap();
    two_sweeps(whole.path()).await;
    let sound = check(whole.path()).await.unwrap();
    assert_eq!((sound.sweeps, sound.results, sound.problems), (2, 4, vec![]));
    let task = "2/0000000000000001/0";
    for (statement, named) in [
        (
            "DELETE FROM results WHERE sweep = 2 AND configuration LIKE '%1'",
            "sweep 2 (`second`) has 2 done tasks",
        ),
        (
            "INSERT INTO results SELECT sweep, 99, '00000000000000ff', seed, attempt, worker, token, recorded_at, \
             result FROM results WHERE sweep = 2 LIMIT 1",
            "task 2/00000000000000ff/0 has a result",
        ),
        ("UPDATE results SET attempt = 2 WHERE sweep = 2 AND configuration LIKE '%1'", task),
        ("UPDATE results SET worker = 'other' WHERE sweep = 2 AND configuration LIKE '%1'", task),
        ("UPDATE results SET token = 77 WHERE sweep = 2 AND configuration LIKE '%1'", task),
        ("UPDATE results SET position = 77 WHERE sweep = 2 AND configuration LIKE '%1'", task),
        ("UPDATE results SET result = '{' WHERE sweep = 2 AND configuration LIKE '%1'", task),
        (
            "DELETE FROM journal WHERE sweep = 2 AND kind = 'lease_granted'",
            "sweep 2 (`second`): journal entry",
        ),
        ("DELETE FROM journal WHERE sweep = 2 AND kind = 'task_finished'", "task 2/"),
        (
            "DELETE FROM journal WHERE sweep = 2 AND kind = 'sweep_submitted'",
            "sweep 2 (`second`) has no submission",
        ),
        (
            "UPDATE journal SET sweep = 1 WHERE sweep = 2 AND kind = 'task_finished'",
            "sweep 1 (`first`): journal entry",
        ),
        ("UPDATE journal SET sweep = NULL WHERE sweep = 2 AND kind = 'task_finished'", "task 2/"),
        ("UPDATE journal SET sweep = 9 WHERE sweep = 2 AND kind = 'task_finished'", "entries of sweep 9"),
        (
            "UPDATE journal SET body = '{' WHERE sweep = 2 AND kind = 'task_finished'",
            "sweep 2 (`second`): journal entry",
        ),
        ("UPDATE sweeps SET name = 'third' WHERE id = 2", "sweep 2 is `third`"),
        (
            "UPDATE sweeps SET settled = replace(settled, '\"retried\":0', '\"retried\":5') WHERE id = 1",
            "sweep 1 (`first`) is settled with another outcome",
        ),
        ("UPDATE marks SET value = 1 WHERE name = 'last_sweep'", "marks are behind"),
        ("UPDATE marks SET value = 1 WHERE name = 'last_token'", "marks are behind"),
    ] {
        let damaged = tempfile::tempdir().unwrap();
        backup(whole.path(), &damaged.path().join("colearn.db")).await.unwrap();
        damage(damaged.path(), statement).await;
        let problems = check(damaged.path()).await.unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains(named)), "{statement}: {problems:?}");
    }
}

#[tokio::test]
async fn a_start_refuses_what_a_check_would_call_inconsistent_and_it_can_still_be_looked_at() {
    let whole = tempfile::tempdir().unwrap();
    two_sweeps(whole.path()).await;
    for (statement, named) in [
        ("DELETE FROM results WHERE sweep = 2 AND configuration LIKE '%1'", "sweep 2 has 2 done tasks"),
        // A settled sweep, whose history a start does not replay.
        ("DELETE FROM results WHERE sweep = 1 AND configuration LIKE '%1'", "sweep 1 has 2 done tasks"),
        (
            "INSERT INTO results SELECT sweep, 99, '00000000000000ff', seed, attempt, worker, token, recorded_at, \
             result FROM results WHERE sweep = 2 LIMIT 1",
            "but 3 results recorded",
        ),
        ("DELETE FROM journal WHERE sweep = 2 AND kind = 'lease_granted'", "task_finished of sweep 2"),
        ("DELETE FROM journal WHERE sweep = 2 AND kind = 'sweep_submitted'", "lease_granted of sweep 2"),
        // The entries of two coordinators that write at the same time.
        (
            "INSERT INTO journal (at, kind, body, sweep) \
             SELECT at, kind, replace(body, 'second', 'third'), sweep FROM journal \
             WHERE sweep = 2 AND kind = 'sweep_submitted'",
            "sweep_submitted of sweep 2",
        ),
        ("UPDATE marks SET value = 1 WHERE name = 'last_sweep'", "marks are behind"),
        ("UPDATE marks SET value = 1 WHERE name = 'last_token'", "marks are behind"),
    ] {
        let damaged = tempfile::tempdir().unwrap();
        backup(whole.path(), &damaged.path().join("colearn.db")).await.unwrap();
        damage(damaged.path(), statement).await;
        let error = start_with(config(damaged.path())).await.unwrap_err().to_string();
        assert!(error.contains("inconsistent") && error.contains(named), "{statement}: {error}");
        assert!(!check(damaged.path()).await.unwrap().problems.is_empty(), "{statement}");
        let mut looking = config(damaged.path());
        looking.storage = Storage::ReadOnly(damaged.path().to_owned());
        let coordinator = start_with(looking).await.unwrap();
        let mut person = Person::at(&coordinator).await;
        let request = v1::ListSweepsRequest::default();
        assert!(!person.0.list_sweeps(request).await.unwrap().into_inner().sweeps.is_empty(), "{statement}");
        coordinator.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_only_looked_at_is_not_changed() {
    let whole = tempfile::tempdir().unwrap();
    two_sweeps(whole.path()).await;
    let before = check(whole.path()).await.unwrap();
    let mut looking = config(whole.path());
    looking.storage = Storage::ReadOnly(whole.path().to_owned());
    looking.settle_after = std::time::Duration::ZERO;
    let coordinator = start_with(looking).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    for name in ["first", "second"] {
        assert_eq!(person.results(name).await.len(), 3, "the sweep and two results");
    }
    let request = v1::SubmitSweepRequest {
        source: serde_json::to_string(&small_sweep("third", 1, 1)).unwrap(),
        origin: "x".to_owned(),
        ..Default::default()
    };
    let refused = person.0.submit_sweep(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable, "{refused:?}");
    coordinator.stop().await.unwrap();
    assert_eq!(check(whole.path()).await.unwrap(), before);
}

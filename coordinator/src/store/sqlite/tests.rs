//! Tests of SQLite's own behaviour.

use std::{fs, path::Path};

use colearn_core::{scheduler::Event, time::Timestamp};

use super::*;
use crate::store::{backup, check};

fn started(times: usize) -> Batch {
    let entry = JournalEntry { at: Timestamp(1), sweep: None, event: Event::CoordinatorStarted };
    Batch { entries: vec![entry; times], ..Batch::default() }
}

async fn refused(store: &SqliteStore, why: &str) {
    let error = store.commit(started(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::TakenOver { .. }), "{error:?}");
    assert!(error.to_string().contains(why), "{error}");
}

#[tokio::test]
async fn nothing_is_committed_after_somebody_else_has_written_to_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    store.commit(started(2)).await.unwrap();
    // An earlier version writes no mark.
    sqlx::query("INSERT INTO journal (at, kind, body) SELECT at, kind, body FROM journal LIMIT 1")
        .execute(&mut store.writer.lock().await.connection)
        .await
        .unwrap();
    refused(&store, "ends at entry 3, and not at entry 2").await;
    assert_eq!(store.journal(0, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn nothing_is_committed_to_a_folder_that_was_moved_away() {
    let folder = tempfile::tempdir().unwrap();
    let (state, elsewhere) = (folder.path().join("state"), folder.path().join("elsewhere"));
    let store = SqliteStore::open(&state).await.unwrap();
    store.commit(started(1)).await.unwrap();
    fs::rename(&state, &elsewhere).unwrap();
    refused(&store, "No such file or directory (os error 2): the state folder was moved").await;
    let other = SqliteStore::open(&state).await.unwrap();
    refused(&store, "moved or restored").await;
    other.commit(started(1)).await.unwrap();
    drop(store);
    assert_eq!(other.journal(0, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_backup_that_takes_the_place_of_an_open_database_stays_as_it_is() {
    // As a separate file, or written into the existing one; with the log or without.
    for (in_place, without_log) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let state = at("state");
        let store = SqliteStore::open(&state).await.unwrap();
        store.commit(started(1)).await.unwrap();
        backup(&state, &at("copy.db")).await.unwrap();
        store.commit(started(1)).await.unwrap();
        let database = state.join("colearn.db");
        if in_place {
            fs::write(&database, fs::read(at("copy.db")).unwrap()).unwrap();
        } else {
            fs::copy(at("copy.db"), at("same.db")).unwrap();
            fs::rename(at("same.db"), &database).unwrap();
        }
        if without_log {
            fs::remove_file(state.join("colearn.db-wal")).unwrap();
            fs::remove_file(state.join("colearn.db-shm")).unwrap();
        }
        refused(&store, "restored").await;
        let connections = (Arc::downgrade(&store.writer), Arc::downgrade(&store.reader));
        drop(store);
        let open = connections.0.upgrade().is_some() && connections.1.upgrade().is_some();
        assert!(open, "closing would write to the backup");
        let same = |path: &Path| fs::read(path).unwrap() == fs::read(at("copy.db")).unwrap();
        assert!(same(&database), "closing writes nothing: {in_place} {without_log}");
        assert_eq!(state.join("colearn.db-wal").exists(), !without_log);
    }
}

#[tokio::test]
async fn what_only_reads_and_what_its_own_commits_do_is_nobody_elses_work() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let size = || folder.path().join("colearn.db").metadata().unwrap().len();
    let every_commit = "PRAGMA wal_autocheckpoint = 1";
    sqlx::query(every_commit).execute(&mut store.writer.lock().await.connection).await.unwrap();
    let before = size();
    for round in 0..4 {
        store.commit(started(1000)).await.unwrap();
        check(folder.path()).await.unwrap();
        backup(folder.path(), &folder.path().join(format!("copy-{round}"))).await.unwrap();
    }
    assert!(size() > before, "the log was copied into the tables on the way");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("colearn.db"),
        "this is not a database, whatever its name says ".repeat(99),
    )
    .unwrap();
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn an_entry_that_can_not_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    sqlx::query("INSERT INTO journal (at, kind, body) VALUES (1, 'x', '{\"from_the_future\": 1}')")
        .execute(&mut store.writer.lock().await.connection)
        .await
        .unwrap();
    let error = store.journal(0, 10).await.unwrap_err().to_string();
    assert!(error.contains("journal entry 1"), "{error}");
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
        VALUES (7777, 'later', 1, x'00', 1)";
    sqlx::query(insert).execute(&mut store.writer.lock().await.connection).await.unwrap();
    drop(store);
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Newer { version: 7777, .. }), "{error:?}");
}

#[tokio::test]
async fn a_full_disk_is_called_so_and_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let entry = JournalEntry { at: Timestamp(1), sweep: None, event: Event::CoordinatorStarted };
    store.commit(Batch { entries: vec![entry.clone()], ..Batch::default() }).await.unwrap();
    // SQLite's own limit of the file size fails in the same way as a full disk.
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&mut store.writer.lock().await.connection)
        .await
        .unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::query(limit).execute(&mut store.writer.lock().await.connection).await.unwrap();
    let many = Batch { entries: vec![entry; 1000], ..Batch::default() };
    let error = store.commit(many).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    assert_eq!(store.journal(0, 10).await.unwrap().len(), 1);
}

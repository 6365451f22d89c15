//! Tests of SQLite's own behaviour.

use std::{fs, path::Path};

use colearn_core::{
    id::{ConfigurationId, SweepId},
    scheduler::Event,
    sweep::Sweep,
    time::Timestamp,
};

use super::{ahead::IN_A_PART, *};
use crate::{
    store::{backup, check},
    testing::small_sweep,
};

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

/// A sweep of several parts.
fn large_sweep() -> Arc<Sweep> {
    Arc::new(small_sweep("large", 2 * IN_A_PART as u64 + 1, 1))
}

fn of_sweep(event: Event) -> Batch {
    let entry = JournalEntry { at: Timestamp(1), sweep: Some(SweepId(1)), event };
    Batch { entries: vec![entry], ..Batch::default() }
}

fn submission(sweep: &Arc<Sweep>) -> Batch {
    of_sweep(Event::SweepSubmitted { id: SweepId(1), sweep: sweep.clone() })
}

async fn number(store: &SqliteStore, select: &'static str) -> i64 {
    sqlx::query_scalar(select).fetch_one(&mut store.writer.lock().await.connection).await.unwrap()
}

#[tokio::test]
async fn a_large_sweep_is_written_in_parts_and_read_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let sweep = large_sweep();
    store.prepare(sweep.clone()).await.unwrap();
    assert!(store.journal(0, 10).await.unwrap().is_empty(), "nothing has happened yet");
    store.commit(submission(&sweep)).await.unwrap();
    store.discard(sweep.clone()).await.unwrap();
    assert_eq!(number(&store, "SELECT COUNT(*) FROM definition_parts").await, 3);
    assert!(number(&store, "SELECT MAX(LENGTH(body)) FROM definition_parts").await < 600_000);
    assert!(number(&store, "SELECT MAX(LENGTH(body)) FROM journal").await < 1000);
    // Another one that is equal was not written ahead: its entry is as those of older versions.
    let mut longer = Sweep::clone(&sweep);
    longer.configurations.push(longer.configurations[0].clone());
    let extended = Event::SweepExtended { id: SweepId(1), sweep: Arc::new(longer.clone()) };
    store.commit(of_sweep(extended)).await.unwrap();
    assert!(number(&store, "SELECT MAX(LENGTH(body)) FROM journal").await > 500_000);
    let extended = Arc::new(longer);
    store.prepare(extended.clone()).await.unwrap();
    store.commit(of_sweep(Event::SweepExtended { id: SweepId(1), sweep: extended.clone() })).await.unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let expected = [
        Event::SweepSubmitted { id: SweepId(1), sweep },
        Event::SweepExtended { id: SweepId(1), sweep: extended.clone() },
        Event::SweepExtended { id: SweepId(1), sweep: extended },
    ];
    for entries in [store.journal(0, 10).await.unwrap(), store.journal_of(SweepId(1), 0, 10).await.unwrap()] {
        assert!(entries.iter().map(|(_, entry)| &entry.event).eq(&expected));
    }
    store.commit(of_sweep(Event::SweepRemoved { sweep: SweepId(1) })).await.unwrap();
    for select in ["SELECT COUNT(*) FROM definition_parts", "SELECT COUNT(*) FROM definitions"] {
        assert_eq!(number(&store, select).await, 0);
    }
}

#[tokio::test]
async fn a_sweep_that_was_written_ahead_and_not_committed_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let (refused, forgotten) = (large_sweep(), large_sweep());
    store.prepare(refused.clone()).await.unwrap();
    store.prepare(forgotten.clone()).await.unwrap();
    store.discard(refused.clone()).await.unwrap();
    let count = "SELECT COUNT(*) FROM definition_parts";
    assert_eq!(number(&store, count).await, 3);
    // As after a crash.
    drop(store);
    let store = SqliteStore::open(folder.path()).await.unwrap();
    assert_eq!(number(&store, count).await, 0);
    assert_eq!(number(&store, "SELECT COUNT(*) FROM definitions").await, 0);
    store.commit(submission(&forgotten)).await.unwrap();
    assert_eq!(store.journal(0, 10).await.unwrap()[0].1.event, submission(&forgotten).entries[0].event);
}

#[tokio::test]
async fn a_large_sweep_is_removed_in_parts_also_across_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let (id, sweep) = (SweepId(1), large_sweep());
    store.prepare(sweep.clone()).await.unwrap();
    store.commit(submission(&sweep)).await.unwrap();
    let paused = |paused| JournalEntry {
        at: Timestamp(1),
        sweep: Some(id),
        event: Event::SweepPaused { sweep: id, paused },
    };
    let entries: Vec<_> = (0..1500).map(|number| paused(number % 2 == 0)).collect();
    store.commit(Batch { entries, ..Batch::default() }).await.unwrap();
    let removal = JournalEntry { at: Timestamp(2), sweep: None, event: Event::SweepRemoved { sweep: id } };
    store.commit(Batch { entries: vec![removal.clone()], ..Batch::default() }).await.unwrap();
    let entries = "SELECT COUNT(*) FROM journal";
    assert_eq!(number(&store, entries).await, 1502, "nothing is deleted with the entry");
    assert!(store.purge().await.unwrap());
    drop(store);

    let store = SqliteStore::open(folder.path()).await.unwrap();
    let replayed = store.journal(0, 10_000).await.unwrap();
    assert!(replayed.iter().map(|(_, entry)| entry).eq([&removal]), "nobody is told of it");
    assert_eq!(store.recovered().await.unwrap().last_sweep, id);
    assert!(check(folder.path()).await.unwrap().problems.is_empty());
    // The name is free at once.
    let again = SweepId(2);
    let named = Event::SweepSubmitted { id: again, sweep: sweep.clone() };
    let entry = JournalEntry { at: Timestamp(3), sweep: Some(again), event: named };
    store.commit(Batch { entries: vec![entry], ..Batch::default() }).await.unwrap();
    let mut parts = 0;
    while store.purge().await.unwrap() {
        parts += 1;
        assert!(check(folder.path()).await.unwrap().problems.is_empty(), "after part {parts}");
    }
    assert!(parts >= 4, "{parts}");
    assert_eq!(number(&store, entries).await, 2);
    for select in ["SELECT COUNT(*) FROM definition_parts", "SELECT COUNT(*) FROM sweeps WHERE removed"] {
        assert_eq!(number(&store, select).await, 0);
    }
    assert_eq!(number(&store, "SELECT COUNT(*) FROM sweeps").await, 1);
}

#[tokio::test]
async fn a_missing_part_of_a_sweep_is_named() {
    for damage in [
        "DELETE FROM definition_parts WHERE part = 1",
        "UPDATE definition_parts SET body = '[]' WHERE part = 2",
        "UPDATE definition_parts SET body = '[' WHERE part = 0",
        "UPDATE definitions SET entry = 99",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        let sweep = large_sweep();
        store.prepare(sweep.clone()).await.unwrap();
        store.commit(submission(&sweep)).await.unwrap();
        sqlx::query(damage).execute(&mut store.writer.lock().await.connection).await.unwrap();
        let error = store.journal(0, 10).await.unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error:?}");
        assert!(error.to_string().contains("journal entry 1: "), "{damage}: {error}");
        assert!(!check(folder.path()).await.unwrap().problems.is_empty(), "{damage}");
    }
}

#[tokio::test]
async fn an_entry_of_any_length_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).await.unwrap();
    let tasks = |count: u64| {
        let task = |seed| {
            (colearn_core::id::TaskId { sweep: SweepId(1), configuration: ConfigurationId(1), seed }, 1)
        };
        let worker = colearn_core::id::WorkerId::new("w").unwrap();
        let (token, tasks) = (LeaseToken(count), (0..count).map(task).collect());
        JournalEntry {
            at: Timestamp(-5),
            sweep: Some(SweepId(1)),
            event: Event::LeaseGranted { token, worker, slot: 0, tasks },
        }
    };
    let entries: Vec<JournalEntry> = [1, 5000, 2, 900, 1000, 3].map(tasks).into();
    store.commit(Batch { entries: entries.clone(), ..started(0) }).await.unwrap();
    let read = store.journal(0, 10).await.unwrap();
    assert!(read.iter().map(|(number, _)| *number).eq(1..=6));
    assert!(read.into_iter().map(|(_, entry)| entry).eq(entries));
}

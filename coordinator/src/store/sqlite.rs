//! The embedded default: one SQLite database in the state folder.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    scheduler::{Event, Recovered, SettledSweep},
    time::Timestamp,
};
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    migrate::{MigrateError, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};
use tokio::sync::Mutex;

use super::{
    contract::{Batch, Entry, ResultRow, Store, StoreFuture},
    error::StoreError,
    lock::StateLock,
};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// The oldest SQLite without the WAL-reset bug, which could lose commits when two connections were open.
const OLDEST_SQLITE: [u32; 3] = [3, 51, 3];

/// Keeps everything in `<state folder>/colearn.db`. One connection writes, another reads.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Mutex<SqliteConnection>,
    reader: Mutex<SqliteConnection>,
    /// None when the database is only read.
    _lock: Option<StateLock>,
}

impl SqliteStore {
    /// Takes the state folder, which is created if it is not there, and brings the database's schema up to date.
    ///
    /// # Errors
    /// When the folder can not be written or is in use, when the database is damaged or was written by a
    /// newer version, when no space is left, or when durability can not be had there.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let lock = StateLock::take(folder)?;
        let path = folder.join("colearn.db");
        let broken = |error| StoreError::of(&path, error);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With NORMAL a power cut takes back the newest commits; they were acknowledged.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let mut writer = options.clone().connect().await.map_err(broken)?;
        assert_durable(&mut writer, &path).await?;
        MIGRATIONS.run(&mut writer).await.map_err(|error| migration_failed(&path, error))?;
        let reader = options.read_only(true).create_if_missing(false).connect().await.map_err(broken)?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader), path, _lock: Some(lock) })
    }

    /// Opens the database of a state folder to look at it, whether somebody serves it or not. Nothing can be
    /// committed.
    pub(super) async fn open_to_read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join("colearn.db");
        if !path.is_file() {
            return Err(StoreError::Missing { path });
        }
        let broken = |error| StoreError::of(&path, error);
        let options = SqliteConnectOptions::new()
            .filename(&path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let writer = options.clone().connect().await.map_err(broken)?;
        let mut reader = options.connect().await.map_err(broken)?;
        let version: i64 = sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations")
            .fetch_one(&mut reader)
            .await
            .map_err(broken)?;
        let newest = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0);
        match version.cmp(&newest) {
            std::cmp::Ordering::Less => return Err(StoreError::Older { path }),
            std::cmp::Ordering::Greater => return Err(StoreError::Newer { path, version }),
            std::cmp::Ordering::Equal => {}
        }
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader), path, _lock: None })
    }

    /// From now on everything that is read is as of one moment.
    pub(super) async fn begin_snapshot(&self) -> Result<(), StoreError> {
        let mut reader = self.reader.lock().await;
        sqlx::raw_sql("BEGIN; SELECT COUNT(*) FROM marks;")
            .execute(&mut *reader)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(())
    }

    /// What SQLite itself finds wrong.
    pub(super) async fn integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut reader = self.reader.lock().await;
        let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)")
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| self.broken(error))?;
        found.retain(|line| line != "ok");
        let dangling = sqlx::query("PRAGMA foreign_key_check")
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| self.broken(error))?;
        if !dangling.is_empty() {
            found.push(format!("{} results belong to no sweep", dangling.len()));
        }
        Ok(found)
    }

    /// All sweeps with their names.
    pub(super) async fn sweep_names(&self) -> Result<Vec<(SweepId, String)>, StoreError> {
        let mut reader = self.reader.lock().await;
        let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, name FROM sweeps ORDER BY id")
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(rows.into_iter().map(|(id, name)| (SweepId(id.cast_unsigned()), name)).collect())
    }

    /// Sweeps that the journal has entries of and that are not there.
    pub(super) async fn orphans(&self) -> Result<Vec<SweepId>, StoreError> {
        let mut reader = self.reader.lock().await;
        let select = "SELECT DISTINCT sweep FROM journal \
            WHERE sweep IS NOT NULL AND sweep NOT IN (SELECT id FROM sweeps)";
        let rows: Vec<i64> =
            sqlx::query_scalar(select).fetch_all(&mut *reader).await.map_err(|error| self.broken(error))?;
        Ok(rows.into_iter().map(|id| SweepId(id.cast_unsigned())).collect())
    }

    /// Copies the database, as it is at one moment, to a file that is not there yet.
    pub(super) async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let mut reader = self.reader.lock().await;
        sqlx::query("VACUUM INTO ?")
            .bind(file.to_string_lossy().into_owned())
            .execute(&mut *reader)
            .await
            .map_err(|error| StoreError::of(file, error))?;
        Ok(())
    }

    fn broken(&self, error: sqlx::Error) -> StoreError {
        StoreError::of(&self.path, error)
    }

    fn corrupt(&self, detail: String) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), detail }
    }

    async fn append(&self, connection: &mut SqliteConnection, entry: &Entry) -> Result<(), StoreError> {
        if !entry.event.is_durable() {
            return Err(StoreError::NotAFact(entry.event.kind()));
        }
        let body = serde_json::to_string(&entry.event).map_err(|error| self.corrupt(error.to_string()))?;
        let number = sqlx::query("INSERT INTO journal (at, kind, body, sweep) VALUES (?, ?, ?, ?)")
            .bind(entry.at.0)
            .bind(entry.event.kind())
            .bind(body)
            .bind(entry.sweep.map(|sweep| sweep.0.cast_signed()))
            .execute(&mut *connection)
            .await
            .map_err(|error| self.broken(error))?
            .last_insert_rowid();
        match &entry.event {
            Event::SweepSubmitted { id, sweep } => {
                // Submitted again with other settings, it is there already.
                sqlx::query(
                    "INSERT INTO sweeps (id, name, submitted_at, first) VALUES (?, ?, ?, ?) \
                     ON CONFLICT (id) DO NOTHING",
                )
                .bind(id.0.cast_signed())
                .bind(sweep.name.as_str())
                .bind(entry.at.0)
                .bind(number)
                .execute(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
            }
            Event::SweepRemoved { sweep } => self.remove(connection, *sweep).await?,
            _ => {}
        }
        Ok(())
    }

    async fn remove(&self, connection: &mut SqliteConnection, sweep: SweepId) -> Result<(), StoreError> {
        for delete in [
            "DELETE FROM results WHERE sweep = ?",
            "DELETE FROM journal WHERE sweep = ?",
            "DELETE FROM sweeps WHERE id = ?",
        ] {
            sqlx::query(delete)
                .bind(sweep.0.cast_signed())
                .execute(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    /// Notes the greatest numbers that a batch gives: what gave them may be removed one day.
    async fn mark(&self, connection: &mut SqliteConnection, batch: &Batch) -> Result<(), StoreError> {
        let sweeps = batch.entries.iter().filter_map(|entry| match &entry.event {
            Event::SweepSubmitted { id, .. } => Some(id.0),
            _ => None,
        });
        let tokens = batch.entries.iter().filter_map(|entry| match &entry.event {
            Event::LeaseGranted { token, .. } => Some(token.0),
            _ => None,
        });
        for (name, greatest) in [("last_sweep", sweeps.max()), ("last_token", tokens.max())] {
            let Some(greatest) = greatest else { continue };
            sqlx::query("UPDATE marks SET value = MAX(value, ?) WHERE name = ?")
                .bind(greatest.cast_signed())
                .bind(name)
                .execute(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    async fn settle(
        &self,
        connection: &mut SqliteConnection,
        sweep: SweepId,
        outcome: Option<&SettledSweep>,
    ) -> Result<(), StoreError> {
        let outcome = outcome.map(serde_json::to_string).transpose();
        sqlx::query("UPDATE sweeps SET settled = ? WHERE id = ?")
            .bind(outcome.map_err(|error| self.corrupt(error.to_string()))?)
            .bind(sweep.0.cast_signed())
            .execute(connection)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(())
    }

    async fn record(&self, connection: &mut SqliteConnection, row: &ResultRow) -> Result<(), StoreError> {
        let result = serde_json::to_string(&row.result).map_err(|error| self.corrupt(error.to_string()))?;
        let insert = "INSERT INTO results \
            (sweep, configuration, seed, position, attempt, worker, token, recorded_at, result) \
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
        let done = sqlx::query(insert)
            .bind(row.task.sweep.0.cast_signed())
            .bind(row.task.configuration.to_string())
            .bind(row.task.seed.cast_signed())
            .bind(row.position.cast_signed())
            .bind(row.attempt)
            .bind(row.worker.as_str())
            .bind(row.token.0.cast_signed())
            .bind(row.recorded_at.0)
            .bind(result)
            .execute(&mut *connection)
            .await;
        match done {
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error)) if error.is_unique_violation() => {
                Err(StoreError::AlreadyRecorded(row.task))
            }
            Err(sqlx::Error::Database(error)) if error.is_foreign_key_violation() => {
                Err(StoreError::UnknownSweep(row.task.sweep))
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    fn entry(&self, row: &SqliteRow) -> Result<(u64, Entry), StoreError> {
        let number: i64 = row.try_get("sequence").map_err(|error| self.broken(error))?;
        let body: &str = row.try_get("body").map_err(|error| self.broken(error))?;
        let event = serde_json::from_str(body)
            .map_err(|error| self.corrupt(format!("journal entry {number}: {error}")))?;
        let at = Timestamp(row.try_get("at").map_err(|error| self.broken(error))?);
        let sweep: Option<i64> = row.try_get("sweep").map_err(|error| self.broken(error))?;
        let sweep = sweep.map(|sweep| SweepId(sweep.cast_unsigned()));
        Ok((number.cast_unsigned(), Entry { at, sweep, event }))
    }

    fn result(&self, sweep: SweepId, row: &SqliteRow) -> Result<ResultRow, StoreError> {
        let configuration: &str = row.try_get("configuration").map_err(|error| self.broken(error))?;
        let seed: i64 = row.try_get("seed").map_err(|error| self.broken(error))?;
        let worker: &str = row.try_get("worker").map_err(|error| self.broken(error))?;
        let token: i64 = row.try_get("token").map_err(|error| self.broken(error))?;
        let result: &str = row.try_get("result").map_err(|error| self.broken(error))?;
        let bad = |what: String| self.corrupt(format!("result {sweep}/{configuration}/{seed}: {what}"));
        Ok(ResultRow {
            task: TaskId {
                sweep,
                configuration: configuration.parse().map_err(|error| bad(format!("{error}")))?,
                seed: seed.cast_unsigned(),
            },
            position: row.try_get::<i64, _>("position").map_err(|error| self.broken(error))?.cast_unsigned(),
            attempt: row.try_get("attempt").map_err(|error| self.broken(error))?,
            worker: WorkerId::new(worker).map_err(|error| bad(error.to_string()))?,
            token: LeaseToken(token.cast_unsigned()),
            recorded_at: Timestamp(row.try_get("recorded_at").map_err(|error| self.broken(error))?),
            result: serde_json::from_str(result).map_err(|error| bad(error.to_string()))?,
        })
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut writer = self.writer.lock().await;
            // Dropped without a commit, a transaction rolls back.
            let mut transaction = writer.begin().await.map_err(|error| self.broken(error))?;
            for entry in &batch.entries {
                self.append(&mut transaction, entry).await?;
            }
            for row in &batch.results {
                self.record(&mut transaction, row).await?;
            }
            self.mark(&mut transaction, &batch).await?;
            for sweep in &batch.revived {
                self.settle(&mut transaction, *sweep, None).await?;
            }
            for settled in &batch.settled {
                self.settle(&mut transaction, settled.id, Some(settled)).await?;
            }
            transaction.commit().await.map_err(|error| self.broken(error))
        })
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, Entry)>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            // What comes before the oldest sweep that is not settled is not even looked at.
            let select = "SELECT sequence, at, body, sweep FROM journal \
                WHERE sequence > ? AND (NOT EXISTS (SELECT 1 FROM sweeps WHERE settled IS NOT NULL) \
                    OR sequence >= COALESCE((SELECT MIN(first) FROM sweeps WHERE settled IS NULL), \
                        (SELECT MAX(sequence) FROM journal))) \
                AND (sweep IS NULL OR sweep NOT IN (SELECT id FROM sweeps WHERE settled IS NOT NULL)) \
                ORDER BY sequence LIMIT ?";
            let rows = sqlx::query(select)
                .bind(after.cast_signed())
                .bind(limit)
                .fetch_all(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
            rows.iter().map(|row| self.entry(row)).collect()
        })
    }

    fn journal_of(&self, sweep: SweepId, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, Entry)>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            let select = "SELECT sequence, at, body, sweep FROM journal \
                WHERE sweep = ? AND sequence > ? ORDER BY sequence LIMIT ?";
            let rows = sqlx::query(select)
                .bind(sweep.0.cast_signed())
                .bind(after.cast_signed())
                .bind(limit)
                .fetch_all(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
            rows.iter().map(|row| self.entry(row)).collect()
        })
    }

    fn recovered(&self) -> StoreFuture<'_, Recovered> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            let marks: Vec<(String, i64)> = sqlx::query_as("SELECT name, value FROM marks")
                .fetch_all(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
            let mark = |name| {
                let found =
                    marks.iter().find(|(known, _)| known == name).map(|(_, value)| value.cast_unsigned());
                found.ok_or_else(|| self.corrupt(format!("the mark `{name}` is missing")))
            };
            let settled: Vec<(i64, String)> =
                sqlx::query_as("SELECT id, settled FROM sweeps WHERE settled IS NOT NULL ORDER BY id")
                    .fetch_all(&mut *reader)
                    .await
                    .map_err(|error| self.broken(error))?;
            let outcome = |(id, text): (i64, String)| {
                serde_json::from_str(&text)
                    .map_err(|error| self.corrupt(format!("outcome of sweep {id}: {error}")))
            };
            Ok(Recovered {
                last_sweep: SweepId(mark("last_sweep")?),
                last_token: LeaseToken(mark("last_token")?),
                settled: settled.into_iter().map(outcome).collect::<Result<_, _>>()?,
            })
        })
    }

    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            let select = "SELECT configuration, seed, position, attempt, worker, token, recorded_at, result \
                FROM results WHERE sweep = ? AND position >= ? ORDER BY position LIMIT ?";
            let rows = sqlx::query(select)
                .bind(sweep.0.cast_signed())
                .bind(from.cast_signed())
                .bind(limit)
                .fetch_all(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
            rows.iter().map(|row| self.result(sweep, row)).collect()
        })
    }
}

/// What is acknowledged must survive a power cut; these are the settings that this depends on.
async fn assert_durable(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let broken = |error| StoreError::of(path, error);
    let found: String =
        sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut *connection).await.map_err(broken)?;
    if !is_recent(&found) {
        return Err(StoreError::OldSqlite { found });
    }
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await.map_err(broken)?;
    if mode != "wal" {
        let setting = "journal_mode = wal";
        return Err(StoreError::NotDurable { path: path.to_owned(), setting, found: mode });
    }
    let synchronous: i64 =
        sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await.map_err(broken)?;
    if synchronous != 2 {
        let setting = "synchronous = full";
        return Err(StoreError::NotDurable {
            path: path.to_owned(),
            setting,
            found: synchronous.to_string(),
        });
    }
    Ok(())
}

fn is_recent(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').map_while(|part| part.parse().ok()).collect();
    parts.as_slice() >= OLDEST_SQLITE.as_slice()
}

fn migration_failed(path: &Path, error: MigrateError) -> StoreError {
    let path = path.to_owned();
    match error {
        MigrateError::VersionMissing(version) => StoreError::Newer { path, version },
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => {
            StoreError::Corrupt { path, detail: format!("its schema is not that of version {version}") }
        }
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => {
            StoreError::of(&path, source)
        }
        other => StoreError::Database { path, cause: other.into() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for (version, recent) in [
            ("3.51.3", true),
            ("3.51.2", false),
            ("3.52.0", true),
            ("3.9.99", false),
            ("4.0.0", true),
            ("x", false),
        ] {
            assert_eq!(is_recent(version), recent, "{version}");
        }
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
            .execute(&mut *store.writer.lock().await)
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
        sqlx::query(insert).execute(&mut *store.writer.lock().await).await.unwrap();
        drop(store);
        let error = SqliteStore::open(folder.path()).await.unwrap_err();
        assert!(matches!(error, StoreError::Newer { version: 7777, .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_full_disk_is_called_so_and_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).await.unwrap();
        let entry = Entry { at: Timestamp(1), sweep: None, event: Event::CoordinatorStarted };
        store.commit(Batch { entries: vec![entry.clone()], ..Batch::default() }).await.unwrap();
        // SQLite's own limit on the file's size fails in the same way as a full disk does.
        let pages: i64 =
            sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *store.writer.lock().await).await.unwrap();
        let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
        sqlx::query(limit).execute(&mut *store.writer.lock().await).await.unwrap();
        let many = Batch { entries: vec![entry; 1000], ..Batch::default() };
        let error = store.commit(many).await.unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
        assert_eq!(store.journal(0, 10).await.unwrap().len(), 1);
    }
}

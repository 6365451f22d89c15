//! The storage of log lines: a separate database beside the store's, or memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use colearn_core::{
    id::{LeaseToken, TaskId, WorkerId},
    time::Timestamp,
};
use sqlx::{
    ConnectOptions, Connection, Row, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteRow, SqliteSynchronous},
};

use super::{KeptLine, LogBatch, LogLine, LogOf, LogSource, MAX_LINES};
use crate::store::{has_log, make_private_database};

const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS lines (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    worker TEXT    NOT NULL,
    token  INTEGER NOT NULL, -- 0 for the worker itself
    at     INTEGER NOT NULL, -- milliseconds since the Unix epoch
    source INTEGER NOT NULL, -- 1 worker, 2 trainer
    text   TEXT    NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS lines_of_leases ON lines (token, number);
DROP INDEX IF EXISTS lines_of_workers;
CREATE INDEX IF NOT EXISTS own_lines ON lines (worker, number) WHERE token = 0 OR source = 1;
CREATE TABLE IF NOT EXISTS members (
    sweep         INTEGER NOT NULL,
    configuration INTEGER NOT NULL, -- the 64 bits of an unsigned number
    seed          INTEGER NOT NULL,
    token         INTEGER NOT NULL,
    PRIMARY KEY (sweep, configuration, seed, token)
) STRICT, WITHOUT ROWID;";

/// Keeps the newest lines. Lines that cannot be written are lost, with a warning.
pub(crate) enum Kept {
    Memory(Mutex<InMemory>),
    File { path: PathBuf, connection: tokio::sync::Mutex<SqliteConnection>, complained: AtomicBool },
}

#[derive(Default)]
pub(crate) struct InMemory {
    lines: BTreeMap<u64, KeptLine>,
    last: u64,
    leases: BTreeMap<LeaseToken, Lease>,
}

/// The data of a lease, kept as long as there are lines of it.
#[derive(Default)]
struct Lease {
    lines: usize,
    members: BTreeSet<TaskId>,
}

impl Kept {
    pub(super) async fn open(folder: Option<&Path>) -> Self {
        let Some(folder) = folder else { return Self::Memory(Mutex::default()) };
        let path = folder.join("logs.db");
        if let Err(error) = make_private_database(folder, "logs.db") {
            tracing::warn!(%error, "logs of workers are kept in memory only");
            return Self::Memory(Mutex::default());
        }
        let opened = open(&path).await;
        Self::of(path, opened, "logs of workers are kept in memory only")
    }

    /// Opens the existing lines for reading.
    pub(super) async fn open_to_read(folder: &Path) -> Self {
        let path = folder.join("logs.db");
        if !path.is_file() {
            return Self::Memory(Mutex::default());
        }
        let options = SqliteConnectOptions::new().filename(&path).read_only(true).disable_statement_logging();
        let mut opened = probe(&options).await;
        // Without a log file no process writes to the database: see the store.
        if opened.is_err() && !has_log(&path) {
            opened = probe(&options.immutable(true)).await;
        }
        Self::of(path, opened, "logs of workers cannot be read")
    }

    fn of(path: PathBuf, opened: Result<SqliteConnection, sqlx::Error>, otherwise: &str) -> Self {
        match opened {
            Ok(connection) => {
                let connection = tokio::sync::Mutex::new(connection);
                Self::File { path, connection, complained: AtomicBool::new(false) }
            }
            Err(error) => {
                let path = path.display();
                tracing::warn!(%path, %error, "{otherwise}");
                Self::Memory(Mutex::default())
            }
        }
    }

    pub(super) async fn write(&self, batches: Vec<LogBatch>) {
        match self {
            Self::Memory(memory) => {
                let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
                batches.into_iter().for_each(|batch| memory.write(batch));
            }
            Self::File { path, connection, complained } => {
                let written = write(&mut *connection.lock().await, &batches).await;
                match written {
                    Ok(()) => complained.store(false, Ordering::Relaxed),
                    // Warn once and not for every batch, because a full disk lasts.
                    Err(error) if !complained.swap(true, Ordering::Relaxed) => {
                        let path = path.display();
                        tracing::warn!(%path, %error, "lines of workers' logs are lost");
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// Copies SQLite's log into the table; a failure loses nothing.
    pub(super) async fn finish(&self) {
        if let Self::File { connection, .. } = self {
            let _ =
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_all(&mut *connection.lock().await).await;
        }
    }

    pub(super) async fn read(&self, of: &LogOf, after: u64, limit: u32) -> Vec<KeptLine> {
        match self {
            Self::Memory(memory) => {
                memory.lock().unwrap_or_else(PoisonError::into_inner).read(of, after, limit)
            }
            Self::File { path, connection, .. } => {
                let read = read(&mut *connection.lock().await, of, after, limit).await;
                read.unwrap_or_else(|error| {
                    tracing::warn!(path = %path.display(), %error, "logs of workers cannot be read");
                    Vec::new()
                })
            }
        }
    }
}

impl InMemory {
    fn write(&mut self, batch: LogBatch) {
        let LogBatch { worker, token, tasks, lines } = batch;
        let lease = self.leases.entry(token).or_default();
        lease.members.extend(tasks);
        lease.lines += lines.len();
        for line in lines {
            self.last += 1;
            let number = self.last;
            self.lines.insert(number, KeptLine { number, worker: worker.clone(), token, line });
        }
        while self.lines.len() as u64 > MAX_LINES
            && let Some((_, gone)) = self.lines.pop_first()
        {
            self.forget_line_of(gone.token);
        }
    }

    fn forget_line_of(&mut self, token: LeaseToken) {
        let Some(lease) = self.leases.get_mut(&token) else { return };
        lease.lines -= 1;
        if lease.lines == 0 {
            self.leases.remove(&token);
        }
    }

    fn read(&self, of: &LogOf, after: u64, limit: u32) -> Vec<KeptLine> {
        let wanted = |kept: &&KeptLine| match of {
            LogOf::Task(task) => {
                self.leases.get(&kept.token).is_some_and(|lease| lease.members.contains(task))
            }
            LogOf::Worker(worker) => {
                let own = kept.token.0 == 0 || kept.line.source == LogSource::Worker;
                own && kept.worker.as_str().starts_with(worker.as_str())
            }
        };
        let lines = self.lines.range(after.saturating_add(1)..).map(|(_, line)| line);
        lines.filter(wanted).take(limit as usize).cloned().collect()
    }
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A power cut may lose the newest lines.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5))
        .disable_statement_logging()
        .connect()
        .await?;
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await?;
    Ok(connection)
}

/// A connection that has been tested with a read.
async fn probe(options: &SqliteConnectOptions) -> Result<SqliteConnection, sqlx::Error> {
    let mut connection = options.connect().await?;
    sqlx::query("SELECT MAX(number) FROM lines").fetch_one(&mut connection).await?;
    Ok(connection)
}

async fn write(connection: &mut SqliteConnection, batches: &[LogBatch]) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin().await?;
    for LogBatch { worker, token, tasks, lines } in batches {
        let token = token.0.cast_signed();
        for task in tasks {
            let insert = "INSERT INTO members VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING";
            sqlx::query(insert)
                .bind(task.sweep.0.cast_signed())
                .bind(task.configuration.0.cast_signed())
                .bind(task.seed.cast_signed())
                .bind(token)
                .execute(&mut *transaction)
                .await?;
        }
        for line in lines {
            sqlx::query("INSERT INTO lines (worker, token, at, source, text) VALUES (?, ?, ?, ?, ?)")
                .bind(worker.as_str())
                .bind(token)
                .bind(line.at.0)
                .bind(match line.source {
                    LogSource::Worker => 1,
                    LogSource::Trainer => 2,
                })
                .bind(line.text.as_str())
                .execute(&mut *transaction)
                .await?;
        }
    }
    let gone = sqlx::query("DELETE FROM lines WHERE number <= (SELECT MAX(number) FROM lines) - ?")
        .bind(MAX_LINES.cast_signed())
        .execute(&mut *transaction)
        .await?;
    if gone.rows_affected() > 0 {
        // Tokens grow, so the oldest remaining one limits what can be removed.
        let oldest = "DELETE FROM members WHERE token < (SELECT MIN(token) FROM lines WHERE token > 0)";
        sqlx::query(oldest).execute(&mut *transaction).await?;
    }
    transaction.commit().await
}

async fn read(
    connection: &mut SqliteConnection,
    of: &LogOf,
    after: u64,
    limit: u32,
) -> Result<Vec<KeptLine>, sqlx::Error> {
    let rows = match of {
        LogOf::Task(task) => {
            let select = "SELECT number, worker, token, at, source, text FROM lines WHERE number > ? \
                AND token IN (SELECT token FROM members WHERE sweep = ? AND configuration = ? AND seed = ?) \
                ORDER BY number LIMIT ?";
            sqlx::query(select)
                .bind(after.cast_signed())
                .bind(task.sweep.0.cast_signed())
                .bind(task.configuration.0.cast_signed())
                .bind(task.seed.cast_signed())
                .bind(limit)
                .fetch_all(connection)
                .await?
        }
        LogOf::Worker(worker) => {
            // `~` sorts after all characters of worker ids.
            let select = "SELECT number, worker, token, at, source, text FROM lines \
                WHERE number > ? AND worker >= ? AND worker < ? || '~' AND (token = 0 OR source = 1) \
                ORDER BY number LIMIT ?";
            sqlx::query(select)
                .bind(after.cast_signed())
                .bind(worker.as_str())
                .bind(worker.as_str())
                .bind(limit)
                .fetch_all(connection)
                .await?
        }
    };
    rows.iter().map(line).collect()
}

fn line(row: &SqliteRow) -> Result<KeptLine, sqlx::Error> {
    let worker: &str = row.try_get("worker")?;
    let source: i64 = row.try_get("source")?;
    Ok(KeptLine {
        number: row.try_get::<i64, _>("number")?.cast_unsigned(),
        worker: WorkerId::new(worker).map_err(|error| sqlx::Error::Decode(error.into()))?,
        token: LeaseToken(row.try_get::<i64, _>("token")?.cast_unsigned()),
        line: LogLine {
            at: Timestamp(row.try_get("at")?),
            source: if source == 2 { LogSource::Trainer } else { LogSource::Worker },
            text: row.try_get("text")?,
        },
    })
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId};

    use super::*;

    fn task(seed: u64) -> TaskId {
        TaskId { sweep: SweepId(1), configuration: ConfigurationId(u64::MAX), seed }
    }

    fn batch(token: u64, seeds: &[u64], texts: &[&str]) -> LogBatch {
        let source = if token == 0 { LogSource::Worker } else { LogSource::Trainer };
        let line = |text: &&str| LogLine { at: Timestamp(7), source, text: (*text).to_owned() };
        LogBatch {
            worker: WorkerId::new("w").unwrap(),
            token: LeaseToken(token),
            tasks: seeds.iter().copied().map(task).collect(),
            lines: texts.iter().map(line).collect(),
        }
    }

    async fn texts(kept: &Kept, of: LogOf, after: u64, limit: u32) -> Vec<String> {
        kept.read(&of, after, limit).await.into_iter().map(|kept| kept.line.text).collect()
    }

    async fn keeps_lines_by_task_and_by_worker(kept: &Kept) {
        kept.write(vec![batch(0, &[], &["up"]), batch(3, &[1, 2], &["a", "b"])]).await;
        kept.write(vec![batch(5, &[2], &["c"])]).await;
        assert_eq!(texts(kept, LogOf::Task(task(1)), 0, 9).await, ["a", "b"]);
        assert_eq!(texts(kept, LogOf::Task(task(2)), 0, 9).await, ["a", "b", "c"]);
        let worker = |name| LogOf::Worker(WorkerId::new(name).unwrap());
        assert_eq!(texts(kept, worker("w"), 0, 9).await, ["up"]);
        // A worker's line about a lease is in the worker's log and in that of the tasks.
        let mut own = batch(5, &[], &["gave up"]);
        (own.worker, own.lines[0].source) = (WorkerId::new("w-2").unwrap(), LogSource::Worker);
        kept.write(vec![own]).await;
        assert_eq!(texts(kept, worker("w"), 0, 9).await, ["up", "gave up"]);
        assert_eq!(texts(kept, worker("w-"), 0, 9).await, ["gave up"]);
        assert!(texts(kept, worker("w-1"), 0, 9).await.is_empty());
        assert_eq!(texts(kept, LogOf::Task(task(2)), 0, 9).await, ["a", "b", "c", "gave up"]);
        assert!(texts(kept, LogOf::Task(task(3)), 0, 9).await.is_empty());
        let first = kept.read(&LogOf::Task(task(2)), 0, 2).await;
        assert_eq!(texts(kept, LogOf::Task(task(2)), first[1].number, 1).await, ["c"]);
        assert_eq!(first[0].line.source, LogSource::Trainer);
    }

    #[tokio::test]
    async fn memory_and_file_do_the_same() {
        keeps_lines_by_task_and_by_worker(&Kept::open(None).await).await;
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(Some(folder.path())).await;
        assert!(matches!(kept, Kept::File { .. }));
        keeps_lines_by_task_and_by_worker(&kept).await;
        drop(kept);
        let again = Kept::open(Some(folder.path())).await;
        assert_eq!(texts(&again, LogOf::Task(task(1)), 0, 9).await, ["a", "b"]);
    }

    #[tokio::test]
    async fn the_oldest_lines_go_first() {
        let folder = tempfile::tempdir().unwrap();
        for kept in [Kept::open(None).await, Kept::open(Some(folder.path())).await] {
            kept.write(vec![batch(1, &[1], &["oldest"])]).await;
            let many = vec!["x"; 10_000];
            for _ in 0..MAX_LINES / 10_000 {
                kept.write(vec![batch(2, &[2], &many)]).await;
            }
            assert!(texts(&kept, LogOf::Task(task(1)), 0, 9).await.is_empty());
            assert_eq!(texts(&kept, LogOf::Task(task(2)), 0, 9).await.len(), 9);
            let leases = match &kept {
                Kept::Memory(memory) => memory.lock().unwrap().leases.len() as i64,
                Kept::File { connection, .. } => {
                    let count = sqlx::query_scalar("SELECT COUNT(DISTINCT token) FROM members");
                    count.fetch_one(&mut *connection.lock().await).await.unwrap()
                }
            };
            assert_eq!(leases, 1, "members go with the last line of their lease");
        }
    }
}

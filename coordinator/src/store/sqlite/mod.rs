//! The default store: one SQLite database in the state folder.

mod ahead;
mod inspect;
mod journal;
mod notices;
mod open;
mod ownership;
mod pools;
mod purge;
mod rows;
mod write;

#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use colearn_core::{
    id::{LeaseToken, SweepId},
    scheduler::Recovered,
    sweep::Sweep,
};
use sqlx::SqliteConnection;
use tokio::sync::Mutex;

use self::{ahead::Ahead, ownership::Ownership};
use super::{
    contract::{Batch, JournalEntry, ResultRow, Store, StoreFigures, StoreFuture},
    error::StoreError,
    notice::{Notice, Receiver},
};

/// Of removed sweeps some results may be left.
const COUNTS: &str = "SELECT sweep, COUNT(*) FROM results \
    WHERE sweep NOT IN (SELECT id FROM sweeps WHERE removed) GROUP BY sweep ORDER BY sweep";

/// Keeps everything in `<state folder>/colearn.db`. One connection writes, another reads.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    writer: Arc<Mutex<Writer>>,
    reader: Arc<Mutex<SqliteConnection>>,
    ahead: Ahead,
    /// Bytes of the entries and results that were written.
    written: AtomicU64,
    /// Held while a part of a removed sweep is deleted.
    purging: Mutex<()>,
}

#[derive(Debug)]
struct Writer {
    connection: SqliteConnection,
    /// `None` if the database is only read.
    ownership: Option<Ownership>,
}

impl SqliteStore {
    fn broken(&self, error: sqlx::Error) -> StoreError {
        StoreError::of(&self.path, error)
    }

    fn corrupt(&self, detail: String) -> StoreError {
        StoreError::Corrupt { path: self.path.clone(), detail }
    }
}

impl Drop for SqliteStore {
    /// The last connection that closes copies its log into the tables and removes the log file. If another process
    /// has replaced the files, or got the same lock, this would change its data. In that case the connections stay
    /// open until the process ends, and the committed data stays where it is.
    fn drop(&mut self) {
        // No other task uses the connection now.
        let Ok(writer) = self.writer.try_lock() else { return };
        let lost = |owned: &Ownership| owned.verify_lock().is_err() || owned.verify_files().is_err();
        if writer.ownership.as_ref().is_some_and(lost) {
            std::mem::forget((self.writer.clone(), self.reader.clone()));
        }
    }
}

impl Store for SqliteStore {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.write(&batch).await })
    }

    fn prepare(&self, sweep: Arc<Sweep>) -> StoreFuture<'_, ()> {
        Box::pin(self.write_ahead(sweep))
    }

    fn discard(&self, sweep: Arc<Sweep>) -> StoreFuture<'_, ()> {
        Box::pin(self.remove_ahead(sweep))
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        Box::pin(self.replayed(after, limit))
    }

    fn journal_of(
        &self,
        sweep: SweepId,
        after: u64,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        Box::pin(self.of_sweep(sweep, after, limit))
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

    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.copy_log())
    }

    fn purge(&self) -> StoreFuture<'_, bool> {
        Box::pin(self.delete_a_part())
    }

    fn pools(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(self.all_pools())
    }

    fn keep_pool(&self, name: String, body: Option<String>) -> StoreFuture<'_, ()> {
        Box::pin(self.write_pool(name, body))
    }

    fn notices(&self) -> StoreFuture<'_, Vec<Notice>> {
        Box::pin(self.all_notices())
    }

    fn add_notice(&self, notice: Notice) -> StoreFuture<'_, ()> {
        Box::pin(self.write_notice(notice))
    }

    fn told(&self, id: String, receiver: Receiver) -> StoreFuture<'_, ()> {
        Box::pin(self.write_told(id, receiver))
    }

    fn figures(&self) -> StoreFigures {
        let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |found| found.len());
        let log = self.path.with_extension("db-wal");
        let written_bytes = self.written.load(Ordering::Relaxed);
        StoreFigures { database_bytes: bytes(&self.path), log_bytes: bytes(&log), written_bytes }
    }

    fn submitters(&self) -> StoreFuture<'_, Vec<(SweepId, Arc<str>)>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            let select = "SELECT id, submitted_by FROM sweeps WHERE submitted_by IS NOT NULL ORDER BY id";
            let known: Vec<(i64, String)> =
                sqlx::query_as(select).fetch_all(&mut *reader).await.map_err(|error| self.broken(error))?;
            Ok(known.into_iter().map(|(id, who)| (SweepId(id.cast_unsigned()), who.into())).collect())
        })
    }

    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            let counts: Vec<(i64, i64)> =
                sqlx::query_as(COUNTS).fetch_all(&mut *reader).await.map_err(|error| self.broken(error))?;
            let unsigned = |(id, count): (i64, i64)| (SweepId(id.cast_unsigned()), count.cast_unsigned());
            Ok(counts.into_iter().map(unsigned).collect())
        })
    }
}

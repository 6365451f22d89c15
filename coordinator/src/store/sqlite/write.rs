//! Writes a batch into the tables.

use colearn_core::{
    id::SweepId,
    scheduler::{Event, SettledSweep},
};
use sqlx::{Connection as _, SqliteConnection};

use super::{SqliteStore, Writer};
use crate::store::{Batch, JournalEntry, ResultRow, StoreError};

impl SqliteStore {
    /// Commits a batch, if this store still owns the database.
    pub(super) async fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let Writer { connection, ownership } = &mut *writer;
        let Some(ownership) = ownership else { return Err(StoreError::ReadOnly { path: self.path.clone() }) };
        ownership.verify_lock()?;
        // The transaction has the right to write from its beginning, so that nothing can happen between the
        // verification and the writes. If it is dropped without a commit, it rolls back.
        let mut transaction =
            connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| self.broken(error))?;
        ownership.verify(&mut transaction).await?;
        let mut last = None;
        for entry in &batch.entries {
            last = Some(self.append(&mut transaction, entry).await?);
        }
        for row in &batch.results {
            self.record(&mut transaction, row).await?;
        }
        self.mark(&mut transaction, batch).await?;
        for sweep in &batch.revived {
            self.settle(&mut transaction, *sweep, None).await?;
        }
        for settled in &batch.settled {
            self.settle(&mut transaction, settled.id, Some(settled)).await?;
        }
        transaction.commit().await.map_err(|error| self.broken(error))?;
        ownership.committed(last)
    }

    /// Copies the log into the tables and empties it. Without a log a database can be read from a read-only folder.
    pub(super) async fn copy_log(&self) -> Result<(), StoreError> {
        let mut writer = self.writer.lock().await;
        let Writer { connection, ownership } = &mut *writer;
        let Some(ownership) = ownership else { return Ok(()) };
        ownership.verify_lock()?;
        ownership.verify_files()?;
        // A reader may prevent this, which is no error.
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_all(&mut *connection)
            .await
            .map_err(|error| self.broken(error))?;
        ownership.committed(None)
    }

    /// Appends an entry; returns its number.
    async fn append(
        &self,
        connection: &mut SqliteConnection,
        entry: &JournalEntry,
    ) -> Result<i64, StoreError> {
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
                // A sweep that is submitted again with other settings exists already.
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
        Ok(number)
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

    /// Records the greatest numbers in a batch: the entries with them may be removed one day.
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
}

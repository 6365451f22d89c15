//! Writes a batch into the tables.

use std::{collections::BTreeSet, sync::atomic::Ordering};

use colearn_core::{
    id::SweepId,
    scheduler::{Event, SettledSweep},
};
use sqlx::{Connection as _, QueryBuilder, Sqlite, SqliteConnection};

use super::{SqliteStore, Writer, ahead::without_configurations};
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
        let last = self.append(&mut transaction, &batch.entries).await?;
        for (sweep, who) in &batch.submitters {
            sqlx::query("UPDATE sweeps SET submitted_by = ? WHERE id = ?")
                .bind(&**who)
                .bind(sweep.0.cast_signed())
                .execute(&mut *transaction)
                .await
                .map_err(|error| self.broken(error))?;
        }
        for some in in_statements(&batch.results) {
            self.record(&mut transaction, some).await?;
        }
        self.insert_notices(&mut transaction, &batch.notices).await?;
        self.mark(&mut transaction, batch).await?;
        for sweep in &batch.revived {
            self.settle(&mut transaction, *sweep, None).await?;
        }
        for settled in &batch.settled {
            self.settle(&mut transaction, settled.id, Some(settled)).await?;
        }
        transaction.commit().await.map_err(|error| self.broken(error))?;
        batch.entries.iter().for_each(|entry| self.ahead.committed(&entry.event));
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

    /// Appends entries, in their order; returns the number of the last one.
    async fn append(
        &self,
        connection: &mut SqliteConnection,
        entries: &[JournalEntry],
    ) -> Result<Option<i64>, StoreError> {
        let mut last = None;
        // An entry that also changes other tables ends a run.
        for run in entries.chunk_by(|before, _| !has_effects(&before.event)) {
            for some in in_statements(run) {
                last = Some(self.insert_entries(connection, some).await?);
            }
            if let (Some(entry), Some(number)) = (run.last(), last) {
                self.follow(connection, entry, number).await?;
            }
        }
        Ok(last)
    }

    /// Inserts entries with one statement; returns the number of the last one.
    async fn insert_entries(
        &self,
        connection: &mut SqliteConnection,
        entries: &[JournalEntry],
    ) -> Result<i64, StoreError> {
        let mut rows = Vec::with_capacity(entries.len());
        for entry in entries {
            if !entry.event.is_durable() {
                return Err(StoreError::NotAFact(entry.event.kind()));
            }
            let body = match self.ahead.of(&entry.event) {
                None => serde_json::to_string(&entry.event),
                Some(_) => serde_json::to_string(&without_configurations(&entry.event)),
            };
            rows.push((entry, body.map_err(|error| self.corrupt(error.to_string()))?));
        }
        let bytes: usize = rows.iter().map(|(_, body)| body.len()).sum();
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut insert = QueryBuilder::<Sqlite>::new("INSERT INTO journal (at, kind, body, sweep) ");
        insert.push_values(rows, |mut row, (entry, body)| {
            row.push_bind(entry.at.0)
                .push_bind(entry.event.kind())
                .push_bind(body)
                .push_bind(entry.sweep.map(|sweep| sweep.0.cast_signed()));
        });
        let done = insert.build().execute(connection).await.map_err(|error| self.broken(error))?;
        Ok(done.last_insert_rowid())
    }

    /// What an entry with this number changes in other tables, see [`has_effects`].
    async fn follow(
        &self,
        connection: &mut SqliteConnection,
        entry: &JournalEntry,
        number: i64,
    ) -> Result<(), StoreError> {
        if let Some(definition) = self.ahead.of(&entry.event) {
            sqlx::query("UPDATE definitions SET entry = ? WHERE id = ?")
                .bind(number)
                .bind(definition)
                .execute(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
        }
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
                Ok(())
            }
            Event::SweepRemoved { sweep } => self.remove(connection, *sweep).await,
            _ => Ok(()),
        }
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

    /// Records results with one statement.
    async fn record(
        &self,
        connection: &mut SqliteConnection,
        results: &[ResultRow],
    ) -> Result<(), StoreError> {
        let mut rows = Vec::with_capacity(results.len());
        for row in results {
            let result =
                serde_json::to_string(&row.result).map_err(|error| self.corrupt(error.to_string()))?;
            rows.push((row, result));
        }
        let bytes: usize = rows.iter().map(|(_, result)| result.len()).sum();
        self.written.fetch_add(bytes as u64, Ordering::Relaxed);
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO results \
            (sweep, configuration, seed, position, attempt, worker, token, recorded_at, result) ",
        );
        insert.push_values(rows, |mut place, (row, result)| {
            place
                .push_bind(row.task.sweep.0.cast_signed())
                .push_bind(row.task.configuration.to_string())
                .push_bind(row.task.seed.cast_signed())
                .push_bind(row.position.cast_signed())
                .push_bind(row.attempt)
                .push_bind(row.worker.as_str())
                .push_bind(row.token.0.cast_signed())
                .push_bind(row.recorded_at.0)
                .push_bind(result);
        });
        match insert.build().execute(&mut *connection).await {
            Ok(_) => Ok(()),
            Err(sqlx::Error::Database(error))
                if error.is_unique_violation() || error.is_foreign_key_violation() =>
            {
                Err(self.refused(connection, results).await?)
            }
            Err(error) => Err(self.broken(error)),
        }
    }

    /// Which of these results cannot be recorded, and why. A statement that fails has recorded none of them.
    async fn refused(
        &self,
        connection: &mut SqliteConnection,
        results: &[ResultRow],
    ) -> Result<StoreError, StoreError> {
        let select = "SELECT EXISTS (SELECT 1 FROM sweeps WHERE id = ?), \
            EXISTS (SELECT 1 FROM results WHERE sweep = ? AND position = ?)";
        let mut places = BTreeSet::new();
        for row in results {
            let sweep = row.task.sweep.0.cast_signed();
            let (known, recorded): (bool, bool) = sqlx::query_as(select)
                .bind(sweep)
                .bind(sweep)
                .bind(row.position.cast_signed())
                .fetch_one(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
            if !known {
                return Ok(StoreError::UnknownSweep(row.task.sweep));
            }
            if recorded || !places.insert((sweep, row.position)) {
                return Ok(StoreError::AlreadyRecorded(row.task));
            }
        }
        Ok(self.corrupt("results that are neither recorded nor of unknown sweeps were refused".to_owned()))
    }
}

/// Whether an entry also changes other tables.
fn has_effects(event: &Event) -> bool {
    matches!(event, Event::SweepSubmitted { .. } | Event::SweepExtended { .. } | Event::SweepRemoved { .. })
}

/// Splits rows into few statements. A statement costs as much as several rows, because another thread executes it.
/// There are only seven sizes, so that SQLite compiles each statement once.
fn in_statements<T>(rows: &[T]) -> impl Iterator<Item = &[T]> {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let size = [64, 32, 16, 8, 4, 2, 1].into_iter().find(|size| *size <= rest.len())?;
        let (some, after) = rest.split_at(size);
        rest = after;
        Some(some)
    })
}

#[cfg(test)]
mod tests {
    use super::in_statements;

    #[test]
    fn rows_are_written_with_few_statements() {
        let rows: Vec<u32> = (0..512 + 16 + 4 + 3).collect();
        let sizes: Vec<usize> = in_statements(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [64, 64, 64, 64, 64, 64, 64, 64, 16, 4, 2, 1]);
        assert_eq!(in_statements(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(in_statements::<u32>(&[]).count(), 0);
    }
}

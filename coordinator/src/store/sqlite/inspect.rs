//! Functions for checks and backups that are not part of the store's interface.

use std::path::Path;

use colearn_core::{id::SweepId, text::counted_len};

use super::SqliteStore;
use crate::store::StoreError;

impl SqliteStore {
    /// From now on all reads show the state of one moment.
    pub(in crate::store) async fn begin_snapshot(&self) -> Result<(), StoreError> {
        let mut reader = self.reader.lock().await;
        sqlx::raw_sql("BEGIN; SELECT COUNT(*) FROM marks;")
            .execute(&mut *reader)
            .await
            .map_err(|error| self.broken(error))?;
        Ok(())
    }

    /// Errors that SQLite itself finds.
    pub(in crate::store) async fn integrity(&self) -> Result<Vec<String>, StoreError> {
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
            found.push(format!("{} of no sweep", counted_len(dangling.len(), "result")));
        }
        Ok(found)
    }

    /// All sweeps with their names.
    pub(in crate::store) async fn sweep_names(&self) -> Result<Vec<(SweepId, String)>, StoreError> {
        let mut reader = self.reader.lock().await;
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT id, name FROM sweeps WHERE NOT removed ORDER BY id")
                .fetch_all(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
        Ok(rows.into_iter().map(|(id, name)| (SweepId(id.cast_unsigned()), name)).collect())
    }

    /// Missing sweeps that have journal entries.
    pub(in crate::store) async fn orphans(&self) -> Result<Vec<SweepId>, StoreError> {
        let mut reader = self.reader.lock().await;
        let select = "SELECT DISTINCT sweep FROM journal \
            WHERE sweep IS NOT NULL AND sweep NOT IN (SELECT id FROM sweeps)";
        let rows: Vec<i64> =
            sqlx::query_scalar(select).fetch_all(&mut *reader).await.map_err(|error| self.broken(error))?;
        Ok(rows.into_iter().map(|id| SweepId(id.cast_unsigned())).collect())
    }

    /// Copies the database, as of one moment, to a new file.
    pub(in crate::store) async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        let mut reader = self.reader.lock().await;
        sqlx::query("VACUUM INTO ?")
            .bind(file.to_string_lossy().into_owned())
            .execute(&mut *reader)
            .await
            .map_err(|error| StoreError::of(file, error))?;
        Ok(())
    }
}

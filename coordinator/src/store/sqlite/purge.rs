//! Removes sweeps: small ones at once, large ones in parts.

use colearn_core::id::SweepId;
use sqlx::SqliteConnection;

use super::SqliteStore;
use crate::store::StoreError;

/// Maximum number of entries, and of results, that are deleted in one transaction.
const ROWS: i64 = 512;
/// The same of parts of a definition, which are larger.
const PARTS: i64 = 8;

/// Whether a sweep is so large that it is deleted in parts. It has at least one entry for each result.
const IS_LARGE: &str = "SELECT \
    (SELECT COUNT(*) FROM (SELECT 1 FROM journal WHERE sweep = ?1 LIMIT ?2 + 1)) > ?2 \
    OR (SELECT COALESCE(SUM(parts), 0) FROM definitions JOIN journal ON sequence = entry WHERE sweep = ?1) > ?3";

const RESULTS: &str =
    "DELETE FROM results WHERE rowid IN (SELECT rowid FROM results WHERE sweep = ?1 LIMIT ?2)";
const DEFINITION_PARTS: &str = "DELETE FROM definition_parts WHERE rowid IN (SELECT definition_parts.rowid \
    FROM definition_parts JOIN definitions ON definitions.id = definition JOIN journal ON sequence = entry \
    WHERE sweep = ?1 LIMIT ?2)";
const DEFINITIONS: &str =
    "DELETE FROM definitions WHERE entry IN (SELECT sequence FROM journal WHERE sweep = ?1) AND ?2 > 0";
const ENTRIES: &str =
    "DELETE FROM journal WHERE sequence IN (SELECT sequence FROM journal WHERE sweep = ?1 LIMIT ?2)";
const SWEEP: &str = "DELETE FROM sweeps WHERE id = ?1 AND ?2 > 0";

/// In this order: what is deleted later says what belongs to the sweep.
const DELETES: [(&str, i64); 5] =
    [(RESULTS, ROWS), (DEFINITION_PARTS, PARTS), (DEFINITIONS, 1), (ENTRIES, ROWS), (SWEEP, 1)];

impl SqliteStore {
    /// Removes a sweep in the transaction of its entry. A large one is only marked; see [`Self::delete_a_part`].
    pub(super) async fn remove(
        &self,
        connection: &mut SqliteConnection,
        sweep: SweepId,
    ) -> Result<(), StoreError> {
        let id = sweep.0.cast_signed();
        let is_large: bool = sqlx::query_scalar(IS_LARGE)
            .bind(id)
            .bind(ROWS)
            .bind(PARTS)
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| self.broken(error))?;
        if is_large {
            // Another sweep may have the name from now on; no name of a sweep has a slash.
            let mark = "UPDATE sweeps SET removed = 1, name = '/' || id, settled = NULL, submitted_by = NULL \
                WHERE id = ?";
            sqlx::query(mark).bind(id).execute(connection).await.map_err(|error| self.broken(error))?;
            return Ok(());
        }
        for (delete, _) in DELETES {
            sqlx::query(delete)
                .bind(id)
                .bind(i64::MAX)
                .execute(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
        }
        Ok(())
    }

    /// Deletes a part of a sweep that was removed, in a transaction of its own. Returns whether there may be more.
    pub(super) async fn delete_a_part(&self) -> Result<bool, StoreError> {
        let _one = self.purging.lock().await;
        let found: Option<i64> = {
            let mut reader = self.reader.lock().await;
            sqlx::query_scalar("SELECT id FROM sweeps WHERE removed LIMIT 1")
                .fetch_optional(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?
        };
        let Some(id) = found else { return Ok(false) };
        for (delete, most) in DELETES {
            if self.alone(sqlx::query(delete).bind(id).bind(most)).await?.rows_affected() > 0 {
                break;
            }
        }
        Ok(true)
    }
}

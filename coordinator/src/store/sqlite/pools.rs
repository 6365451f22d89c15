//! The pools of worker jobs.

use super::SqliteStore;
use crate::store::StoreError;

impl SqliteStore {
    /// See [`crate::store::Store::pools`].
    pub(super) async fn all_pools(&self) -> Result<Vec<String>, StoreError> {
        let mut reader = self.reader.lock().await;
        sqlx::query_scalar("SELECT body FROM pools ORDER BY name")
            .fetch_all(&mut *reader)
            .await
            .map_err(|error| self.broken(error))
    }

    /// See [`crate::store::Store::keep_pool`].
    pub(super) async fn write_pool(&self, name: String, body: Option<String>) -> Result<(), StoreError> {
        let insert = "INSERT INTO pools (name, body) VALUES (?, ?) \
            ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        let statement = match body {
            Some(body) => sqlx::query(insert).bind(name).bind(body),
            None => sqlx::query("DELETE FROM pools WHERE name = ?").bind(name),
        };
        self.alone(statement).await.map(drop)
    }
}

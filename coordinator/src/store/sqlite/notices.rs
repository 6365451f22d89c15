//! Events that somebody is to be told of.

use colearn_core::time::Timestamp;
use sqlx::SqliteConnection;

use super::SqliteStore;
use crate::store::{Notice, Receiver, StoreError};

const INSERT: &str = "INSERT INTO notifications (id, at, body, webhook, command) VALUES (?, ?, ?, ?, ?)";
/// Its parameter is [`Notice::MOST`].
const MAKE_ROOM: &str = "DELETE FROM notifications WHERE number IN \
    (SELECT number FROM notifications ORDER BY number DESC LIMIT -1 OFFSET ?)";

impl SqliteStore {
    /// See [`crate::store::Store::notices`].
    pub(super) async fn all_notices(&self) -> Result<Vec<Notice>, StoreError> {
        let mut reader = self.reader.lock().await;
        let rows: Vec<(String, i64, String, bool, bool)> =
            sqlx::query_as("SELECT id, at, body, webhook, command FROM notifications ORDER BY number")
                .fetch_all(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
        let notice =
            |(id, at, body, webhook, command)| Notice { id, at: Timestamp(at), body, webhook, command };
        Ok(rows.into_iter().map(notice).collect())
    }

    /// See [`crate::store::Store::add_notice`].
    pub(super) async fn write_notice(&self, notice: Notice) -> Result<(), StoreError> {
        let Notice { id, at, body, webhook, command } = notice;
        let insert = sqlx::query(INSERT).bind(id).bind(at.0).bind(body).bind(webhook).bind(command);
        self.alone(insert).await?;
        self.alone(sqlx::query(MAKE_ROOM).bind(Notice::MOST as i64)).await.map(drop)
    }

    /// See [`crate::store::Store::told`].
    pub(super) async fn write_told(&self, id: String, receiver: Receiver) -> Result<(), StoreError> {
        let (delete_last, update) = match receiver {
            Receiver::Webhook => (
                "DELETE FROM notifications WHERE id = ? AND command = 0",
                "UPDATE notifications SET webhook = 0 WHERE id = ?",
            ),
            Receiver::Command => (
                "DELETE FROM notifications WHERE id = ? AND webhook = 0",
                "UPDATE notifications SET command = 0 WHERE id = ?",
            ),
        };
        // In this order, a crash between both leaves nothing that is for nobody.
        if self.alone(sqlx::query(delete_last).bind(id.clone())).await?.rows_affected() == 0 {
            self.alone(sqlx::query(update).bind(id)).await?;
        }
        Ok(())
    }

    /// Writes the events of a batch.
    pub(super) async fn insert_notices(
        &self,
        connection: &mut SqliteConnection,
        notices: &[Notice],
    ) -> Result<(), StoreError> {
        for Notice { id, at, body, webhook, command } in notices {
            sqlx::query(INSERT)
                .bind(id)
                .bind(at.0)
                .bind(body)
                .bind(webhook)
                .bind(command)
                .execute(&mut *connection)
                .await
                .map_err(|error| self.broken(error))?;
        }
        if !notices.is_empty() {
            sqlx::query(MAKE_ROOM)
                .bind(Notice::MOST as i64)
                .execute(connection)
                .await
                .map_err(|error| self.broken(error))?;
        }
        Ok(())
    }
}

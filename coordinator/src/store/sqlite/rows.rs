//! Converts rows of the tables.

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    time::Timestamp,
};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::SqliteStore;
use crate::store::{ResultRow, StoreError};

impl SqliteStore {
    pub(super) fn result(&self, sweep: SweepId, row: &SqliteRow) -> Result<ResultRow, StoreError> {
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

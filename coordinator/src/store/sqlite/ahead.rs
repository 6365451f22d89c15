//! Writes large sweeps ahead of their journal entries, in parts: no commit takes long.

use std::sync::{Arc, Mutex, PoisonError};

use colearn_core::{
    scheduler::Event,
    sweep::{Configuration, Sweep},
};
use sqlx::{Connection as _, Sqlite, sqlite::SqliteQueryResult};

use super::{SqliteStore, Writer};
use crate::store::StoreError;

/// Number of configurations in a part: about half a megabyte.
pub(super) const IN_A_PART: usize = 512;

/// The sweeps that were written ahead, with the numbers of their definitions, until their entries are committed.
#[derive(Debug, Default)]
pub(super) struct Ahead(Mutex<Vec<(Arc<Sweep>, i64)>>);

impl Ahead {
    fn with<T>(&self, look: impl FnOnce(&mut Vec<(Arc<Sweep>, i64)>) -> T) -> T {
        // A list that is only pushed to and searched is consistent even after a panic.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The definition of this very sweep.
    fn find(&self, sweep: &Arc<Sweep>) -> Option<i64> {
        self.with(|list| list.iter().find(|(there, _)| Arc::ptr_eq(there, sweep)).map(|(_, id)| *id))
    }

    /// The definition that belongs to an event.
    pub(super) fn of(&self, event: &Event) -> Option<i64> {
        self.find(sweep_in(event)?)
    }

    /// The entry of an event is committed.
    pub(super) fn committed(&self, event: &Event) {
        let Some(sweep) = sweep_in(event) else { return };
        self.with(|list| list.retain(|(there, _)| !Arc::ptr_eq(there, sweep)));
    }
}

/// The sweep that an event brings.
fn sweep_in(event: &Event) -> Option<&Arc<Sweep>> {
    match event {
        Event::SweepSubmitted { sweep, .. } | Event::SweepExtended { sweep, .. } => Some(sweep),
        _ => None,
    }
}

/// The same event with a sweep without configurations.
pub(super) fn without_configurations(event: &Event) -> Event {
    match event {
        Event::SweepSubmitted { id, sweep } => Event::SweepSubmitted { id: *id, sweep: outline(sweep) },
        Event::SweepExtended { id, sweep } => Event::SweepExtended { id: *id, sweep: outline(sweep) },
        event => event.clone(),
    }
}

/// A new field does not compile until it is named here.
fn outline(sweep: &Sweep) -> Arc<Sweep> {
    let Sweep {
        name,
        parameters,
        configurations: _,
        seeds,
        report,
        retries,
        checkpoint,
        keep,
        schedule,
        needs,
    } = sweep;
    Arc::new(Sweep {
        name: name.clone(),
        parameters: parameters.clone(),
        configurations: Vec::new(),
        seeds: seeds.clone(),
        report: report.clone(),
        retries: retries.clone(),
        checkpoint: *checkpoint,
        keep: keep.clone(),
        schedule: *schedule,
        needs: needs.clone(),
    })
}

impl SqliteStore {
    /// See [`crate::store::Store::prepare`].
    pub(super) async fn write_ahead(&self, sweep: Arc<Sweep>) -> Result<(), StoreError> {
        let parts = sweep.configurations.chunks(IN_A_PART);
        let (count, configurations) = (parts.len() as i64, sweep.configurations.len() as i64);
        let insert = "INSERT INTO definitions (parts, configurations) VALUES (?, ?)";
        let done = self.alone(sqlx::query(insert).bind(count).bind(configurations)).await?;
        let id = done.last_insert_rowid();
        // From here on it can be discarded.
        self.ahead.with(|list| list.push((sweep.clone(), id)));
        for (part, configurations) in (0_i64..).zip(parts) {
            let body = serde_json::to_string::<[Configuration]>(configurations)
                .map_err(|error| self.corrupt(error.to_string()))?;
            let insert = "INSERT INTO definition_parts (definition, part, body) VALUES (?, ?, ?)";
            self.alone(sqlx::query(insert).bind(id).bind(part).bind(body)).await?;
        }
        Ok(())
    }

    /// See [`crate::store::Store::discard`].
    pub(super) async fn remove_ahead(&self, sweep: Arc<Sweep>) -> Result<(), StoreError> {
        let Some(id) = self.ahead.find(&sweep) else { return Ok(()) };
        self.ahead.with(|list| list.retain(|(_, there)| *there != id));
        let delete = "DELETE FROM definition_parts WHERE definition = ?1 AND part IN \
            (SELECT part FROM definition_parts WHERE definition = ?1 ORDER BY part LIMIT 16)";
        while self.alone(sqlx::query(delete).bind(id)).await?.rows_affected() > 0 {}
        self.alone(sqlx::query("DELETE FROM definitions WHERE id = ?").bind(id)).await?;
        Ok(())
    }

    /// Executes one statement in a transaction of its own, if this store still owns the database. It does not change
    /// the journal.
    pub(super) async fn alone(&self, query: Statement<'_>) -> Result<SqliteQueryResult, StoreError> {
        let mut writer = self.writer.lock().await;
        let Writer { connection, ownership } = &mut *writer;
        let Some(ownership) = ownership else { return Err(StoreError::ReadOnly { path: self.path.clone() }) };
        ownership.verify_lock()?;
        let mut transaction =
            connection.begin_with("BEGIN IMMEDIATE").await.map_err(|error| self.broken(error))?;
        ownership.verify(&mut transaction).await?;
        let done = query.execute(&mut *transaction).await.map_err(|error| self.broken(error))?;
        transaction.commit().await.map_err(|error| self.broken(error))?;
        ownership.committed(None)?;
        Ok(done)
    }
}

pub(super) type Statement<'q> = sqlx::query::Query<'q, Sqlite, <Sqlite as sqlx::Database>::Arguments>;

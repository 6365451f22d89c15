//! Reads journal entries.

use std::sync::Arc;

use colearn_core::{
    id::SweepId,
    scheduler::Event,
    sweep::{Configuration, Sweep},
    time::Timestamp,
};
use sqlx::SqliteConnection;

use super::SqliteStore;
use crate::store::{JournalEntry, StoreError};

/// Entries come from SQLite as one text, one line each: a row of its own for each would take several times as long.
/// JSON has no line breaks. The body of a longer entry than this is left out, and read alone.
macro_rules! lines {
    ($rows:literal) => {
        concat!(
            "SELECT group_concat(sequence || ' ' || at || ' ' || COALESCE(sweep, '') || ' ' || \
             CASE WHEN octet_length(body) > 65536 THEN '' ELSE body END, char(10)) FROM (",
            $rows,
            ")"
        )
    };
}

/// Entries before the oldest sweep that is not settled are not even read.
const REPLAYED: &str = lines!(
    "SELECT sequence, at, body, sweep FROM journal \
     WHERE sequence > ? AND (NOT EXISTS (SELECT 1 FROM sweeps WHERE settled IS NOT NULL) \
        OR sequence >= COALESCE((SELECT MIN(first) FROM sweeps WHERE settled IS NULL AND NOT removed), \
            (SELECT MAX(sequence) FROM journal))) \
     AND (sweep IS NULL OR sweep NOT IN (SELECT id FROM sweeps WHERE settled IS NOT NULL OR removed)) \
     ORDER BY sequence LIMIT ?"
);

const OF_SWEEP: &str = lines!(
    "SELECT sequence, at, body, sweep FROM journal WHERE sweep = ? AND sequence > ? ORDER BY sequence LIMIT ?"
);

impl SqliteStore {
    /// See [`crate::store::Store::journal`].
    pub(super) async fn replayed(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, JournalEntry)>, StoreError> {
        let mut reader = self.reader.lock().await;
        let lines = sqlx::query_scalar(REPLAYED).bind(after.cast_signed()).bind(limit);
        let lines: Option<String> =
            lines.fetch_one(&mut *reader).await.map_err(|error| self.broken(error))?;
        self.entries(&mut reader, lines.as_deref().unwrap_or_default()).await
    }

    /// See [`crate::store::Store::journal_of`].
    pub(super) async fn of_sweep(
        &self,
        sweep: SweepId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, JournalEntry)>, StoreError> {
        let mut reader = self.reader.lock().await;
        let lines =
            sqlx::query_scalar(OF_SWEEP).bind(sweep.0.cast_signed()).bind(after.cast_signed()).bind(limit);
        let lines: Option<String> =
            lines.fetch_one(&mut *reader).await.map_err(|error| self.broken(error))?;
        self.entries(&mut reader, lines.as_deref().unwrap_or_default()).await
    }

    async fn entries(
        &self,
        reader: &mut SqliteConnection,
        lines: &str,
    ) -> Result<Vec<(u64, JournalEntry)>, StoreError> {
        let mut entries = Vec::new();
        for line in lines.lines() {
            let Line { number, at, sweep, body } = Line::of(line).ok_or_else(|| {
                let after = entries.last().map_or(0, |(number, _): &(u64, _)| *number);
                self.corrupt(format!("the journal entry after number {after} has line breaks"))
            })?;
            let event = match body {
                "" => {
                    let body: String = sqlx::query_scalar("SELECT body FROM journal WHERE sequence = ?")
                        .bind(number.cast_signed())
                        .fetch_one(&mut *reader)
                        .await
                        .map_err(|error| self.broken(error))?;
                    self.event(number, &body)?
                }
                body => self.event(number, body)?,
            };
            let event = self.whole(reader, number, event).await?;
            entries.push((number, JournalEntry { at, sweep, event }));
        }
        // The order of an aggregate is that of its rows, which SQLite does not promise.
        if !entries.is_sorted_by_key(|(number, _)| *number) {
            entries.sort_by_key(|(number, _)| *number);
        }
        Ok(entries)
    }

    fn event(&self, number: u64, body: &str) -> Result<Event, StoreError> {
        serde_json::from_str(body).map_err(|error| self.corrupt(format!("journal entry {number}: {error}")))
    }

    /// Adds the configurations that were written in parts.
    async fn whole(
        &self,
        reader: &mut SqliteConnection,
        number: u64,
        event: Event,
    ) -> Result<Event, StoreError> {
        Ok(match event {
            Event::SweepSubmitted { id, sweep } if sweep.configurations.is_empty() => {
                Event::SweepSubmitted { id, sweep: self.with_parts(reader, number, &sweep).await? }
            }
            Event::SweepExtended { id, sweep } if sweep.configurations.is_empty() => {
                Event::SweepExtended { id, sweep: self.with_parts(reader, number, &sweep).await? }
            }
            event => event,
        })
    }

    async fn with_parts(
        &self,
        reader: &mut SqliteConnection,
        number: u64,
        sweep: &Sweep,
    ) -> Result<Arc<Sweep>, StoreError> {
        let bad = |what: String| self.corrupt(format!("journal entry {number}: {what}"));
        let found: Option<(i64, i64, i64)> =
            sqlx::query_as("SELECT id, parts, configurations FROM definitions WHERE entry = ?")
                .bind(number.cast_signed())
                .fetch_optional(&mut *reader)
                .await
                .map_err(|error| self.broken(error))?;
        let (id, parts, count) = found.ok_or_else(|| bad("its configurations are missing".to_owned()))?;
        let mut configurations: Vec<Configuration> =
            Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(1 << 20));
        for part in 0..parts {
            let body: Option<String> =
                sqlx::query_scalar("SELECT body FROM definition_parts WHERE definition = ? AND part = ?")
                    .bind(id)
                    .bind(part)
                    .fetch_optional(&mut *reader)
                    .await
                    .map_err(|error| self.broken(error))?;
            let body = body.ok_or_else(|| bad(format!("part {part} of its configurations is missing")))?;
            let some: Vec<Configuration> =
                serde_json::from_str(&body).map_err(|error| bad(format!("part {part}: {error}")))?;
            configurations.extend(some);
        }
        if configurations.len() as u64 != count.cast_unsigned() {
            return Err(bad(format!("it has {} of {count} configurations", configurations.len())));
        }
        Ok(Arc::new(Sweep { configurations, ..sweep.clone() }))
    }
}

/// One entry as text.
struct Line<'a> {
    number: u64,
    at: Timestamp,
    sweep: Option<SweepId>,
    body: &'a str,
}

impl<'a> Line<'a> {
    fn of(line: &'a str) -> Option<Self> {
        let (number, rest) = line.split_once(' ')?;
        let (at, rest) = rest.split_once(' ')?;
        let (sweep, body) = rest.split_once(' ')?;
        let sweep = match sweep {
            "" => None,
            number => Some(SweepId(number.parse::<i64>().ok()?.cast_unsigned())),
        };
        let number = number.parse::<i64>().ok()?.cast_unsigned();
        Some(Self { number, at: Timestamp(at.parse().ok()?), sweep, body })
    }
}

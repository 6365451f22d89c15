//! The store that outlives every coordinator of a history, and records everything that was written to it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use colearn_coordinator::store::{Batch, JournalEntry, MemoryStore, ResultRow, Store, StoreFuture};
use colearn_core::{
    failure::RetryPolicy,
    id::{SweepId, TaskId},
    scheduler::{Event, Recovered},
};
use tokio::time::sleep;

use crate::{chance::Chance, trace::Trace};

/// The in-memory store with the delays of a disk. If a coordinator crashes during a commit, the batch may be lost, or
/// may be stored without an acknowledgement.
pub struct WatchedStore {
    kept: MemoryStore,
    trace: Trace,
    seen: Mutex<Seen>,
}

struct Seen {
    chance: Chance,
    entries: Vec<JournalEntry>,
    results: BTreeMap<TaskId, ResultRow>,
}

impl WatchedStore {
    /// An empty store. The duration of commits is a function of the seed.
    #[must_use]
    pub fn new(seed: u64, trace: Trace) -> Self {
        let chance = Chance::new(seed, "store");
        let seen = Seen { chance, entries: Vec::new(), results: BTreeMap::new() };
        Self { kept: MemoryStore::new(), trace, seen: Mutex::new(seen) }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // The list is only ever appended to, so it is consistent even after a panic.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was ever committed, in order.
    #[must_use]
    pub fn entries(&self) -> Vec<JournalEntry> {
        self.seen().entries.clone()
    }

    /// Every result that was ever committed.
    #[must_use]
    pub fn recorded(&self) -> BTreeMap<TaskId, ResultRow> {
        self.seen().results.clone()
    }

    /// Whether a task has its result, or a failure that is never retried.
    #[must_use]
    pub fn has_ended(&self, task: TaskId) -> bool {
        let seen = self.seen();
        seen.results.contains_key(&task)
            || seen.entries.iter().any(|entry| match &entry.event {
                Event::AttemptFailed { task: failed, failure, unconfirmed, .. } => {
                    *failed == task && failure.reason.policy() == RetryPolicy::Fail && !unconfirmed
                }
                _ => false,
            })
    }

    fn note(&self, batch: &Batch) {
        let mut seen = self.seen();
        for entry in &batch.entries {
            self.trace.note("store", format_args!("{}", brief(&entry.event)));
        }
        seen.entries.extend(batch.entries.iter().cloned());
        for row in &batch.results {
            if let Some(before) = seen.results.insert(row.task, row.clone()) {
                let (task, first, second) = (row.task, before.token, row.token);
                self.trace.wrong(format_args!("{task} was recorded under {first} and again under {second}"));
            }
        }
    }
}

/// An event without its sweeps, which are long.
fn brief(event: &Event) -> String {
    match event {
        Event::SweepSubmitted { id, .. } | Event::SweepExtended { id, .. } => {
            format!("{} {id}", event.kind())
        }
        event => format!("{event:?}"),
    }
}

impl Store for WatchedStore {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let (before, after) = {
                let chance = &mut self.seen().chance;
                let slow = if chance.percent(10) { 400 } else { 10 };
                (chance.millis(0, slow), chance.millis(0, slow))
            };
            sleep(before).await;
            self.kept.commit(batch.clone()).await?;
            self.note(&batch);
            sleep(after).await;
            Ok(())
        })
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        self.kept.journal(after, limit)
    }

    fn journal_of(
        &self,
        sweep: SweepId,
        after: u64,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        self.kept.journal_of(sweep, after, limit)
    }

    fn recovered(&self) -> StoreFuture<'_, Recovered> {
        self.kept.recovered()
    }

    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        self.kept.results(sweep, from, limit)
    }

    fn submitters(&self) -> StoreFuture<'_, Vec<(SweepId, Arc<str>)>> {
        self.kept.submitters()
    }

    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
        self.kept.result_counts()
    }
}

//! A store that forgets everything with the process: for simulations and tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use colearn_core::{
    id::{SweepId, TaskId},
    scheduler::Event,
};

use super::{
    contract::{Batch, Entry, ResultRow, Store, StoreFuture},
    error::StoreError,
};

/// Keeps everything in memory. "Durable" means as long as the value lives.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    journal: Vec<Entry>,
    sweeps: BTreeSet<SweepId>,
    results: BTreeMap<(SweepId, u32), ResultRow>,
    recorded: BTreeSet<TaskId>,
}

impl MemoryStore {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A batch is checked before anything of it is kept, so a panic can not leave half of one.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut sweeps = self.sweeps.clone();
        for entry in &batch.entries {
            if !entry.event.is_durable() {
                return Err(StoreError::NotAFact(entry.event.kind()));
            }
            if let Event::SweepSubmitted { id, .. } = &entry.event {
                sweeps.insert(*id);
            }
        }
        let mut new = BTreeSet::new();
        for row in &batch.results {
            if !sweeps.contains(&row.task.sweep) {
                return Err(StoreError::UnknownSweep(row.task.sweep));
            }
            let place_taken = self.results.contains_key(&(row.task.sweep, row.position));
            if place_taken || self.recorded.contains(&row.task) || !new.insert(row.task) {
                return Err(StoreError::AlreadyRecorded(row.task));
            }
        }
        Ok(())
    }

    fn keep(&mut self, batch: Batch) {
        for entry in batch.entries {
            if let Event::SweepSubmitted { id, .. } = &entry.event {
                self.sweeps.insert(*id);
            }
            self.journal.push(entry);
        }
        for row in batch.results {
            self.recorded.insert(row.task);
            self.results.insert((row.task.sweep, row.position), row);
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut kept = self.kept();
            kept.check(&batch)?;
            kept.keep(batch);
            Ok(())
        })
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, Entry)>> {
        Box::pin(async move {
            let kept = self.kept();
            let numbered = (1..).zip(&kept.journal).skip(usize::try_from(after).unwrap_or(usize::MAX));
            Ok(numbered.take(limit as usize).map(|(number, entry)| (number, entry.clone())).collect())
        })
    }

    fn results(&self, sweep: SweepId, from: u32, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        Box::pin(async move {
            let kept = self.kept();
            let rows = kept.results.range((sweep, from)..=(sweep, u32::MAX));
            Ok(rows.take(limit as usize).map(|(_, row)| row.clone()).collect())
        })
    }
}

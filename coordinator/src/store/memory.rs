//! A store in memory, for simulations and tests.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId},
    scheduler::{Event, Recovered, SettledSweep},
};

use super::{
    contract::{Batch, JournalEntry, ResultRow, Store, StoreFuture},
    error::StoreError,
    notice::{Notice, Receiver},
};

/// Keeps everything in memory. "Durable" means as long as this value, or one that took over its data, exists.
#[derive(Debug, Default)]
pub struct MemoryStore {
    kept: Arc<Mutex<Kept>>,
    owner: u64,
    /// The number of the last journal entry that this store wrote.
    left_at: AtomicU64,
}

#[derive(Debug, Default)]
struct Kept {
    /// Entries by number.
    journal: BTreeMap<u64, JournalEntry>,
    last_entry: u64,
    sweeps: BTreeSet<SweepId>,
    submitters: BTreeMap<SweepId, Arc<str>>,
    /// Counts the owners.
    owner: u64,
    results: BTreeMap<(SweepId, u64), ResultRow>,
    recorded: BTreeSet<TaskId>,
    settled: BTreeMap<SweepId, SettledSweep>,
    /// Pools by name, as JSON.
    pools: BTreeMap<String, String>,
    notices: VecDeque<Notice>,
    last_sweep: SweepId,
    last_token: LeaseToken,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over the data of this store, as reopening does: this one can commit nothing more.
    #[must_use]
    pub fn take_over(&self) -> Self {
        let mut kept = self.kept();
        kept.owner += 1;
        Self { kept: self.kept.clone(), owner: kept.owner, left_at: kept.last_entry.into() }
    }

    fn verify(&self, kept: &Kept) -> Result<(), StoreError> {
        if kept.owner == self.owner && kept.last_entry == self.left_at.load(Ordering::Relaxed) {
            return Ok(());
        }
        let detail = "it was taken over by another coordinator".to_owned();
        Err(StoreError::TakenOver { path: "(in memory)".into(), detail })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A batch is checked before anything is stored, so a panic cannot leave half of it.
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

    fn remove(&mut self, sweep: SweepId) {
        self.journal.retain(|_, entry| entry.sweep != Some(sweep));
        self.results.retain(|(of, _), _| *of != sweep);
        self.recorded.retain(|task| task.sweep != sweep);
        self.settled.remove(&sweep);
        self.sweeps.remove(&sweep);
        self.submitters.remove(&sweep);
    }

    /// Entries after number `after` for which `wanted` is true.
    fn entries(
        &self,
        after: u64,
        limit: u32,
        wanted: impl Fn(&JournalEntry) -> bool,
    ) -> Vec<(u64, JournalEntry)> {
        let from = after.saturating_add(1);
        let entries = self.journal.range(from..).filter(|(_, entry)| wanted(entry));
        entries.take(limit as usize).map(|(number, entry)| (*number, entry.clone())).collect()
    }

    fn notify(&mut self, notices: Vec<Notice>) {
        self.notices.extend(notices);
        let surplus = self.notices.len().saturating_sub(Notice::MOST);
        self.notices.drain(..surplus);
    }

    fn keep(&mut self, batch: Batch) {
        for entry in batch.entries {
            match &entry.event {
                Event::SweepSubmitted { id, .. } => {
                    self.sweeps.insert(*id);
                    self.last_sweep = self.last_sweep.max(*id);
                }
                Event::LeaseGranted { token, .. } => self.last_token = self.last_token.max(*token),
                Event::SweepRemoved { sweep } => self.remove(*sweep),
                _ => {}
            }
            self.last_entry += 1;
            self.journal.insert(self.last_entry, entry);
        }
        self.submitters.extend(batch.submitters);
        self.notify(batch.notices);
        for sweep in batch.revived {
            self.settled.remove(&sweep);
        }
        for settled in batch.settled {
            self.settled.insert(settled.id, settled);
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
            self.verify(&kept)?;
            kept.check(&batch)?;
            kept.keep(batch);
            self.left_at.store(kept.last_entry, Ordering::Relaxed);
            Ok(())
        })
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        Box::pin(async move {
            let kept = self.kept();
            let replayed =
                |entry: &JournalEntry| entry.sweep.is_none_or(|sweep| !kept.settled.contains_key(&sweep));
            Ok(kept.entries(after, limit, replayed))
        })
    }

    fn journal_of(
        &self,
        sweep: SweepId,
        after: u64,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        Box::pin(async move { Ok(self.kept().entries(after, limit, |entry| entry.sweep == Some(sweep))) })
    }

    fn recovered(&self) -> StoreFuture<'_, Recovered> {
        Box::pin(async move {
            let kept = self.kept();
            let settled = kept.settled.values().cloned().collect();
            Ok(Recovered { last_sweep: kept.last_sweep, last_token: kept.last_token, settled })
        })
    }

    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        Box::pin(async move {
            let kept = self.kept();
            let rows = kept.results.range((sweep, from)..=(sweep, u64::MAX));
            Ok(rows.take(limit as usize).map(|(_, row)| row.clone()).collect())
        })
    }

    fn pools(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async move { Ok(self.kept().pools.values().cloned().collect()) })
    }

    fn keep_pool(&self, name: String, body: Option<String>) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut kept = self.kept();
            self.verify(&kept)?;
            match body {
                Some(body) => kept.pools.insert(name, body),
                None => kept.pools.remove(&name),
            };
            Ok(())
        })
    }

    fn notices(&self) -> StoreFuture<'_, Vec<Notice>> {
        Box::pin(async move { Ok(self.kept().notices.iter().cloned().collect()) })
    }

    fn add_notice(&self, notice: Notice) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut kept = self.kept();
            self.verify(&kept)?;
            kept.notify(vec![notice]);
            Ok(())
        })
    }

    fn told(&self, id: String, receiver: Receiver) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut kept = self.kept();
            self.verify(&kept)?;
            kept.notices.retain_mut(|notice| notice.id != id || notice.told(receiver));
            Ok(())
        })
    }

    fn submitters(&self) -> StoreFuture<'_, Vec<(SweepId, Arc<str>)>> {
        Box::pin(async move {
            let kept = self.kept();
            Ok(kept.submitters.iter().map(|(sweep, who)| (*sweep, who.clone())).collect())
        })
    }

    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
        Box::pin(async move {
            let mut counts = BTreeMap::new();
            for (sweep, _) in self.kept().results.keys() {
                *counts.entry(*sweep).or_default() += 1;
            }
            Ok(counts.into_iter().collect())
        })
    }
}

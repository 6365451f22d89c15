//! Settled sweeps that were rebuilt from their journal entries, kept for the next queries: a listing in pages would
//! otherwise rebuild its sweep for each page.

use std::{
    collections::VecDeque,
    sync::{Arc, Weak},
    time::Duration,
};

use colearn_core::{id::SweepId, scheduler::Scheduler};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};
use tonic::{Code, Status};

use super::{convert, refusal::refusal};
use crate::store::Store;

/// Number of journal entries that are read at once.
const PAGE: u32 = 4096;
/// How long an unused sweep is kept.
const KEPT: Duration = Duration::from_secs(10);
/// Maximum size of all kept sweeps together, in bytes. The last one is kept whatever its size: to rebuild it for the
/// next page takes the same memory again.
const MAX_BYTES: usize = 64 << 20;
/// Estimated size of a configuration with its settings and its name, in bytes.
const OF_CONFIGURATION: usize = 2048;
/// Estimated size of a task, in bytes.
const OF_TASK: usize = 96;

/// The sweeps that were rebuilt last. One is rebuilt at a time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rebuilt(Arc<Mutex<VecDeque<Kept>>>);

/// A rebuilt sweep.
#[derive(Debug)]
struct Kept {
    id: SweepId,
    /// Number of its last journal entry.
    last: u64,
    alone: Arc<Scheduler>,
    bytes: usize,
    used: Instant,
}

impl Rebuilt {
    /// A scheduler with only this settled sweep, as its journal entries are now.
    pub(super) async fn get(&self, id: SweepId, store: &dyn Store) -> Result<Arc<Scheduler>, Status> {
        let mut kept = self.0.lock().await;
        let found = kept.iter().position(|it| it.id == id).and_then(|at| kept.remove(at));
        let mut after = found.as_ref().map_or(0, |it| it.last);
        let mut page = read(store, id, after).await?;
        let now = Instant::now();
        if let Some(it) = found.filter(|_| page.is_empty()) {
            let alone = it.alone.clone();
            // The most recently used one is the last.
            kept.push_back(Kept { used: now, ..it });
            return Ok(alone);
        }
        // The sweep was revived in between.
        if after > 0 {
            after = 0;
            page = read(store, id, after).await?;
        }
        let mut alone = Scheduler::of_one_sweep([]);
        // All entries together need more memory than the sweep.
        while let Some((last, _)) = page.last() {
            after = *last;
            let applied = tokio::task::spawn_blocking(move || {
                for (_, entry) in page {
                    drop(alone.apply(entry.at, entry.event));
                }
                alone
            });
            alone = applied.await.map_err(|error| refusal(Code::Internal, error))?;
            page = read(store, id, after).await?;
        }
        let alone = Arc::new(alone);
        let bytes = size(&alone, id);
        let this = Arc::downgrade(&alone);
        kept.push_back(Kept { id, last: after, alone: alone.clone(), bytes, used: Instant::now() });
        let mut total: usize = kept.iter().map(|it| it.bytes).sum();
        while kept.len() > 1 && total > MAX_BYTES {
            total -= kept.pop_front().map_or(0, |it| it.bytes);
        }
        drop(kept);
        tokio::spawn(self.clone().forget(this));
        Ok(alone)
    }

    /// As [`Self::get`], but nothing is kept: for the engine, and for a query that wants everything at once.
    pub(super) async fn take(&self, id: SweepId, store: &dyn Store) -> Result<Arc<Scheduler>, Status> {
        let alone = self.get(id, store).await?;
        self.0.lock().await.retain(|it| it.id != id);
        Ok(alone)
    }

    /// Waits until a sweep has not been used for a while, and removes it; ends if somebody else has removed it.
    async fn forget(self, this: Weak<Scheduler>) {
        loop {
            let mut kept = self.0.lock().await;
            let is_this = |it: &Kept| std::ptr::eq(Arc::as_ptr(&it.alone), this.as_ptr());
            let Some(at) = kept.iter().position(is_this) else { return };
            let Some(until) = kept.get(at).map(|it| it.used + KEPT) else { return };
            if until <= Instant::now() {
                kept.remove(at);
                return;
            }
            drop(kept);
            sleep_until(until).await;
        }
    }
}

type Page = Vec<(u64, crate::store::JournalEntry)>;

async fn read(store: &dyn Store, id: SweepId, after: u64) -> Result<Page, Status> {
    store.journal_of(id, after, PAGE).await.map_err(|error| convert::store_failed(&error))
}

/// The estimated size of a rebuilt sweep, in bytes.
fn size(alone: &Scheduler, id: SweepId) -> usize {
    let Some(view) = alone.sweep(id) else { return 0 };
    let configurations = view.sweep().configurations.len();
    configurations * (OF_CONFIGURATION + view.sweep().seeds.len() * OF_TASK)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use colearn_core::{
        scheduler::{Event, Recovered, SweepStatus},
        time::Timestamp,
    };

    use super::*;
    use crate::{
        store::{Batch, JournalEntry, MemoryStore, ResultRow, StoreFuture},
        testing::small_sweep,
    };

    const FIRST: SweepId = SweepId(1);
    const SECOND: SweepId = SweepId(2);

    /// Counts the entries that are read.
    struct Counted {
        kept: MemoryStore,
        read: AtomicUsize,
    }

    impl Store for Counted {
        fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
            self.kept.commit(batch)
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
            Box::pin(async move {
                let page = self.kept.journal_of(sweep, after, limit).await?;
                self.read.fetch_add(page.len(), Ordering::Relaxed);
                Ok(page)
            })
        }

        fn recovered(&self) -> StoreFuture<'_, Recovered> {
            self.kept.recovered()
        }

        fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
            self.kept.results(sweep, from, limit)
        }

        fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
            self.kept.result_counts()
        }
    }

    impl Counted {
        async fn add(&self, sweep: SweepId, event: Event) {
            let entries = vec![JournalEntry { at: Timestamp(1), sweep: Some(sweep), event }];
            self.commit(Batch { entries, ..Batch::default() }).await.unwrap();
        }

        /// A store with two sweeps of this number of configurations.
        async fn of(configurations: u64) -> Self {
            let store = Self { kept: MemoryStore::new(), read: AtomicUsize::new(0) };
            for id in [FIRST, SECOND] {
                let sweep = Arc::new(small_sweep(&format!("sweep-{}", id.0), configurations, 1));
                store.add(id, Event::SweepSubmitted { id, sweep }).await;
                store.add(id, Event::SweepCancelled { sweep: id }).await;
            }
            store
        }

        /// The number of entries that a query of the sweep reads.
        async fn reads(&self, rebuilt: &Rebuilt, id: SweepId) -> usize {
            self.read.store(0, Ordering::Relaxed);
            let alone = rebuilt.get(id, self).await.unwrap();
            assert!(alone.sweep(id).unwrap().counts().total() > 0);
            self.read.load(Ordering::Relaxed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_entries_of_a_sweep_are_read_once_for_all_pages_and_again_after_a_while() {
        let (store, rebuilt) = (Counted::of(3).await, Rebuilt::default());
        assert_eq!(store.reads(&rebuilt, FIRST).await, 2);
        for _ in 0..100 {
            assert_eq!(store.reads(&rebuilt, FIRST).await, 0);
            tokio::time::sleep(KEPT / 2).await;
        }
        assert_eq!(store.reads(&rebuilt, SECOND).await, 2);
        assert_eq!(store.reads(&rebuilt, FIRST).await, 0, "small ones are kept beside each other");
        tokio::time::sleep(2 * KEPT).await;
        assert!(rebuilt.0.lock().await.is_empty(), "nothing is kept that nobody uses");
        assert_eq!(store.reads(&rebuilt, FIRST).await, 2);
    }

    #[tokio::test]
    async fn what_was_added_since_is_seen() {
        let (store, rebuilt) = (Counted::of(3).await, Rebuilt::default());
        assert_eq!(store.reads(&rebuilt, FIRST).await, 2);
        let event = Event::SweepPrioritized { sweep: FIRST, priority: 7 };
        store.add(FIRST, event).await;
        // The new entry is found, then all are read.
        assert_eq!(store.reads(&rebuilt, FIRST).await, 1 + 3);
        assert_eq!(rebuilt.get(FIRST, &store).await.unwrap().sweep(FIRST).unwrap().priority(), 7);
        assert_eq!(rebuilt.0.lock().await.len(), 1);
        let alone = rebuilt.take(FIRST, &store).await.unwrap();
        assert_eq!(alone.sweep(FIRST).unwrap().status(), SweepStatus::Cancelled);
        assert!(rebuilt.0.lock().await.is_empty(), "the engine has it");
        assert!(Arc::into_inner(alone).is_some(), "and nobody else");
    }

    #[tokio::test(start_paused = true)]
    async fn who_forgets_a_sweep_that_was_taken_does_not_wait_for_its_successor() {
        let (store, rebuilt) = (Counted::of(3).await, Rebuilt::default());
        let others = Arc::strong_count(&rebuilt.0);
        for _ in 0..10 {
            drop(rebuilt.take(FIRST, &store).await.unwrap());
            assert_eq!(store.reads(&rebuilt, FIRST).await, 2);
            drop(rebuilt.take(FIRST, &store).await.unwrap());
            assert_eq!(store.reads(&rebuilt, FIRST).await, 2);
            tokio::time::sleep(KEPT * 3 / 4).await;
        }
        assert_eq!(store.reads(&rebuilt, FIRST).await, 0);
        tokio::time::sleep(KEPT * 3 / 4).await;
        assert_eq!(store.reads(&rebuilt, FIRST).await, 0);
        assert_eq!(Arc::strong_count(&rebuilt.0), others + 1, "each waits for its own sweep");
    }

    #[tokio::test]
    async fn of_sweeps_that_are_large_together_only_the_last_is_kept() {
        let (store, rebuilt) =
            (Counted::of((MAX_BYTES / OF_CONFIGURATION / 2 + 1) as u64).await, Rebuilt::default());
        store.reads(&rebuilt, FIRST).await;
        store.reads(&rebuilt, SECOND).await;
        let kept: Vec<SweepId> = rebuilt.0.lock().await.iter().map(|it| it.id).collect();
        assert_eq!(kept, [SECOND]);
        assert_eq!(store.reads(&rebuilt, FIRST).await, 2);
    }
}

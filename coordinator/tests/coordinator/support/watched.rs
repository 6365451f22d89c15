//! A store that a test watches and can delay.

use std::sync::atomic::{AtomicUsize, Ordering};

use colearn_coordinator::store::{Batch, JournalEntry, MemoryStore, ResultRow, Store, StoreFuture};
use colearn_core::{id::SweepId, scheduler::Recovered};
use tokio::{sync::Mutex, task::yield_now, time::timeout};

use super::SOON;

/// An in-memory store that counts its commits.
#[derive(Default)]
pub(crate) struct Watched {
    inner: MemoryStore,
    /// Holding this lock delays commits.
    pub(crate) commits: Mutex<()>,
    pub(crate) commits_asked: AtomicUsize,
    pub(crate) results_asked: AtomicUsize,
}

impl Watched {
    /// Waits until there were more than `before` commits.
    pub(crate) async fn asked_to_commit(&self, before: usize) {
        let asked = async {
            while self.commits_asked.load(Ordering::SeqCst) <= before {
                yield_now().await;
            }
        };
        timeout(SOON, asked).await.expect("the engine commits soon");
    }
}

impl Store for Watched {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            self.commits_asked.fetch_add(1, Ordering::SeqCst);
            let _turn = self.commits.lock().await;
            self.inner.commit(batch).await
        })
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        self.inner.journal(after, limit)
    }

    fn journal_of(
        &self,
        sweep: SweepId,
        after: u64,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(u64, JournalEntry)>> {
        self.inner.journal_of(sweep, after, limit)
    }

    fn recovered(&self) -> StoreFuture<'_, Recovered> {
        self.inner.recovered()
    }

    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        self.results_asked.fetch_add(1, Ordering::SeqCst);
        self.inner.results(sweep, from, limit)
    }

    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
        self.inner.result_counts()
    }
}

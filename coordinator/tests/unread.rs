//! Clients that ask for much and read none of it.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use colearn_coordinator::{
    Storage,
    store::{Batch, Entry, MemoryStore, ResultRow, Store, StoreFuture},
};
use colearn_core::{id::SweepId, scheduler::Recovered};
use colearn_proto::v1;
use support::{
    Person, ScriptedWorker, a_sweep_is_trained, channel, config, result, small_sweep, start_with, tasks,
};

/// A store that counts how often results are asked for.
#[derive(Default)]
struct Counting {
    inner: MemoryStore,
    asked: AtomicUsize,
}

impl Store for Counting {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        self.inner.commit(batch)
    }

    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, Entry)>> {
        self.inner.journal(after, limit)
    }

    fn journal_of(&self, sweep: SweepId, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, Entry)>> {
        self.inner.journal_of(sweep, after, limit)
    }

    fn recovered(&self) -> StoreFuture<'_, Recovered> {
        self.inner.recovered()
    }

    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.results(sweep, from, limit)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_news_that_nobody_reads_are_not_piled_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Counting::default());
    let mut config = config(folder.path());
    config.storage = Storage::Store(store.clone());
    let coordinator = start_with(config).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("large", 601, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[600], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    // It has one task more, so that there would be news of it, and that one is for nobody.
    let pause = v1::PauseSweepRequest { name: "large".to_owned(), paused: true };
    person.0.pause_sweep(pause).await.unwrap();
    let record = v1::EpochRecord { epoch: 1, train_loss: 1.0, valid_loss: 1.0, valid_accuracy: 0.5 };
    for task in tasks(&lease) {
        let large = v1::TaskResult { history: vec![record; 1000], ..result(0.5) };
        worker.finish_with(lease.token, &task, large).await;
        worker.acknowledged().await;
    }

    let mut deaf = v1::sweep_service_client::SweepServiceClient::new(channel(&coordinator).await);
    let name = || "large".to_owned();
    let results = deaf.get_results(v1::GetResultsRequest { name: name() }).await.unwrap();
    let mut news = Vec::new();
    for _ in 0..30 {
        news.push(deaf.watch_sweep(v1::WatchSweepRequest { name: name() }).await.unwrap());
    }
    a_sweep_is_trained(&coordinator, "first").await;
    a_sweep_is_trained(&coordinator, "second").await;
    assert_eq!(
        store.asked.load(Ordering::SeqCst),
        1,
        "the first 256 results are more than what fits on the way"
    );
    drop((results, news));

    assert_eq!(person.results("large").await.len(), 601, "the sweep, and what is there, for who reads it");
    assert_eq!(store.asked.load(Ordering::SeqCst), 1 + 4, "three pages, and an empty one");
    coordinator.stop().await.unwrap();
}

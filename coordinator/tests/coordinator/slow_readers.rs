//! Clients that request much and read nothing.

use std::sync::{Arc, atomic::Ordering};

use colearn_coordinator::Storage;
use colearn_proto::v1;

use crate::support::{
    Person, ScriptedWorker, a_sweep_is_trained, channel, config, result, small_sweep, start_with, tasks,
    watched::Watched,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_and_news_that_nobody_reads_are_not_piled_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Watched::default());
    let mut config = config(folder.path());
    config.storage = Storage::Store(store.clone());
    let coordinator = start_with(config).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("large", 601, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[600], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    // The sweep has one more task, so that there would be news of it; nobody trains that task.
    let pause = v1::PauseSweepRequest { name: "large".to_owned(), paused: true };
    person.0.pause_sweep(pause).await.unwrap();
    let record = v1::EpochRecord {
        epoch: 1,
        train_loss: 1.0,
        valid_loss: 1.0,
        valid_accuracy: 0.5,
        ..Default::default()
    };
    for task in tasks(&lease) {
        let large = v1::TaskResult { history: vec![record.clone(); 1000], ..result(0.5) };
        worker.finish_with(lease.token, &task, large).await;
        worker.acknowledged().await;
    }

    let mut deaf = v1::sweep_service_client::SweepServiceClient::new(channel(&coordinator).await);
    let name = || "large".to_owned();
    let results = deaf
        .get_results(v1::GetResultsRequest { name: name(), without_history: false, ..Default::default() })
        .await
        .unwrap();
    let mut news = Vec::new();
    for _ in 0..30 {
        news.push(deaf.watch_sweep(v1::WatchSweepRequest { name: name() }).await.unwrap());
    }
    a_sweep_is_trained(&coordinator, "first").await;
    a_sweep_is_trained(&coordinator, "second").await;
    assert_eq!(
        store.results_asked.load(Ordering::SeqCst),
        1,
        "the first 256 results are more than what fits on the way"
    );
    drop((results, news));

    let read = person.results("large").await.into_iter();
    let results = read.filter(|part| matches!(part, v1::get_results_response::Part::Result(_)));
    assert_eq!(results.count(), 600, "what is there, for who reads it");
    assert_eq!(store.results_asked.load(Ordering::SeqCst), 1 + 4, "three pages, and an empty one");
    coordinator.stop().await.unwrap();
}

//! Ended and settled sweeps: they are not part of a start, and can still be queried completely.

use std::{path::Path, time::Duration};

use colearn_coordinator::{
    Config,
    store::{SqliteStore, Store as _},
};
use colearn_core::id::SweepId;
use colearn_proto::v1::{self, SweepState};
use tonic::Code;

use crate::support::{Person, ScriptedWorker, config, small_sweep, start_with, tasks};

const ACTIVE: SweepId = SweepId(1);
const OLD: SweepId = SweepId(2);

fn settling_at_once(folder: &Path) -> Config {
    let mut config = config(folder);
    config.settle_after = Duration::ZERO;
    config
}

#[tokio::test]
async fn a_settled_sweep_is_not_replayed_and_still_all_there() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start_with(settling_at_once(folder.path())).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    // It began before the other sweep and still exists.
    person.submit(&small_sweep("active", 1, 1)).await;
    let pause = v1::PauseSweepRequest { name: "active".to_owned(), paused: true };
    person.0.pause_sweep(pause).await.unwrap();
    person.submit(&small_sweep("old", 2, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[2], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let [one, two] = tasks(&lease).try_into().unwrap();
    worker.finish(lease.token, &one, 0.5).await;
    worker.fail(lease.token, &two, v1::FailureReason::Diverged).await;
    worker.acknowledged().await;
    worker.acknowledged().await;
    coordinator.stop().await.unwrap();

    let store = SqliteStore::open(folder.path()).await.unwrap();
    let replayed = store.journal(0, 1000).await.unwrap();
    assert!(replayed.iter().all(|(_, entry)| entry.sweep != Some(OLD)), "{replayed:?}");
    assert!(replayed.iter().any(|(_, entry)| entry.sweep == Some(ACTIVE)));
    assert_eq!(store.journal_of(OLD, 0, 1000).await.unwrap().len(), 4);
    drop(store);

    let coordinator = start_with(config(folder.path())).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    let status = person.get("old").await;
    assert_eq!(status.sweep.unwrap().state(), SweepState::Failed);
    assert_eq!(status.failures.len(), 1);
    assert_eq!(person.results("old").await.len(), 3, "the sweep, a result and a failure");
    let request = v1::ListTasksRequest { name: "old".to_owned(), states: vec![], configurations: vec![] };
    let mut pages = person.0.list_tasks(request).await.unwrap().into_inner();
    assert_eq!(pages.message().await.unwrap().unwrap().tasks.len(), 2);

    let request = v1::RetrySweepRequest { name: "old".to_owned(), ..v1::RetrySweepRequest::default() };
    assert_eq!(person.0.retry_sweep(request).await.unwrap().into_inner().retried, 1);
    assert_eq!(person.cancel("old").await.state(), SweepState::Cancelled);
    let source = serde_json::to_string(&small_sweep("old", 3, 1)).unwrap();
    let request = v1::ExtendSweepRequest {
        name: "old".to_owned(),
        source,
        origin: "x".to_owned(),
        ..Default::default()
    };
    assert_eq!(person.0.extend_sweep(request).await.unwrap().into_inner().added, 1);
    person.cancel("old").await;
    person.0.remove_sweep(v1::RemoveSweepRequest { name: "old".to_owned() }).await.unwrap();
    let status = person
        .0
        .get_sweep(v1::GetSweepRequest { name: "old".to_owned(), ..Default::default() })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    coordinator.stop().await.unwrap();
}

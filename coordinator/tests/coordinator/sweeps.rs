//! The view of users and scripts, and starts and stops of a coordinator.

use std::sync::Arc;

use colearn_coordinator::{
    CoordinatorError, Storage,
    engine::EngineError,
    store::{Batch, JournalEntry, MemoryStore, ResultRow, Store, StoreError, StoreFuture},
};
use colearn_core::{id::SweepId, scheduler::Recovered};
use colearn_proto::v1::{self, SweepState};
use tonic::Code;

use crate::support::{self, Person, ScriptedWorker, channel, config, small_sweep, start, start_with, tasks};

#[tokio::test]
async fn the_same_sweep_submitted_twice_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let first = person.submit(&small_sweep("first", 2, 2)).await;
    let second = person.submit(&small_sweep("first", 2, 2)).await;
    assert_eq!((first.created, second.created), (true, false));
    assert_eq!(first.sweep.unwrap().id, second.sweep.unwrap().id);
    let other = person.try_submit(&small_sweep("first", 3, 2)).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);
    assert!(other.message().contains("has other tasks"), "{}", other.message());
    person.submit(&small_sweep("second", 1, 1)).await;
    let sweeps = person.0.list_sweeps(v1::ListSweepsRequest {}).await.unwrap().into_inner().sweeps;
    let names: Vec<_> = sweeps.iter().map(|sweep| sweep.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    coordinator.stop().await.unwrap();
    let coordinator = start(folder.path()).await;
    let again = Person::at(&coordinator).await.submit(&small_sweep("first", 2, 2)).await;
    assert!(!again.created, "nor after a restart");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn errors_say_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    let request =
        v1::SubmitSweepRequest { source: "{".to_owned(), origin: "x.yaml".to_owned(), ..Default::default() };
    let status = person.0.submit_sweep(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("x.yaml: "), "the diagnostics: {}", status.message());
    let status = person
        .0
        .get_sweep(v1::GetSweepRequest { name: "none".to_owned(), ..Default::default() })
        .await
        .unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::NotFound, "there is no sweep `none`"));
    for name in ["none", "not a name"] {
        let name = name.to_owned();
        assert!(person.0.watch_sweep(v1::WatchSweepRequest { name: name.clone() }).await.is_err());
        assert!(
            person
                .0
                .get_results(v1::GetResultsRequest {
                    name: name.clone(),
                    without_history: false,
                    ..Default::default()
                })
                .await
                .is_err()
        );
        assert!(person.0.cancel_sweep(v1::CancelSweepRequest { name }).await.is_err());
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_watched_sweep_is_followed_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 3, 1)).await;
    let request = v1::WatchSweepRequest { name: "first".to_owned() };
    let mut updates = person.0.watch_sweep(request.clone()).await.unwrap().into_inner();
    let first = updates.message().await.unwrap().unwrap().sweep.unwrap();
    assert_eq!((first.state(), first.tasks.unwrap().pending), (SweepState::Active, 3));
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[3], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    for task in tasks(&lease) {
        worker.finish(lease.token, &task, 0.5).await;
    }
    let mut last = first;
    while let Some(update) = updates.message().await.unwrap() {
        let sweep = update.sweep.unwrap();
        assert!(sweep.tasks.unwrap().done >= last.tasks.unwrap().done);
        last = sweep;
    }
    assert_eq!((last.state(), last.tasks.unwrap().done), (SweepState::Complete, 3));
    let mut ended = person.0.watch_sweep(request).await.unwrap().into_inner();
    assert!(ended.message().await.unwrap().is_some());
    assert!(ended.message().await.unwrap().is_none(), "one that has ended is told once");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_watcher_is_told_when_the_coordinator_stops() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 1, 1)).await;
    let request = v1::WatchSweepRequest { name: "first".to_owned() };
    let mut updates = person.0.watch_sweep(request).await.unwrap().into_inner();
    updates.message().await.unwrap().unwrap();
    let stopping = tokio::spawn(coordinator.stop());
    let status = loop {
        match updates.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("an active sweep's updates do not just end"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::Unavailable);
    stopping.await.unwrap().unwrap();
}

#[tokio::test]
async fn results_of_many_pages_come_in_the_order_of_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("large", 100, 6)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[600], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    for task in tasks(&lease) {
        let diverges = task.configuration == format!("{:016x}", 50) || task.seed == 5;
        if diverges {
            worker.fail(lease.token, &task, v1::FailureReason::Diverged).await;
        } else {
            worker.finish(lease.token, &task, 0.5).await;
        }
    }
    for _ in 0..600 {
        worker.acknowledged().await;
    }
    let parts = person.results("large").await;
    let (mut told, mut failed) = (Vec::new(), 0);
    use v1::get_results_response::Part;
    let rest = parts.iter().skip_while(|part| matches!(part, Part::SweepJson(_)));
    assert!(rest.clone().count() < parts.len());
    for part in rest {
        let task = match part {
            Part::Result(result) => &result.task,
            Part::Failure(failure) => {
                failed += 1;
                &failure.task
            }
            Part::SweepJson(_) => panic!("the sweep comes first and once"),
            Part::Cancelled(_) => panic!("nothing was cancelled"),
        };
        let task = task.as_ref().unwrap();
        told.push((u64::from_str_radix(&task.configuration, 16).unwrap(), task.seed));
    }
    let grid: Vec<_> = (1..=100).flat_map(|c| (0..6).map(move |seed| (c, seed))).collect();
    assert_eq!(told, grid);
    assert_eq!(failed, 100 + 5);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_a_clear_error() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let coordinator = start(one.path()).await;
    let mut config = config(two.path());
    config.listen = coordinator.address();
    let error = start_with(config).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::Listen { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(&coordinator.address().to_string()) && text.contains("--listen"), "{text}");
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_state_folder_held_by_another_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let error = start_with(config(folder.path())).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::Store(StoreError::Held { .. })), "{error:?}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    coordinator.stop().await.unwrap();
    start(folder.path()).await.stop().await.unwrap();
}

#[tokio::test]
async fn heartbeats_that_can_not_keep_a_lease_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.heartbeat = config.lease;
    let error = start_with(config).await.unwrap_err();
    assert!(matches!(error, CoordinatorError::Heartbeat { .. }), "{error:?}");
}

/// A store whose disk is full from some commit on.
#[derive(Default)]
struct FullDisk {
    inner: MemoryStore,
    full: std::sync::atomic::AtomicBool,
}

impl Store for FullDisk {
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()> {
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            return Box::pin(async { Err(StoreError::Full { path: "colearn.db".into() }) });
        }
        self.inner.commit(batch)
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
        self.inner.results(sweep, from, limit)
    }

    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>> {
        self.inner.result_counts()
    }
}

#[tokio::test]
async fn nothing_is_acknowledged_that_could_not_be_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(FullDisk::default());
    let mut config = config(folder.path());
    config.storage = Storage::Store(store.clone());
    let mut coordinator = start_with(config.clone()).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    person.submit(&small_sweep("first", 1, 1)).await;
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], vec![]).await;
    worker.offer(&[0]).await;
    let lease = worker.lease().await;
    let task = tasks(&lease).remove(0);

    store.full.store(true, std::sync::atomic::Ordering::SeqCst);
    worker.finish(lease.token, &task, 0.5).await;
    assert_eq!(worker.next().await, None, "not acknowledged: the stream ends");
    let error = coordinator.wait().await.unwrap_err();
    let stored = matches!(error, CoordinatorError::Engine(EngineError::Commit(StoreError::Full { .. })));
    assert!(stored, "{error:?}");
    assert!(error.to_string().contains("intact"), "{error}");

    store.full.store(false, std::sync::atomic::Ordering::SeqCst);
    let coordinator = start_with(config).await.unwrap();
    let held = vec![support::held(&lease)];
    let mut worker = ScriptedWorker::connect(&coordinator, "w", &[1], held).await;
    worker.finish(lease.token, &task, 0.5).await;
    worker.acknowledged().await;
    assert_eq!(Person::at(&coordinator).await.tasks("first").await.done, 1);
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn probes_and_explorers_find_their_way() {
    use tonic_health::pb::{
        HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
    };
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };

    let folder = tempfile::tempdir().unwrap();
    let coordinator = start(folder.path()).await;
    let mut health = HealthClient::new(channel(&coordinator).await);
    for service in ["", "colearn.v1.SweepService", "colearn.v1.WorkerService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(request).await.unwrap().into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "`{service}`");
    }

    let mut reflection = ServerReflectionClient::new(channel(&coordinator).await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["colearn.v1.SweepService", "colearn.v1.WorkerService", "grpc.health.v1.Health"] {
        assert!(names.contains(&service), "no {service} in {names:?}");
    }
    coordinator.stop().await.unwrap();
}

#[tokio::test]
async fn a_coordinator_of_one_sweep_refuses_others_and_says_which_it_trains() {
    let folder = tempfile::tempdir().unwrap();
    let all = start(folder.path()).await;
    Person::at(&all).await.submit(&small_sweep("waiting", 1, 1)).await;
    all.stop().await.unwrap();

    let only = Some(colearn_core::id::SweepName::new("own").unwrap());
    let coordinator =
        start_with(colearn_coordinator::Config { only, ..config(folder.path()) }).await.unwrap();
    let mut person = Person::at(&coordinator).await;
    for other in ["other", "waiting"] {
        let refused = person.try_submit(&small_sweep(other, 1, 1)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(
            refused.message().contains("trains only its sweep `own`") && refused.message().contains(other),
            "{refused}"
        );
    }
    assert_eq!(person.submit(&small_sweep("own", 1, 1)).await.sweep.unwrap().trains_only, "own");
    assert_eq!(person.get("waiting").await.sweep.unwrap().trains_only, "own");
    coordinator.stop().await.unwrap();
}

//! Stores and conversations of released versions, as their programs left them: `tests/recorded/<version>`. The store of
//! each opens today, and what its workers said is understood today. `scripts/record-version.sh` records this version.
//! `0.1.0` is from before there were credentials and pools; later recordings have both.

#![expect(clippy::unwrap_used, reason = "these are tests; clippy takes their helpers for something else")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use colearn_access::{AccessFolder, DAY, Grant, Moment, Role, ServerAccess, Source};
use colearn_coordinator::{
    Config,
    pools::{BatchFuture, BatchSystem, PoolRules},
    store,
};
use colearn_core::{
    failure::{Failure, FailureReason},
    id::WorkerId,
    needs::{Offers, TrainerKind},
    pools::{SeenJob, SubmitError},
    result::{EpochRecord, TaskResult},
};
use colearn_proto::{
    v1::{
        self, get_results_response::Part, pool_service_client::PoolServiceClient,
        sweep_service_client::SweepServiceClient, work_request, work_response,
    },
    worker::{
        Assignment, DataSetShape, DataSets, FromWorker, Hello, KnownDataSet, Lease, Report, SlotOffer,
        ToWorker,
    },
};

use crate::support::{
    self, Person, ScriptedWorker, channel, config, secured::try_connect, small_sweep, start, start_with,
};

const WORKER: &str = "recorded";

fn folders() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded");
    let mut folders: Vec<PathBuf> = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

/// Messages with their lengths.
fn read<M: prost::Message + Default>(path: &Path) -> Vec<M> {
    let bytes = fs::read(path).unwrap();
    let (mut rest, mut messages) = (bytes.as_slice(), Vec::new());
    while !rest.is_empty() {
        messages.push(prost::Message::decode_length_delimited(&mut rest).unwrap());
    }
    messages
}

fn write<M: prost::Message>(path: &Path, messages: &[M]) {
    let bytes: Vec<u8> = messages.iter().flat_map(prost::Message::encode_length_delimited_to_vec).collect();
    fs::write(path, bytes).unwrap();
}

fn hello() -> Hello {
    let offers = Offers {
        trainers: [TrainerKind::Networks, TrainerKind::Programs].into(),
        gpu: true,
        memory: Some(8_000_000_000),
        threads: Some(2),
        labels: ["big".to_owned()].into(),
    };
    Hello {
        worker: WorkerId::new(WORKER).unwrap(),
        host: "node17".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: vec![SlotOffer { index: 3, device: "cuda:0 recorded".to_owned(), max_cohort: 4, offers }],
        held: vec![],
        warnings: vec!["recorded".to_owned()],
    }
}

/// What a worker says before it has a lease.
fn beginning() -> Vec<v1::WorkRequest> {
    let shape = DataSetShape { modalities: vec!["inertial".to_owned()], train_samples: 8 };
    let waves = KnownDataSet { digest: Some("da".repeat(32)), shape: Some(shape) };
    let data = DataSets { known: [("waves".to_owned(), waves)].into(), complete: true };
    vec![hello().into(), FromWorker::DataSets(data).into(), FromWorker::FreeSlots(vec![3]).into()]
}

/// What it says of the three tasks of a lease: a result, a failure, and the return of the rest.
fn rest(lease: &Lease) -> Vec<v1::WorkRequest> {
    let [one, two, _] = [0, 1, 2].map(|k| lease.tasks[k].task);
    let record = EpochRecord::of_network(1, 1.5, 1.25, 0.5);
    let result = TaskResult {
        metrics: [("accuracy".to_owned(), 0.75), ("loss".to_owned(), 0.1)].into(),
        history: vec![record.clone()],
        best_epoch: 1,
        resumed_after: vec![1],
        device: "cuda:0 recorded".to_owned(),
        ..TaskResult::default()
    };
    let failure = Failure { reason: FailureReason::Diverged, message: "recorded".to_owned() };
    let token = lease.token;
    vec![
        FromWorker::Epoch { token, task: one, record, epochs: 10 }.into(),
        FromWorker::Heartbeat.into(),
        FromWorker::Report(Report::Finished { token, task: one, result: Box::new(result) }).into(),
        FromWorker::Report(Report::Failed { token, task: two, failure }).into(),
        FromWorker::Report(Report::Released { token }).into(),
    ]
}

/// Talks to a coordinator, and returns what it answered: `rest` follows the lease.
async fn talk(
    coordinator: &colearn_coordinator::RunningCoordinator,
    beginning: &[v1::WorkRequest],
    rest: impl FnOnce(&Lease) -> Vec<v1::WorkRequest>,
) -> (ScriptedWorker, Vec<v1::WorkRequest>, Vec<v1::WorkResponse>) {
    let mut said = beginning.to_vec();
    let first = beginning[0].message.clone().unwrap();
    let mut worker = ScriptedWorker::open(coordinator, first).await.unwrap();
    let welcome = work_response::Message::Welcome(worker.welcome.clone());
    let mut heard = vec![v1::WorkResponse { message: Some(welcome) }];
    for request in &beginning[1..] {
        worker.say(request.message.clone().unwrap()).await;
    }
    let lease = worker.lease().await;
    heard.push(v1::WorkResponse { message: Some(work_response::Message::Lease(lease.clone())) });
    let ToWorker::Lease(lease) = ToWorker::try_from(heard[1].clone()).unwrap() else { panic!("a lease") };
    for request in rest(&lease) {
        worker.say(request.message.clone().unwrap()).await;
        said.push(request);
    }
    // Two acknowledgements, and the drop that answers the return.
    for _ in 0..3 {
        heard.push(v1::WorkResponse { message: Some(worker.next().await.unwrap()) });
    }
    (worker, said, heard)
}

/// What two leases must have in common; the rest depends on when the sweep was submitted.
fn essence(response: v1::WorkResponse) -> ToWorker {
    match ToWorker::try_from(response).unwrap() {
        ToWorker::Lease(Lease { token, slot, tasks }) => {
            let plain = |task: Assignment| Assignment { kept_in: String::new(), name: String::new(), ..task };
            ToWorker::Lease(Lease { token, slot, tasks: tasks.into_iter().map(plain).collect() })
        }
        ToWorker::Welcome(welcome) => {
            ToWorker::Welcome(colearn_proto::worker::Welcome { version: String::new(), ..welcome })
        }
        ToWorker::Drop { token, tasks, .. } => ToWorker::Drop { token, tasks, reason: String::new() },
        other => other,
    }
}

fn accuracies(parts: &[Part]) -> Vec<f64> {
    let accuracy = |part: &Part| match part {
        Part::Result(result) => Some(result.result.as_ref()?.metrics["accuracy"]),
        _ => None,
    };
    parts.iter().filter_map(accuracy).collect()
}

#[tokio::test]
async fn what_workers_of_released_versions_say_is_understood_and_answered_alike() {
    for folder in folders() {
        let state = tempfile::tempdir().unwrap();
        let coordinator = start(state.path()).await;
        let mut person = Person::at(&coordinator).await;
        let request: v1::SubmitSweepRequest = read(&folder.join("submission.bin")).remove(0);
        person.0.submit_sweep(request).await.unwrap();
        let requests: Vec<v1::WorkRequest> = read(&folder.join("requests.bin"));
        let responses: Vec<v1::WorkResponse> = read(&folder.join("responses.bin"));
        let (beginning, rest) = requests.split_at(beginning().len());
        let (connected, _, heard) = talk(&coordinator, beginning, |_| rest.to_vec()).await;
        let essences = |responses: Vec<_>| responses.into_iter().map(essence).collect::<Vec<_>>();
        assert_eq!(essences(heard), essences(responses), "{}", folder.display());
        assert_eq!(accuracies(&person.results("recorded").await), [0.75]);
        let worker = person.0.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
        let offers = worker.workers[0].slots[0].offers.clone().unwrap();
        assert!(offers.gpu, "{}: {offers:?}", folder.display());
        drop(connected);
        coordinator.stop().await.unwrap();
    }
}

#[tokio::test]
async fn the_stores_of_released_versions_open_and_go_on() {
    for folder in folders() {
        let state = tempfile::tempdir().unwrap();
        fs::copy(folder.join("colearn.db"), state.path().join("colearn.db")).unwrap();
        let coordinator = start(state.path()).await;
        let mut person = Person::at(&coordinator).await;
        let seen = person.get("recorded").await;
        assert_eq!(seen.failures.len(), 1, "{}", folder.display());
        assert_eq!(accuracies(&person.results("recorded").await), [0.75]);
        let first = folder.ends_with("0.1.0");
        let by = seen.sweep.unwrap().submitted_by;
        assert_eq!(by, if first { "" } else { "anna" }, "{}", folder.display());
        let pools = pools(PoolServiceClient::new(channel(&coordinator).await)).await;
        assert_eq!(pools, if first { vec![] } else { vec![("gpu".to_owned(), 1)] }, "{}", folder.display());
        // The same sweep is still the same, and its last task is trained.
        let request: v1::SubmitSweepRequest = read(&folder.join("submission.bin")).remove(0);
        assert!(!person.0.submit_sweep(request).await.unwrap().into_inner().created);
        let mut worker = ScriptedWorker::connect(&coordinator, "today", &[4], vec![]).await;
        worker.offer(&[0]).await;
        let lease = worker.lease().await;
        let [task] = support::tasks(&lease).try_into().unwrap();
        assert!(lease.token > 1, "tokens of the old store are not granted again");
        worker.finish(lease.token, &task, 0.25).await;
        worker.acknowledged().await;
        assert_eq!(accuracies(&person.results("recorded").await), [0.75, 0.25]);
        coordinator.stop().await.unwrap();
        let checked = store::check(state.path()).await.unwrap();
        assert!(checked.problems.is_empty(), "{}: {checked:?}", folder.display());
    }
}

/// Neither this version nor a later one takes workers that need a newer coordinator.
#[tokio::test]
async fn a_worker_that_needs_a_newer_coordinator_is_told_what_to_upgrade() {
    let state = tempfile::tempdir().unwrap();
    let coordinator = start(state.path()).await;
    let v1::WorkRequest { message: Some(work_request::Message::Hello(hello)) } = hello().into() else {
        panic!("a hello")
    };
    let newer =
        v1::Hello { version: "9.9.9".to_owned(), protocol: 9000, oldest_protocol: 9000, ..hello.clone() };
    let refused = ScriptedWorker::open(&coordinator, work_request::Message::Hello(newer)).await;
    let status = refused.err().unwrap();
    assert_eq!(status.code(), tonic::Code::FailedPrecondition);
    assert!(status.message().contains("upgrade colearn on the coordinator's host"), "{status:?}");
    // One that is newer, and works with this coordinator.
    let newer = v1::Hello { version: "9.9.9".to_owned(), protocol: 9000, oldest_protocol: 0, ..hello };
    ScriptedWorker::open(&coordinator, work_request::Message::Hello(newer)).await.unwrap();
    coordinator.stop().await.unwrap();
}

/// The names of the pools with the number of their jobs.
async fn pools(mut client: PoolServiceClient<tonic::transport::Channel>) -> Vec<(String, usize)> {
    let listed = client.list_pools(v1::ListPoolsRequest {}).await.unwrap().into_inner().pools;
    listed.into_iter().map(|pool| (pool.settings.unwrap().name, pool.jobs.len())).collect()
}

/// A batch system that takes every job and has not started one yet.
struct Taking;

impl BatchSystem for Taking {
    fn check(&self, _: Vec<String>, _: String) -> BatchFuture<'_, String> {
        Box::pin(async { Ok(String::new()) })
    }

    fn submit(&self, _: Vec<String>, _: String) -> BatchFuture<'_, String, SubmitError> {
        Box::pin(async { Ok("17".to_owned()) })
    }

    fn queue(&self) -> BatchFuture<'_, Vec<SeenJob>> {
        Box::pin(async { Ok(vec![]) })
    }

    fn cancel(&self, _: String, _: bool) -> BatchFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A person with a credential submits a sweep, and adds a pool that has submitted a job.
async fn prepare(state: &Path, request: v1::SubmitSweepRequest) {
    let access = AccessFolder::of(state);
    let opened = ServerAccess::open(Source::Folder(access.clone())).unwrap();
    let rules = PoolRules {
        system: Arc::new(Taking),
        interval: Duration::from_millis(10),
        worker_program: Some("/home/anna/colearn/colearn-worker".into()),
        worker_access: Some("/home/anna/.config/colearn/worker.access".into()),
    };
    let config = Config { access: Some(opened), pools: Some(rules), ..config(state) };
    let coordinator = start_with(config).await.unwrap();
    let (now, anna) = (Moment::now(), Grant::new(Role::Operate, "anna").unwrap());
    let file = access.issue(&anna, now..now.after(DAY), None).unwrap().file;
    let url = format!("https://{}", coordinator.address());
    let anna = try_connect(&url, Some(&file)).await.unwrap();
    SweepServiceClient::new(anna.clone()).submit_sweep(request).await.unwrap();
    let settings = v1::PoolSettings {
        name: "gpu".to_owned(),
        max_workers: 1,
        idle_seconds: 300,
        slots: 1,
        gpu: true,
        arguments: vec!["--partition=gpu".to_owned()],
        ..v1::PoolSettings::default()
    };
    let mut client = PoolServiceClient::new(anna);
    let create = v1::CreatePoolRequest { settings: Some(settings), dry_run: false };
    client.create_pool(create).await.unwrap();
    let deadline = tokio::time::Instant::now() + support::SOON;
    while pools(client.clone()).await != [("gpu".to_owned(), 1)] {
        assert!(tokio::time::Instant::now() < deadline, "the pool submits nothing");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    coordinator.stop().await.unwrap();
}

/// Not a test by itself: `scripts/record-version.sh` names the folder that it fills.
#[tokio::test]
async fn records_this_version() {
    let Some(folder) = std::env::var_os("COLEARN_RECORD").map(PathBuf::from) else { return };
    let state = tempfile::tempdir().unwrap();
    let source = serde_json::to_string(&small_sweep("recorded", 3, 1)).unwrap();
    let request =
        v1::SubmitSweepRequest { source, origin: "sweeps/recorded.yaml".to_owned(), ..Default::default() };
    prepare(state.path(), request.clone()).await;
    let coordinator = start(state.path()).await;
    let (_, said, heard) = talk(&coordinator, &beginning(), rest).await;
    coordinator.stop().await.unwrap();
    fs::create_dir_all(&folder).unwrap();
    write(&folder.join("submission.bin"), &[request]);
    write(&folder.join("requests.bin"), &said);
    write(&folder.join("responses.bin"), &heard);
    fs::write(folder.join("descriptors.bin"), colearn_proto::DESCRIPTORS).unwrap();
    store::backup(state.path(), &folder.join("colearn.db")).await.unwrap();
}

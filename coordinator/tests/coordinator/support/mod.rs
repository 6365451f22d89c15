//! A coordinator on a free port, and a worker that a test controls, over real gRPC.

#![expect(clippy::unwrap_used, reason = "a helper of tests that fails is a test that fails")]

use std::{path::Path, sync::Arc, time::Duration};

use colearn_coordinator::{Config, Coordinator, CoordinatorError, RunningCoordinator, Storage, SweepParser};
use colearn_core::sweep::Sweep;
use colearn_proto::v1::{
    self, SweepState, sweep_service_client::SweepServiceClient, work_request, work_response::Message,
    worker_service_client::WorkerServiceClient,
};
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};

pub(crate) mod receiver;
pub(crate) mod secured;
pub(crate) mod watched;

#[path = "../../../src/testing.rs"]
mod testing;
pub(crate) use testing::small_sweep;

/// A time limit that only a defect reaches.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// A sweep file in these tests is the JSON of a sweep; the real parser has its own tests.
pub(crate) fn parser() -> SweepParser {
    Arc::new(|source, origin, _| match serde_json::from_str::<Sweep>(source) {
        Ok(sweep) => Ok((sweep, vec![format!("{origin}: a warning")])),
        Err(error) => Err(format!("{origin}: {error}")),
    })
}

pub(crate) fn config(folder: &Path) -> Config {
    let config = Config::new(Storage::StateDir(folder.to_owned()), ([127, 0, 0, 1], 0).into());
    Config { parser: parser(), ..config }
}

pub(crate) async fn start(folder: &Path) -> RunningCoordinator {
    start_with(config(folder)).await.unwrap()
}

pub(crate) async fn start_with(config: Config) -> Result<RunningCoordinator, CoordinatorError> {
    Coordinator::start(config).await
}

pub(crate) async fn channel(coordinator: &RunningCoordinator) -> Channel {
    let address = format!("http://{}", coordinator.address());
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

/// A person at a terminal.
pub(crate) struct Person(pub(crate) SweepServiceClient<Channel>);

impl Person {
    pub(crate) async fn at(coordinator: &RunningCoordinator) -> Self {
        Self(SweepServiceClient::new(channel(coordinator).await))
    }

    pub(crate) async fn try_submit(&mut self, sweep: &Sweep) -> Result<v1::SubmitSweepResponse, Status> {
        let (source, origin) = (serde_json::to_string(sweep).unwrap(), "sweeps/test.yaml".to_owned());
        Ok(self
            .0
            .submit_sweep(v1::SubmitSweepRequest { source, origin, ..Default::default() })
            .await?
            .into_inner())
    }

    pub(crate) async fn submit(&mut self, sweep: &Sweep) -> v1::SubmitSweepResponse {
        self.try_submit(sweep).await.unwrap()
    }

    pub(crate) async fn get(&mut self, name: &str) -> v1::GetSweepResponse {
        self.page(name, 0, 0).await
    }

    /// The sweep with its configurations from number `from` on.
    pub(crate) async fn page(&mut self, name: &str, from: u32, limit: u32) -> v1::GetSweepResponse {
        let request = v1::GetSweepRequest { name: name.to_owned(), from, limit };
        self.0.get_sweep(request).await.unwrap().into_inner()
    }

    pub(crate) async fn tasks(&mut self, name: &str) -> v1::TaskCounts {
        self.get(name).await.sweep.unwrap().tasks.unwrap()
    }

    /// The connected workers.
    pub(crate) async fn workers(&mut self) -> Vec<String> {
        let listed = self.0.list_workers(v1::ListWorkersRequest::default()).await.unwrap().into_inner();
        let connected = listed.workers.into_iter().filter(|worker| worker.connected);
        connected.map(|worker| worker.worker).collect()
    }

    pub(crate) async fn cancel(&mut self, name: &str) -> v1::SweepSummary {
        let request = v1::CancelSweepRequest { name: name.to_owned() };
        self.0.cancel_sweep(request).await.unwrap().into_inner().sweep.unwrap()
    }

    /// The sweep, results and failures, as they arrive.
    pub(crate) async fn results(&mut self, name: &str) -> Vec<v1::get_results_response::Part> {
        let request =
            v1::GetResultsRequest { name: name.to_owned(), without_history: false, ..Default::default() };
        let mut stream = self.0.get_results(request).await.unwrap().into_inner();
        let mut parts = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            parts.push(response.part.unwrap());
        }
        parts
    }
}

/// A worker that a test controls.
pub(crate) struct ScriptedWorker {
    requests: mpsc::Sender<v1::WorkRequest>,
    responses: Streaming<v1::WorkResponse>,
    pub(crate) welcome: v1::Welcome,
}

impl ScriptedWorker {
    /// Connects, with slots of these maximum cohort sizes.
    pub(crate) async fn connect(
        coordinator: &RunningCoordinator,
        name: &str,
        max_cohorts: &[u32],
        held: Vec<v1::HeldLease>,
    ) -> Self {
        Self::open(coordinator, hello(name, max_cohorts, held)).await.unwrap()
    }

    /// Opens a stream with the given first message.
    pub(crate) async fn open(
        coordinator: &RunningCoordinator,
        first: work_request::Message,
    ) -> Result<Self, Status> {
        Self::open_on(channel(coordinator).await, first).await
    }

    /// Opens a stream on a connection.
    pub(crate) async fn open_on(channel: Channel, first: work_request::Message) -> Result<Self, Status> {
        let (requests, stream) = mpsc::channel(64);
        requests.send(v1::WorkRequest { message: Some(first) }).await.unwrap();
        let mut client = WorkerServiceClient::new(channel);
        let mut responses = client.work(ReceiverStream::new(stream)).await?.into_inner();
        let welcome = timeout(SOON, responses.message()).await.expect("a welcome comes soon")?;
        let Some(Message::Welcome(welcome)) = welcome.and_then(|response| response.message) else {
            panic!("the first word is a welcome");
        };
        Ok(Self { requests, responses, welcome })
    }

    pub(crate) async fn say(&self, message: work_request::Message) {
        self.requests.send(v1::WorkRequest { message: Some(message) }).await.unwrap();
    }

    /// Another sender for its stream.
    pub(crate) fn requests(&self) -> mpsc::Sender<v1::WorkRequest> {
        self.requests.clone()
    }

    /// Sends a message; returns false if the stream has ended.
    pub(crate) async fn try_say(&self, message: work_request::Message) -> bool {
        self.requests.send(v1::WorkRequest { message: Some(message) }).await.is_ok()
    }

    /// The next message to it, without a time limit.
    pub(crate) async fn hear(&mut self) -> Option<v1::WorkResponse> {
        self.responses.message().await.ok().flatten()
    }

    pub(crate) async fn offer(&self, slots: &[u32]) {
        self.say(work_request::Message::FreeSlots(v1::FreeSlots { slots: slots.to_vec() })).await;
    }

    pub(crate) async fn heartbeat(&self) {
        self.say(work_request::Message::Heartbeat(v1::Heartbeat {})).await;
    }

    /// The next message to it; `None` if the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let response = timeout(SOON, self.responses.message()).await.expect("it is told something soon");
        response.ok().flatten().and_then(|response| response.message)
    }

    /// The end of the stream, if that comes next.
    pub(crate) async fn end(&mut self) -> Result<Option<v1::WorkResponse>, Status> {
        timeout(SOON, self.responses.message()).await.expect("it ends soon")
    }

    pub(crate) async fn lease(&mut self) -> v1::Lease {
        match self.next().await {
            Some(Message::Lease(lease)) => lease,
            other => panic!("a lease was expected, not {other:?}"),
        }
    }

    pub(crate) async fn acknowledged(&mut self) -> v1::Acknowledged {
        match self.next().await {
            Some(Message::Acknowledged(acknowledged)) => acknowledged,
            other => panic!("an acknowledgement was expected, not {other:?}"),
        }
    }

    pub(crate) async fn dropped(&mut self) -> v1::Drop {
        match self.next().await {
            Some(Message::Drop(dropped)) => dropped,
            other => panic!("a drop was expected, not {other:?}"),
        }
    }

    pub(crate) async fn finish(&self, token: u64, task: &v1::TaskId, accuracy: f64) {
        self.finish_with(token, task, result(accuracy)).await;
    }

    pub(crate) async fn finish_with(&self, token: u64, task: &v1::TaskId, result: v1::TaskResult) {
        let (task, result) = (Some(task.clone()), Some(result));
        self.say(work_request::Message::Finished(v1::TaskFinished { token, task, result })).await;
    }

    pub(crate) async fn fail(&self, token: u64, task: &v1::TaskId, reason: v1::FailureReason) {
        self.fail_with(token, task, reason, "told so by the test").await;
    }

    pub(crate) async fn fail_with(
        &self,
        token: u64,
        task: &v1::TaskId,
        reason: v1::FailureReason,
        message: &str,
    ) {
        let failure = v1::Failure { reason: reason.into(), message: message.to_owned() };
        let (task, failure) = (Some(task.clone()), Some(failure));
        self.say(work_request::Message::Failed(v1::TaskFailed { token, task, failure })).await;
    }

    pub(crate) async fn epoch(&self, token: u64, task: &v1::TaskId, epoch: u32) {
        let record = v1::EpochRecord {
            epoch,
            train_loss: 1.0,
            valid_loss: 1.0,
            valid_accuracy: 0.5,
            ..Default::default()
        };
        let (task, record) = (Some(task.clone()), Some(record));
        self.say(work_request::Message::Epoch(v1::EpochReport { token, task, record, epochs: 10 })).await;
    }
}

/// The hello of a worker with slots of these maximum cohort sizes.
pub(crate) fn hello(name: &str, max_cohorts: &[u32], held: Vec<v1::HeldLease>) -> work_request::Message {
    let slots = (0..).zip(max_cohorts).map(|(index, max_cohort)| v1::Slot {
        index,
        device: "cpu x1".to_owned(),
        max_cohort: *max_cohort,
        offers: None,
    });
    work_request::Message::Hello(v1::Hello {
        worker: name.to_owned(),
        host: "here".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        slots: slots.collect(),
        held,
        ..v1::Hello::default()
    })
}

pub(crate) fn result(accuracy: f64) -> v1::TaskResult {
    v1::TaskResult {
        metrics: [("accuracy".to_owned(), accuracy)].into(),
        confusion: vec![v1::ConfusionRow { counts: vec![1] }],
        history: vec![v1::EpochRecord {
            epoch: 1,
            train_loss: 1.0,
            valid_loss: 1.0,
            valid_accuracy: 0.5,
            ..Default::default()
        }],
        best_epoch: 1,
        parameters: 7,
        seconds: 0.5,
        device: "cpu x1".to_owned(),
        ..v1::TaskResult::default()
    }
}

pub(crate) fn tasks(lease: &v1::Lease) -> Vec<v1::TaskId> {
    lease.tasks.iter().map(|assignment| assignment.task.clone().unwrap()).collect()
}

pub(crate) fn held(lease: &v1::Lease) -> v1::HeldLease {
    v1::HeldLease { token: lease.token, tasks: tasks(lease) }
}

/// A normal worker trains a sweep from its submission to its end.
pub(crate) async fn a_sweep_is_trained(coordinator: &RunningCoordinator, name: &str) {
    let mut person = Person::at(coordinator).await;
    person.submit(&small_sweep(name, 5, 4)).await;
    let mut worker = ScriptedWorker::connect(coordinator, &format!("honest-{name}"), &[4], vec![]).await;
    for _ in 0..5 {
        worker.offer(&[0]).await;
        let lease = worker.lease().await;
        for task in tasks(&lease) {
            worker.epoch(lease.token, &task, 1).await;
            worker.finish(lease.token, &task, 0.5).await;
            worker.acknowledged().await;
        }
    }
    let sweep = person.get(name).await.sweep.expect("it is there");
    assert_eq!(sweep.state(), SweepState::Complete, "{sweep:?}");
}

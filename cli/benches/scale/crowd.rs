//! Many workers at once, each with its own stream: how many tasks they finish, and how long a free slot waits for its
//! next lease.

use std::time::{Duration, Instant};

use colearn_proto::v1::{
    self, work_request, work_response::Message, worker_service_client::WorkerServiceClient,
};
use tokio::{sync::mpsc, task::JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Channel};

use super::{
    Outcome,
    figures::{Figures, percentile},
    programs::Coordinator,
};

/// Number of streams per connection: HTTP/2 servers limit it.
const A_CONNECTION: usize = 50;
/// Epochs per task of a simulated worker.
const EPOCHS: u32 = 6;

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    let tasks = if small { 5000 } else { 50_000 };
    for workers in [2, 128, 1000] {
        let folder = tempfile::tempdir()?;
        let coordinator = Coordinator::start(folder.path()).await?;
        let crowd = Crowd::gather(&coordinator, workers).await?;
        coordinator.submit("crowd", tasks).await?;
        let mut waits = crowd.work(tasks as usize).await?;
        coordinator.wait("crowd").await?;
        let (span, recorded) = coordinator.span("crowd").await?;
        waits.sort_by(f64::total_cmp);
        let rate = recorded as f64 / span * 1e3;
        let what = |what: &str| format!("crowd: {workers} workers of one slot: {what}");
        figures.add(what("durable completions"), rate, "per s", None);
        figures.add(what("free slot to lease, median"), percentile(&waits, 50), "ms", None);
        figures.add(what("free slot to lease, 99 %"), percentile(&waits, 99), "ms", None);
        figures.add(what("memory of the coordinator"), coordinator.peak_memory()?, "MiB", None);
    }
    Ok(())
}

/// The connected workers.
struct Crowd(Vec<Worker>);

struct Worker {
    requests: mpsc::Sender<v1::WorkRequest>,
    responses: Streaming<v1::WorkResponse>,
}

impl Crowd {
    async fn gather(coordinator: &Coordinator, workers: usize) -> Outcome<Self> {
        let mut all = Vec::with_capacity(workers);
        let mut channel = None;
        for number in 0..workers {
            if number % A_CONNECTION == 0 {
                channel = Some(coordinator.channel().await?);
            }
            let channel = channel.clone().ok_or("the first worker opens a connection")?;
            all.push(Worker::connect(channel, number).await?);
        }
        Ok(Self(all))
    }

    /// Trains until this number of tasks is done. Returns the milliseconds that free slots waited for leases, without
    /// the first lease.
    async fn work(self, tasks: usize) -> Outcome<Vec<f64>> {
        let mut set = JoinSet::new();
        let (waited, mut waits) = mpsc::unbounded_channel();
        for worker in self.0 {
            let waited = waited.clone();
            set.spawn(async move { worker.work(&waited).await.map_err(|error| error.to_string()) });
        }
        drop(waited);
        let mut all = Vec::with_capacity(tasks);
        // There is a wait before each task except a worker's first; the last waits end without a lease.
        let patience = Duration::from_secs(5);
        while let Ok(Some(wait)) = tokio::time::timeout(patience, waits.recv()).await {
            all.push(wait);
        }
        set.shutdown().await;
        Ok(all)
    }
}

impl Worker {
    async fn connect(channel: Channel, number: usize) -> Outcome<Self> {
        let slots = vec![v1::Slot { index: 0, device: "no-op".to_owned(), max_cohort: 1, offers: None }];
        let hello = v1::Hello {
            worker: format!("crowd-{number}"),
            host: "here".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots,
            held: Vec::new(),
            ..v1::Hello::default()
        };
        let (requests, stream) = mpsc::channel(16);
        requests.send(request(work_request::Message::Hello(hello))).await?;
        let mut client = WorkerServiceClient::new(channel);
        let mut responses = client.work(ReceiverStream::new(stream)).await?.into_inner();
        match responses.message().await?.and_then(|response| response.message) {
            Some(Message::Welcome(_)) => {}
            other => return Err(format!("a welcome was expected, not {other:?}").into()),
        }
        requests.send(request(work_request::Message::FreeSlots(v1::FreeSlots { slots: vec![0] }))).await?;
        Ok(Self { requests, responses })
    }

    async fn work(mut self, waited: &mpsc::UnboundedSender<f64>) -> Outcome {
        let mut free_since = None;
        while let Some(response) = self.responses.message().await? {
            let Some(Message::Lease(lease)) = response.message else { continue };
            if let Some(since) = free_since.replace(Instant::now()) {
                let milliseconds = Instant::now().duration_since(since).as_secs_f64() * 1e3;
                waited.send(milliseconds)?;
            }
            for assignment in lease.tasks {
                let finished =
                    v1::TaskFinished { token: lease.token, task: assignment.task, result: Some(result()) };
                self.requests.send(request(work_request::Message::Finished(finished))).await?;
            }
            free_since = Some(Instant::now());
            let free = v1::FreeSlots { slots: vec![0] };
            self.requests.send(request(work_request::Message::FreeSlots(free))).await?;
        }
        Ok(())
    }
}

fn request(message: work_request::Message) -> v1::WorkRequest {
    v1::WorkRequest { message: Some(message) }
}

fn result() -> v1::TaskResult {
    let record = |epoch| v1::EpochRecord {
        epoch,
        train_loss: 1.0,
        valid_loss: 1.0,
        valid_accuracy: 0.5,
        ..Default::default()
    };
    let metrics = [("accuracy", 0.5), ("loss", 1.25), ("f_score", 0.5)];
    v1::TaskResult {
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
        confusion: vec![v1::ConfusionRow { counts: vec![3, 1] }, v1::ConfusionRow { counts: vec![1, 3] }],
        classes: vec!["a".to_owned(), "b".to_owned()],
        history: (1..=EPOCHS).map(record).collect(),
        best_epoch: 1,
        parameters: 1,
        seconds: 0.0,
        device: "no-op".to_owned(),
        data_digest: "0".repeat(64),
        weights_digest: "0".repeat(64),
        resumed_after: Vec::new(),
        commit: String::new(),
        environment: Default::default(),
        artifacts: Vec::new(),
    }
}

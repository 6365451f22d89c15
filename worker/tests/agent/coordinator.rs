//! A coordinator that a test controls.

use std::{net::SocketAddr, pin::Pin, time::Duration};

use colearn_core::id::{ConfigurationId, SweepId, TaskId};
use colearn_proto::v1::{
    self, work_request, work_response,
    worker_service_server::{WorkerService, WorkerServiceServer},
};
use tokio::{net::TcpListener, runtime::Runtime, sync::mpsc, time::timeout};
use tokio_stream::{
    Stream, StreamExt,
    wrappers::{ReceiverStream, TcpListenerStream},
};
use tonic::{Request, Response, Status, Streaming, transport::Server};

/// A time limit that no operation reaches, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const SETTINGS: &str = r#"{"dataset":"demo","primary":"inertial","unimodal":false,
    "model":{"kind":"bi-eflstm","hidden":8,"layers":1,"dropout":0.0},
    "training":{"epochs":2,"batch_size":4,"learning_rate":0.001,"shuffle":"once","drop_last":false,"modality_draw":"shared"},
    "modality_dropout":{"skeleton":0.5}}"#;

pub(crate) const PROGRAM: &str =
    r#"{"program":{"command":["true"],"parameters":[],"directory":"/","metrics":["accuracy"]}}"#;

type Replies = mpsc::Sender<Result<v1::WorkResponse, Status>>;

/// A stream that a worker opened, with the channel for answers.
struct Opened(Replies);

#[expect(clippy::large_enum_variant, reason = "a test holds a handful of these")]
enum Heard {
    Stream(Opened),
    Message(work_request::Message),
}

pub(crate) struct Coordinator {
    pub(crate) address: SocketAddr,
    heard: mpsc::UnboundedReceiver<Heard>,
    replies: Option<Replies>,
    /// A separate runtime, so that a crash closes every socket at once.
    runtime: Option<Runtime>,
}

impl Coordinator {
    /// A coordinator on a free port that accepts workers.
    pub(crate) async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), None).await
    }

    /// A coordinator that refuses workers.
    pub(crate) async fn start_refusing(why: Status) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Some(why)).await
    }

    async fn start_at(address: SocketAddr, refusal: Option<Status>) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (speak, heard) = mpsc::unbounded_channel();
        let (tell, told) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            // The port of a crashed coordinator is free again within moments.
            let listener = loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => break listener,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            };
            tell.send(listener.local_addr().unwrap()).unwrap();
            let service = WorkerServiceServer::new(Script { speak, refusal });
            Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener))
                .await
                .unwrap();
        });
        let address = timeout(PATIENCE, told).await.expect("the port is taken").unwrap();
        Self { address, heard, replies: None, runtime: Some(runtime) }
    }

    /// Ends without a message, and returns on the same port without any state.
    pub(crate) async fn crash_and_return(mut self) -> Self {
        let address = self.address;
        self.crash();
        Self::start_at(address, None).await
    }

    pub(crate) fn crash(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Waits for a message that `wanted` accepts; others are skipped.
    pub(crate) async fn expect<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(work_request::Message) -> Option<T>,
    ) -> T {
        let mut aside = Vec::new();
        let find = async {
            loop {
                match self.heard.recv().await.expect("the coordinator is gone") {
                    Heard::Stream(Opened(replies)) => self.replies = Some(replies),
                    Heard::Message(message) => {
                        if !matches!(message, work_request::Message::Heartbeat(_)) {
                            aside.push(format!("{message:?}"));
                        }
                        if let Some(found) = wanted(message) {
                            break found;
                        }
                    }
                }
            }
        };
        match timeout(PATIENCE, find).await {
            Ok(found) => found,
            Err(_) => panic!("waited in vain for {what}; heard {aside:#?}"),
        }
    }

    pub(crate) async fn expect_hello(&mut self) -> v1::Hello {
        self.expect("a hello", |message| match message {
            work_request::Message::Hello(hello) => Some(hello),
            _ => None,
        })
        .await
    }

    /// Waits until exactly these slots are free.
    pub(crate) async fn expect_free(&mut self, slots: &[u32]) {
        let what = format!("free slots {slots:?}");
        self.expect(&what, |message| match message {
            work_request::Message::FreeSlots(free) => (free.slots == slots).then_some(()),
            _ => None,
        })
        .await;
    }

    pub(crate) async fn expect_finished(&mut self) -> v1::TaskFinished {
        self.expect("a result", |message| match message {
            work_request::Message::Finished(finished) => Some(finished),
            _ => None,
        })
        .await
    }

    pub(crate) async fn expect_failure(&mut self) -> (u64, v1::FailureReason, String) {
        self.expect("a failure", |message| match message {
            work_request::Message::Failed(failed) => {
                let failure = failed.failure.unwrap();
                Some((failed.token, failure.reason(), failure.message))
            }
            _ => None,
        })
        .await
    }

    /// Waits until a lease is returned, and answers.
    pub(crate) async fn expect_released(&mut self, token: u64) {
        let released = |message| match message {
            work_request::Message::Released(released) => Some(released.token),
            _ => None,
        };
        assert_eq!(self.expect("a released lease", released).await, token);
        let drop = v1::Drop { token, tasks: vec![], reason: "the lease was returned".to_owned() };
        self.say(work_response::Message::Drop(drop)).await;
    }

    pub(crate) async fn lease(&self, token: u64, seed: u64) {
        self.lease_of(SETTINGS, token, seed).await;
    }

    pub(crate) async fn lease_of(&self, settings: &str, token: u64, seed: u64) {
        let assignment = v1::Assignment {
            task: Some(task(seed).into()),
            attempt: 1,
            settings_json: settings.to_owned(),
            checkpoint_every_epochs: 5,
            data_digest: String::new(),
            name: String::new(),
            keep: Vec::new(),
            kept_in: String::new(),
        };
        self.say(work_response::Message::Lease(v1::Lease { token, slot: 0, tasks: vec![assignment] })).await;
    }

    pub(crate) async fn acknowledge(&self, token: u64, seed: u64) {
        let task = Some(task(seed).into());
        self.say(work_response::Message::Acknowledged(v1::Acknowledged { token, task })).await;
    }

    pub(crate) async fn say(&self, message: work_response::Message) {
        let response = v1::WorkResponse { message: Some(message) };
        self.replies
            .as_ref()
            .expect("no worker has come")
            .send(Ok(response))
            .await
            .expect("the worker is gone");
    }
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        self.crash();
    }
}

pub(crate) fn task(seed: u64) -> TaskId {
    TaskId { sweep: SweepId(1), configuration: ConfigurationId(0xfeed), seed }
}

struct Script {
    speak: mpsc::UnboundedSender<Heard>,
    refusal: Option<Status>,
}

#[tonic::async_trait]
impl WorkerService for Script {
    type WorkStream = Pin<Box<dyn Stream<Item = Result<v1::WorkResponse, Status>> + Send>>;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let (replies, outgoing) = mpsc::channel(16);
        let welcome = v1::Welcome { lease_millis: 5000, heartbeat_millis: 100, ..v1::Welcome::default() };
        let welcome = v1::WorkResponse { message: Some(work_response::Message::Welcome(welcome)) };
        replies.send(Ok(welcome)).await.unwrap();
        let speak = self.speak.clone();
        let _ = speak.send(Heard::Stream(Opened(replies.clone())));
        let mut requests = request.into_inner();
        tokio::spawn(async move {
            while let Some(Ok(request)) = requests.next().await {
                let _ = speak.send(Heard::Message(request.message.unwrap()));
            }
            // The coordinator ends its side after the worker has ended the other.
            let _ = replies.send(Err(Status::cancelled("the worker has left"))).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(outgoing))))
    }
}

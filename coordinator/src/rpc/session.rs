//! The stream of one worker, from its hello to its end.

use std::{sync::Arc, time::Duration};

use colearn_access::Identity;
use colearn_core::id::WorkerId;
use colearn_proto::{
    v1::{self, work_request},
    versions::{self, WorkerVersion},
    worker::{ToWorker, Welcome},
};
use prost::Message as _;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    context::{Rpc, WorkerRules},
    convert,
    log_intake::LogIntake,
    rate::Rate,
    refusal::refusal,
    untrusted,
};
use crate::engine::{WorkerOutbox, WorkerStream};

/// A client that sends no hello within this time after opening a stream is not a worker.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// A worker that reads nothing for this time is disconnected.
const TAKE_WITHIN: Duration = Duration::from_secs(30);
/// Time for a worker to read the last messages before its stream ends.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Maximum number of epoch reports per second from one worker; others are dropped.
const EPOCHS_A_SECOND: u32 = 500;
/// Maximum number of messages per second about what the host of one worker does; others are dropped.
const USAGES_A_SECOND: u32 = 5;
/// Maximum number of leases that one worker may return at once: one for every possible slot; after that one per
/// second. Each grant and each return is an entry of the journal, and a worker that can train nothing would cause
/// them forever.
const RELEASES_AT_ONCE: u32 = 1024;
const RELEASES_A_SECOND: u32 = 1;
/// Maximum number of the engine's messages that wait for one worker.
const WAITING_FOR_WORKER: usize = 1024;

pub(super) struct WorkerSession {
    pub(super) rpc: Rpc,
    /// Whose connection it is; `None` where no credential is needed.
    pub(super) identity: Option<Arc<Identity>>,
    pub(super) requests: Streaming<v1::WorkRequest>,
    pub(super) responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
}

impl WorkerSession {
    pub(super) async fn run(mut self) {
        if let Err(status) = self.talk().await {
            tracing::warn!(code = ?status.code(), reason = status.message(), "worker's stream ended");
            // The worker may have disconnected.
            drop(timeout(TAKE_WITHIN, self.responses.send(Err(status))).await);
        }
    }

    async fn talk(&mut self) -> Result<(), Status> {
        let hello = self.hello().await?;
        let bytes = hello.encoded_len();
        let (protocol, oldest_protocol) = (hello.protocol, hello.oldest_protocol);
        let hello = untrusted::hello(hello).map_err(convert::invalid)?;
        let theirs = WorkerVersion { version: &hello.version, protocol, oldest_protocol };
        if let Some(why) = versions::refuses_worker(theirs, env!("CARGO_PKG_VERSION")) {
            return Err(refusal(Code::FailedPrecondition, why));
        }
        let worker = hello.worker.clone();
        self.check_name(&worker)?;
        let ours = env!("CARGO_PKG_VERSION");
        if hello.version != ours {
            tracing::warn!(%worker, theirs = hello.version, ours, "worker has another version");
        }
        self.welcome(ours).await?;
        let (outbox, inbox, closed) = WorkerOutbox::new(WAITING_FOR_WORKER);
        let line = self.rpc.engine.connect(hello, bytes, outbox).await.map_err(convert::stopped)?;
        // If one direction ends, the other one ends too.
        let over = CancellationToken::new();
        let mut forwarder = tokio::spawn(forward(inbox, self.responses.clone(), over.clone()));
        let heard = tokio::select! {
            biased;
            heard = self.listen(&worker, &line) => heard,
            () = closed.cancelled() => Ok(()),
            () = over.cancelled() => Ok(()),
        };
        // A stopped engine has already dropped the connection.
        let _: Result<(), crate::engine::Stopped> = line.disconnect().await;
        if timeout(LAST_WORDS, &mut forwarder).await.is_err() {
            forwarder.abort();
        }
        heard
    }

    async fn hello(&mut self) -> Result<v1::Hello, Status> {
        let late = |_| refusal(Code::DeadlineExceeded, "no hello arrived in time");
        let first = timeout(HELLO_WITHIN, self.requests.message()).await.map_err(late)??;
        match first.and_then(|request| request.message) {
            Some(work_request::Message::Hello(hello)) => Ok(hello),
            _ => Err(convert::invalid("the first message on a stream must be a hello")),
        }
    }

    /// A worker's name belongs to its credential: nobody else gets its leases, or reports under them.
    fn check_name(&self, worker: &WorkerId) -> Result<(), Status> {
        let Some(access) = &self.rpc.access else { return Ok(()) };
        let Some(identity) = &self.identity else {
            return Err(refusal(Code::Unauthenticated, "the connection has no credential"));
        };
        access.may_be_worker(identity, worker.as_str()).map_err(|why| refusal(Code::PermissionDenied, why))
    }

    async fn welcome(&self, version: &str) -> Result<(), Status> {
        let WorkerRules { lease, heartbeat } = self.rpc.rules;
        let welcome = ToWorker::Welcome(Welcome { lease, heartbeat, version: version.to_owned() });
        let gone = |_| refusal(Code::Cancelled, "the worker has disconnected");
        self.responses.send(Ok(welcome.into())).await.map_err(gone)
    }

    async fn listen(&mut self, worker: &WorkerId, line: &WorkerStream) -> Result<(), Status> {
        let mut epochs = Rate::new(EPOCHS_A_SECOND, EPOCHS_A_SECOND);
        let mut logs = LogIntake::new(worker.clone(), self.rpc.logs.clone());
        let usage = self.rpc.usages.stream(worker.clone());
        let mut usages = Rate::new(USAGES_A_SECOND, USAGES_A_SECOND);
        let mut releases = Rate::new(RELEASES_AT_ONCE, RELEASES_A_SECOND);
        while let Some(request) = self.requests.message().await? {
            let bytes = request.encoded_len();
            // A kind of message that a newer worker knows and this coordinator does not.
            let Some(message) = request.message else { continue };
            match message {
                // Losing progress and logs does no harm, and more of them than a person can read are not needed.
                work_request::Message::Epoch(_) if !epochs.take(1) => continue,
                work_request::Message::Usage(_) if !usages.take(1) => continue,
                work_request::Message::Log(logged) => logs.take(logged)?,
                work_request::Message::Usage(said) => usage.says(said, self.rpc.clock.now()),
                message => {
                    if matches!(message, work_request::Message::Released(_)) {
                        releases.wait().await;
                    }
                    let message = untrusted::from_worker(message).map_err(convert::invalid)?;
                    line.hear(message, bytes).await.map_err(convert::stopped)?;
                }
            }
        }
        Ok(())
    }
}

/// Passes on the engine's messages to the worker, until the engine or the worker closes.
async fn forward(
    mut inbox: mpsc::Receiver<ToWorker>,
    responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
    over: CancellationToken,
) {
    let _over = over.drop_guard();
    while let Some(message) = inbox.recv().await {
        match timeout(TAKE_WITHIN, responses.send(Ok(message.into()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

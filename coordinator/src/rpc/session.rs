//! One worker's stream, from its hello to its end.

use std::time::Duration;

use colearn_core::id::WorkerId;
use colearn_proto::v1::{self, work_request, work_response};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{convert, router::Rpc};
use crate::engine::{ConnectionId, ToWorker};

/// Who says nothing for so long after opening a stream is no worker.
const HELLO_WITHIN: Duration = Duration::from_secs(10);
/// Who takes nothing for so long is cut off.
const TAKE_WITHIN: Duration = Duration::from_secs(30);
/// What the engine may have for one worker at once.
const OUTBOX: usize = 1024;

pub(super) struct Session {
    pub(super) rpc: Rpc,
    pub(super) requests: Streaming<v1::WorkRequest>,
    pub(super) responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
}

impl Session {
    pub(super) async fn run(mut self) {
        if let Err(status) = self.talk().await {
            tracing::warn!(code = ?status.code(), reason = status.message(), "worker's stream ended");
            // The worker may be gone already.
            drop(timeout(TAKE_WITHIN, self.responses.send(Err(status))).await);
        }
    }

    async fn talk(&mut self) -> Result<(), Status> {
        let hello = self.hello().await?;
        let worker = WorkerId::new(hello.worker).map_err(convert::invalid)?;
        let slots = convert::slots(&hello.slots).map_err(convert::invalid)?;
        let held = convert::held(hello.held).map_err(convert::invalid)?;
        let mut host = hello.host;
        host.retain(|c| !c.is_control());
        if host.len() > 256 {
            return Err(Status::invalid_argument("`host` is longer than 256 bytes"));
        }
        let ours = env!("CARGO_PKG_VERSION");
        if hello.version != ours {
            tracing::warn!(%worker, theirs = hello.version, ours, "worker has another version");
        }
        self.welcome(ours).await?;
        let (outbox, inbox) = mpsc::channel(OUTBOX);
        let connection = self.rpc.engine.connect(worker, host, slots, held, outbox).await;
        let connection = connection.map_err(convert::stopped)?;
        // When one direction ends, so does the other.
        let over = CancellationToken::new();
        let forwarder = tokio::spawn(forward(inbox, self.responses.clone(), over.clone()));
        let heard = tokio::select! {
            biased;
            heard = self.listen(connection) => heard,
            () = over.cancelled() => Ok(()),
        };
        // A stopped engine has forgotten the connection already.
        let _: Result<(), crate::engine::Stopped> = self.rpc.engine.disconnect(connection).await;
        drop(forwarder.await);
        heard
    }

    async fn hello(&mut self) -> Result<v1::Hello, Status> {
        let late = |_| Status::deadline_exceeded("no hello came in time");
        let first = timeout(HELLO_WITHIN, self.requests.message()).await.map_err(late)??;
        match first.and_then(|request| request.message) {
            Some(work_request::Message::Hello(hello)) => Ok(hello),
            _ => Err(Status::invalid_argument("the first message on a stream must be a hello")),
        }
    }

    async fn welcome(&self, version: &str) -> Result<(), Status> {
        let millis = |duration: Duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX);
        let welcome = v1::Welcome {
            lease_millis: millis(self.rpc.rules.lease),
            heartbeat_millis: millis(self.rpc.rules.heartbeat),
            coordinator_version: version.to_owned(),
        };
        let message = Some(work_response::Message::Welcome(welcome));
        let gone = |_| Status::cancelled("the worker is gone");
        self.responses.send(Ok(v1::WorkResponse { message })).await.map_err(gone)
    }

    async fn listen(&mut self, connection: ConnectionId) -> Result<(), Status> {
        while let Some(request) = self.requests.message().await? {
            // A kind of message that a newer worker knows and this coordinator does not.
            let Some(message) = request.message else { continue };
            let message = convert::from_worker(message).map_err(convert::invalid)?;
            self.rpc.engine.hear(connection, message).await.map_err(convert::stopped)?;
        }
        Ok(())
    }
}

/// Passes on what the engine has for the worker, until the engine or the worker closes.
async fn forward(
    mut inbox: mpsc::Receiver<ToWorker>,
    responses: mpsc::Sender<Result<v1::WorkResponse, Status>>,
    over: CancellationToken,
) {
    let _over = over.drop_guard();
    while let Some(message) = inbox.recv().await {
        let response = convert::to_worker(message).map_err(|error| Status::internal(error.to_string()));
        match timeout(TAKE_WITHIN, responses.send(response)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

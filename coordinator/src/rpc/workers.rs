//! The service for workers.

use colearn_proto::v1::{self, worker_service_server::WorkerService};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{router::Rpc, session::Session};

/// Messages to one worker that may wait.
const OUTBOX: usize = 256;

#[derive(Clone)]
pub(super) struct Workers {
    rpc: Rpc,
}

impl Workers {
    pub(super) fn new(rpc: Rpc) -> Self {
        Self { rpc }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    type WorkStream = ReceiverStream<Result<v1::WorkResponse, Status>>;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        // Answered before the hello has come: a client may want the answer before it says anything.
        let (responses, stream) = mpsc::channel(OUTBOX);
        let session = Session { rpc: self.rpc.clone(), requests: request.into_inner(), responses };
        tokio::spawn(session.run());
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

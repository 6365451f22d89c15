//! The service for workers.

use std::sync::Arc;

use colearn_access::Identity;
use colearn_proto::v1::{self, worker_service_server::WorkerService};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};

use super::{context::Rpc, refusal::refusal, session::WorkerSession};

/// Maximum number of waiting messages to one worker.
const WAITING_FOR_TRANSPORT: usize = 256;

/// Maximum number of workers' streams at a time.
const MAX_WORKERS: usize = 4096;

#[derive(Clone)]
pub(super) struct Workers {
    rpc: Rpc,
    places: Arc<Semaphore>,
}

impl Workers {
    pub(super) fn new(rpc: Rpc) -> Self {
        Self { rpc, places: Arc::new(Semaphore::new(MAX_WORKERS)) }
    }
}

#[tonic::async_trait]
impl WorkerService for Workers {
    type WorkStream = ReceiverStream<Result<v1::WorkResponse, Status>>;

    async fn work(
        &self,
        request: Request<Streaming<v1::WorkRequest>>,
    ) -> Result<Response<Self::WorkStream>, Status> {
        let full = |_| {
            refusal(
                Code::ResourceExhausted,
                format!("{MAX_WORKERS} workers are connected, which is the maximum"),
            )
        };
        let place = self.places.clone().try_acquire_owned().map_err(full)?;
        // The answer begins before the hello arrives: a client may wait for the answer before it sends anything.
        let (responses, stream) = mpsc::channel(WAITING_FOR_TRANSPORT);
        let identity = request.extensions().get::<Arc<Identity>>().cloned();
        let rpc = self.rpc.clone();
        let session = WorkerSession { rpc, identity, requests: request.into_inner(), responses };
        tokio::spawn(async move {
            let _place = place;
            session.run().await;
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

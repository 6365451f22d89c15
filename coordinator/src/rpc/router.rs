//! Serves all services at one address.

use std::time::Duration;

use colearn_dashboard::{Guard, Services};
use colearn_proto::{
    DESCRIPTORS, MAX_MESSAGE_BYTES,
    v1::{
        pool_service_server::PoolServiceServer, sweep_service_server::SweepServiceServer,
        worker_service_server::WorkerServiceServer,
    },
};
use tonic::{
    service::Routes,
    transport::{Server, server::Router},
};
use tower::{
    Layer as _,
    layer::util::{Identity, Stack},
};

use super::{context::Rpc, pools::PoolsOfWorkers, seam::SeamLayer, sweeps::Sweeps, workers::Workers};
use crate::metrics::{self, CountLayer};

/// Without keepalive neither side notices a network partition. A host without power counts as connected for twice
/// this time.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Maximum number of streams of a client on one connection. Each may hold one incomplete message.
const MAX_STREAMS: u32 = 64;
/// Flow control window in bytes, for one stream and for all streams of a connection.
const WINDOW: u32 = 1 << 20;
/// Maximum number of bytes of the headers of one request.
const MAX_HEADERS_BYTES: u32 = 16 << 10;
/// Time limit for an answer, or for the beginning of a stream. It is longer than the largest sweep needs, but a
/// client that sends only half a request does not stay forever.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);
/// Maximum number of sweep files that are parsed at once: each uses a core, and the engine needs one too.
const MAX_PARSERS: usize = 2;

/// The routes of gRPC and of HTTP. A coordinator on loopback answers browsers only under names of this host, unless it
/// knows its clients by their certificates, which they show only to it.
pub(crate) async fn router(
    rpc: &Rpc,
    on_loopback: bool,
) -> Result<Router<Stack<SeamLayer, Stack<CountLayer, Identity>>>, tonic_reflection::server::Error> {
    let sweeps = Sweeps::new(rpc.clone(), MAX_PARSERS);
    let sweeps = SweepServiceServer::new(sweeps).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let workers =
        WorkerServiceServer::new(Workers::new(rpc.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let pools =
        PoolServiceServer::new(PoolsOfWorkers(rpc.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SweepServiceServer<Sweeps>>().await;
    health.set_serving::<WorkerServiceServer<Workers>>().await;
    health.set_serving::<PoolServiceServer<PoolsOfWorkers>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let only_loopback = on_loopback && rpc.access.is_none();
    let services = Routes::new(health_service)
        .add_service(reflection)
        .add_service(sweeps)
        .add_service(workers)
        .add_service(pools)
        .prepare();
    let seam = SeamLayer::new(rpc.access.clone());
    // A page's calls pass the same seam as those of other clients, with the identity of the page's client.
    let guard = Guard { only_loopback, token: None };
    let http = colearn_dashboard::router(Services::new(seam.layer(services.clone())), guard.clone());
    let metrics = colearn_dashboard::guarded(metrics::routes(rpc), guard);
    Ok(Server::builder()
        // Browsers speak HTTP/2 only over TLS. There, everybody speaks it: a server that waits to see which of both a client
        // speaks says nothing first, and a client of ours waits for its first words to know that it was let in.
        .accept_http1(rpc.access.is_none())
        .timeout(ANSWER_WITHIN)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_max_header_list_size(MAX_HEADERS_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        // Refused calls count too.
        .layer(CountLayer(rpc.metrics.clone()))
        .layer(seam)
        // The fallback is that of HTTP, which leaves calls of gRPC to gRPC.
        .add_routes(services.into_axum_router().reset_fallback().merge(http).merge(metrics).into()))
}

//! All services under one roof.

use std::time::Duration;

use colearn_proto::{
    DESCRIPTORS, MAX_MESSAGE_BYTES,
    v1::{sweep_service_server::SweepServiceServer, worker_service_server::WorkerServiceServer},
};
use tonic::transport::{Server, server::Router};

use super::{context::Rpc, sweeps::Sweeps, workers::Workers};

/// Without keepalive neither side notices a partition. A host that lost its power counts as connected for twice as long.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Streams that a client may have open on one connection. Each may hold one message that is not complete.
const MAX_STREAMS: u32 = 64;
/// Bytes that a client may send ahead on one stream, and on all of a connection.
const WINDOW: u32 = 1 << 20;
/// Bytes of the headers of one request.
const MAX_HEADERS_BYTES: u32 = 16 << 10;
/// How long an answer may take, or the beginning of a stream: longer than the largest sweep, but who sends half a
/// request and no more does not stay for ever.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);
/// Sweep files that are parsed at once: they take a core each, and the engine needs one too.
const MAX_PARSERS: usize = 2;

pub(crate) async fn router(rpc: &Rpc) -> Result<Router, tonic_reflection::server::Error> {
    let sweeps = Sweeps::new(rpc.clone(), MAX_PARSERS);
    let sweeps = SweepServiceServer::new(sweeps).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let workers =
        WorkerServiceServer::new(Workers::new(rpc.clone())).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<SweepServiceServer<Sweeps>>().await;
    health.set_serving::<WorkerServiceServer<Workers>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    Ok(Server::builder()
        .timeout(ANSWER_WITHIN)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .http2_max_header_list_size(MAX_HEADERS_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(sweeps)
        .add_service(workers))
}

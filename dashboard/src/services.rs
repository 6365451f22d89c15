//! The gRPC services behind the API.

use std::{convert::Infallible, error::Error, future::Future};

use axum::{
    extract::FromRequestParts,
    http::{self, Extensions, request::Parts},
};
use colearn_proto::{
    MAX_MESSAGE_BYTES,
    v1::{pool_service_client::PoolServiceClient, sweep_service_client::SweepServiceClient},
};
use tonic::{Request, body::Body};
use tower::{Service, ServiceExt as _, util::BoxCloneSyncService};

type Boxed = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Unreachable>;

/// The services cannot be reached.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Unreachable(Box<dyn Error + Send + Sync>);

/// The services of a coordinator, in this process or elsewhere.
#[derive(Clone, Debug)]
pub struct Services(Boxed);

impl Services {
    /// Services behind any transport, such as a channel or the routes of this process.
    pub fn new<S>(service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<Box<dyn Error + Send + Sync>>,
        S::Future: Future + Send + 'static,
    {
        Self(BoxCloneSyncService::new(service.map_err(|error| Unreachable(error.into()))))
    }
}

/// The services, called for the client of one request.
pub(crate) struct Caller {
    pub(crate) sweeps: SweepServiceClient<Boxed>,
    pub(crate) pools: PoolServiceClient<Boxed>,
    client: Extensions,
}

impl Caller {
    /// A call that is made for the client: the services see its identity.
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        *request.extensions_mut() = self.client.clone();
        request
    }
}

impl FromRequestParts<Services> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Infallible> {
        let sweeps = SweepServiceClient::new(services.0.clone());
        let pools = PoolServiceClient::new(services.0.clone());
        Ok(Self {
            sweeps: sweeps.max_decoding_message_size(MAX_MESSAGE_BYTES),
            pools: pools.max_decoding_message_size(MAX_MESSAGE_BYTES),
            client: parts.extensions.clone(),
        })
    }
}

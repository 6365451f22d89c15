//! The client of a coordinator. It keeps the coordinator's address, so that every error can name it.

use std::{
    error::Error,
    ops::{Deref, DerefMut},
    time::Duration,
};

use colearn_access::{Way, denied};
use colearn_proto::{
    MAX_MESSAGE_BYTES,
    v1::{pool_service_client::PoolServiceClient, sweep_service_client::SweepServiceClient},
};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::exit::{Exit, Failure};

/// Time limit for connecting, and for the first answer after it.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Interval of keepalive pings, and the timeout for their answer.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Name of the service for users and scripts, for the health check.
const SERVICE: &str = "colearn.v1.SweepService";

/// A client of the service for users and scripts, at one address.
pub(crate) struct Client {
    service: SweepServiceClient<Channel>,
    pools: PoolServiceClient<Channel>,
    channel: Channel,
    way: Way,
}

impl Deref for Client {
    type Target = SweepServiceClient<Channel>;
    fn deref(&self) -> &Self::Target {
        &self.service
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.service
    }
}

impl Client {
    /// Connects to a coordinator and checks that it is one and answers.
    ///
    /// # Errors
    /// If nothing listens there, the listener is not a coordinator or does not answer, or it does not let this client
    /// in.
    pub(crate) async fn connect(way: &Way) -> Result<Self, Failure> {
        let url = &way.url();
        let channel = colearn_access::connect(way.clone(), set_up).await.map_err(|error| {
            match (denied(&error), way.wants_tls()) {
                (Some(denied), _) => Failure::new(Exit::Access, denied),
                (None, Some(wants_tls)) => Failure::new(Exit::Access, wants_tls),
                (None, None) => Failure::lost(format!(
                    "no coordinator answers at {url} ({}); is `colearn coordinator` running there, and the port open?",
                    root(&error)
                )),
            }
        })?;
        // A successful connect is not enough: web servers and stopped processes accept connections too.
        let mut health = HealthClient::new(channel.clone());
        let question = HealthCheckRequest { service: SERVICE.to_owned() };
        match tokio::time::timeout(ANSWER_WITHIN, health.check(question)).await {
            Ok(Ok(_)) => {}
            Ok(Err(status)) => {
                return Err(match way.wants_tls() {
                    Some(denied) => Failure::new(Exit::Access, denied),
                    None => no_coordinator(url, &status),
                });
            }
            Err(_) => {
                return Err(Failure::lost(format!(
                    "the program at {url} does not answer within {} s: is it stopped or overloaded, or not a coordinator? If this is a tunnel, check that its far end is up",
                    ANSWER_WITHIN.as_secs()
                )));
            }
        }
        let pools = PoolServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let service = SweepServiceClient::new(channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok(Self { service, pools, channel, way: way.clone() })
    }

    /// The service for pools of worker jobs.
    pub(crate) fn pools(&mut self) -> &mut PoolServiceClient<Channel> {
        &mut self.pools
    }

    /// The connection, for other clients of the same coordinator.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// The coordinator, and how it is reached.
    pub(crate) fn way(&self) -> &Way {
        &self.way
    }

    /// The failure for a call that the coordinator refused or that the transport could not complete.
    pub(crate) fn failure(&self, status: &Status) -> Failure {
        let url = self.way.url();
        // A status that the coordinator sent has no source; a status made by the transport has one.
        if let Some(cause) = status.source() {
            return Failure::lost(format!(
                "the connection to the coordinator at {url} was lost ({}); is `colearn coordinator` running there, and the network up?",
                root(cause)
            ));
        }
        let (exit, message) = (status.code(), status.message());
        match exit {
            Code::NotFound => Failure::new(Exit::NotFound, message),
            Code::InvalidArgument => Failure::new(Exit::SweepFile, message),
            Code::OutOfRange => Failure::new(Exit::DataSet, message),
            Code::Unavailable => Failure::new(Exit::Unreachable, format!("{message} (it is at {url})")),
            Code::PermissionDenied | Code::Unauthenticated => Failure::new(Exit::Access, message),
            Code::Cancelled | Code::DeadlineExceeded => {
                Failure::new(Exit::Unreachable, format!("the coordinator at {url} took too long to answer"))
            }
            Code::Unimplemented => Failure::new(
                Exit::Failure,
                format!(
                    "the coordinator at {url} does not know this command, so it is older than this colearn {}: upgrade it, or use the colearn of its version",
                    env!("CARGO_PKG_VERSION")
                ),
            ),
            _ => Failure::new(Exit::Failure, message),
        }
    }
}

fn set_up(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(ANSWER_WITHIN)
        // Without keepalive a client never notices that the other side has disappeared.
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

/// The failure for a listener that answers, or closes the connection, and is not a coordinator.
fn no_coordinator(url: &str, status: &Status) -> Failure {
    let cause = status.source().map_or_else(|| status.message().to_owned(), root);
    Failure::lost(format!(
        "the program at {url} is not a coordinator ({cause}): use the address that `colearn coordinator` printed; if this is a tunnel, check that its far end is up"
    ))
}

/// The innermost cause: the outer ones only say that there was a transport error.
fn root(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

//! The stream to the coordinator: opening, reading, writing, and reopening it.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use colearn_access::{Denied, Way, denied};
use colearn_core::id::WorkerId;
use colearn_proto::{
    MAX_MESSAGE_BYTES,
    v1::{self, work_response},
    versions,
    worker::{FromWorker, Hello, ToWorker, Welcome},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint, Uri},
};

use super::{
    input::LogLevel,
    log_queue::{About, LogQueue},
};

/// Time limit for opening a stream, from the first packet to the welcome.
const OPENING: Duration = Duration::from_secs(10);
/// Interval of keepalive pings, and the time limit for their answers.
const KEEPALIVE: Duration = Duration::from_secs(5);
const SHORTEST_BACKOFF: Duration = Duration::from_millis(100);
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// The maximum pause for a worker that is about to exit: it waits only a few seconds for acknowledgements.
const MAX_BACKOFF_OF_LEAVING: Duration = Duration::from_secs(1);
/// A stream that lasted at least this long ends a row of failures.
const STEADY: Duration = Duration::from_secs(5);
/// Maximum number of messages that wait for the transport. A coordinator with more unread messages has stopped
/// reading.
const UNSENT: usize = 1024;
/// Log lines are sent only if at least this many messages still fit: reports come first.
const ROOM_FOR_LOGS: usize = UNSENT / 2;

type Opening = Pin<Box<dyn Future<Output = Result<Opened, LinkError>> + Send>>;
type Dialing = Pin<Box<dyn Future<Output = Result<Channel, tonic::transport::Error>> + Send>>;

/// A way to make a channel to the coordinator. Simulations use their own.
#[derive(Clone)]
pub struct Dial {
    dial: Arc<dyn Fn() -> Dialing + Send + Sync>,
    /// `None` in simulations.
    way: Option<Way>,
}

impl Dial {
    /// A connector over TCP, protected or plain, with keepalive.
    #[must_use]
    pub fn to(coordinator: Way) -> Self {
        let way = Some(coordinator.clone());
        let dial = move || Box::pin(colearn_access::connect(coordinator.clone(), set_up)) as Dialing;
        Self { dial: Arc::new(dial), way }
    }

    /// A connector with another way to make channels.
    pub fn with(dial: impl Fn() -> Dialing + Send + Sync + 'static) -> Self {
        Self { dial: Arc::new(dial), way: None }
    }

    /// The endpoint with the timeouts and keepalive of an agent.
    #[must_use]
    pub fn endpoint(coordinator: Uri) -> Endpoint {
        set_up(Endpoint::from(coordinator))
    }

    /// The reason why a stream was not opened: an error, unless it is known better.
    fn failed(&self, error: impl Into<LinkError>) -> LinkError {
        match self.way.as_ref().and_then(Way::wants_tls) {
            Some(denied) => LinkError::Denied(Box::new(denied)),
            None => error.into(),
        }
    }
}

fn set_up(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(KEEPALIVE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true)
}

/// The reason why a stream ended or was not opened.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The coordinator cannot be reached.
    #[error("{}", root(.0))]
    Transport(#[from] tonic::transport::Error),
    /// The coordinator wants TLS.
    #[error(transparent)]
    Denied(Box<Denied>),
    /// The coordinator, or another program at its address, ended the stream with an error.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] Box<Status>),
    /// The coordinator ended the stream.
    #[error("the coordinator closed the stream")]
    Closed,
    /// There was no answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The coordinator sent an invalid message.
    #[error("the coordinator violated the protocol: {0}")]
    Protocol(String),
    /// The coordinator is of a version with which this one does not work.
    #[error("{0}")]
    Versions(String),
    /// The coordinator does not read.
    #[error("the coordinator does not read what it is sent")]
    Congested,
}

/// The innermost cause: the outer ones only say that there was a transport error.
fn root(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

impl LinkError {
    /// Whether it is for lack of access.
    #[must_use]
    pub fn is_denial(&self) -> bool {
        match self {
            Self::Denied(_) => true,
            Self::Transport(error) => denied(error).is_some(),
            Self::Status(status) => {
                matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
            }
            _ => false,
        }
    }

    /// Whether another attempt with the same hello would fail in the same way.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let status = match self {
            Self::Status(status) => status,
            Self::Transport(error) => {
                return denied(error).is_some_and(|denied| !matches!(denied, Denied::Handshake { .. }));
            }
            other => return matches!(other, Self::Denied(_) | Self::Versions(_)),
        };
        matches!(
            status.code(),
            Code::InvalidArgument
                | Code::FailedPrecondition
                | Code::PermissionDenied
                | Code::Unauthenticated
                | Code::Unimplemented
        )
    }
}

struct Opened {
    requests: mpsc::Sender<v1::WorkRequest>,
    responses: Box<Streaming<v1::WorkResponse>>,
    welcome: Welcome,
}

enum Link {
    /// Until this is told, or can no longer be told.
    Held(oneshot::Receiver<()>),
    Resting {
        until: Instant,
    },
    /// Sending failed; the caller does not know yet.
    Broken(LinkError),
    Opening(Opening),
    Open {
        requests: mpsc::Sender<v1::WorkRequest>,
        responses: Box<Streaming<v1::WorkResponse>>,
        since: Instant,
    },
}

/// An event of the connection.
#[derive(Debug)]
pub enum ConnectionEvent {
    /// A stream is to be opened: call [`Connection::open`].
    Due,
    /// A message of the coordinator.
    Said(ToWorker),
    /// The stream, or the attempt to open one, has ended. [`ConnectionEvent::Due`] follows after a pause.
    Lost(LinkError),
}

/// The connection to the coordinator. It reopens its stream after each failure, with growing pauses.
pub struct Connection {
    dial: Dial,
    worker: WorkerId,
    link: Link,
    failures: u32,
    longest_backoff: Duration,
    /// `None` if no logs are sent.
    logs: Option<LogQueue>,
    next_logs: Instant,
}

impl Connection {
    /// A connection without a stream; the first one is due to be opened.
    #[must_use]
    pub fn new(dial: Dial, worker: WorkerId) -> Self {
        let now = Instant::now();
        let link = Link::Resting { until: now };
        let longest_backoff = MAX_BACKOFF;
        Self { dial, worker, link, failures: 0, longest_backoff, logs: None, next_logs: now }
    }

    /// The first stream is not opened before `told` is told, or dropped.
    #[must_use]
    pub fn held_until(self, told: oneshot::Receiver<()>) -> Self {
        Self { link: Link::Held(told), ..self }
    }

    /// Sends log lines too, if there is room for them.
    #[must_use]
    pub fn with_logs(mut self, logs: LogQueue) -> Self {
        self.logs = Some(logs);
        self
    }

    /// Adds a line of the agent's log, from level `info` up; it is sent when there is room.
    pub fn log(&self, level: LogLevel, about: About, text: &str) {
        let Some(logs) = &self.logs else { return };
        match level {
            LogLevel::Debug => {}
            LogLevel::Info => logs.worker_says(about, text),
            LogLevel::Warn => logs.worker_says(about, &format!("WARN {text}")),
            LogLevel::Error => logs.worker_says(about, &format!("ERROR {text}")),
        }
    }

    /// From now on pauses are short: little time is left for deliveries.
    pub fn hurry(&mut self) {
        self.longest_backoff = MAX_BACKOFF_OF_LEAVING;
        if let Link::Resting { until } = &mut self.link {
            *until = (*until).min(Instant::now() + self.longest_backoff);
        }
    }

    /// Opens a stream with a hello.
    pub fn open(&mut self, hello: Hello) {
        let dial = self.dial.clone();
        let opening = async move {
            match tokio::time::timeout(OPENING, open(dial, hello)).await {
                Ok(opened) => opened,
                Err(_) => Err(LinkError::Silent(OPENING)),
            }
        };
        self.link = Link::Opening(Box::pin(opening));
    }

    /// Waits for the next event. Dropping the returned future loses nothing.
    pub async fn next(&mut self) -> ConnectionEvent {
        let lost = match &mut self.link {
            Link::Held(told) => {
                // Whoever would tell it may have ended.
                let _ = told.await;
                self.link = Link::Resting { until: Instant::now() };
                return ConnectionEvent::Due;
            }
            Link::Resting { until } => {
                tokio::time::sleep_until(*until).await;
                return ConnectionEvent::Due;
            }
            Link::Broken(error) => std::mem::replace(error, LinkError::Closed),
            Link::Opening(opening) => match opening.await {
                Ok(Opened { requests, responses, welcome }) => {
                    self.link = Link::Open { requests, responses, since: Instant::now() };
                    return ConnectionEvent::Said(ToWorker::Welcome(welcome));
                }
                Err(error) => error,
            },
            Link::Open { requests, responses, .. } => loop {
                let response = tokio::select! {
                    biased;
                    response = responses.next() => response,
                    () = logs_due(self.logs.as_ref(), self.next_logs) => {
                        self.next_logs = send_logs(self.logs.as_ref(), requests);
                        continue;
                    }
                };
                break match response {
                    Some(Ok(response)) => match ToWorker::try_from(response) {
                        Ok(ToWorker::Welcome(_)) => {
                            LinkError::Protocol("a second welcome on the same stream".to_owned())
                        }
                        Ok(message) => return ConnectionEvent::Said(message),
                        Err(error) => LinkError::Protocol(error.to_string()),
                    },
                    Some(Err(status)) => LinkError::from(Box::new(status)),
                    None => LinkError::Closed,
                };
            },
        };
        self.rest();
        ConnectionEvent::Lost(lost)
    }

    /// Sends a message if the stream is up. If the stream turns out to be broken, [`ConnectionEvent::Lost`] comes
    /// next.
    pub fn send(&mut self, message: FromWorker) {
        let Link::Open { requests, since, .. } = &self.link else { return };
        let error = match requests.try_send(message.into()) {
            Ok(()) => return,
            Err(mpsc::error::TrySendError::Full(_)) => LinkError::Congested,
            Err(mpsc::error::TrySendError::Closed(_)) => LinkError::Closed,
        };
        if since.elapsed() >= STEADY {
            self.failures = 0;
        }
        self.link = Link::Broken(error);
    }

    /// Ends the stream in an orderly way: waits until the coordinator has read everything and has ended its side too,
    /// but not longer than `patience`.
    pub async fn close(self, patience: Duration) {
        if let Link::Open { requests, mut responses, .. } = self.link {
            let logs = self.logs;
            let last = async {
                // The last log lines tell how the worker and its tasks ended.
                if let Some(logs) = &logs {
                    logs.keep_newest();
                    for lines in logs.take().0 {
                        let message = Some(v1::work_request::Message::Log(lines));
                        // The reading side notices if the stream has ended.
                        let _ = requests.send(v1::WorkRequest { message }).await;
                    }
                }
                drop(requests);
                while let Some(Ok(_)) = responses.next().await {}
            };
            // If the coordinator does not answer in time, the leases expire.
            let _ = tokio::time::timeout(patience, last).await;
        }
    }

    fn rest(&mut self) {
        if let Link::Open { since, .. } = &self.link
            && since.elapsed() >= STEADY
        {
            self.failures = 0;
        }
        let pause = backoff(&self.worker, self.failures).min(self.longest_backoff);
        self.failures = self.failures.saturating_add(1);
        self.link = Link::Resting { until: Instant::now() + pause };
    }
}

async fn logs_due(logs: Option<&LogQueue>, not_before: Instant) {
    match logs {
        Some(logs) => logs.due(not_before).await,
        None => std::future::pending().await,
    }
}

/// Sends lines if there is room, and returns when to try again.
fn send_logs(logs: Option<&LogQueue>, requests: &mpsc::Sender<v1::WorkRequest>) -> Instant {
    let Some(logs) = logs else { return Instant::now() };
    let (messages, next) = if requests.capacity() < ROOM_FOR_LOGS { logs.not_now() } else { logs.take() };
    for lines in messages {
        let message = Some(v1::work_request::Message::Log(lines));
        // There was room. The reading side notices if the stream has ended.
        let _ = requests.try_send(v1::WorkRequest { message });
    }
    next
}

async fn open(dial: Dial, hello: Hello) -> Result<Opened, LinkError> {
    let channel = (dial.dial)().await.map_err(|error| dial.failed(error))?;
    let mut client = v1::worker_service_client::WorkerServiceClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (requests, outgoing) = mpsc::channel(UNSENT);
    // Queue the hello before the call: the coordinator may answer only after it has read the hello.
    requests.try_send(hello.into()).map_err(|_| LinkError::Congested)?;
    let refused = |status| dial.failed(Box::new(status));
    let mut responses =
        Box::new(client.work(ReceiverStream::new(outgoing)).await.map_err(refused)?.into_inner());
    let first = responses.message().await.map_err(refused)?.ok_or(LinkError::Closed)?;
    if let Some(work_response::Message::Welcome(welcome)) = &first.message
        && let Some(why) = versions::refuses_coordinator(welcome, env!("CARGO_PKG_VERSION"))
    {
        return Err(LinkError::Versions(why));
    }
    match ToWorker::try_from(first) {
        Ok(ToWorker::Welcome(welcome)) => Ok(Opened { requests, responses, welcome }),
        Ok(_) => Err(LinkError::Protocol("the first message is not a welcome".to_owned())),
        Err(error) => Err(LinkError::Protocol(error.to_string())),
    }
}

/// The pause after this number of failures in a row: it doubles from a tenth of a second to ten seconds, reduced by
/// up to a half, so that the workers of a restarted coordinator do not all return at once. The reduction is a
/// function of the worker and the count, so that simulations can be repeated.
fn backoff(worker: &WorkerId, failures: u32) -> Duration {
    let full = SHORTEST_BACKOFF.saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF);
    let mut hasher = DefaultHasher::new();
    (worker, failures).hash(&mut hasher);
    let part = u32::try_from(hasher.finish() % 1000).unwrap_or(0);
    full - full * part / 2000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Way {
        Way::to("127.0.0.1:1", None, colearn_access::Role::Work).unwrap()
    }

    #[test]
    fn pauses_grow_to_ten_seconds_and_differ_between_workers() {
        let one = WorkerId::new("one").unwrap();
        for failures in 0..40 {
            let full = SHORTEST_BACKOFF.saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF);
            let pause = backoff(&one, failures);
            assert!(pause <= full && pause > full / 2, "{failures}: {pause:?}");
        }
        assert_ne!(backoff(&one, 9), backoff(&WorkerId::new("two").unwrap(), 9));
    }

    #[test]
    fn who_leaves_does_not_rest_for_long() {
        let mut connection = Connection::new(Dial::to(nowhere()), WorkerId::new("one").unwrap());
        let rests = |connection: &Connection| match &connection.link {
            Link::Resting { until } => until.duration_since(Instant::now()),
            _ => panic!("it does not rest"),
        };
        connection.failures = 40;
        connection.rest();
        assert!(rests(&connection) > MAX_BACKOFF_OF_LEAVING);
        connection.hurry();
        assert!(rests(&connection) <= MAX_BACKOFF_OF_LEAVING, "the pause that it was in");
        connection.rest();
        assert!(rests(&connection) <= MAX_BACKOFF_OF_LEAVING, "the next pause");
    }

    #[tokio::test]
    async fn who_is_held_is_due_when_told() {
        let dial = Dial::to(nowhere());
        let (tell, told) = oneshot::channel();
        let mut connection = Connection::new(dial, WorkerId::new("one").unwrap()).held_until(told);
        let early = tokio::time::timeout(Duration::ZERO, connection.next()).await;
        assert!(early.is_err(), "{early:?}");
        tell.send(()).unwrap();
        assert!(matches!(connection.next().await, ConnectionEvent::Due));
    }

    #[test]
    fn only_lasting_refusals_are_refusals() {
        let status = |code| LinkError::from(Box::new(Status::new(code, "no")));
        assert!(status(Code::InvalidArgument).is_refusal());
        assert!(!status(Code::Unavailable).is_refusal());
        assert!(LinkError::Versions("upgrade it".to_owned()).is_refusal());
        assert!(!LinkError::Closed.is_refusal());
    }
}

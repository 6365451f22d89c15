//! Counts calls: in front of all services.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use prometheus_client::{
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use tonic::{
    Code,
    body::Body,
    codegen::{Bytes, Service, http},
};
use tower::Layer;

use super::{Label, Labels, Metrics};
use crate::rpc::methods::label_of;

/// The calls of clients.
#[derive(Debug)]
pub(crate) struct Calls {
    ended: Family<Labels, Counter>,
    seconds: Family<Label, Histogram, fn() -> Histogram>,
    open: Family<Label, Gauge>,
    http: Family<Label, Counter>,
}

impl Default for Calls {
    fn default() -> Self {
        // From a millisecond to 17 minutes.
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 11));
        Self {
            ended: Family::default(),
            seconds: Family::new_with_constructor(seconds),
            open: Family::default(),
            http: Family::default(),
        }
    }
}

impl Calls {
    /// A series of each metric.
    #[cfg(test)]
    pub(super) fn one_of_each(&self) {
        self.ended.get_or_create(&[("method", "unknown"), ("code", "OK")]).inc();
        self.seconds.get_or_create(&[("method", "unknown")]).observe(0.1);
        self.open.get_or_create(&[("method", "unknown")]).set(0);
        self.http.get_or_create(&[("code", "2xx")]).inc();
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "colearn_grpc_requests",
            "Calls that have ended, by method and status code",
            self.ended.clone(),
        );
        registry.register(
            "colearn_grpc_request_duration_seconds",
            "Time until a call has ended; streams end when their clients leave",
            self.seconds.clone(),
        );
        registry.register("colearn_grpc_requests_open", "Calls that have not ended", self.open.clone());
        registry.register(
            "colearn_http_requests",
            "Requests that are no gRPC, by class of status code",
            self.http.clone(),
        );
    }
}

/// Puts [`Count`] in front of all services.
#[derive(Clone)]
pub(crate) struct CountLayer(pub(crate) Metrics);

impl<S> Layer<S> for CountLayer {
    type Service = Count<S>;

    fn layer(&self, services: S) -> Count<S> {
        Count { services, metrics: self.0.clone() }
    }
}

/// Counts requests with their answers.
#[derive(Clone)]
pub(crate) struct Count<S> {
    services: S,
    metrics: Metrics,
}

impl<S, B> Service<http::Request<B>> for Count<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let kind = request.headers().get(http::header::CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let call = is_grpc.then(|| Call::begin(&self.metrics, label_of(request.uri().path())));
        let (answering, metrics) = (self.services.call(request), self.metrics.clone());
        Box::pin(async move {
            let answer = answering.await?;
            let Some(mut call) = call else {
                metrics.calls.http.get_or_create(&[("code", class_of(answer.status()))]).inc();
                return Ok(answer);
            };
            // An answer without messages has its status in front.
            if let Some(code) = code_in(answer.headers()) {
                call.end(code);
                return Ok(answer);
            }
            Ok(answer.map(|body| Body::new(Watched { body, call })))
        })
    }
}

fn class_of(status: http::StatusCode) -> &'static str {
    match status.as_u16() {
        100..200 => "1xx",
        200..300 => "2xx",
        300..400 => "3xx",
        400..500 => "4xx",
        _ => "5xx",
    }
}

fn code_in(headers: &http::HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()))
}

/// One call. A call whose answer was not sent to its end was cancelled by its client.
struct Call {
    metrics: Metrics,
    method: &'static str,
    began: Instant,
    ended: bool,
}

impl Call {
    fn begin(metrics: &Metrics, method: &'static str) -> Self {
        metrics.calls.open.get_or_create(&[("method", method)]).inc();
        Self { metrics: metrics.clone(), method, began: Instant::now(), ended: false }
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let (calls, method) = (&self.metrics.calls, self.method);
        calls.open.get_or_create(&[("method", method)]).dec();
        calls.ended.get_or_create(&[("method", method), ("code", name_of(code))]).inc();
        calls.seconds.get_or_create(&[("method", method)]).observe(self.began.elapsed().as_secs_f64());
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// An answer on its way.
struct Watched {
    body: Body,
    call: Call,
}

impl tonic::codegen::Body for Watched {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, tonic::Status>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(code) = frame.trailers_ref().and_then(code_in) {
                    self.call.end(code);
                }
            }
            Some(Err(status)) => self.call.end(status.code()),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// The name that gRPC gives a code.
fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

//! The one place where it is decided who may call what: in front of all services.

use std::{
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use colearn_access::{Identity, Moment, Need, ServerAccess};
use tokio_util::either::Either;
use tonic::{
    Code, Status,
    body::Body,
    codegen::{Service, http},
};
use tower::Layer;

use super::{
    methods::{is_of_service, need_of},
    refusal::refusal,
};
use crate::{connections::Peer, quiet::Quiet};

/// Puts [`Seam`] in front of all services.
#[derive(Clone)]
pub(crate) struct SeamLayer {
    /// `None` if everybody who reaches the port may call everything.
    access: Option<ServerAccess>,
    quiet: Quiet,
}

impl SeamLayer {
    pub(super) fn new(access: Option<ServerAccess>) -> Self {
        Self { access, quiet: Quiet::default() }
    }
}

impl<S> Layer<S> for SeamLayer {
    type Service = Seam<S>;

    fn layer(&self, services: S) -> Seam<S> {
        Seam { services, access: self.access.clone(), quiet: self.quiet.clone() }
    }
}

/// Passes on a request if its client may make it, with the client's [`Identity`] in the extensions.
#[derive(Clone)]
pub(crate) struct Seam<S> {
    services: S,
    access: Option<ServerAccess>,
    quiet: Quiet,
}

impl<S, B> Service<http::Request<B>> for Seam<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
{
    type Response = http::Response<Body>;
    type Error = S::Error;
    type Future = Either<Ready<Result<Self::Response, S::Error>>, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.services.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let is_grpc = is_of_service(request.uri().path());
        if is_grpc && !is_of_grpc_client(&request) {
            let status =
                refusal(Code::PermissionDenied, "methods of gRPC are called over HTTP/2 as application/grpc");
            return Either::Left(ready(Ok(in_plain_http(&status))));
        }
        if let Some(access) = &self.access {
            let identity = request.extensions().get::<Peer>().and_then(|peer| peer.identity.clone());
            match check(access, identity, request.uri().path(), Moment::now()) {
                Ok(identity) => drop(request.extensions_mut().insert(identity)),
                Err((who, status)) => {
                    self.quiet.say(|| tracing::warn!(who, reason = status.message(), "a call was refused"));
                    let answer = if is_grpc { status.into_http() } else { in_plain_http(&status) };
                    return Either::Left(ready(Ok(answer)));
                }
            }
        }
        Either::Right(self.services.call(request))
    }
}

/// Whether a request is one that a page in a browser cannot make. In plain text browsers speak no HTTP/2, and they ask
/// before they send this media type to another site; nothing here answers that they may.
fn is_of_grpc_client<B>(request: &http::Request<B>) -> bool {
    let media_type = request.headers().get(http::header::CONTENT_TYPE);
    request.version() == http::Version::HTTP_2
        && media_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// A refusal for clients that do not speak gRPC.
fn in_plain_http(status: &Status) -> http::Response<Body> {
    let mut answer =
        http::Response::new(Body::new(axum::body::Body::from(format!("{}\n", status.message()))));
    *answer.status_mut() = match status.code() {
        Code::Unauthenticated => http::StatusCode::UNAUTHORIZED,
        _ => http::StatusCode::FORBIDDEN,
    };
    answer
}

/// Whether a client may call a method. An error names the client.
fn check(
    access: &ServerAccess,
    identity: Option<Arc<Identity>>,
    path: &str,
    now: Moment,
) -> Result<Arc<Identity>, (String, Status)> {
    let Some(identity) = identity else {
        // Its connection would not have been accepted.
        return Err((String::new(), refusal(Code::Unauthenticated, "the connection has no credential")));
    };
    let refused = |code, why: String| Err((identity.grant.to_string(), refusal(code, why)));
    if let Err(ended) = access.admits(&identity, now) {
        return refused(Code::Unauthenticated, format!("{ended}: get a new access file"));
    }
    let Some(need) = need_of(path) else {
        return refused(Code::Unimplemented, "there is no such method".to_owned());
    };
    let method = path.rsplit('/').next().unwrap_or(path);
    if !identity.grant.role().satisfies(need) {
        let grant = &identity.grant;
        return refused(
            Code::PermissionDenied,
            format!("the access file of {grant} does not allow this ({method} needs the role `{need}`)"),
        );
    }
    if need == Need::Operate {
        tracing::info!(who = %identity.grant, serial = identity.serial, method, "asked");
    }
    Ok(identity)
}

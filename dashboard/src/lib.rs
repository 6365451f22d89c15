//! The HTTP half of a coordinator: a JSON API and the pages that read it.
//!
//! Every answer is a translation of calls to the gRPC services, so that both say the same and one seam decides who may
//! call what. The services are a parameter: those of this process, with the identity of the client in the request's
//! extensions, or those of another coordinator over a channel.

mod api;
mod assets;
mod error;
mod guard;
mod pages;
mod services;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use tokio::net::TcpListener;
use tonic::transport::{self, Server, server::TcpIncoming};
use tower_http::{CompressionLevel, compression::CompressionLayer};

use error::ApiError;

pub use api::ROUTES;
pub use guard::{Guard, Token};
pub use services::Services;

/// The routes of the API and the pages.
///
/// They have a fallback, a page that says that nothing is there; calls of gRPC get the answer of gRPC instead.
pub fn router(services: Services, guard: Guard) -> Router {
    let routes = api::routes(services).merge(pages::routes()).fallback(pages::unknown);
    guarded(routes, guard).layer(middleware::from_fn(pages::apart_from_grpc))
}

/// Other routes with the same protection and compression.
pub fn guarded(routes: Router, guard: Guard) -> Router {
    routes
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::guard))
        // A better compression of large grids takes processor time from dispatch.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
}

/// Time limit for an answer, or for the beginning of a stream: less than that of the coordinator, which answers in gRPC.
const ANSWER_WITHIN: Duration = Duration::from_secs(100);

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(ANSWER_WITHIN, next.run(request))
        .await
        .unwrap_or_else(|_| ApiError::too_late().into_response())
}

/// Serves the pages of [`router`] alone. As at a coordinator, the head of a request has half a minute: axum's own server
/// waits for ever.
///
/// # Errors
/// If connections cannot be accepted any more.
pub async fn serve(listener: TcpListener, pages: Router) -> Result<(), transport::Error> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().accept_http1(true).add_routes(pages.into()).serve_with_incoming(incoming).await
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use axum::{body::Body, http::StatusCode, routing::get};
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_is_answered_with_an_error_of_http() {
        let routes = Router::new().route("/", get(pending::<Response>));
        let answer = guarded(routes, Guard::default()).oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::GATEWAY_TIMEOUT);
        assert_eq!(answer.headers()["content-type"], "application/json");
    }
}

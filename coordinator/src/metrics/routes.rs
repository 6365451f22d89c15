//! `GET /metrics`.

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::get,
};

use crate::rpc::Rpc;

/// The route of the metrics.
pub(crate) fn routes(rpc: &Rpc) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(rpc.clone())
}

async fn scrape(State(rpc): State<Rpc>, headers: HeaderMap) -> Response {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Rpc { metrics, engine, store, pools, access, usages, .. } = &rpc;
    match metrics.scrape(engine, &**store, pools, access.as_ref(), usages, accepted).await {
        Ok(scraped) => ([(header::CONTENT_TYPE, scraped.content_type)], scraped.text).into_response(),
        Err(stopped) => (StatusCode::SERVICE_UNAVAILABLE, stopped.to_string()).into_response(),
    }
}

//! The JSON API, described in `openapi.json`.

mod changes;
mod compare;
mod curves;
mod events;
mod results;
mod sweeps;
mod tasks;
mod workers;

use axum::{
    Router,
    http::header,
    routing::{get, post},
};

use crate::{error::ApiError, services::Services};

/// The description of the API.
const OPENAPI: &str = include_str!("../../openapi.json");

/// The methods and paths of the API, as in its description.
pub const ROUTES: [(&str, &str); 25] = [
    ("get", "/api/v1/openapi.json"),
    ("get", "/api/v1/sweeps"),
    ("post", "/api/v1/sweeps"),
    ("get", "/api/v1/sweeps/{sweep}"),
    ("delete", "/api/v1/sweeps/{sweep}"),
    ("get", "/api/v1/sweeps/{sweep}/grid"),
    ("get", "/api/v1/sweeps/{sweep}/tasks"),
    ("get", "/api/v1/sweeps/{sweep}/tasks/{configuration}/{seed}"),
    ("get", "/api/v1/sweeps/{sweep}/tasks/{configuration}/{seed}/log"),
    ("get", "/api/v1/sweeps/{sweep}/results"),
    ("get", "/api/v1/sweeps/{sweep}/curves"),
    ("get", "/api/v1/sweeps/{sweep}/events"),
    ("post", "/api/v1/sweeps/{sweep}/cancel"),
    ("post", "/api/v1/sweeps/{sweep}/cancel-tasks"),
    ("post", "/api/v1/sweeps/{sweep}/retry"),
    ("post", "/api/v1/sweeps/{sweep}/pause"),
    ("post", "/api/v1/sweeps/{sweep}/resume"),
    ("post", "/api/v1/sweeps/{sweep}/priority"),
    ("post", "/api/v1/sweeps/{sweep}/extend"),
    ("get", "/api/v1/compare"),
    ("get", "/api/v1/events"),
    ("get", "/api/v1/workers"),
    ("post", "/api/v1/workers/{worker}/drain"),
    ("post", "/api/v1/workers/{worker}/undrain"),
    ("get", "/api/v1/pools"),
];

pub(crate) fn routes(services: Services) -> Router {
    Router::new()
        .route("/api/v1/openapi.json", get(openapi))
        .route("/api/v1/sweeps", get(sweeps::list).post(changes::submit))
        .route("/api/v1/sweeps/{sweep}", get(sweeps::one).delete(changes::remove))
        .route("/api/v1/sweeps/{sweep}/grid", get(tasks::grid))
        .route("/api/v1/sweeps/{sweep}/tasks", get(tasks::list))
        .route("/api/v1/sweeps/{sweep}/tasks/{configuration}/{seed}", get(tasks::one))
        .route("/api/v1/sweeps/{sweep}/tasks/{configuration}/{seed}/log", get(tasks::log))
        .route("/api/v1/sweeps/{sweep}/results", get(results::results))
        .route("/api/v1/sweeps/{sweep}/curves", get(curves::curves))
        .route("/api/v1/sweeps/{sweep}/events", get(events::of_sweep))
        .route("/api/v1/sweeps/{sweep}/cancel", post(changes::cancel))
        .route("/api/v1/sweeps/{sweep}/cancel-tasks", post(changes::cancel_tasks))
        .route("/api/v1/sweeps/{sweep}/retry", post(changes::retry))
        .route("/api/v1/sweeps/{sweep}/pause", post(changes::pause))
        .route("/api/v1/sweeps/{sweep}/resume", post(changes::resume))
        .route("/api/v1/sweeps/{sweep}/priority", post(changes::prioritize))
        .route("/api/v1/sweeps/{sweep}/extend", post(changes::extend))
        .route("/api/v1/compare", get(compare::compare))
        .route("/api/v1/events", get(events::of_all))
        .route("/api/v1/workers", get(workers::list))
        .route("/api/v1/workers/{worker}/drain", post(workers::drain))
        .route("/api/v1/workers/{worker}/undrain", post(workers::undrain))
        .route("/api/v1/pools", get(workers::pools))
        .method_not_allowed_fallback(wrong_method)
        .with_state(services)
}

async fn openapi() -> impl axum::response::IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn wrong_method() -> ApiError {
    ApiError::wrong_method()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_is_described_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(OPENAPI).unwrap();
        let mut described = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for method in methods.as_object().unwrap().keys() {
                described.insert((method.as_str(), path.as_str()));
            }
        }
        assert_eq!(described, ROUTES.into_iter().collect());
    }
}

//! The pages.

use axum::{Router, http::header, response::IntoResponse, routing::get};

pub(crate) fn routes() -> Router {
    Router::new().route("/", get(index))
}

async fn index() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], "<!doctype html><title>colearn</title>")
}

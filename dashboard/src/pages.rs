//! The pages: skeletons that scripts fill from the API.

use askama::Template;
use axum::{
    Router,
    extract::{Path, Request, rejection::PathRejection},
    http::{StatusCode, header},
    middleware::Next,
    response::{Html, IntoResponse, Response},
    routing::get,
};

use crate::{
    assets::{self, DIGEST},
    error::ApiError,
};

/// A page: its template, which names the script that fills it.
macro_rules! pages {
    ($($page:ident = $path:literal),* $(,)?) => {$(
        #[derive(Template)]
        #[template(path = $path)]
        struct $page {
            assets: &'static str,
            /// The name of the sweep; empty on pages of several.
            sweep: String,
        }
    )*};
}

pages! {
    Index = "index.html",
    Submit = "submit.html",
    Overview = "sweep.html",
    Results = "results.html",
    Curves = "curves.html",
    Tasks = "tasks.html",
    Task = "task.html",
    Compare = "compare.html",
    Workers = "workers.html",
    Missing = "missing.html",
}

macro_rules! plain {
    ($page:ident) => {
        get(async || show(&$page { assets: &DIGEST, sweep: String::new() }))
    };
}
macro_rules! of_sweep {
    ($page:ident, $path:ty, $name:pat => $sweep:expr) => {
        get(async |path: Result<Path<$path>, PathRejection>| match path {
            Ok(Path($name)) => show(&$page { assets: &DIGEST, sweep: $sweep }),
            Err(_) => missing().await.into_response(),
        })
    };
}

pub(crate) fn routes() -> Router {
    Router::new()
        .route("/", plain!(Index))
        .route("/submit", plain!(Submit))
        .route("/compare", plain!(Compare))
        .route("/workers", plain!(Workers))
        .route("/sweeps/{sweep}", of_sweep!(Overview, String, sweep => sweep))
        .route("/sweeps/{sweep}/results", of_sweep!(Results, String, sweep => sweep))
        .route("/sweeps/{sweep}/curves", of_sweep!(Curves, String, sweep => sweep))
        .route("/sweeps/{sweep}/tasks", of_sweep!(Tasks, String, sweep => sweep))
        .route(
            "/sweeps/{sweep}/tasks/{configuration}/{seed}",
            of_sweep!(Task, (String, String, u64), (sweep, _, _) => sweep),
        )
        .route("/assets/{digest}/{name}", get(assets::asset))
        .route(
            "/favicon.ico",
            get(async || assets::asset(Path((DIGEST.clone(), "icon.svg".to_owned()))).await),
        )
}

fn show(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            tracing::error!("a page cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The answer to a path that nothing is at.
pub(crate) async fn missing() -> impl IntoResponse {
    (StatusCode::NOT_FOUND, show(&Missing { assets: &DIGEST, sweep: String::new() }))
}

/// The answer to a path that no route knows, in the language of who asks.
pub(crate) async fn unknown(request: Request) -> Response {
    if request.uri().path().starts_with("/api/") {
        return ApiError::not_found("there is no such path; /api/v1/openapi.json describes all")
            .into_response();
    }
    missing().await.into_response()
}

/// Answers calls of gRPC to services that do not exist in the way of gRPC, before anything of HTTP looks at them.
pub(crate) async fn apart_from_grpc(request: Request, next: Next) -> Response {
    let media = request.headers().get(header::CONTENT_TYPE).map(|media| media.as_bytes());
    if media.is_some_and(|media| media.starts_with(b"application/grpc")) {
        return tonic::Status::unimplemented("").into_http::<axum::body::Body>();
    }
    next.run(request).await
}

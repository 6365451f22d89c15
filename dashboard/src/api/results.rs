//! Results with verdicts, in all formats of the command line.

use std::io;

use axum::{
    extract::{
        Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use colearn_client::{Fetched, gather};
use colearn_proto::v1;
use colearn_report::{Long, Material, Provenance, Records, text};
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::{error::ApiError, services::Caller};

/// Maximum number of tables that are computed at once: the engine needs a core too.
static TABLES: Semaphore = Semaphore::const_new(2);

/// A form of results.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Format {
    #[default]
    Json,
    Csv,
    Markdown,
    Latex,
    PerSeedCsv,
    HistoryCsv,
}

impl Format {
    /// The media type, and how the name of the file ends.
    fn media(self) -> (&'static str, &'static str) {
        match self {
            Self::Json => ("application/json", ".json"),
            Self::Csv => ("text/csv; charset=utf-8", ".csv"),
            Self::Markdown => ("text/markdown; charset=utf-8", ".md"),
            Self::Latex => ("application/x-tex; charset=utf-8", ".tex"),
            Self::PerSeedCsv => ("text/csv; charset=utf-8", "-per-seed.csv"),
            Self::HistoryCsv => ("text/csv; charset=utf-8", "-history.csv"),
        }
    }

    fn write(self, material: &Material, table: &colearn_core::table::ResultsTable) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self {
            Self::Json => text::json(&mut bytes, material, table, None)?,
            Self::Csv => bytes = text::csv(table).into_bytes(),
            Self::Markdown => bytes = text::markdown(table, None).into_bytes(),
            Self::Latex => bytes = text::latex(table).into_bytes(),
            Self::PerSeedCsv => Long::of(material, table, Records::Metrics).csv(&mut bytes)?,
            Self::HistoryCsv => Long::of(material, table, Records::Epochs).csv(&mut bytes)?,
        }
        Ok(bytes)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    #[serde(default)]
    format: Format,
    /// As a file to keep.
    #[serde(default)]
    download: bool,
}

/// The results of a sweep so far: see docs/results.schema.json for the form of JSON.
pub(crate) async fn results(
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (Path(name), Query(Wanted { format, download })) = (path?, query?);
    let fetched = fetch(&caller, &name, format != Format::HistoryCsv, Vec::new()).await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let bytes = compute(move || {
        let (material, table) = fetched.into_material(Provenance { version, ..Provenance::default() });
        format.write(&material, &table)
    })
    .await?;
    let bytes = bytes.map_err(|error| tonic::Status::internal(error.to_string()))?;
    let (media, end) = format.media();
    let mut response = ([(header::CONTENT_TYPE, media)], bytes).into_response();
    // Names of sweeps have no characters that would have to be escaped.
    let named = HeaderValue::from_str(&format!("attachment; filename=\"{name}{end}\""));
    if let (true, Ok(named)) = (download, named) {
        response.headers_mut().insert(HeaderName::from_static("content-disposition"), named);
    }
    Ok(response)
}

/// Fetches results; of all configurations if none is named.
pub(super) async fn fetch(
    caller: &Caller,
    name: &str,
    without_history: bool,
    configurations: Vec<String>,
) -> Result<Fetched, ApiError> {
    let request = v1::GetResultsRequest { name: name.to_owned(), without_history, configurations };
    let parts = caller.sweeps.clone().get_results(caller.call(request)).await?;
    Ok(gather(parts.into_inner()).await?)
}

/// Computes something long beside the tasks that serve.
pub(super) async fn compute<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let _turn = TABLES.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| tonic::Status::internal(format!("the results cannot be computed: {error}")).into())
}

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
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{error::ApiError, services::Caller};

/// Maximum number of sweeps whose results are held and computed at once: the engine needs a core and memory too.
static TURNS: Semaphore = Semaphore::const_new(2);
/// Maximum number of tasks of a sweep whose results are sent: they need some kilobytes of memory each.
const MOST_TASKS: u64 = 100_000;

/// The turn of a request that holds all results of a sweep.
pub(super) struct Turn(
    #[expect(dead_code, reason = "it ends when it is dropped")] Option<SemaphorePermit<'static>>,
);

/// Waits until this request may hold results.
pub(super) async fn turn() -> Turn {
    // The semaphore is never closed.
    Turn(TURNS.acquire().await.ok())
}

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
            Self::Csv => text::csv(&mut bytes, table)?,
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
    let turn = turn().await;
    let fetched = fetch(&turn, &caller, &name, format != Format::HistoryCsv, Vec::new()).await?;
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let bytes = compute(turn, move || {
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
    _turn: &Turn,
    caller: &Caller,
    name: &str,
    without_history: bool,
    configurations: Vec<String>,
) -> Result<Fetched, ApiError> {
    if configurations.is_empty() {
        let request = v1::GetSweepRequest { name: name.to_owned(), from: 0, limit: 1 };
        let sweep = caller.sweeps.clone().get_sweep(caller.call(request)).await?.into_inner();
        let tasks = sweep.sweep.and_then(|sweep| sweep.tasks).map_or(0, |tasks| tasks.total);
        if tasks > MOST_TASKS {
            return Err(ApiError::too_large(format!(
                "sweep `{name}` has {tasks} tasks, more than the {MOST_TASKS} whose results are shown here: use `colearn results {name}`"
            )));
        }
    }
    let request = v1::GetResultsRequest { name: name.to_owned(), without_history, configurations };
    let parts = caller.sweeps.clone().get_results(caller.call(request)).await?;
    Ok(gather(parts.into_inner()).await?)
}

/// Computes something long beside the tasks that serve.
pub(super) async fn compute<T: Send + 'static>(
    turn: Turn,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || {
        let done = work();
        drop(turn);
        done
    })
    .await;
    done.map_err(|error| tonic::Status::internal(format!("the results cannot be computed: {error}")).into())
}

//! Comparison of two sweeps or more.

use axum::{
    Json,
    extract::{Query, rejection::QueryRejection},
};
use colearn_core::table::ResultsTable;
use colearn_report::{Material, Provenance, compare};
use serde::Deserialize;
use serde_json::Value;

use super::results::{compute, fetch, turn};
use crate::{error::ApiError, services::Caller};

/// Maximum number of sweeps in one comparison.
const MOST: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Names of sweeps, separated by commas.
    sweeps: String,
    /// Names of metrics, separated by commas; empty for those that the sweeps name.
    #[serde(default)]
    metrics: String,
    #[serde(default = "confidence")]
    confidence: f64,
}

fn confidence() -> f64 {
    0.95
}

pub(crate) async fn compare(
    caller: Caller,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(Wanted { sweeps, metrics, confidence }) = query?;
    let names: Vec<&str> = sweeps.split(',').filter(|name| !name.is_empty()).collect();
    let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
    if names.len() < 2 || names.len() > MOST || distinct.len() < names.len() {
        return Err(ApiError::request(format!(
            "`sweeps` names 2 to {MOST} different sweeps, separated by commas"
        )));
    }
    if !(confidence > 0.5 && confidence < 1.0) {
        return Err(ApiError::request("`confidence` is above 0.5 and below 1"));
    }
    let metrics: Vec<String> =
        metrics.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let turn = turn().await;
    let mut fetched: Vec<(Material, ResultsTable)> = Vec::new();
    for name in names {
        let results = fetch(&turn, &caller, name, true, Vec::new()).await?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        fetched.push(results.into_material(Provenance { version, ..Provenance::default() }));
    }
    let compared = compute(turn, move || {
        let sides: Vec<(&Material, &ResultsTable)> =
            fetched.iter().map(|(material, table)| (material, table)).collect();
        match sides.as_slice() {
            [first, second] => compare::sweeps(*first, *second, &metrics, confidence)
                .map(|pairs| (pairs.json(), pairs.warnings)),
            several => compare::across(several, &metrics, confidence).map(|all| (all.json(), all.warnings)),
        }
    })
    .await?;
    let (mut document, warnings) = compared.map_err(ApiError::request)?;
    document["warnings"] = warnings.into();
    Ok(Json(document))
}

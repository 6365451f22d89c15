//! Sweeps: all, and one with its configurations.

use axum::{
    Json,
    extract::{Path, Query},
};
use colearn_client::json;
use colearn_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json as object};

use crate::{error::ApiError, services::Caller};

type Answer = Result<Json<Value>, ApiError>;

pub(crate) async fn list(caller: Caller) -> Answer {
    let request = caller.call(v1::ListSweepsRequest {});
    let sweeps = caller.sweeps.clone().list_sweeps(request).await?.into_inner().sweeps;
    Ok(Json(listed(&sweeps)))
}

/// The form of a list of sweeps.
pub(super) fn listed(sweeps: &[v1::SweepSummary]) -> Value {
    object!({ "sweeps": sweeps.iter().map(summary).collect::<Value>() })
}

/// The form of a sweep: that of the command line, with the progress of running tasks.
pub(super) fn summary(sweep: &v1::SweepSummary) -> Value {
    let mut document = json::summary(sweep);
    document["running_epochs_done"] = object!(sweep.running_epochs_done);
    document["running_epochs_total"] = object!(sweep.running_epochs_total);
    document
}

/// The sweep of an answer; it is always present.
pub(super) fn present(sweep: Option<v1::SweepSummary>) -> Result<Value, ApiError> {
    let missing = || tonic::Status::internal("the answer has no sweep");
    Ok(summary(&sweep.ok_or_else(missing)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    #[serde(default)]
    from: u32,
    #[serde(default = "page")]
    limit: u32,
}

fn page() -> u32 {
    100
}

pub(crate) async fn one(
    caller: Caller,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    query: Result<Query<Page>, axum::extract::rejection::QueryRejection>,
) -> Answer {
    let (Path(name), Query(Page { from, limit })) = (path?, query?);
    let request = caller.call(v1::GetSweepRequest { name, from, limit });
    let response = caller.sweeps.clone().get_sweep(request).await?.into_inner();
    let row = |row: &v1::ConfigurationProgress| {
        let tasks = json::counts(&row.tasks.unwrap_or_default());
        object!({ "id": row.configuration, "name": json::named(&row.name), "tasks": tasks })
    };
    let mut document = present(response.sweep)?;
    document["configurations_shown"] = response.configurations.iter().map(row).collect();
    document["more"] = object!(response.more);
    document["failures"] = response.failures.iter().map(json::failure).collect();
    document["set_aside"] = response.set_aside.iter().map(json::set_aside).collect();
    document["without_data"] = response.without_data.iter().map(json::without_data).collect();
    document["misfit"] = object!((!response.misfit.is_empty()).then_some(&response.misfit));
    Ok(Json(document))
}

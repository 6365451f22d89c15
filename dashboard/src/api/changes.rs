//! Changes of sweeps.

use axum::{
    Json,
    extract::{
        Path,
        rejection::{JsonRejection, PathRejection},
    },
    http::StatusCode,
};
use colearn_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json as object};

use super::sweeps::present;
use crate::{error::ApiError, services::Caller};

type Answer = Result<Json<Value>, ApiError>;
type Name = Result<Path<String>, PathRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Submission {
    /// Text of the sweep file.
    source: String,
    /// Name of the file, for error messages.
    #[serde(default = "origin")]
    origin: String,
    /// Name of the sweep instead of the one in the file.
    #[serde(default)]
    name: String,
}

fn origin() -> String {
    "sweep.yaml".to_owned()
}

/// Submits a sweep. One with the same name and tasks stays as it is.
pub(crate) async fn submit(
    caller: Caller,
    body: Result<Json<Submission>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(Submission { source, origin, name }) = body?;
    let request = v1::SubmitSweepRequest { source, origin, name, ..v1::SubmitSweepRequest::default() };
    let response = caller.sweeps.clone().submit_sweep(caller.call(request)).await?.into_inner();
    let mut document = present(response.sweep)?;
    document["created"] = object!(response.created);
    document["submission_warnings"] = object!(response.warnings);
    let status = if response.created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(document)))
}

pub(crate) async fn cancel(caller: Caller, path: Name) -> Answer {
    let Path(name) = path?;
    let request = caller.call(v1::CancelSweepRequest { name });
    Ok(Json(present(caller.sweeps.clone().cancel_sweep(request).await?.into_inner().sweep)?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Selection {
    /// These tasks.
    tasks: Vec<Task>,
    /// Only tasks of these configurations, by their ids; empty for all.
    configurations: Vec<String>,
    /// Only tasks with these seeds; empty for all.
    seeds: Vec<u64>,
}

/// Cancels some tasks; the sweep goes on with the others.
pub(crate) async fn cancel_tasks(
    caller: Caller,
    path: Name,
    body: Result<Json<Selection>, JsonRejection>,
) -> Answer {
    let (Path(name), Json(Selection { tasks, configurations, seeds })) = (path?, body?);
    let tasks = tasks.into_iter().map(Task::into_reference).collect();
    let request = caller.call(v1::CancelTasksRequest { name, tasks, configurations, seeds });
    let response = caller.sweeps.clone().cancel_tasks(request).await?.into_inner();
    let mut document = present(response.sweep)?;
    document["tasks_cancelled"] = object!(response.cancelled);
    document["tasks_ended_before"] = object!({
        "done": response.done,
        "failed": response.failed,
        "cancelled": response.cancelled_before,
    });
    Ok(Json(document))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Retry {
    /// Cancelled tasks stay as they are.
    failed_only: bool,
    /// Only these tasks; empty for all.
    tasks: Vec<Task>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    configuration: String,
    seed: u64,
}

impl Task {
    fn into_reference(self) -> v1::TaskReference {
        v1::TaskReference { configuration: self.configuration, seed: self.seed }
    }
}

/// Failed and cancelled tasks become pending again.
pub(crate) async fn retry(caller: Caller, path: Name, body: Result<Json<Retry>, JsonRejection>) -> Answer {
    let (Path(name), Json(Retry { failed_only, tasks })) = (path?, body?);
    let tasks = tasks.into_iter().map(Task::into_reference).collect();
    let request = caller.call(v1::RetrySweepRequest { name, failed_only, tasks });
    let response = caller.sweeps.clone().retry_sweep(request).await?.into_inner();
    let mut document = present(response.sweep)?;
    document["tasks_retried"] = object!(response.retried);
    Ok(Json(document))
}

pub(crate) async fn pause(caller: Caller, path: Name) -> Answer {
    set_paused(caller, path, true).await
}

pub(crate) async fn resume(caller: Caller, path: Name) -> Answer {
    set_paused(caller, path, false).await
}

async fn set_paused(caller: Caller, path: Name, paused: bool) -> Answer {
    let Path(name) = path?;
    let request = caller.call(v1::PauseSweepRequest { name, paused });
    Ok(Json(present(caller.sweeps.clone().pause_sweep(request).await?.into_inner().sweep)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Priority {
    /// From -1000 to 1000.
    priority: i32,
}

pub(crate) async fn prioritize(
    caller: Caller,
    path: Name,
    body: Result<Json<Priority>, JsonRejection>,
) -> Answer {
    let (Path(name), Json(Priority { priority })) = (path?, body?);
    let request = caller.call(v1::PrioritizeSweepRequest { name, priority });
    Ok(Json(present(caller.sweeps.clone().prioritize_sweep(request).await?.into_inner().sweep)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Extension {
    /// Text of the sweep file with more seeds or configurations.
    source: String,
    /// Name of the file, for error messages.
    #[serde(default = "origin")]
    origin: String,
}

/// Adds seeds and configurations.
pub(crate) async fn extend(
    caller: Caller,
    path: Name,
    body: Result<Json<Extension>, JsonRejection>,
) -> Answer {
    let (Path(name), Json(Extension { source, origin })) = (path?, body?);
    let request = v1::ExtendSweepRequest { name, source, origin, ..v1::ExtendSweepRequest::default() };
    let response = caller.sweeps.clone().extend_sweep(caller.call(request)).await?.into_inner();
    let mut document = present(response.sweep)?;
    document["tasks_added"] = object!(response.added);
    document["submission_warnings"] = object!(response.warnings);
    Ok(Json(document))
}

/// Deletes a sweep that has ended, with its results.
pub(crate) async fn remove(caller: Caller, path: Name) -> Answer {
    let Path(name) = path?;
    let request = caller.call(v1::RemoveSweepRequest { name });
    Ok(Json(present(caller.sweeps.clone().remove_sweep(request).await?.into_inner().sweep)?))
}

//! Tasks: the grid of a sweep, a list, and one with its attempts and its log.

use std::collections::VecDeque;

use axum::{
    Json,
    extract::{
        Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
    response::{IntoResponse as _, Response},
};
use colearn_client::json;
use colearn_core::{id::ConfigurationId, table::TaskOutcome};
use colearn_proto::v1::{self, TaskRow, TaskState};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json as object};
use tonic::Streaming;

use super::{
    curves::{curves_of, fetch_running, running_of},
    results::{fetch, turn},
};
use crate::{error::ApiError, services::Caller};

type Answer = Result<Json<Value>, ApiError>;

/// Maximum number of tasks in one answer.
const MOST: usize = 1000;
/// Maximum number of lines of a log in one answer: its end.
const MOST_LINES: usize = 2000;

async fn rows(
    caller: &Caller,
    name: &str,
    states: Vec<i32>,
    configurations: Vec<String>,
) -> Result<Streaming<v1::ListTasksResponse>, ApiError> {
    let request = caller.call(v1::ListTasksRequest { name: name.to_owned(), states, configurations });
    Ok(caller.sweeps.clone().list_tasks(request).await?.into_inner())
}

/// The parts of a grid.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Part {
    #[default]
    All,
    /// What changes: the states of the tasks.
    States,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfGrid {
    #[serde(default)]
    part: Part,
}

/// The states of all tasks, one letter each: a row per configuration, a column per seed.
pub(crate) async fn grid(
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<OfGrid>, QueryRejection>,
) -> Result<Response, ApiError> {
    let (Path(sweep), Query(OfGrid { part })) = (path?, query?);
    let only_states = part == Part::States;
    let request = caller.call(v1::GetGridRequest { name: sweep.clone(), only_states });
    let mut parts = caller.sweeps.clone().get_grid(request).await?.into_inner();
    let (mut seeds, mut rows) = (Vec::new(), Vec::<Row>::new());
    let (mut states, mut seed_count) = (Vec::new(), 1);
    while let Some(part) = parts.message().await? {
        seeds.extend(part.seeds);
        for row in part.rows {
            match rows.last_mut().filter(|last| last.id == row.configuration) {
                Some(last) => last.states += &letters(&row.states),
                None => rows.push(Row {
                    states: letters(&row.states),
                    id: row.configuration,
                    name: Some(row.name).filter(|name| !name.is_empty()),
                }),
            }
        }
        states.extend(part.states);
        seed_count = usize::try_from(part.seed_count).unwrap_or_default().max(1);
    }
    Ok(match only_states {
        true => {
            Json(States { sweep, states: states.chunks(seed_count).map(letters).collect() }).into_response()
        }
        false => Json(Grid { sweep, seeds, rows }).into_response(),
    })
}

/// What changes of a grid.
#[derive(Serialize)]
struct States {
    sweep: String,
    /// A text for each row.
    states: Vec<String>,
}

/// The states of the tasks of a sweep.
#[derive(Serialize)]
struct Grid {
    sweep: String,
    seeds: Vec<u64>,
    rows: Vec<Row>,
}

/// The tasks of one configuration.
#[derive(Serialize)]
struct Row {
    id: String,
    name: Option<String>,
    /// A letter for each seed.
    states: String,
}

/// A letter for each number of [`TaskState`].
fn letters(states: &[u8]) -> String {
    states.iter().map(|state| letter(i32::from(*state).try_into().unwrap_or_default())).collect()
}

fn letter(state: TaskState) -> char {
    match state {
        TaskState::Unspecified => '-',
        TaskState::Pending => 'p',
        TaskState::Running => 'r',
        TaskState::Done => 'd',
        TaskState::Failed => 'f',
        TaskState::Cancelled => 'c',
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// States, separated by commas.
    #[serde(default)]
    state: String,
    /// Part of the name of the configuration, or its id.
    #[serde(default)]
    configuration: String,
    #[serde(default)]
    from: usize,
    #[serde(default = "page")]
    limit: usize,
}

fn page() -> usize {
    100
}

pub(crate) async fn list(
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Answer {
    let (Path(name), Query(wanted)) = (path?, query?);
    let states = wanted.state.split(',').filter(|word| !word.is_empty()).map(state_of);
    let states = states.collect::<Result<Vec<_>, _>>()?;
    let limit = wanted.limit.min(MOST);
    let mut parts = rows(&caller, &name, states, Vec::new()).await?;
    let (mut found, mut tasks) = (0, Vec::new());
    while let Some(part) = parts.message().await? {
        for row in &part.tasks {
            let id = row.task.as_ref().map_or("", |task| task.configuration.as_str());
            if !row.name.contains(&wanted.configuration) && id != wanted.configuration {
                continue;
            }
            if found >= wanted.from && tasks.len() < limit {
                tasks.push(json::task(row));
            }
            found += 1;
        }
    }
    Ok(Json(object!({ "sweep": name, "total": found, "from": wanted.from, "tasks": tasks })))
}

fn state_of(word: &str) -> Result<i32, ApiError> {
    let state = match word {
        "pending" => TaskState::Pending,
        "running" => TaskState::Running,
        "done" => TaskState::Done,
        "failed" => TaskState::Failed,
        "cancelled" => TaskState::Cancelled,
        other => {
            return Err(ApiError::request(format!(
                "`{other}` is no state: the states are pending, running, done, failed and cancelled"
            )));
        }
    };
    Ok(state.into())
}

async fn find(caller: &Caller, name: &str, configuration: &str, seed: u64) -> Result<TaskRow, ApiError> {
    let mut parts = rows(caller, name, Vec::new(), vec![configuration.to_owned()]).await?;
    while let Some(part) = parts.message().await? {
        let is = |row: &TaskRow| {
            row.task.as_ref().is_some_and(|task| task.configuration == configuration && task.seed == seed)
        };
        if let Some(row) = part.tasks.into_iter().find(is) {
            return Ok(row);
        }
    }
    Err(ApiError::not_found(format!(
        "sweep `{name}` has no task of configuration {configuration} and seed {seed}"
    )))
}

pub(crate) async fn one(caller: Caller, path: Result<Path<(String, String, u64)>, PathRejection>) -> Answer {
    let Path((name, configuration, seed)) = path?;
    let row = find(&caller, &name, &configuration, seed).await?;
    let request = caller.call(v1::GetSweepRequest { name: name.clone(), from: 0, limit: 1 });
    let sweep = caller.sweeps.clone().get_sweep(request).await?.into_inner();
    let running = match row.state() {
        TaskState::Running => fetch_running(&caller, &name, vec![configuration.clone()]).await?,
        _ => Vec::new(),
    };
    let running = running.iter().find(|it| it.seed == seed).map(running_of);
    // Of a task that has not ended, nothing else is there, and pages ask for it again and again.
    let fetched = match row.state() {
        TaskState::Done | TaskState::Failed => {
            Some(fetch(&turn().await, &caller, &name, false, vec![configuration.clone()]).await?)
        }
        _ => None,
    };
    let is_it = |failed: &&v1::TaskFailure| {
        failed.task.as_ref().is_some_and(|task| task.configuration == configuration && task.seed == seed)
    };
    let failures = fetched.iter().flat_map(|fetched| &fetched.failures);
    let last = failures.filter(|failed| failed.r#final).filter(is_it);
    let earlier = sweep.failures.iter().filter(|failed| !failed.r#final).filter(is_it);
    let failures: Value = last.chain(earlier).map(json::failure).collect();
    let result = fetched.as_ref().and_then(|fetched| {
        let is_it = |(id, of): &(ConfigurationId, u64)| *of == seed && id.to_string() == configuration;
        let (key, outcome) = fetched.outcomes.iter().find(|(key, _)| is_it(key))?;
        match outcome {
            TaskOutcome::Done(result) => Some((fetched.records.get(key), result)),
            TaskOutcome::Failed(_) | TaskOutcome::Cancelled => None,
        }
    });
    let result = result.map(|(record, result)| {
        object!({
            "worker": record.map(|record| &record.worker),
            "attempt": record.map(|record| record.attempt),
            "recorded_at": record.map(|record| &record.recorded_at),
            "metrics": result.metrics,
            "best_epoch": result.best_epoch,
            "parameters": result.parameters,
            "seconds": result.seconds,
            "device": result.device,
            "data_digest": result.data_digest,
            "environment": result.environment,
            "curves": curves_of(&result.history),
        })
    });
    let task = json::task(&row);
    Ok(Json(object!({
        "sweep": name, "task": task, "failures": failures, "running": running, "result": result,
    })))
}

/// The end of the log of a task, of all its attempts.
pub(crate) async fn log(caller: Caller, path: Result<Path<(String, String, u64)>, PathRejection>) -> Answer {
    let Path((name, configuration, seed)) = path?;
    let task = v1::TaskReference { configuration, seed };
    let of = v1::get_log_request::Of::Task(v1::TaskOfSweep { name: name.clone(), task: Some(task) });
    let request = v1::GetLogRequest { of: Some(of), follow: false, after: 0 };
    let mut parts = caller.sweeps.clone().get_log(caller.call(request)).await?.into_inner();
    let (mut lines, mut is_cut) = (VecDeque::new(), false);
    while let Some(part) = parts.message().await? {
        for line in &part.lines {
            if lines.len() == MOST_LINES {
                lines.pop_front();
                is_cut = true;
            }
            lines.push_back(json::line(line));
        }
    }
    Ok(Json(object!({ "sweep": name, "cut": is_cut, "lines": lines })))
}

//! Curves of training, of finished and of running tasks.

use axum::{
    Json,
    extract::{
        Path, Query,
        rejection::{PathRejection, QueryRejection},
    },
};
use colearn_client::{RunningCurves, gather_running};
use colearn_core::{names::Names, result::EpochRecord, table::TaskOutcome};
use colearn_proto::v1;
use serde::Deserialize;
use serde_json::{Map, Value, json as object};

use super::results::{fetch, turn};
use crate::{error::ApiError, services::Caller};

/// Maximum number of configurations whose curves are in one answer.
const MOST: usize = 64;

/// The tasks whose curves are wanted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Of {
    #[default]
    All,
    /// Of running tasks only: those of finished ones do not change.
    Running,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// Ids of configurations, separated by commas.
    configurations: String,
    #[serde(default)]
    of: Of,
}

/// The curves of finished tasks, and of running ones as far as they are known.
pub(crate) async fn curves(
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    query: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let (Path(name), Query(Wanted { configurations, of })) = (path?, query?);
    let wanted = configurations.split(',').filter(|id| !id.is_empty()).map(str::to_owned);
    let wanted: Vec<String> = wanted.collect();
    if wanted.is_empty() || wanted.len() > MOST {
        return Err(ApiError::request(format!(
            "`configurations` names 1 to {MOST} ids, separated by commas"
        )));
    }
    // A task that ends between the two questions is in both answers, and not in none.
    let mut running = fetch_running(&caller, &name, wanted.clone()).await?;
    let mut tasks = Vec::new();
    if of == Of::All {
        let fetched = fetch(&turn().await, &caller, &name, false, wanted.clone()).await?;
        let names = Names::of(&fetched.sweep);
        let known = fetched.sweep.configurations.iter().filter(|it| wanted.contains(&it.id.to_string()));
        for configuration in known {
            let id = configuration.id.to_string();
            for seed in &fetched.sweep.seeds {
                if let Some(TaskOutcome::Done(result)) = fetched.outcomes.get(&(configuration.id, *seed)) {
                    running.retain(|it| (&it.configuration, it.seed) != (&id, *seed));
                    tasks.push(object!({
                        "configuration": id,
                        "name": names.name(configuration),
                        "seed": seed,
                        "best_epoch": result.best_epoch,
                        "curves": curves_of(&result.history),
                    }));
                }
            }
        }
    }
    let running = running.iter().map(|it| {
        let mut document = running_of(it);
        document["configuration"] = object!(it.configuration);
        document["name"] = object!(it.name);
        document["seed"] = object!(it.seed);
        document
    });
    Ok(Json(object!({ "sweep": name, "tasks": tasks, "running": running.collect::<Value>() })))
}

/// Fetches what is known of the curves of running tasks.
pub(super) async fn fetch_running(
    caller: &Caller,
    name: &str,
    configurations: Vec<String>,
) -> Result<Vec<RunningCurves>, ApiError> {
    let request = v1::GetRunningCurvesRequest { name: name.to_owned(), configurations };
    Ok(gather_running(caller.sweeps.clone().get_running_curves(caller.call(request)).await).await?)
}

/// The attempt of a running task, and its curves.
pub(super) fn running_of(running: &RunningCurves) -> Value {
    object!({
        "attempt": running.attempt,
        "epochs": (running.epochs > 0).then_some(running.epochs),
        "every": running.every,
        "curves": curves_of(&running.history),
    })
}

/// The curves of a task: the numbers of its epochs, and the values of each curve, null where there is none.
pub(super) fn curves_of(history: &[EpochRecord]) -> Value {
    let mut names: Vec<&str> = history.iter().flat_map(|record| record.values.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let epochs: Vec<u32> = history.iter().map(|record| record.epoch).collect();
    let values = names.into_iter().map(|name| {
        let of = history.iter().map(|record| record.values.get(name));
        (name.to_owned(), object!(of.collect::<Vec<Option<f64>>>()))
    });
    object!({ "epochs": epochs, "values": values.collect::<Map<String, Value>>() })
}

//! Workers, and pools of worker jobs.

use axum::{
    Json,
    extract::{
        Path,
        rejection::{JsonRejection, PathRejection},
    },
};
use colearn_client::{json, words::instant};
use colearn_proto::v1;
use serde::Deserialize;
use serde_json::{Value, json as object};

use crate::{error::ApiError, services::Caller};

type Answer = Result<Json<Value>, ApiError>;
type Name = Result<Path<String>, PathRejection>;

/// All workers. Of one with very many running tasks only the first are named.
pub(crate) async fn list(caller: Caller) -> Answer {
    let mut workers: Vec<v1::Worker> = Vec::new();
    loop {
        let after = workers.last().map(|worker| worker.worker.clone()).unwrap_or_default();
        let request = caller.call(v1::ListWorkersRequest { after, limit: 0, seen_tasks: 0 });
        let page = caller.sweeps.clone().list_workers(request).await?.into_inner();
        let is_last = page.workers.is_empty() || !(page.more || page.cut);
        workers.extend(page.workers);
        if is_last {
            break;
        }
    }
    Ok(Json(object!({ "workers": workers.iter().map(worker).collect::<Value>() })))
}

fn worker(worker: &v1::Worker) -> Value {
    let mut document = json::worker(worker);
    document["running"] = object!(worker.running);
    document
}

fn present(answer: Option<v1::Worker>) -> Answer {
    let missing = || tonic::Status::internal("the answer has no worker");
    Ok(Json(worker(&answer.ok_or_else(missing)?)))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Drain {
    /// Running tasks are returned, not finished.
    now: bool,
}

pub(crate) async fn drain(caller: Caller, path: Name, body: Result<Json<Drain>, JsonRejection>) -> Answer {
    let (Path(worker), Json(Drain { now })) = (path?, body?);
    let request = caller.call(v1::DrainWorkerRequest { worker, now });
    present(caller.sweeps.clone().drain_worker(request).await?.into_inner().worker)
}

pub(crate) async fn undrain(caller: Caller, path: Name) -> Answer {
    let Path(worker) = path?;
    let request = caller.call(v1::UndrainWorkerRequest { worker });
    present(caller.sweeps.clone().undrain_worker(request).await?.into_inner().worker)
}

/// Pools of worker jobs of a batch system.
pub(crate) async fn pools(caller: Caller) -> Answer {
    let request = caller.call(v1::ListPoolsRequest {});
    let answer = caller.pools.clone().list_pools(request).await?.into_inner();
    let pool = |pool: &v1::Pool| {
        let settings = pool.settings.clone().unwrap_or_default();
        let jobs = pool.jobs.iter().map(|job| {
            object!({
                "number": job.number, "id": json::named(&job.id), "name": job.name,
                "state": job_state(job.state()), "detail": json::named(&job.detail),
                "submitted_at": (job.submitted_at > 0).then(|| instant(job.submitted_at)),
                "ended_at": (job.ended_at > 0).then(|| instant(job.ended_at)),
            })
        });
        object!({
            "name": settings.name, "max_workers": settings.max_workers, "min_workers": settings.min_workers,
            "paused": pool.paused, "pause_reason": json::named(&pool.pause_reason), "removing": pool.removing,
            "trouble": json::named(&pool.trouble), "wanted": pool.wanted, "jobs": jobs.collect::<Value>(),
        })
    };
    Ok(Json(object!({
        "managed": answer.managed,
        "trouble": json::named(&answer.trouble),
        "pools": answer.pools.iter().map(pool).collect::<Value>(),
    })))
}

fn job_state(state: v1::PoolJobState) -> &'static str {
    match state {
        v1::PoolJobState::Unspecified => "unknown",
        v1::PoolJobState::Submitting => "submitting",
        v1::PoolJobState::Queued => "queued",
        v1::PoolJobState::Starting => "starting",
        v1::PoolJobState::Running => "running",
        v1::PoolJobState::Ended => "ended",
    }
}

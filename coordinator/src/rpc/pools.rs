//! The service for pools of worker jobs.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use colearn_core::{
    pools::{EndedJob, Job, JobState, Pause, Pool, PoolName, slurm},
    text::printable_lines,
};
use colearn_proto::{
    convert,
    v1::{self, pool_service_server::PoolService},
};
use tonic::{Code, Request, Response, Status};

use super::{context::Rpc, convert::invalid, refusal::refusal};
use crate::pools::PoolError;

/// Maximum number of bytes of a log in an answer.
const MOST_OF_LOG: u64 = 256 << 10;

#[derive(Clone)]
pub(super) struct PoolsOfWorkers(pub(super) Rpc);

#[tonic::async_trait]
impl PoolService for PoolsOfWorkers {
    async fn create_pool(
        &self,
        request: Request<v1::CreatePoolRequest>,
    ) -> Result<Response<v1::CreatePoolResponse>, Status> {
        let v1::CreatePoolRequest { settings, dry_run } = request.into_inner();
        let settings = convert::pool_settings(settings.unwrap_or_default()).map_err(invalid)?;
        let created = self.0.pools.create(settings, dry_run).await.map_err(refused)?;
        let command = ["sbatch".to_owned()].into_iter().chain(slurm::arguments(&created.pool));
        Ok(Response::new(v1::CreatePoolResponse {
            settings: Some(convert::pool_settings_to_wire(&created.pool.settings)),
            command: command.collect(),
            script: slurm::script(&created.pool, 1, created.pool.settings.min_workers > 0),
            checked: created.checked,
        }))
    }

    async fn list_pools(
        &self,
        _: Request<v1::ListPoolsRequest>,
    ) -> Result<Response<v1::ListPoolsResponse>, Status> {
        let shown = self.0.pools.shown().await.map_err(|error| refused(error.into()))?;
        Ok(Response::new(v1::ListPoolsResponse {
            pools: shown.pools.0.values().map(pool_of).collect(),
            managed: self.0.pools.is_managed(),
            trouble: shown.trouble.unwrap_or_default(),
        }))
    }

    async fn pause_pool(
        &self,
        request: Request<v1::PausePoolRequest>,
    ) -> Result<Response<v1::PausePoolResponse>, Status> {
        let v1::PausePoolRequest { name, paused } = request.into_inner();
        let pool = self.0.pools.pause(name_of(name)?, paused).await.map_err(refused)?;
        Ok(Response::new(v1::PausePoolResponse { pool: Some(pool_of(&pool)) }))
    }

    async fn remove_pool(
        &self,
        request: Request<v1::RemovePoolRequest>,
    ) -> Result<Response<v1::RemovePoolResponse>, Status> {
        let name = name_of(request.into_inner().name)?;
        let pool = self.0.pools.remove(name).await.map_err(refused)?;
        Ok(Response::new(v1::RemovePoolResponse { pool: Some(pool_of(&pool)) }))
    }

    async fn get_pool_log(
        &self,
        request: Request<v1::GetPoolLogRequest>,
    ) -> Result<Response<v1::GetPoolLogResponse>, Status> {
        let v1::GetPoolLogRequest { name, job } = request.into_inner();
        let name = name_of(name)?;
        let shown = self.0.pools.shown().await.map_err(|error| refused(error.into()))?;
        let pool = shown.pools.0.get(&name).ok_or_else(|| refused(PoolError::Unknown(name.clone())))?;
        let job = if job == 0 { pool.last_started().unwrap_or(pool.last) } else { job };
        if job == 0 || job > pool.last {
            let what = match pool.last {
                0 => format!("the pool `{name}` has not submitted a job yet"),
                last => format!("the pool `{name}` has no job {job}; the last one is {last}"),
            };
            return Err(refusal(Code::NotFound, what));
        }
        let path = PathBuf::from(&pool.settings.log_dir).join(format!("{job}.log"));
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || end_of(&file)).await;
        let read = read.map_err(|error| refusal(Code::Internal, error))?;
        let none = |error: std::io::Error| {
            let hint = "the log appears when the job starts, if nodes and coordinator share that folder";
            refusal(Code::NotFound, format!("job {job} has no log in {} ({error}): {hint}", path.display()))
        };
        let (text, cut) = read.map_err(none)?;
        Ok(Response::new(v1::GetPoolLogResponse { job, path: path.display().to_string(), text, cut }))
    }
}

/// The end of a file, and whether there is more before it.
fn end_of(path: &Path) -> std::io::Result<(String, bool)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    let from = metadata.len().saturating_sub(MOST_OF_LOG);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(MOST_OF_LOG).read_to_end(&mut bytes)?;
    // Unknown bytes take three times as much room, which still fits into a message.
    Ok((printable_lines(String::from_utf8_lossy(&bytes).into_owned()), from > 0))
}

fn name_of(name: String) -> Result<PoolName, Status> {
    PoolName::new(name).map_err(invalid)
}

fn refused(error: PoolError) -> Status {
    let code = match &error {
        PoolError::NotManaged | PoolError::Refused(_) | PoolError::NoProgram | PoolError::Removing(_) => {
            Code::FailedPrecondition
        }
        PoolError::Unknown(_) => Code::NotFound,
        PoolError::Exists(_) => Code::AlreadyExists,
        PoolError::Settings(_) | PoolError::LogDir(_) => Code::FailedPrecondition,
        PoolError::Store(_) => Code::Internal,
        PoolError::Stopped => Code::Unavailable,
    };
    refusal(code, error)
}

fn pool_of(pool: &Pool) -> v1::Pool {
    let live = pool.jobs.values().map(|job| job_of(pool, job));
    let ended = pool.ended.iter().map(|job| ended_of(pool, job));
    v1::Pool {
        settings: Some(convert::pool_settings_to_wire(&pool.settings)),
        created_at: pool.created_at.0,
        paused: pool.pause.is_some(),
        pause_reason: match &pool.pause {
            Some(Pause::Failing(why)) => why.clone(),
            Some(Pause::Person) | None => String::new(),
        },
        removing: pool.removing,
        jobs: live.chain(ended).collect(),
        failures: pool.failures,
        trouble: pool.trouble.clone().unwrap_or_default(),
        not_before: pool.not_before.map_or(0, |until| until.0),
        wanted: pool.is_wanted(),
    }
}

fn job_of(pool: &Pool, job: &Job) -> v1::PoolJob {
    let state = match job.state {
        JobState::Submitting => v1::PoolJobState::Submitting,
        JobState::Queued => v1::PoolJobState::Queued,
        JobState::Running if job.arrived => v1::PoolJobState::Running,
        JobState::Running => v1::PoolJobState::Starting,
    };
    v1::PoolJob {
        number: job.number,
        id: job.id.clone().unwrap_or_default(),
        name: pool.job_name(job.number),
        state: state.into(),
        detail: job.detail.clone(),
        worked: job.worked,
        submitted_at: job.submitted_at.0,
        ended_at: 0,
    }
}

fn ended_of(pool: &Pool, job: &EndedJob) -> v1::PoolJob {
    v1::PoolJob {
        number: job.number,
        id: job.id.clone().unwrap_or_default(),
        name: pool.job_name(job.number),
        state: v1::PoolJobState::Ended.into(),
        detail: job.end.to_string(),
        worked: job.worked,
        submitted_at: 0,
        ended_at: job.at.0,
    }
}

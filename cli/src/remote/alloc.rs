//! `colearn alloc`: pools of worker jobs.

use std::path::Path;

use colearn_core::{
    names::as_argument,
    text::{counted, counted_len},
};
use colearn_proto::v1::{self, Pool, PoolJob, PoolJobState, PoolSettings};
use serde_json::{Value, json};
use tonic::{Response, Status};

use super::{
    Client,
    labels::{ago, instant, now, one_line},
};
use crate::{
    args::{AllocCommand, PoolArgs, PoolListArgs, PoolLogArgs, SlurmArgs, Target},
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    layout::{Column, Role, fitted, width},
};

/// `colearn alloc`.
pub(crate) async fn alloc(command: &AllocCommand) -> Outcome {
    match command {
        AllocCommand::Slurm(arguments) => slurm(arguments).await,
        AllocCommand::List(arguments) => list(arguments).await,
        AllocCommand::Pause(arguments) => pause(arguments, true).await,
        AllocCommand::Resume(arguments) => pause(arguments, false).await,
        AllocCommand::Rm(arguments) => remove(arguments).await,
        AllocCommand::Logs(arguments) => logs(arguments).await,
    }
}

/// The answer to a request about pools.
fn answered<T>(client: &Client, answer: Result<Response<T>, Status>) -> Result<T, Failure> {
    answer.map(Response::into_inner).map_err(|status| client.failure(&status))
}

async fn slurm(arguments: &SlurmArgs) -> Outcome {
    let settings = settings(arguments)?;
    let SlurmArgs { target, name, dry_run, .. } = arguments;
    let mut connection = Connection::open_served(target).await?;
    let client = &mut connection.sweeps;
    let request = v1::CreatePoolRequest { settings: Some(settings), dry_run: *dry_run };
    let answer = client.pools().create_pool(request).await;
    let v1::CreatePoolResponse { settings, command, script, checked } = answered(client, answer)?;
    connection.close().await;
    let settings = settings.unwrap_or_default();
    if *dry_run {
        outln!("{}", script.trim_end());
        let command: Vec<String> = command.iter().map(|word| as_argument(&one_line(word))).collect();
        errln!("it would be submitted with: {} < SCRIPT", command.join(" "));
        errln!("Slurm says: {}", one_line(&checked));
        return Ok(Exit::Success);
    }
    warn(&settings);
    outln!(
        "{name}: up to {} while tasks wait; logs in {}",
        counted(settings.max_workers.into(), "worker"),
        settings.log_dir
    );
    outln!("see them with: colearn alloc list{}", target.typed());
    Ok(Exit::Success)
}

/// Warns of an address that only this host can reach.
fn warn(settings: &PoolSettings) {
    let host = settings.connect_to.trim_start_matches("http://").trim_start_matches("https://");
    if host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]") {
        noteln!(
            "warning: workers connect to {}, which only this host can reach; start the coordinator with --listen 0.0.0.0:PORT, or name its address with --connect-to",
            settings.connect_to
        );
    }
}

/// The settings as typed. Paths are those of this host: nodes see the same ones in a shared file system.
fn settings(arguments: &SlurmArgs) -> Result<PoolSettings, Failure> {
    let absolute = |path: &Path| {
        let absolute = std::path::absolute(path)?;
        let text = absolute.to_str().map(str::to_owned);
        text.ok_or_else(|| Failure::new(Exit::Usage, format!("the path `{}` is not UTF-8", path.display())))
    };
    let optional = |path: &Option<std::path::PathBuf>| path.as_deref().map(absolute).transpose();
    let checkpoints = match arguments.checkpoints.as_str() {
        bucket if bucket.starts_with("s3://") => bucket.to_owned(),
        folder => absolute(Path::new(folder))?,
    };
    Ok(PoolSettings {
        name: arguments.name.to_string(),
        max_workers: arguments.max_workers,
        min_workers: arguments.min_workers,
        idle_seconds: arguments.idle_timeout.as_secs(),
        time_limit_seconds: arguments.time_limit.map_or(0, |limit| limit.as_secs().max(1)),
        slots: arguments.slots,
        gpu: arguments.gpu,
        worker_program: optional(&arguments.worker_program)?.unwrap_or_default(),
        connect_to: arguments.connect_to.clone().unwrap_or_default(),
        data_dir: absolute(&arguments.data_dir)?,
        checkpoints,
        worker_access: optional(&arguments.worker_access)?.unwrap_or_default(),
        allow_programs: arguments.allow_programs,
        programs_only: arguments.programs_only,
        labels: arguments.labels.clone(),
        worker_arguments: arguments.worker_arguments.clone(),
        log_dir: optional(&arguments.log_dir)?.unwrap_or_default(),
        arguments: arguments.arguments.clone(),
    })
}

async fn list(arguments: &PoolListArgs) -> Outcome {
    let PoolListArgs { target, json } = arguments;
    let mut connection = Connection::open_to_look(target).await?;
    let client = &mut connection.sweeps;
    let answer = client.pools().list_pools(v1::ListPoolsRequest {}).await;
    let v1::ListPoolsResponse { pools, managed, trouble } = answered(client, answer)?;
    connection.close().await;
    if *json {
        let trouble = Some(&trouble).filter(|trouble| !trouble.is_empty());
        let pools: Vec<Value> = pools.iter().map(as_json).collect();
        outln!("{:#}", json!({ "managed": managed, "trouble": trouble, "pools": pools }));
        return Ok(Exit::Success);
    }
    for (at, pool) in pools.iter().enumerate() {
        if at > 0 {
            outln!("");
        }
        outln!("{}", heading(pool));
        if !pool.jobs.is_empty() {
            outln!("{}", table(pool, now(), width()));
        }
    }
    if pools.is_empty() {
        noteln!("there is no pool; add one with: colearn alloc slurm --max-workers N{}", target.typed());
    }
    if !trouble.is_empty() {
        noteln!("warning: the queue of Slurm could not be seen: {}", one_line(&trouble));
    }
    if !managed && !pools.is_empty() {
        noteln!("warning: no coordinator manages them; start it with: colearn coordinator --allow-pools");
    }
    Ok(Exit::Success)
}

fn state_of(pool: &Pool) -> &'static str {
    match pool {
        Pool { removing: true, .. } => "removing",
        Pool { paused: true, pause_reason, .. } if pause_reason.is_empty() => "paused",
        Pool { paused: true, .. } => "failing",
        Pool { .. } => "active",
    }
}

fn job_state(job: &PoolJob) -> &'static str {
    match job.state() {
        PoolJobState::Unspecified => "unknown",
        PoolJobState::Submitting => "submitting",
        PoolJobState::Queued => "queued",
        PoolJobState::Starting => "starting",
        PoolJobState::Running => "running",
        PoolJobState::Ended => "ended",
    }
}

/// The lines above the jobs of a pool.
fn heading(pool: &Pool) -> String {
    let settings = pool.settings.clone().unwrap_or_default();
    let live = pool.jobs.iter().filter(|job| job.state() != PoolJobState::Ended).count();
    let mut text = format!(
        "{}: {}, {} of at most {}",
        settings.name,
        state_of(pool),
        counted_len(live, "job"),
        settings.max_workers
    );
    if settings.min_workers > 0 {
        text += &format!(", at least {}", settings.min_workers);
    }
    text += if pool.wanted { "; tasks wait for it" } else { "; no task waits for it" };
    if state_of(pool) == "failing" {
        text += &format!(
            "\n  paused after {} in a row: {}\n  when that is mended: colearn alloc resume {}; the log: colearn alloc logs {}",
            counted(pool.failures.into(), "failure"),
            one_line(&pool.pause_reason),
            settings.name,
            settings.name
        );
    } else if !pool.trouble.is_empty() {
        text += &format!("\n  last trouble: {}", one_line(&pool.trouble));
    }
    text
}

fn table(pool: &Pool, now: i64, width: usize) -> String {
    let column = |of: fn(&PoolJob) -> String| pool.jobs.iter().map(of).collect::<Vec<String>>();
    let since = pool.jobs.iter().map(|job| match job {
        PoolJob { ended_at, .. } if *ended_at > 0 => ago(*ended_at, now),
        PoolJob { submitted_at, .. } if *submitted_at > 0 => ago(*submitted_at, now),
        _ => "-".to_owned(),
    });
    let columns = [
        Column::numbers("job", Role::Key, column(|job| job.number.to_string())),
        Column::numbers(
            "Slurm's id",
            Role::First,
            column(|job| if job.id.is_empty() { "-".to_owned() } else { job.id.clone() }),
        ),
        Column::words("state", Role::First, column(|job| job_state(job).to_owned())),
        Column::words(
            "had tasks",
            Role::First,
            column(|job| if job.worked { "yes" } else { "no" }.to_owned()),
        ),
        Column::numbers("submitted or ended", Role::First, since.collect()),
        Column::words("detail", Role::Moves, column(|job| one_line(&job.detail))),
    ];
    fitted(&columns, &[], width)
}

fn as_json(pool: &Pool) -> Value {
    let settings = pool.settings.clone().unwrap_or_default();
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let time = |millis: i64| (millis > 0).then(|| instant(millis));
    let job = |job: &PoolJob| {
        json!({
            "number": job.number,
            "id": text(&job.id),
            "name": job.name,
            "state": job_state(job),
            "detail": text(&job.detail),
            "worked": job.worked,
            "submitted_at": time(job.submitted_at),
            "ended_at": time(job.ended_at),
        })
    };
    json!({
        "name": settings.name,
        "state": state_of(pool),
        "reason": text(&pool.pause_reason),
        "created_at": time(pool.created_at),
        "max_workers": settings.max_workers,
        "min_workers": settings.min_workers,
        "slots": settings.slots,
        "gpu": settings.gpu,
        "idle_seconds": settings.idle_seconds,
        "time_limit_seconds": (settings.time_limit_seconds > 0).then_some(settings.time_limit_seconds),
        "wanted": pool.wanted,
        "failures": pool.failures,
        "trouble": text(&pool.trouble),
        "not_before": time(pool.not_before),
        "log_dir": settings.log_dir,
        "arguments": settings.arguments,
        "jobs": pool.jobs.iter().map(job).collect::<Vec<_>>(),
    })
}

async fn pause(arguments: &PoolArgs, paused: bool) -> Outcome {
    let PoolArgs { name, target } = arguments;
    let mut connection = Connection::open_served(target).await?;
    let client = &mut connection.sweeps;
    let answer = client.pools().pause_pool(v1::PausePoolRequest { name: name.to_string(), paused }).await;
    let pool = known(client, answer, target).await?.pool.unwrap_or_default();
    connection.close().await;
    let live = pool.jobs.iter().filter(|job| job.state() != PoolJobState::Ended).count();
    let left = match live {
        0 => "it has no job".to_owned(),
        live => format!("{} on", counted_len(live, "job") + if live == 1 { " goes" } else { " go" }),
    };
    match paused {
        true => {
            outln!("{name}: paused; {left}; resume it with: colearn alloc resume {name}{}", target.typed());
        }
        false => outln!("{name}: active; {left}"),
    }
    Ok(Exit::Success)
}

async fn remove(arguments: &PoolArgs) -> Outcome {
    let PoolArgs { name, target } = arguments;
    let mut connection = Connection::open_served(target).await?;
    let client = &mut connection.sweeps;
    let answer = client.pools().remove_pool(v1::RemovePoolRequest { name: name.to_string() }).await;
    let pool = known(client, answer, target).await?.pool.unwrap_or_default();
    connection.close().await;
    let live = pool.jobs.iter().filter(|job| job.state() != PoolJobState::Ended).count();
    match live {
        0 => outln!("{name}: removed"),
        live => outln!(
            "{name}: {} being ended; the pool is gone with the last of them",
            counted_len(live, "job") + if live == 1 { " is" } else { " are" }
        ),
    }
    Ok(Exit::Success)
}

async fn logs(arguments: &PoolLogArgs) -> Outcome {
    let PoolLogArgs { name, job, target } = arguments;
    let mut connection = Connection::open_to_look(target).await?;
    let client = &mut connection.sweeps;
    let request = v1::GetPoolLogRequest { name: name.to_string(), job: job.unwrap_or(0) };
    let answer = client.pools().get_pool_log(request).await;
    let v1::GetPoolLogResponse { job, path, text, cut } = known(client, answer, target).await?;
    connection.close().await;
    let what = if cut { "the end of the log" } else { "the log" };
    noteln!("{what} of job {job}: {path}");
    out!("{text}");
    Ok(Exit::Success)
}

/// The answer to a request about one pool. If there is no such pool, the failure lists those that there are.
async fn known<T>(
    client: &mut Client,
    answer: Result<Response<T>, Status>,
    target: &Target,
) -> Result<T, Failure> {
    let mut failure = match answered(client, answer) {
        Err(failure) if failure.exit == Exit::NotFound => failure,
        answered => return answered,
    };
    if let Ok(listed) = client.pools().list_pools(v1::ListPoolsRequest {}).await {
        let names = listed.into_inner().pools.into_iter().filter_map(|pool| Some(pool.settings?.name));
        let names: Vec<String> = names.collect();
        if failure.message.contains("there is no pool") {
            failure.message += &match names.is_empty() {
                true => format!("; there is none yet: colearn alloc slurm --max-workers N{}", target.typed()),
                false => format!("; the pools are {}", names.join(", ")),
            };
        }
    }
    Err(failure)
}

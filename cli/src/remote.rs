//! Commands that ask a coordinator: submit, list, status, watch, results, cancel.

use std::{collections::HashMap, path::Path};

use colearn_core::{
    id::ConfigurationId,
    sweep::Sweep,
    table::{Outcome as TaskOutcome, ResultsTable},
};
use colearn_proto::{
    convert::{self, ConvertError},
    v1::{
        self, SweepState, SweepSummary, get_results_response::Part, sweep_service_client::SweepServiceClient,
    },
};
use colearn_report::FailureNote;
use comfy_table::{Table, presets};
use serde_json::json;
use tonic::transport::Channel;

use crate::{
    args::{Format, Target},
    connect::{Connection, refused},
    exit::{Exit, Failure, Outcome},
    format,
    progress::{Progress, has_ended},
};

type Client = SweepServiceClient<Channel>;

/// `colearn submit FILE`.
pub(crate) async fn submit(file: &Path, target: &Target) -> Outcome {
    let source = read_sweep_file(file)?;
    let mut connection = Connection::open_served(target).await?;
    let summary = submit_to(&mut connection.sweeps, source, file).await?;
    connection.close().await;
    println!("watch it with: colearn watch {}", summary.name);
    Ok(Exit::Success)
}

/// Submits and says what came of it.
pub(crate) async fn submit_to(
    client: &mut Client,
    source: String,
    file: &Path,
) -> Result<SweepSummary, Failure> {
    let request = v1::SubmitSweepRequest { source, origin: file.display().to_string() };
    let response = client.submit_sweep(request).await.map_err(|status| refused(&status))?.into_inner();
    for warning in &response.warnings {
        tell!("{warning}");
    }
    let summary = response.sweep.ok_or_else(|| {
        Failure::new(Exit::Failure, "the coordinator's answer has no sweep; are both of one version?")
    })?;
    let counts = summary.tasks.unwrap_or_default();
    if response.created {
        tell!(
            "{}: {} configurations x {} seeds = {} tasks",
            summary.name,
            summary.configurations,
            summary.seeds,
            counts.total
        );
    } else {
        tell!("{}: known already; {} of {} tasks are done", summary.name, counts.done, counts.total);
        if matches!(summary.state(), SweepState::Failed | SweepState::Cancelled) {
            tell!(
                "{}: {}; nothing more of it will run, and only under another name is it trained anew",
                summary.name,
                state_word(summary.state())
            );
        }
    }
    Ok(summary)
}

/// Reads a sweep file.
pub(crate) fn read_sweep_file(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        Failure::new(Exit::SweepFile, format!("cannot read the sweep file `{}`: {error}", file.display()))
    })
}

/// `colearn list`.
pub(crate) async fn list(target: &Target, as_json: bool) -> Outcome {
    let mut connection = Connection::open(target).await?;
    let sweeps = connection
        .sweeps
        .list_sweeps(v1::ListSweepsRequest {})
        .await
        .map_err(|status| refused(&status))?
        .into_inner()
        .sweeps;
    connection.close().await;
    if as_json {
        let rows: Vec<_> = sweeps.iter().map(summary_json).collect();
        println!("{:#}", json!({ "sweeps": rows }));
        return Ok(Exit::Success);
    }
    if sweeps.is_empty() {
        println!("no sweeps yet; submit one with: colearn submit FILE");
        return Ok(Exit::Success);
    }
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["name", "state", "done", "running", "pending", "failed", "tasks", "submitted"]);
    for sweep in &sweeps {
        let counts = sweep.tasks.unwrap_or_default();
        table.add_row([
            sweep.name.clone(),
            state_word(sweep.state()).to_owned(),
            counts.done.to_string(),
            counts.running.to_string(),
            counts.pending.to_string(),
            counts.failed.to_string(),
            counts.total.to_string(),
            moment(sweep.submitted_at),
        ]);
    }
    println!("{table}");
    Ok(Exit::Success)
}

/// `colearn status NAME`.
pub(crate) async fn status(name: &str, target: &Target, as_json: bool) -> Outcome {
    let mut connection = Connection::open(target).await?;
    let response = connection
        .sweeps
        .get_sweep(v1::GetSweepRequest { name: name.to_owned() })
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    connection.close().await;
    let summary = response.sweep.unwrap_or_default();
    if as_json {
        let configurations: Vec<_> = response
            .configurations
            .iter()
            .map(|row| json!({ "id": row.configuration, "tasks": counts_json(&row.tasks.unwrap_or_default()) }))
            .collect();
        let failures: Vec<_> = response.failures.iter().map(failure_json).collect();
        let mut document = summary_json(&summary);
        document["configurations_progress"] = configurations.into();
        document["failures"] = failures.into();
        println!("{document:#}");
        return Ok(Exit::Success);
    }
    let counts = summary.tasks.unwrap_or_default();
    println!(
        "{}: {}, submitted {}\n{} configurations x {} seeds = {} tasks: {} done, {} running, {} pending, {} failed, {} cancelled; {} attempts tried again\n{} workers with {} slots are connected",
        summary.name,
        state_word(summary.state()),
        moment(summary.submitted_at),
        summary.configurations,
        summary.seeds,
        counts.total,
        counts.done,
        counts.running,
        counts.pending,
        counts.failed,
        counts.cancelled,
        summary.retried,
        summary.workers,
        summary.slots,
    );
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["configuration", "done", "running", "pending", "failed"]);
    for row in &response.configurations {
        let counts = row.tasks.unwrap_or_default();
        table.add_row([
            row.configuration.clone(),
            counts.done.to_string(),
            counts.running.to_string(),
            counts.pending.to_string(),
            counts.failed.to_string(),
        ]);
    }
    println!("{table}");
    for failure in &response.failures {
        println!("{}", failure_line(failure));
    }
    Ok(Exit::Success)
}

/// `colearn watch NAME`.
pub(crate) async fn watch(name: &str, target: &Target) -> Outcome {
    let mut connection = Connection::open(target).await?;
    if connection.is_embedded() {
        // Nobody works on it: there is something to say only if it has ended.
        let request = v1::GetSweepRequest { name: name.to_owned() };
        let response = connection.sweeps.get_sweep(request).await.map_err(|status| refused(&status))?;
        if !response.into_inner().sweep.is_some_and(|summary| has_ended(&summary)) {
            connection.close().await;
            return Err(Failure::new(
                Exit::Unreachable,
                format!(
                    "nobody works on `{name}`: continue it with `colearn run FILE`, or name its coordinator with --coordinator URL"
                ),
            ));
        }
    }
    let mut progress = Progress::new();
    let last = follow(&mut connection.sweeps, name, &mut progress).await;
    progress.finish();
    let summary = last?;
    connection.close().await;
    let counts = summary.tasks.unwrap_or_default();
    println!(
        "{}: {}, {} of {} tasks done, {} failed",
        summary.name,
        state_word(summary.state()),
        counts.done,
        counts.total,
        counts.failed
    );
    Ok(exit_of(&summary))
}

/// Shows progress until the sweep has ended, or until the coordinator says no more.
pub(crate) async fn follow(
    client: &mut Client,
    name: &str,
    progress: &mut Progress,
) -> Result<SweepSummary, Failure> {
    let request = v1::WatchSweepRequest { name: name.to_owned() };
    let mut updates = client.watch_sweep(request).await.map_err(|status| refused(&status))?.into_inner();
    while let Some(update) = updates.message().await.map_err(|status| refused(&status))? {
        let Some(summary) = update.sweep else { continue };
        progress.update(&summary);
        if has_ended(&summary) {
            return Ok(summary);
        }
    }
    Err(Failure::new(
        Exit::Unreachable,
        "the coordinator stopped before the sweep ended; what was recorded is kept, and workers go on by themselves",
    ))
}

/// The exit code that an ended sweep has.
pub(crate) fn exit_of(summary: &SweepSummary) -> Exit {
    if summary.state() == SweepState::Complete { Exit::Success } else { Exit::Incomplete }
}

/// `colearn results NAME`.
pub(crate) async fn results(name: &str, target: &Target, format: Format) -> Outcome {
    let mut connection = Connection::open(target).await?;
    let fetched = fetch_results(&mut connection.sweeps, name).await?;
    connection.close().await;
    print!("{}", format::render(&fetched.table, format));
    Ok(Exit::Success)
}

/// A sweep's results, and the failures behind what is missing.
pub(crate) struct Fetched {
    /// The sweep as it was resolved.
    pub(crate) sweep: Sweep,
    /// What became of its tasks, as far as it is known.
    pub(crate) outcomes: HashMap<(ConfigurationId, u64), TaskOutcome>,
    /// Attempts that failed, for the report.
    pub(crate) notes: Vec<FailureNote>,
    /// The averaged results.
    pub(crate) table: ResultsTable,
    /// One line a failed task, for people.
    pub(crate) failures: Vec<String>,
}

/// Fetches all results of a sweep and averages them.
pub(crate) async fn fetch_results(client: &mut Client, name: &str) -> Result<Fetched, Failure> {
    let bad = |error: &dyn std::fmt::Display| {
        Failure::new(
            Exit::Failure,
            format!("the coordinator sent something this version does not understand: {error}"),
        )
    };
    let request = v1::GetResultsRequest { name: name.to_owned() };
    let mut parts = client.get_results(request).await.map_err(|status| refused(&status))?.into_inner();
    let mut sweep_json = String::new();
    let mut outcomes = HashMap::new();
    let mut failures = Vec::new();
    let mut notes = Vec::new();
    while let Some(message) = parts.message().await.map_err(|status| refused(&status))? {
        match message.part {
            // A large sweep comes in several parts.
            Some(Part::SweepJson(text)) => sweep_json += &text,
            Some(Part::Result(recorded)) => {
                let task = convert::task(recorded.task).map_err(|error| bad(&error))?;
                let result = recorded.result.unwrap_or_default().try_into().map_err(|error| bad(&error))?;
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Done(result));
            }
            Some(Part::Failure(failed)) => {
                failures.push(failure_line(&failed));
                let task = convert::task(failed.task.clone()).map_err(|error| bad(&error))?;
                let reason = failed.failure.as_ref().map_or(0, |failure| failure.reason);
                let reason = convert::failure_reason(reason).map_err(|error| bad(&error))?;
                notes.push(failure_note(failed).map_err(|error| bad(&error))?);
                outcomes.insert((task.configuration, task.seed), TaskOutcome::Failed(reason));
            }
            None => {}
        }
    }
    let sweep: Sweep = serde_json::from_str(&sweep_json).map_err(|error| bad(&error))?;
    let table = ResultsTable::of(&sweep, &outcomes);
    for (name, digests) in table.data_digests.iter().filter(|(_, digests)| digests.len() > 1) {
        tell!(
            "warning: results of {} were trained on {} different files of the data set `{name}`: the means mix them",
            table.sweep,
            digests.len()
        );
    }
    Ok(Fetched { table, sweep, outcomes, notes, failures })
}

/// `colearn cancel NAME`.
pub(crate) async fn cancel(name: &str, target: &Target) -> Outcome {
    let mut connection = Connection::open(target).await?;
    let response = connection
        .sweeps
        .cancel_sweep(v1::CancelSweepRequest { name: name.to_owned() })
        .await
        .map_err(|status| refused(&status))?
        .into_inner();
    connection.close().await;
    let summary = response.sweep.unwrap_or_default();
    let counts = summary.tasks.unwrap_or_default();
    println!(
        "{}: {}; {} results are kept, {} tasks will not run",
        summary.name,
        state_word(summary.state()),
        counts.done,
        counts.cancelled
    );
    Ok(Exit::Success)
}

fn state_word(state: SweepState) -> &'static str {
    match state {
        SweepState::Unspecified => "unknown",
        SweepState::Active => "active",
        SweepState::Complete => "complete",
        SweepState::Failed => "failed",
        SweepState::Cancelled => "cancelled",
    }
}

pub(crate) fn moment(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis)
        .map(|at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
        .unwrap_or_else(|_| "-".to_owned())
}

fn counts_json(counts: &v1::TaskCounts) -> serde_json::Value {
    json!({
        "total": counts.total,
        "pending": counts.pending,
        "running": counts.running,
        "done": counts.done,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    })
}

fn summary_json(sweep: &SweepSummary) -> serde_json::Value {
    json!({
        "name": sweep.name,
        "id": sweep.id,
        "state": state_word(sweep.state()),
        "tasks": counts_json(&sweep.tasks.unwrap_or_default()),
        "configurations": sweep.configurations,
        "seeds": sweep.seeds,
        "submitted_at": moment(sweep.submitted_at),
        "retried": sweep.retried,
        "workers": sweep.workers,
        "slots": sweep.slots,
    })
}

fn failure_parts(failed: &v1::TaskFailure) -> (String, String, &'static str, String) {
    let task = failed.task.clone().unwrap_or_default();
    let failure = failed.failure.clone().unwrap_or_default();
    let reason = convert::failure_reason(failure.reason).map_or("unknown", |reason| reason.as_str());
    (task.configuration, task.seed.to_string(), reason, failure.message)
}

fn failure_json(failed: &v1::TaskFailure) -> serde_json::Value {
    let (configuration, seed, reason, message) = failure_parts(failed);
    json!({
        "configuration": configuration,
        "seed": seed,
        "attempt": failed.attempt,
        "final": failed.r#final,
        "reason": reason,
        "message": message,
    })
}

/// A failed attempt as a report shows it.
pub(crate) fn failure_note(failed: v1::TaskFailure) -> Result<FailureNote, ConvertError> {
    let (_, _, reason, message) = failure_parts(&failed);
    let task = convert::task(failed.task)?;
    Ok(FailureNote {
        configuration: task.configuration,
        seed: task.seed,
        attempt: failed.attempt,
        last: failed.r#final,
        reason: reason.to_owned(),
        message,
    })
}

fn failure_line(failed: &v1::TaskFailure) -> String {
    let (configuration, seed, reason, message) = failure_parts(failed);
    let what = if failed.r#final { "failed" } else { "will be tried again" };
    format!(
        "configuration {configuration} seed {seed}, attempt {}: {what}: {reason}: {message}",
        failed.attempt
    )
}

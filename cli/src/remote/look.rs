//! Looking at sweeps: list, status, watch.

use colearn_core::id::SweepName;
use colearn_proto::v1::{self, SweepState, SweepSummary};
use comfy_table::{Table, presets};
use serde_json::json;

use super::{
    Client,
    find::answered,
    json,
    results::failure_line,
    submit::summary_of,
    words::{moment, state_for_people, state_word},
};
use crate::{
    args::{ListArgs, Named, StatusArgs, Target},
    connect::{Connection, refused},
    exit::{Exit, Failure, Outcome},
    progress::{Progress, has_ended},
};

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


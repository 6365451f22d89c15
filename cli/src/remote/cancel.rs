//! `colearn cancel NAME`: the sweep, or some of its tasks.

use colearn_core::text::counted;
use colearn_proto::v1;

use super::{
    labels::state_word,
    request::{answered, summary_of},
    resolve,
};
use crate::{
    args::CancelArgs,
    connect::Connection,
    exit::{Exit, Failure, Outcome},
    progress::has_ended,
};

/// `colearn cancel NAME`.
pub(crate) async fn cancel(arguments: &CancelArgs) -> Outcome {
    let CancelArgs { name, target, task, configuration, seed } = arguments;
    let name = name.as_str();
    let mut connection = Connection::open(target).await?;
    let client = &mut connection.sweeps;
    if task.is_empty() && configuration.is_empty() && seed.is_empty() {
        let answer = client.cancel_sweep(v1::CancelSweepRequest { name: name.to_owned() }).await;
        let summary = summary_of(answered(client, name, answer).await?.sweep)?;
        connection.close().await;
        let counts = summary.tasks.unwrap_or_default();
        outln!(
            "{name}: {}; {} kept, {} will not run",
            state_word(summary.state()),
            counted(counts.done, "result"),
            counted(counts.cancelled, "task")
        );
        return Ok(Exit::Success);
    }
    let tasks = resolve::tasks(client, name, task).await?;
    let mut configurations = Vec::new();
    for wanted in configuration {
        configurations.push(resolve::configuration(client, name, wanted).await?.configuration);
    }
    let request =
        v1::CancelTasksRequest { name: name.to_owned(), tasks, configurations, seeds: seed.clone() };
    let answer = client.cancel_tasks(request).await;
    let response = answered(client, name, answer).await?;
    connection.close().await;
    outln!("{}", told(name, &response, &target.typed())?);
    Ok(Exit::Success)
}

/// What the coordinator has done, for people.
fn told(name: &str, response: &v1::CancelTasksResponse, typed: &str) -> Result<String, Failure> {
    let v1::CancelTasksResponse { sweep, cancelled, done, failed, cancelled_before } = response;
    let before = [(done, "done"), (failed, "failed"), (cancelled_before, "cancelled")];
    let before = before.into_iter().filter(|(count, _)| **count > 0);
    let before: Vec<String> =
        before.map(|(count, state)| format!("{} {state} before", counted(*count, "task"))).collect();
    let before = before.join(", ");
    if *cancelled == 0 {
        return Ok(format!("{name}: nothing to cancel: {before}"));
    }
    let sweep = summary_of(sweep.clone())?;
    let counts = sweep.tasks.unwrap_or_default();
    let mut text = format!("{name}: {} cancelled", counted(*cancelled, "task"));
    if !before.is_empty() {
        text += &format!(" ({before})");
    }
    text += &match has_ended(&sweep) {
        true => format!("; no task is left, {} kept", counted(counts.done, "result")),
        false => format!("; the sweep goes on: {} running, {} pending", counts.running, counts.pending),
    };
    text += &format!("\nbring cancelled tasks back with: colearn retry {name}{typed}");
    Ok(text)
}

#[cfg(test)]
mod tests {
    use colearn_proto::v1::{SweepState, SweepSummary, TaskCounts};

    use super::*;

    #[test]
    fn what_was_cancelled_is_told_and_what_had_ended_too() {
        let tasks = TaskCounts { total: 6, pending: 2, running: 1, done: 1, failed: 0, cancelled: 2 };
        let sweep = Some(SweepSummary {
            state: SweepState::Active.into(),
            tasks: Some(tasks),
            ..SweepSummary::default()
        });
        let mut response = v1::CancelTasksResponse { sweep, cancelled: 2, done: 1, ..Default::default() };
        assert_eq!(
            told("small", &response, " --state x").unwrap(),
            "small: 2 tasks cancelled (1 task done before); the sweep goes on: 1 running, 2 pending\n\
             bring cancelled tasks back with: colearn retry small --state x"
        );
        response.sweep.as_mut().unwrap().state = SweepState::Cancelled.into();
        assert!(told("small", &response, "").unwrap().contains("; no task is left, 1 result kept\n"));
        (response.cancelled, response.cancelled_before) = (0, 2);
        assert_eq!(
            told("small", &response, "").unwrap(),
            "small: nothing to cancel: 1 task done before, 2 tasks cancelled before"
        );
    }
}

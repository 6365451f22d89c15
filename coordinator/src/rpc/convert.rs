//! Converts domain types to wire types, and typed errors to statuses.

use colearn_core::{
    id::{SweepId, SweepName, WorkerId},
    scheduler::{
        ChangedFiles, FailedAttempt, PauseView, RetryError, SubmissionError, SweepStatus, TaskCounts,
        TaskState, WithoutData,
    },
    text::shortened,
};
use colearn_proto::v1;
use tonic::{Code, Status};

use super::refusal::refusal;
use crate::{
    engine::{OperationError, Stopped, SweepSummary},
    store::{ResultRow, StoreError},
};

/// Maximum length of a text about a client's message, in bytes.
const MAX_QUOTE: usize = 1024;
pub(super) fn task_state(state: TaskState) -> v1::TaskState {
    match state {
        TaskState::Pending { .. } => v1::TaskState::Pending,
        TaskState::Running { .. } => v1::TaskState::Running,
        TaskState::Done => v1::TaskState::Done,
        TaskState::Failed { .. } => v1::TaskState::Failed,
        TaskState::Cancelled => v1::TaskState::Cancelled,
    }
}

pub(super) fn stopped(error: Stopped) -> Status {
    refusal(Code::Unavailable, error)
}

/// The status for an invalid request. The text may quote the request, and is logged.
pub(super) fn invalid(error: impl std::fmt::Display) -> Status {
    refusal(Code::InvalidArgument, shortened(&error.to_string(), MAX_QUOTE))
}

pub(super) fn submission_refused(error: &SubmissionError) -> Status {
    match error {
        SubmissionError::OtherTasks { .. } => refusal(Code::AlreadyExists, error),
        SubmissionError::Misfit { .. } => refusal(Code::OutOfRange, error),
        SubmissionError::TooManyTasks { .. } | SubmissionError::Empty(_) => invalid(error),
        SubmissionError::Settled(_) => refusal(Code::Unavailable, error),
    }
}

pub(super) fn files_changed(sweep: &SweepName, changed: &[ChangedFiles]) -> Status {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    let lines = changed.iter().map(|ChangedFiles { name, recorded, now }| {
        format!(
            "the program has changed since results of `{sweep}` were made with it: {name}\nits files have the digest {} now, and had {} then",
            short(now),
            short(recorded)
        )
    });
    refusal(Code::OutOfRange, lines.collect::<Vec<_>>().join("\n"))
}

pub(super) fn operation_refused(error: &OperationError) -> Status {
    let code = match error {
        OperationError::Gone
        | OperationError::Selection(_)
        | OperationError::Retry(RetryError::Unknown { .. }) => Code::NotFound,
        OperationError::Settled => Code::Unavailable,
        OperationError::Priority(_) => Code::InvalidArgument,
        OperationError::Misfit(_) => Code::OutOfRange,
        OperationError::Ended(_)
        | OperationError::Retry(RetryError::Done { .. })
        | OperationError::Extension(_)
        | OperationError::Removal(_) => Code::FailedPrecondition,
    };
    refusal(code, error)
}

pub(super) fn unknown_task(sweep: &SweepName, task: colearn_core::id::TaskId) -> Status {
    let text = format!("sweep `{sweep}` has no task {}/{}", task.configuration, task.seed);
    refusal(Code::NotFound, text)
}

pub(super) fn trains_another(submitted: &SweepName, only: &SweepName) -> Status {
    let text = format!(
        "this coordinator belongs to `colearn run` and trains only its sweep `{only}`: it would never train `{submitted}`"
    );
    refusal(Code::FailedPrecondition, text)
}

pub(super) fn unknown_sweep(name: &SweepName) -> Status {
    refusal(Code::NotFound, format!("there is no sweep `{name}`"))
}

pub(super) fn store_failed(error: &StoreError) -> Status {
    refusal(Code::Internal, error)
}

fn counts(counts: TaskCounts) -> v1::TaskCounts {
    v1::TaskCounts {
        total: counts.total().into(),
        pending: counts.pending.into(),
        running: counts.running.into(),
        done: counts.done.into(),
        failed: counts.failed.into(),
        cancelled: counts.cancelled.into(),
    }
}

pub(super) fn progress(configuration: String, tasks: TaskCounts, name: String) -> v1::ConfigurationProgress {
    v1::ConfigurationProgress { configuration, tasks: Some(counts(tasks)), name }
}

/// The summary of a sweep, without who submitted it.
pub(super) fn summary(summary: SweepSummary) -> v1::SweepSummary {
    let SweepId(id) = summary.id;
    v1::SweepSummary {
        name: summary.name.to_string(),
        id,
        state: match summary.status {
            SweepStatus::Active => v1::SweepState::Active,
            SweepStatus::Complete => v1::SweepState::Complete,
            SweepStatus::Failed => v1::SweepState::Failed,
            SweepStatus::Cancelled => v1::SweepState::Cancelled,
        }
        .into(),
        tasks: Some(counts(summary.counts)),
        configurations: summary.configurations,
        seeds: summary.seeds,
        submitted_at: summary.submitted_at.0,
        retried: summary.retried,
        running_epochs_done: summary.running_epochs.0,
        running_epochs_total: summary.running_epochs.1,
        workers: summary.workforce.0,
        slots: summary.workforce.1,
        priority: summary.priority,
        paused: summary.paused,
        max_concurrent_tasks: summary.max_concurrent_tasks.unwrap_or(0),
        stopped: summary.stopped.unwrap_or_default(),
        why_waiting: summary.why_waiting.map(|why| why.to_string()).unwrap_or_default(),
        trains_only: summary.trains_only.map(|name| name.to_string()).unwrap_or_default(),
        submitted_by: String::new(),
    }
}

/// A failed attempt at a task of a configuration with this name.
pub(super) fn failure(failed: FailedAttempt, name: String) -> v1::TaskFailure {
    v1::TaskFailure {
        task: Some(failed.task.into()),
        attempt: failed.attempt,
        failure: Some(failed.failure.into()),
        r#final: failed.last,
        name,
    }
}

pub(super) fn without_data(without: WithoutData) -> v1::WithoutData {
    v1::WithoutData {
        worker: without.worker.to_string(),
        data_set: without.data_set,
        program: without.program,
        other_digest: without.other.unwrap_or_default(),
    }
}

pub(super) fn set_aside(worker: &WorkerId, pause: PauseView) -> v1::SetAside {
    v1::SetAside {
        worker: worker.to_string(),
        data_set: pause.data_set.unwrap_or_default(),
        program: pause.program,
        since: pause.since.0,
        until: pause.until.0,
        failures: pause.failures,
        failure: Some(pause.failure.into()),
    }
}

pub(super) fn result(row: ResultRow) -> v1::RecordedResult {
    v1::RecordedResult {
        task: Some(row.task.into()),
        attempt: row.attempt,
        worker: row.worker.to_string(),
        recorded_at: row.recorded_at.0,
        result: Some(row.result.into()),
    }
}

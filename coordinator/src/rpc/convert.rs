//! Domain types to wire types and typed errors to statuses.

use colearn_core::{
    id::{SweepId, SweepName},
    result::TaskResult,
    scheduler::{FailedAttempt, HeldLease, RetryError, SlotOffer, SubmissionError, SweepStatus, TaskCounts},
    text::shortened,
};
use colearn_proto::{
    convert::{self, ConvertError},
    v1,
};
use tonic::Status;

use crate::{
    engine::{FromWorker, OperationError, Stopped, SweepSummary, ToWorker},
    store::{ResultRow, StoreError},
};

/// The most slots a worker may have.
const MOST_SLOTS: usize = 1024;
/// The most tasks a worker gets in one lease, whatever it offers: more would not fit into one message.
const LARGEST_COHORT: u32 = 1024;
/// The longest text of a refusal, in bytes.
const LONGEST_REFUSAL: usize = 1024;
/// The most warnings of a worker that are kept.
const MOST_WARNINGS: usize = 8;
/// As much of a warning is kept, in bytes.
const LONGEST_WARNING: usize = 1024;
/// The longest name of a host, a version or a device, in bytes.
pub(super) const LONGEST_NAME: usize = 256;
/// The most leases, and tasks of a lease, a connecting worker may hold.
pub(super) const MOST_HELD: usize = 65_536;

pub(super) fn stopped(error: Stopped) -> Status {
    Status::unavailable(error.to_string())
}

/// What is wrong may quote what came, which may be of any length: a status travels in headers, and is logged.
pub(super) fn invalid(error: impl std::fmt::Display) -> Status {
    Status::invalid_argument(shortened(&printable(error.to_string()), LONGEST_REFUSAL))
}

pub(super) fn submission_refused(error: &SubmissionError) -> Status {
    match error {
        SubmissionError::OtherTasks { .. } => Status::already_exists(error.to_string()),
        SubmissionError::TooManyTasks { .. } | SubmissionError::Empty(_) => invalid(error),
        SubmissionError::Settled(_) => Status::unavailable(error.to_string()),
    }
}

pub(super) fn operation_refused(error: &OperationError) -> Status {
    let text = error.to_string();
    match error {
        OperationError::Gone | OperationError::Retry(RetryError::Unknown { .. }) => Status::not_found(text),
        OperationError::Settled => Status::unavailable(text),
        OperationError::Priority(_) => Status::invalid_argument(text),
        OperationError::Ended(_)
        | OperationError::Retry(RetryError::Done { .. })
        | OperationError::Extension(_)
        | OperationError::Removal(_) => Status::failed_precondition(text),
    }
}

pub(super) fn unknown_task(sweep: &SweepName, task: colearn_core::id::TaskId) -> Status {
    Status::not_found(format!("sweep `{sweep}` has no task {}/{}", task.configuration, task.seed))
}

pub(super) fn trains_another(submitted: &SweepName, only: &SweepName) -> Status {
    Status::failed_precondition(format!(
        "this coordinator belongs to `colearn run` and trains its sweep `{only}` alone: it would never train `{submitted}`"
    ))
}

pub(super) fn unknown_sweep(name: &SweepName) -> Status {
    Status::not_found(format!("there is no sweep `{name}`"))
}

pub(super) fn store_failed(error: &StoreError) -> Status {
    Status::internal(error.to_string())
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

pub(super) fn progress(configuration: String, tasks: TaskCounts) -> v1::ConfigurationProgress {
    v1::ConfigurationProgress { configuration, tasks: Some(counts(tasks)) }
}

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
        trains_only: summary.trains_only.map(|name| name.to_string()).unwrap_or_default(),
    }
}

pub(super) fn failure(failed: FailedAttempt) -> v1::TaskFailure {
    v1::TaskFailure {
        task: Some(failed.task.into()),
        attempt: failed.attempt,
        failure: Some(failed.failure.into()),
        r#final: failed.last,
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

/// A worker's slots.
pub(super) fn slots(slots: Vec<v1::Slot>) -> Result<Vec<SlotOffer>, ConvertError> {
    limit("slots", slots.len(), MOST_SLOTS)?;
    let offer = |slot: v1::Slot| {
        limit("device", slot.device.len(), LONGEST_NAME)?;
        let device = printable(slot.device);
        Ok(SlotOffer { index: slot.index, device, max_cohort: slot.max_cohort.clamp(1, LARGEST_COHORT) })
    };
    slots.into_iter().map(offer).collect()
}

/// What a worker's operator should know, as much of it as is kept.
pub(super) fn warnings(warnings: Vec<String>) -> Vec<String> {
    let short = |text| {
        let mut text = printable(text);
        text.truncate(text.floor_char_boundary(LONGEST_WARNING));
        text
    };
    warnings.into_iter().take(MOST_WARNINGS).map(short).collect()
}

/// Text of a worker without what could play with a terminal.
pub(super) fn printable(mut text: String) -> String {
    text.retain(|c| !c.is_control());
    text
}

/// The same for text that may have several lines.
fn printable_lines(mut text: String) -> String {
    text.retain(|c| !c.is_control() || matches!(c, '\n' | '\t'));
    text
}

/// Names in a result are shown to people, too.
fn printable_names(result: TaskResult) -> TaskResult {
    TaskResult {
        metrics: result.metrics.into_iter().map(|(name, value)| (printable(name), value)).collect(),
        classes: result.classes.into_iter().map(printable).collect(),
        device: printable(result.device),
        data_digest: printable(result.data_digest),
        weights_digest: printable(result.weights_digest),
        ..result
    }
}

/// The leases a connecting worker holds.
pub(super) fn held(held: Vec<v1::HeldLease>) -> Result<Vec<HeldLease>, ConvertError> {
    limit("held", held.len(), MOST_HELD)?;
    held.into_iter()
        .map(|lease| {
            limit("held tasks", lease.tasks.len(), MOST_HELD)?;
            let tasks = lease.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?;
            Ok(HeldLease { token: colearn_core::id::LeaseToken(lease.token), tasks })
        })
        .collect()
}

pub(super) fn limit(field: &'static str, length: usize, limit: usize) -> Result<(), ConvertError> {
    if length > limit { Err(ConvertError::TooLarge { field, length, limit }) } else { Ok(()) }
}

/// What a worker says after its hello.
pub(super) fn from_worker(message: v1::work_request::Message) -> Result<FromWorker, ConvertError> {
    use colearn_core::{
        failure::{Failure, FailureReason},
        id::LeaseToken,
    };
    use v1::work_request::Message;
    Ok(match message {
        Message::Hello(_) => {
            let why = "a stream has one, at its beginning";
            return Err(ConvertError::Unexpected { message: "hello", why });
        }
        Message::FreeSlots(free) => {
            limit("slots", free.slots.len(), MOST_SLOTS)?;
            FromWorker::SlotsFree(free.slots)
        }
        Message::Heartbeat(v1::Heartbeat {}) => FromWorker::Heartbeat,
        Message::Epoch(report) => FromWorker::Epoch {
            token: LeaseToken(report.token),
            task: convert::task(report.task)?,
            epoch: report.record.map_or(0, |record| record.epoch),
        },
        Message::Finished(report) => {
            let (token, task) = (LeaseToken(report.token), convert::task(report.task)?);
            match report.result.ok_or(ConvertError::Missing("result")).and_then(TryInto::try_into) {
                Ok(result) => FromWorker::Finished { token, task, result: Box::new(printable_names(result)) },
                // Refused, it would come again for ever: a result that is none is a failed attempt.
                Err(error) => {
                    let reason = match error {
                        ConvertError::NotFinite(_) => FailureReason::Diverged,
                        _ => FailureReason::Crash,
                    };
                    let why = printable(format!("its result is not acceptable: {error}"));
                    let failure = Failure::new(reason, why);
                    FromWorker::Failed { token, task, failure }
                }
            }
        }
        Message::Failed(report) => {
            let mut failure = report.failure.ok_or(ConvertError::Missing("failure"))?;
            failure.message = printable_lines(failure.message);
            let failure = failure.try_into()?;
            FromWorker::Failed { token: LeaseToken(report.token), task: convert::task(report.task)?, failure }
        }
        Message::Log(_) => {
            let why = "lines of logs do not pass through the engine";
            return Err(ConvertError::Unexpected { message: "log", why });
        }
        Message::Released(report) => FromWorker::Released { token: LeaseToken(report.token) },
    })
}

/// What a worker is told.
pub(super) fn to_worker(message: ToWorker) -> Result<v1::WorkResponse, serde_json::Error> {
    use v1::work_response::Message;
    let message = match message {
        ToWorker::Lease { token, slot, tasks, checkpoint_every_epochs } => {
            let assignment = |(task, attempt, settings): (colearn_core::id::TaskId, u32, _)| {
                let settings_json = serde_json::to_string::<colearn_core::settings::TaskSettings>(&settings)?;
                Ok(v1::Assignment {
                    task: Some(task.into()),
                    attempt,
                    settings_json,
                    checkpoint_every_epochs,
                })
            };
            let tasks = tasks.into_iter().map(assignment).collect::<Result<_, serde_json::Error>>()?;
            Message::Lease(v1::Lease { token: token.0, slot, tasks })
        }
        ToWorker::Acknowledged { token, task } => {
            Message::Acknowledged(v1::Acknowledged { token: token.0, task: Some(task.into()) })
        }
        ToWorker::Drain { now } => Message::Drain(v1::Drain { now }),
        ToWorker::Drop { token, tasks, reason } => Message::Drop(v1::Drop {
            token: token.0,
            tasks: tasks.into_iter().map(Into::into).collect(),
            reason: reason.to_string(),
        }),
    };
    Ok(v1::WorkResponse { message: Some(message) })
}

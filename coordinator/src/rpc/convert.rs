//! Domain types to wire types and typed errors to statuses.

use colearn_core::{
    id::{SweepId, SweepName, WorkerId},
    result::TaskResult,
    scheduler::{
        FailedAttempt, HeldLease, PauseView, RetryError, SlotOffer, SubmissionError, SweepStatus, TaskCounts,
    },
    text::{printable, printable_lines, shortened},
};
use colearn_proto::{
    convert::{self, ConvertError},
    v1,
};
use tonic::{Code, Status};

use super::refusal::refusal;
use crate::{
    engine::{FromWorker, OperationError, Stopped, SweepSummary, ToWorker},
    store::{ResultRow, StoreError},
};

/// The most slots a worker may have.
const MAX_SLOTS: usize = 1024;
/// The most tasks a worker gets in one lease, whatever it offers: more would not fit into one message.
const MAX_COHORT: u32 = 1024;
/// The longest text about what a client sent, in bytes.
const MAX_QUOTE: usize = 1024;
/// The most warnings of a worker that are kept.
const MAX_WARNINGS: usize = 8;
/// As much of a warning is kept, in bytes.
const MAX_WARNING: usize = 1024;
/// The longest name of a host, a version or a device, in bytes.
pub(super) const MAX_NAME: usize = 256;
/// The most leases, and tasks of a lease, a connecting worker may hold.
pub(super) const MAX_HELD: usize = 65_536;

pub(super) fn stopped(error: Stopped) -> Status {
    refusal(Code::Unavailable, error)
}

/// What a client sent is not acceptable. The text may quote it, and is logged.
pub(super) fn invalid(error: impl std::fmt::Display) -> Status {
    refusal(Code::InvalidArgument, shortened(&error.to_string(), MAX_QUOTE))
}

pub(super) fn submission_refused(error: &SubmissionError) -> Status {
    match error {
        SubmissionError::OtherTasks { .. } => refusal(Code::AlreadyExists, error),
        SubmissionError::TooManyTasks { .. } | SubmissionError::Empty(_) => invalid(error),
        SubmissionError::Settled(_) => refusal(Code::Unavailable, error),
    }
}

pub(super) fn operation_refused(error: &OperationError) -> Status {
    let code = match error {
        OperationError::Gone | OperationError::Retry(RetryError::Unknown { .. }) => Code::NotFound,
        OperationError::Settled => Code::Unavailable,
        OperationError::Priority(_) => Code::InvalidArgument,
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
        "this coordinator belongs to `colearn run` and trains its sweep `{only}` alone: it would never train `{submitted}`"
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

pub(super) fn set_aside(worker: &WorkerId, pause: PauseView) -> v1::SetAside {
    v1::SetAside {
        worker: worker.to_string(),
        data_set: pause.data_set.unwrap_or_default(),
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

/// A worker's slots.
pub(super) fn slots(slots: Vec<v1::Slot>) -> Result<Vec<SlotOffer>, ConvertError> {
    limit("slots", slots.len(), MAX_SLOTS)?;
    let offer = |slot: v1::Slot| {
        limit("device", slot.device.len(), MAX_NAME)?;
        let device = printable(slot.device);
        Ok(SlotOffer { index: slot.index, device, max_cohort: slot.max_cohort.clamp(1, MAX_COHORT) })
    };
    slots.into_iter().map(offer).collect()
}

/// What a worker's operator should know, as much of it as is kept.
pub(super) fn warnings(warnings: Vec<String>) -> Vec<String> {
    let short = |text| shortened(&printable(text), MAX_WARNING);
    warnings.into_iter().take(MAX_WARNINGS).map(short).collect()
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
    limit("held", held.len(), MAX_HELD)?;
    held.into_iter()
        .map(|lease| {
            limit("held tasks", lease.tasks.len(), MAX_HELD)?;
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
            limit("slots", free.slots.len(), MAX_SLOTS)?;
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
        ToWorker::Lease { token, slot, tasks, checkpoint_every_epochs, data_digest } => {
            let assignment = |(task, attempt, settings): (colearn_core::id::TaskId, u32, _)| {
                let settings_json = serde_json::to_string::<colearn_core::settings::TaskSettings>(&settings)?;
                Ok(v1::Assignment {
                    task: Some(task.into()),
                    attempt,
                    settings_json,
                    checkpoint_every_epochs,
                    data_digest: data_digest.clone(),
                })
            };
            let tasks = tasks.into_iter().map(assignment).collect::<Result<_, serde_json::Error>>()?;
            Message::Lease(v1::Lease { token: token.0, slot, tasks })
        }
        ToWorker::Acknowledged { token, task } => {
            Message::Acknowledged(v1::Acknowledged { token: token.0, task: Some(task.into()) })
        }
        ToWorker::Drain { now } => Message::Drain(v1::Drain { now }),
        ToWorker::Undrain => Message::Undrain(v1::Undrain {}),
        ToWorker::Notice { text } => Message::Notice(v1::Notice { text }),
        ToWorker::Drop { token, tasks, reason } => Message::Drop(v1::Drop {
            token: token.0,
            tasks: tasks.into_iter().map(Into::into).collect(),
            reason: reason.to_string(),
        }),
    };
    Ok(v1::WorkResponse { message: Some(message) })
}

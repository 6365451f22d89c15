//! Words for states, reasons and times, as programs read them.

use colearn_proto::{
    convert,
    v1::{self, LogSource, SweepState, TaskFailure, TaskState, TrainerKind, Worker},
};
use jiff::Timestamp;

/// The state of a sweep.
#[must_use]
pub fn state_word(state: SweepState) -> &'static str {
    match state {
        SweepState::Unspecified => "unknown",
        SweepState::Active => "active",
        SweepState::Complete => "complete",
        SweepState::Failed => "failed",
        SweepState::Cancelled => "cancelled",
    }
}

/// The state of a task.
#[must_use]
pub fn task_state_word(state: TaskState) -> &'static str {
    match state {
        TaskState::Unspecified => "unknown",
        TaskState::Pending => "pending",
        TaskState::Running => "running",
        TaskState::Done => "done",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
    }
}

/// The word for a kind of trainer; `None` for one that this version does not know.
#[must_use]
pub fn trainer_word(kind: TrainerKind) -> Option<&'static str> {
    match kind {
        TrainerKind::Unspecified => None,
        TrainerKind::Networks => Some("networks"),
        TrainerKind::Programs => Some("programs"),
    }
}

/// The program that wrote a log line.
#[must_use]
pub fn source_word(source: LogSource) -> &'static str {
    match source {
        LogSource::Unspecified => "unknown",
        LogSource::Worker => "worker",
        LogSource::Trainer => "trainer",
    }
}

/// Why an attempt failed, in a word.
#[must_use]
pub fn reason_word(failure: &v1::Failure) -> &'static str {
    convert::failure_reason(failure.reason).map_or("unknown", |reason| reason.as_str())
}

/// Configuration, seed, reason and message of a failed attempt.
#[must_use]
pub fn failure_parts(failed: &TaskFailure) -> (String, u64, &'static str, String) {
    let task = failed.task.clone().unwrap_or_default();
    let failure = failed.failure.clone().unwrap_or_default();
    let reason = reason_word(&failure);
    (task.configuration, task.seed, reason, failure.message)
}

/// The last contact with a worker; `None` if there was none since the coordinator's start.
#[must_use]
pub fn last_seen(worker: &Worker) -> Option<i64> {
    (worker.last_seen > 0).then_some(worker.last_seen)
}

/// The state of a worker as one word.
#[must_use]
pub fn worker_state(worker: &Worker) -> &'static str {
    match worker {
        Worker { connected: false, .. } => "away",
        Worker { draining: true, .. } => "draining",
        Worker { .. } => "connected",
    }
}

/// A time for programs: RFC 3339, to the millisecond.
#[must_use]
pub fn instant(millis: i64) -> String {
    formatted(millis, "%Y-%m-%dT%H:%M:%S%.3fZ")
}

/// A time in this form, from milliseconds since the Unix epoch; `-` if there is no such time.
#[must_use]
pub fn formatted(millis: i64, format: &str) -> String {
    Timestamp::from_millisecond(millis)
        .map(|at| at.strftime(format).to_string())
        .unwrap_or_else(|_| "-".to_owned())
}

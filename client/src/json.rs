//! The form of JSON: of the output of `--json`, which `--help` of each command describes, and of the HTTP API.

use colearn_proto::v1::{
    DataSet, DataSets, GpuUsage, LogSource, RecordedLine, RunningTask, SetAside, SweepSummary, TaskCounts,
    TaskFailure, TaskRow, TaskState, Usage, WithoutData, Worker, WorkerSlot,
};
use serde_json::{Value, json};

use crate::words::{
    failure_parts, instant, last_seen, reason_word, source_word, state_word, task_state_word, trainer_word,
    worker_state,
};

/// Numbers of tasks by state.
#[must_use]
pub fn counts(counts: &TaskCounts) -> Value {
    json!({
        "total": counts.total,
        "pending": counts.pending,
        "running": counts.running,
        "done": counts.done,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    })
}

/// A sweep.
#[must_use]
pub fn summary(sweep: &SweepSummary) -> Value {
    json!({
        "name": sweep.name,
        "id": sweep.id,
        "state": state_word(sweep.state()),
        "paused": sweep.paused,
        "priority": sweep.priority,
        "trains_only": Some(&sweep.trains_only).filter(|only| !only.is_empty()),
        "max_concurrent_tasks": (sweep.max_concurrent_tasks > 0).then_some(sweep.max_concurrent_tasks),
        "tasks": counts(&sweep.tasks.unwrap_or_default()),
        "configurations": sweep.configurations,
        "seeds": sweep.seeds,
        "submitted_at": instant(sweep.submitted_at),
        "submitted_by": named(&sweep.submitted_by),
        "retried": sweep.retried,
        "workers": sweep.workers,
        "slots": sweep.slots,
        "stopped": named(&sweep.stopped),
        "why_waiting": (!sweep.why_waiting.is_empty()).then_some(&sweep.why_waiting),
    })
}

/// A name; null if there is none, or from a coordinator of an older version.
#[must_use]
pub fn named(name: &str) -> Option<&str> {
    (!name.is_empty()).then_some(name)
}

/// A failed attempt.
#[must_use]
pub fn failure(failed: &TaskFailure) -> Value {
    let (configuration, seed, reason, message) = failure_parts(failed);
    json!({
        "configuration": configuration,
        "name": named(&failed.name),
        "seed": seed,
        "attempt": failed.attempt,
        "final": failed.r#final,
        "reason": reason,
        "message": message,
    })
}

/// A task.
#[must_use]
pub fn task(row: &TaskRow) -> Value {
    let task = row.task.clone().unwrap_or_default();
    let running = row.state() == TaskState::Running;
    let failure = row.failure.as_ref();
    json!({
        "configuration": task.configuration,
        "name": named(&row.name),
        "seed": task.seed,
        "state": task_state_word(row.state()),
        "attempts": row.attempts,
        "worker": running.then_some(&row.worker),
        "slot": running.then_some(row.slot),
        "epoch": running.then_some(row.epoch),
        "epochs": (running && row.epochs > 0).then_some(row.epochs),
        "reason": failure.map(reason_word),
        "message": failure.map(|failure| &failure.message),
        "not_before": (row.not_before > 0).then(|| instant(row.not_before)),
    })
}

/// A worker.
#[must_use]
pub fn worker(worker: &Worker) -> Value {
    // If a worker has not reconnected since the coordinator's start, only its leases are known.
    let known = |text: &String| (!text.is_empty()).then(|| text.clone());
    let running = |task: &RunningTask| {
        let id = task.task.clone().unwrap_or_default();
        json!({
            "sweep": task.sweep,
            "configuration": id.configuration,
            "name": named(&task.name),
            "seed": id.seed,
            "attempt": task.attempt,
            "epoch": task.epoch,
            "epochs": (task.epochs > 0).then_some(task.epochs),
        })
    };
    let slot = |slot: &WorkerSlot| {
        let offers = slot.offers.as_ref();
        json!({
            "index": slot.index,
            "device": slot.device,
            "max_cohort": slot.max_cohort,
            "trainers": offers.map(|offers| offers.trainers().filter_map(trainer_word).collect::<Value>()),
            "gpu": offers.map(|offers| offers.gpu),
            "memory": offers.and_then(|offers| offers.memory_bytes),
            "threads": offers.and_then(|offers| offers.threads),
            "tasks": slot.tasks.iter().map(running).collect::<Value>(),
        })
    };
    json!({
        "id": worker.worker,
        "host": known(&worker.host),
        "version": known(&worker.version),
        "state": worker_state(worker),
        "last_seen": last_seen(worker).map(instant),
        "set_aside": worker.set_aside.iter().map(set_aside).collect::<Value>(),
        "labels": worker.labels,
        "slots": worker.slots.iter().map(slot).collect::<Value>(),
        "warnings": worker.warnings,
        "data_sets": worker.data_sets.as_ref().map(data_sets),
        "usage": worker.usage.as_ref().map(|said| usage(said, worker.usage_at)),
    })
}

/// What a worker's host did at a time; null where that is not known.
fn usage(usage: &Usage, at: i64) -> Value {
    let cores = |thousandths: Option<u64>| thousandths.map(|thousandths| thousandths as f64 / 1000.0);
    let gpu = |gpu: &GpuUsage| {
        json!({
            "uuid": gpu.uuid,
            "name": named(&gpu.name),
            "busy_percent": gpu.busy_percent,
            "memory": gpu.memory_bytes,
            "memory_used": gpu.used_bytes,
        })
    };
    json!({
        "at": instant(at),
        "processors": cores(usage.processors),
        "processors_busy": cores(usage.busy),
        "processors_busy_own": cores(usage.own_busy),
        "processors_of_group": usage.processors_of_group,
        "memory": usage.memory_bytes,
        "memory_used": usage.used_bytes,
        "memory_used_own": usage.own_bytes,
        "memory_of_group": usage.memory_of_group,
        "gpus": usage.gpus.iter().map(gpu).collect::<Value>(),
    })
}

fn data_sets(data_sets: &DataSets) -> Value {
    let data_set = |set: &DataSet| {
        let value = json!({
            "digest": (!set.digest.is_empty()).then_some(&set.digest),
            "modalities": (!set.modalities.is_empty()).then_some(&set.modalities),
            "train_samples": (!set.modalities.is_empty()).then_some(set.train_samples),
        });
        (set.name.clone(), value)
    };
    let known: serde_json::Map<String, Value> = data_sets.known.iter().map(data_set).collect();
    json!({ "complete": data_sets.complete, "known": known })
}

/// A worker that lacks a data set.
#[must_use]
pub fn without_data(without: &WithoutData) -> Value {
    let other = &without.other_digest;
    json!({
        "worker": without.worker,
        "data_set": without.data_set,
        "program": without.program,
        "other_digest": (!other.is_empty()).then_some(other),
    })
}

/// A worker that is set aside.
#[must_use]
pub fn set_aside(pause: &SetAside) -> Value {
    let failure = pause.failure.as_ref();
    json!({
        "worker": pause.worker,
        "data_set": (!pause.data_set.is_empty()).then_some(&pause.data_set),
        "program": pause.program,
        "since": instant(pause.since),
        "until": instant(pause.until),
        "failures": pause.failures,
        "reason": failure.map(reason_word),
        "message": failure.map(|failure| &failure.message),
    })
}

/// A log line.
#[must_use]
pub fn line(recorded: &RecordedLine) -> Value {
    let line = recorded.line.clone().unwrap_or_default();
    json!({
        "at": instant(line.at),
        "worker": recorded.worker,
        "source": source_word(LogSource::try_from(line.source).unwrap_or_default()),
        "token": (recorded.token > 0).then_some(recorded.token),
        "text": line.text,
    })
}

//! Tasks and workers, for people.

use colearn_core::{
    id::SweepId,
    scheduler::{RunningTask, Scheduler, SlotView, SweepView, TaskState, TaskView, WorkerView},
};
use colearn_proto::v1;
use tonic::Status;

use super::{context::Rpc, convert};

/// Tasks of one message, and of one question to the engine.
const PAGE: usize = 1024;

/// Configurations of one answer at most: of these a fifth of what fits into a message.
const MAX_CONFIGURATIONS: usize = 16_384;
/// Workers, slots and running tasks of one answer; one worker more may be begun.
const MAX_OF_WORKERS: usize = 8192;

type Pages = super::parts::Parts<v1::ListTasksResponse>;

/// Sends the tasks of a sweep that are in one of these states, in the order of the grid; all when `states` is
/// empty. A page is as of one moment, not the whole.
pub(super) async fn tasks(rpc: Rpc, name: String, states: Vec<i32>, mut pages: Pages) {
    let mut from = 0;
    loop {
        if pages.ready().await.is_err() {
            return;
        }
        let wanted = states.clone();
        let page = rpc.look(&name, move |scheduler, view| page(scheduler, view.id(), from, &wanted)).await;
        let (tasks, seen) = match page {
            Ok(page) => page,
            Err(status) => return pages.fail(status).await,
        };
        from += seen;
        if !tasks.is_empty() && pages.send(v1::ListTasksResponse { tasks }).await.is_err() {
            return;
        }
        if seen < PAGE {
            return;
        }
    }
}

/// A page of tasks, and how many were looked at for it.
fn page(scheduler: &Scheduler, sweep: SweepId, from: usize, states: &[i32]) -> (Vec<v1::TaskRow>, usize) {
    let Some(view) = scheduler.sweep(sweep) else { return (Vec::new(), 0) };
    let mut seen = 0;
    let mut rows = Vec::new();
    for task in view.tasks(from).take(PAGE) {
        seen += 1;
        let running = scheduler.running(task.task);
        let row = row(task, running.as_ref());
        if states.is_empty() || states.contains(&row.state) {
            rows.push(row);
        }
    }
    (rows, seen)
}

fn row(task: TaskView, running: Option<&RunningTask>) -> v1::TaskRow {
    let (state, not_before) = match task.state {
        TaskState::Pending { not_before } => (v1::TaskState::Pending, not_before.map_or(0, |at| at.0)),
        TaskState::Running { .. } => (v1::TaskState::Running, 0),
        TaskState::Done => (v1::TaskState::Done, 0),
        TaskState::Failed { .. } => (v1::TaskState::Failed, 0),
        TaskState::Cancelled => (v1::TaskState::Cancelled, 0),
    };
    v1::TaskRow {
        task: Some(task.task.into()),
        state: state.into(),
        attempts: task.attempts,
        worker: running.map(|running| running.worker.to_string()).unwrap_or_default(),
        slot: running.map_or(0, |running| running.slot),
        epoch: running.map_or(0, |running| running.epoch),
        epochs: task.epochs,
        failure: task.failure.map(Into::into),
        not_before,
    }
}

/// How the configurations from one on are getting on, and whether there are more than are told.
pub(super) fn configurations(
    view: SweepView<'_>,
    from: u32,
    limit: u32,
) -> (Vec<v1::ConfigurationProgress>, bool) {
    let all = &view.sweep().configurations;
    let from = all.len().min(from as usize);
    let to = all.len().min(from + most(limit, MAX_CONFIGURATIONS));
    let rows = all[from..to].iter().zip(&view.configuration_counts()[from..to]);
    let rows = rows.map(|(configuration, counts)| convert::progress(configuration.id.to_string(), *counts));
    (rows.collect(), to < all.len())
}

/// The workers after one, by their ids, and whether there are more than are told.
pub(super) fn workers(scheduler: &Scheduler, after: &str, limit: u32) -> (Vec<WorkerView>, bool) {
    let (mut workers, mut size) = (Vec::new(), 0);
    let most = most(limit, MAX_OF_WORKERS);
    for view in scheduler.workers().filter(|view| view.worker.as_str() > after) {
        if workers.len() == most || size >= MAX_OF_WORKERS {
            return (workers, true);
        }
        size += 1 + view.slots.iter().map(|slot| 1 + slot.tasks.len()).sum::<usize>();
        // A task is some 64 bytes of a message.
        size += view.data_sets.known.keys().map(|name| 1 + name.len().div_ceil(64)).sum::<usize>();
        size += view.warnings.iter().map(|warning| warning.len().div_ceil(64)).sum::<usize>();
        workers.push(view);
    }
    (workers, false)
}

/// How many to answer with: what was asked for, if it is not too much.
fn most(limit: u32, most: usize) -> usize {
    if limit == 0 { most } else { most.min(limit as usize) }
}

pub(super) fn worker(view: WorkerView) -> v1::Worker {
    let set_aside = view.set_aside.into_iter().map(|pause| convert::set_aside(&view.worker, pause));
    v1::Worker {
        set_aside: set_aside.collect(),
        worker: view.worker.to_string(),
        host: view.host,
        version: view.version,
        connected: view.connected,
        draining: view.draining,
        last_seen: view.last_seen.0,
        warnings: view.warnings,
        data_sets: Some(view.data_sets.into()),
        slots: view.slots.into_iter().map(slot).collect(),
    }
}

fn slot(view: SlotView) -> v1::WorkerSlot {
    let running = |running: RunningTask| v1::RunningTask {
        sweep: running.sweep.to_string(),
        task: Some(running.task.into()),
        attempt: running.attempt,
        epoch: running.epoch,
        epochs: running.epochs,
    };
    v1::WorkerSlot {
        index: view.index,
        device: view.device,
        max_cohort: view.max_cohort,
        tasks: view.tasks.into_iter().map(running).collect(),
    }
}

/// Tasks as people refer to them.
pub(super) fn references(
    sweep: SweepId,
    references: Vec<v1::TaskReference>,
) -> Result<Vec<colearn_core::id::TaskId>, Status> {
    references.into_iter().map(|reference| self::reference(sweep, &reference)).collect()
}

/// A task as people refer to it.
pub(super) fn reference(
    sweep: SweepId,
    reference: &v1::TaskReference,
) -> Result<colearn_core::id::TaskId, Status> {
    let configuration = reference.configuration.parse().map_err(convert::invalid)?;
    Ok(colearn_core::id::TaskId { sweep, configuration, seed: reference.seed })
}

//! Lists of tasks and workers, for people.

use colearn_core::{
    id::SweepId,
    scheduler::{KnownDataSet, RunningTask, Scheduler, SlotView, SweepView, TaskState, TaskView, WorkerView},
};
use colearn_proto::v1;
use tonic::Status;

use super::{context::Rpc, convert};

/// Number of tasks per message, and per query of the engine.
const PAGE: usize = 1024;

/// Maximum number of configurations per answer: they use a fifth of a message.
const MAX_CONFIGURATIONS: usize = 16_384;
/// Maximum size of the names of configurations in an answer, in bytes.
const MAX_NAMES: usize = 1 << 20;
/// Maximum number of workers, slots and running tasks per answer; one more worker may be begun.
const MAX_OF_WORKERS: usize = 8192;

type Pages = super::parts::Parts<v1::ListTasksResponse>;

/// Sends the tasks of a sweep that are in one of these states, in the order of the grid; all tasks if `states` is
/// empty. Each page shows one moment, but the whole list does not.
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

/// A page of tasks, and the number of tasks examined for it.
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
        name: task.name,
    }
}

/// The progress of the configurations starting with number `from`, and whether there are more than the answer holds.
pub(super) fn configurations(
    view: SweepView<'_>,
    from: u32,
    limit: u32,
) -> (Vec<v1::ConfigurationProgress>, bool) {
    let all = &view.sweep().configurations;
    let from = all.len().min(from as usize);
    let to = all.len().min(from + most(limit, MAX_CONFIGURATIONS));
    let names = view.names();
    let mut rows = Vec::new();
    let mut size = 0;
    for (configuration, counts) in all[from..to].iter().zip(&view.configuration_counts()[from..to]) {
        let name = names.name(configuration);
        size += name.len();
        if size > MAX_NAMES {
            return (rows, true);
        }
        rows.push(convert::progress(configuration.id.to_string(), *counts, name));
    }
    (rows, to < all.len())
}

/// The workers after `after`, sorted by id, and whether there are more than the answer holds.
pub(super) fn workers(scheduler: &Scheduler, after: &str, limit: u32) -> (Vec<WorkerView>, bool) {
    let (mut workers, mut size) = (Vec::new(), 0);
    let most = most(limit, MAX_OF_WORKERS);
    for view in scheduler.workers().filter(|view| view.worker.as_str() > after) {
        if workers.len() == most || size >= MAX_OF_WORKERS {
            return (workers, true);
        }
        // A task has about 64 bytes in a message, and its name.
        let task = |task: &RunningTask| 1 + task.name.len().div_ceil(64);
        size +=
            1 + view.slots.iter().map(|slot| 1 + slot.tasks.iter().map(task).sum::<usize>()).sum::<usize>();
        let data_set = |(name, known): (&String, &KnownDataSet)| {
            let modalities =
                known.shape.iter().flat_map(|shape| &shape.modalities).map(String::len).sum::<usize>();
            1 + (name.len() + modalities).div_ceil(64)
        };
        size += view.data_sets.known.iter().map(data_set).sum::<usize>();
        let offers = view.slots.iter().find_map(|slot| slot.offers.as_ref());
        size += offers.map_or(0, |offers| offers.labels.len());
        size += view.warnings.iter().map(|warning| warning.len().div_ceil(64)).sum::<usize>();
        workers.push(view);
    }
    (workers, false)
}

/// The size of an answer: the requested number, if it is not too large.
fn most(limit: u32, most: usize) -> usize {
    if limit == 0 { most } else { most.min(limit as usize) }
}

pub(super) fn worker(view: WorkerView) -> v1::Worker {
    let offers = view.slots.iter().find_map(|slot| slot.offers.as_ref());
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
        // All slots of a worker have the same labels.
        labels: offers.into_iter().flat_map(|offers| offers.labels.clone()).collect(),
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
        name: running.name,
    };
    v1::WorkerSlot {
        index: view.index,
        device: view.device,
        max_cohort: view.max_cohort,
        offers: view.offers.map(Into::into),
        tasks: view.tasks.into_iter().map(running).collect(),
    }
}

/// Converts references of people to tasks.
pub(super) fn references(
    sweep: SweepId,
    references: Vec<v1::TaskReference>,
) -> Result<Vec<colearn_core::id::TaskId>, Status> {
    references.into_iter().map(|reference| self::reference(sweep, &reference)).collect()
}

/// Converts the reference of a person to a task.
pub(super) fn reference(
    sweep: SweepId,
    reference: &v1::TaskReference,
) -> Result<colearn_core::id::TaskId, Status> {
    let configuration = reference.configuration.parse().map_err(convert::invalid)?;
    Ok(colearn_core::id::TaskId { sweep, configuration, seed: reference.seed })
}

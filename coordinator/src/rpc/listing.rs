//! Lists of tasks and workers, for people.

use std::collections::{HashSet, VecDeque};

use colearn_core::{
    id::{ConfigurationId, SweepId},
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
/// Maximum number of workers, slots and running tasks per answer. One more worker may be begun, of which as many tasks
/// follow at most.
const MAX_OF_WORKERS: usize = 8192;

type Pages = super::parts::Parts<v1::ListTasksResponse>;

/// Sends the tasks of a sweep that are in one of these states, in the order of the grid; of all states if `states` is
/// empty, and of all configurations if `only` is. Each page shows one moment, but the whole list does not.
pub(super) async fn tasks(
    rpc: Rpc,
    name: String,
    states: Vec<i32>,
    only: HashSet<ConfigurationId>,
    mut pages: Pages,
) {
    let mut next = match only.is_empty() {
        true => Ok(Next::At(0)),
        false => rpc.look(&name, move |_, view| Next::first(view, &only)).await,
    };
    loop {
        if pages.ready().await.is_err() {
            return;
        }
        let from = match next {
            Ok(from) => from,
            Err(status) => return pages.fail(status).await,
        };
        let wanted = states.clone();
        let page = rpc.look(&name, move |scheduler, view| page(scheduler, view, from, &wanted)).await;
        let (tasks, following) = match page {
            Ok(page) => page,
            Err(status) => return pages.fail(status).await,
        };
        if !tasks.is_empty() && pages.send(v1::ListTasksResponse { tasks }).await.is_err() {
            return;
        }
        match following {
            Some(following) => next = Ok(following),
            None => return,
        }
    }
}

/// Where a list goes on.
enum Next {
    /// At this position of the grid.
    At(usize),
    /// At the first of these configurations, after this number of its tasks. They are sorted by their places, which
    /// an extension does not change; the positions of their tasks it does.
    In(VecDeque<ConfigurationId>, usize),
}

impl Next {
    fn first(view: SweepView<'_>, only: &HashSet<ConfigurationId>) -> Self {
        let place = |id: &ConfigurationId| Some((view.positions_of(*id)?.start, *id));
        let mut known: Vec<_> = only.iter().filter_map(place).collect();
        known.sort_unstable();
        Self::In(known.into_iter().map(|(_, id)| id).collect(), 0)
    }
}

/// The next tasks of a list that are in these states, and where it goes on; `None` at its end. A page is what was looked
/// at, not what was found.
fn page(
    scheduler: &Scheduler,
    view: SweepView<'_>,
    from: Next,
    states: &[i32],
) -> (Vec<v1::TaskRow>, Option<Next>) {
    let is_wanted = |state| states.is_empty() || states.contains(&convert::task_state(state).into());
    let rows_at = |positions| {
        view.tasks(positions, is_wanted).map(|task| {
            let running = scheduler.running(task.task);
            row(task, running.as_ref())
        })
    };
    match from {
        Next::At(from) => {
            let to = from + PAGE;
            let more = to < view.counts().total() as usize;
            (rows_at(from..to).collect(), more.then_some(Next::At(to)))
        }
        Next::In(mut configurations, mut seen) => {
            let (mut rows, mut looked_at) = (Vec::new(), 0);
            while let Some(positions) = configurations.front().and_then(|id| view.positions_of(*id)) {
                let from = positions.start + seen;
                let to = positions.end.min(from + PAGE - looked_at);
                rows.extend(rows_at(from..to));
                (looked_at, seen) = (looked_at + to - from, seen + to - from);
                if to < positions.end {
                    return (rows, Some(Next::In(configurations, seen)));
                }
                configurations.pop_front();
                seen = 0;
            }
            (rows, None)
        }
    }
}

fn row(task: TaskView, running: Option<&RunningTask>) -> v1::TaskRow {
    let not_before = match task.state {
        TaskState::Pending { not_before } => not_before.map_or(0, |at| at.0),
        _ => 0,
    };
    v1::TaskRow {
        task: Some(task.task.into()),
        state: convert::task_state(task.state).into(),
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

/// A page of workers.
pub(super) struct WorkerPage {
    pub(super) workers: Vec<v1::Worker>,
    /// Whether there are more workers.
    pub(super) more: bool,
    /// Whether the last worker has more running tasks than the page.
    pub(super) cut: bool,
}

/// The workers after `after`, sorted by id; if `seen` is not 0, first that worker without its first `seen` tasks.
pub(super) fn workers(scheduler: &Scheduler, after: &str, seen: usize, limit: u32) -> WorkerPage {
    let mut page = WorkerPage { workers: Vec::new(), more: false, cut: false };
    let (mut size, most) = (0, most(limit, MAX_OF_WORKERS));
    let is_begun = |view: &WorkerView| seen > 0 && view.worker.as_str() == after;
    for mut view in scheduler.workers().filter(|view| view.worker.as_str() > after || is_begun(view)) {
        if page.workers.len() == most || size >= MAX_OF_WORKERS {
            page.more = true;
            return page;
        }
        let running = running(&view);
        let skipped = if is_begun(&view) { seen } else { 0 };
        let (tasks, cut) = only(&mut view, skipped, MAX_OF_WORKERS);
        size += tasks + size_without_tasks(&view);
        page.workers.push(v1::Worker { running, ..worker_of(view) });
        if cut {
            (page.more, page.cut) = (true, true);
            return page;
        }
    }
    page
}

fn running(view: &WorkerView) -> u64 {
    view.slots.iter().map(|slot| slot.tasks.len() as u64).sum()
}

/// Leaves only those running tasks that follow the first `skipped` and have at most this size together, but one at
/// least. Returns their size, and whether there are more.
fn only(view: &mut WorkerView, mut skipped: usize, most: usize) -> (usize, bool) {
    let (mut size, mut cut) = (0, false);
    for slot in &mut view.slots {
        slot.tasks.retain(|task| {
            let kept = !cut && skipped == 0 && (size == 0 || size < most);
            cut |= !kept && skipped == 0;
            skipped = skipped.saturating_sub(1);
            // A task has about 64 bytes in a message, and its names.
            size += if kept { 1 + (task.name.len() + task.sweep.as_str().len()).div_ceil(64) } else { 0 };
            kept
        });
    }
    (size, cut)
}

/// The size of a worker without its tasks.
fn size_without_tasks(view: &WorkerView) -> usize {
    let data_set = |(name, known): (&String, &KnownDataSet)| {
        let modalities =
            known.shape.iter().flat_map(|shape| &shape.modalities).map(String::len).sum::<usize>();
        1 + (name.len() + modalities).div_ceil(64)
    };
    let offers = view.slots.iter().find_map(|slot| slot.offers.as_ref());
    1 + view.slots.len()
        + view.data_sets.known.iter().map(data_set).sum::<usize>()
        + offers.map_or(0, |offers| offers.labels.len())
        // What its host does, with its GPUs.
        + 2
        + view.warnings.iter().map(|warning| warning.len().div_ceil(64)).sum::<usize>()
}

/// The size of an answer: the requested number, if it is not too large.
fn most(limit: u32, most: usize) -> usize {
    if limit == 0 { most } else { most.min(limit as usize) }
}

/// A worker with as many of its running tasks as one message has room for.
pub(super) fn worker(mut view: WorkerView) -> v1::Worker {
    let running = running(&view);
    only(&mut view, 0, MAX_OF_WORKERS);
    v1::Worker { running, ..worker_of(view) }
}

fn worker_of(view: WorkerView) -> v1::Worker {
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
        running: 0,
        // Added where it is known.
        usage: None,
        usage_at: 0,
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

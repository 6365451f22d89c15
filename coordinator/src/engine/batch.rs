//! The results of one turn of the engine: first they are committed, then they are performed.

use colearn_core::{
    id::{SweepId, TaskId, WorkerId},
    result::TaskResult,
    scheduler::{Action, Event, Scheduler, SweepStatus},
    time::Timestamp,
};
use colearn_proto::worker::{Assignment, Lease, ToWorker};

use super::{
    input::{Answer, ConnectionId},
    notice,
};
use crate::store::{Batch, JournalEntry, ResultRow};

/// The recipient of a message to a worker.
#[derive(Clone, Debug)]
pub(super) enum To {
    /// The stream that sent the report.
    Sender(ConnectionId),
    /// The worker's current stream.
    Worker(WorkerId),
}

/// An effect that is performed only after the batch is durable.
pub(super) enum Effect {
    Tell(To, ToWorker),
    Answer(Answer),
}

/// The results of one turn.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) batch: Batch,
    pub(super) effects: Vec<Effect>,
    /// Sweeps that have ended, and how.
    pub(super) ended: Vec<(SweepId, SweepStatus)>,
    /// Number of tasks that failed and are not tried again.
    pub(super) given_up: u64,
}

impl Turn {
    /// Applies an event. News goes to the batch, and the resulting actions go to the effects.
    ///
    /// `sender` is the stream that the event came from, and `result` the result that came with it.
    pub(super) fn apply(
        &mut self,
        scheduler: &mut Scheduler,
        now: Timestamp,
        event: Event,
        sender: Option<ConnectionId>,
        mut result: Option<Box<TaskResult>>,
    ) {
        let actions = if event.is_durable() && scheduler.changes_state(&event) {
            let sweep = scheduler.sweep_of(&event);
            self.batch.entries.push(JournalEntry { at: now, sweep, event: event.clone() });
            scheduler.apply_news(now, event)
        } else {
            scheduler.apply(now, event)
        };
        for action in actions {
            self.take(scheduler, now, action, sender, &mut result);
        }
    }

    fn take(
        &mut self,
        scheduler: &Scheduler,
        now: Timestamp,
        action: Action,
        sender: Option<ConnectionId>,
        result: &mut Option<Box<TaskResult>>,
    ) {
        let mut answer = |message| {
            if let Some(sender) = sender {
                self.effects.push(Effect::Tell(To::Sender(sender), message));
            }
        };
        match action {
            Action::GrantLease { token, worker, slot, tasks } => {
                tracing::debug!(%token, %worker, slot, tasks = tasks.len(), "lease granted");
                // All tasks of a lease are of one sweep.
                let sweep = tasks.first().and_then(|(task, _)| scheduler.sweep(task.sweep));
                let checkpoint_every_epochs = sweep.map_or(0, |view| view.sweep().checkpoint.every_epochs);
                let keep = sweep.map(|view| view.sweep().keep.clone()).unwrap_or_default();
                // The time tells its files from those of another coordinator with the same location.
                let kept_in =
                    sweep.map(|view| format!("kept-{:x}", view.submitted_at().0)).unwrap_or_default();
                // All members of a cohort are trained on one data set.
                let data_digest = tasks.first().and_then(|(task, _)| scheduler.data_digest_of(*task));
                let data_digest = data_digest.unwrap_or_default().to_owned();
                let assignment = |(task, attempt): (TaskId, u32)| {
                    let settings = Ok(scheduler.settings_of(task)?.clone());
                    let (data_digest, keep, kept_in) = (data_digest.clone(), keep.clone(), kept_in.clone());
                    let name = scheduler.name_of(task);
                    Some(Assignment {
                        task,
                        attempt,
                        settings,
                        checkpoint_every_epochs,
                        data_digest,
                        name,
                        keep,
                        kept_in,
                    })
                };
                let tasks = tasks.into_iter().filter_map(assignment).collect();
                let lease = ToWorker::Lease(Lease { token, slot, tasks });
                self.effects.push(Effect::Tell(To::Worker(worker), lease));
            }
            Action::Acknowledge { token, task } => answer(ToWorker::Acknowledged { token, task }),
            Action::RefuseReport { token, task, reason } => {
                tracing::info!(%token, %task, name = scheduler.name_of(task), %reason, "report refused");
                answer(ToWorker::Drop { token, tasks: vec![task], reason: reason.to_string() });
            }
            Action::DropLease { worker, token, tasks, reason } => {
                tracing::info!(%token, %worker, %reason, "lease dropped");
                let drop = ToWorker::Drop { token, tasks, reason: reason.to_string() };
                self.effects.push(Effect::Tell(To::Worker(worker), drop));
            }
            Action::DrainWorker { worker, now } => {
                tracing::info!(%worker, now, "worker is asked to exit");
                self.effects.push(Effect::Tell(To::Worker(worker), ToWorker::Drain { now }));
            }
            Action::UndrainWorker { worker } => {
                tracing::info!(%worker, "worker stays");
                self.effects.push(Effect::Tell(To::Worker(worker), ToWorker::Undrain));
            }
            Action::SetAside { worker, pause } => {
                let text = notice::set_aside(&worker, &pause, now);
                tracing::warn!(%worker, "{text}");
                self.effects.push(Effect::Tell(To::Worker(worker), ToWorker::Notice { text }));
            }
            Action::Restore { worker, data_set, program, cause } => {
                let text = notice::restored(data_set.as_deref(), program, cause);
                tracing::info!(%worker, "{text}");
                self.effects.push(Effect::Tell(To::Worker(worker), ToWorker::Notice { text }));
            }
            Action::RecordResult { task, token, attempt, worker } => {
                let (Some(result), Some(position)) = (result.take(), scheduler.position_of(task)) else {
                    return;
                };
                let (recorded_at, result) = (now, *result);
                let row = ResultRow { task, position, attempt, worker, token, recorded_at, result };
                self.batch.results.push(row);
            }
            Action::RetryTask { task, attempt, failure, not_before } => {
                let wait = not_before.since(now);
                let name = scheduler.name_of(task);
                tracing::warn!(%task, name, attempt, %failure, ?wait, "attempt failed; it will be repeated");
            }
            Action::GiveUpTask { task, attempt, failure } => {
                // This is a warning and not an error: the task failed, not the coordinator.
                tracing::warn!(%task, name = scheduler.name_of(task), attempt, %failure, "task failed");
                self.given_up += 1;
            }
            Action::RefuseSweep { sweep, failure } => {
                tracing::warn!(%sweep, name = name_of(scheduler, sweep), %failure, "sweep refused");
            }
            Action::StopSweep { sweep, reason } => {
                let name = name_of(scheduler, sweep);
                tracing::warn!(%sweep, name, reason, "sweep stopped: no other task of it begins");
            }
            Action::EndSweep { sweep, status } => {
                tracing::info!(%sweep, name = name_of(scheduler, sweep), ?status, "sweep ended");
                self.ended.push((sweep, status));
            }
        }
    }

    pub(super) fn answer(&mut self, answer: impl FnOnce() + Send + 'static) {
        self.effects.push(Effect::Answer(Box::new(answer)));
    }
}

/// The name of a sweep that is not settled, for logs.
fn name_of(scheduler: &Scheduler, sweep: SweepId) -> &str {
    scheduler.sweep(sweep).map_or("", |view| view.sweep().name.as_str())
}

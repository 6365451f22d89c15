//! What people ask of the engine.

use std::sync::Arc;

use colearn_core::{
    id::{SweepId, WorkerId},
    scheduler::{
        Event, PauseView, Prepared, RestoreCause, Scheduler, Submission, SubmissionError, SweepStatus,
        TaskCounts, WorkerView,
    },
    sweep::{ScheduleSettings, Sweep},
};

use super::{
    batch::Turn,
    input::{Operated, Operation, OperationError, Submitted, UndrainError},
    run::Engine,
    summary::SweepSummary,
};

impl Engine {
    pub(super) fn undrain(&mut self, turn: &mut Turn, worker: &WorkerId) -> Result<WorkerView, UndrainError> {
        let find = |scheduler: &Scheduler| scheduler.workers().find(|view| view.worker == *worker);
        let before = find(&self.scheduler).ok_or_else(|| UndrainError::Away(worker.clone()))?;
        if before.leaves_now {
            return Err(UndrainError::Leaves(worker.clone()));
        }
        if !before.draining && before.set_aside.is_empty() {
            return Err(UndrainError::Nothing(worker.clone()));
        }
        self.changed = true;
        self.apply(turn, Event::UndrainRequested { worker: worker.clone() });
        for PauseView { data_set, .. } in before.set_aside {
            let cause = RestoreCause::Person;
            self.apply(turn, Event::WorkerRestored { worker: worker.clone(), data_set, cause });
        }
        find(&self.scheduler).ok_or_else(|| UndrainError::Away(worker.clone()))
    }

    pub(super) fn submit(
        &mut self,
        turn: &mut Turn,
        sweep: Arc<Sweep>,
        by: Option<Arc<str>>,
        prepared: Option<Box<Prepared>>,
    ) -> Result<Submitted, SubmissionError> {
        if let Some(prepared) = prepared {
            self.scheduler.prepare(prepared);
        }
        let (id, created) = match self.scheduler.submission(&sweep)? {
            Submission::New(id) => {
                self.scheduler.check_data(&sweep)?;
                (id, true)
            }
            Submission::Known { id, .. } => (id, false),
        };
        let name = sweep.name.clone();
        self.apply(turn, Event::SweepSubmitted { id, sweep });
        if let Some(by) = by.filter(|_| created) {
            self.submitters.insert(id, by.clone());
            turn.batch.submitters.push((id, by));
        }
        let summary = self.summary(id).ok_or(SubmissionError::Empty(name))?;
        Ok(Submitted { summary, created })
    }

    pub(super) fn operate(
        &mut self,
        turn: &mut Turn,
        sweep: SweepId,
        operation: Operation,
        prepared: Option<Box<Prepared>>,
    ) -> Result<Operated, OperationError> {
        let before = self.summary(sweep).ok_or(OperationError::Gone)?;
        let settled = self.scheduler.settled(sweep).is_some();
        if settled && operation != Operation::Remove {
            return Err(OperationError::Settled);
        }
        let (mut tasks, mut selected) = (0, TaskCounts::default());
        let event = match operation {
            Operation::Cancel => Event::SweepCancelled { sweep },
            Operation::CancelTasks(tasks) => {
                selected = self.scheduler.selected_counts(sweep, &tasks)?;
                Event::TasksCancelled { sweep, tasks }
            }
            Operation::Retry(scope) => {
                tasks = self.scheduler.retry_count(sweep, &scope)?;
                Event::TasksRetried { sweep, scope }
            }
            Operation::Extend(newer) => {
                let extended = match prepared.filter(|it| self.scheduler.can_use(sweep, it)) {
                    Some(prepared) => {
                        let extended = prepared.sweep().clone();
                        self.scheduler.prepare(prepared);
                        extended
                    }
                    None => Arc::new(self.scheduler.extension(sweep, &newer)?),
                };
                self.scheduler.check_data(&extended).map_err(OperationError::Misfit)?;
                tasks = extended.task_count() - u64::from(before.counts.total());
                Event::SweepExtended { id: sweep, sweep: extended }
            }
            Operation::Pause(_) if before.status != SweepStatus::Active => {
                return Err(OperationError::Ended(before.name));
            }
            Operation::Pause(paused) => Event::SweepPaused { sweep, paused },
            Operation::Prioritize(priority)
                if !(ScheduleSettings::LOWEST..=ScheduleSettings::HIGHEST).contains(&priority) =>
            {
                return Err(OperationError::Priority(priority));
            }
            Operation::Prioritize(priority) => Event::SweepPrioritized { sweep, priority },
            Operation::ReplaceData => {
                for (worker, data_set) in self.scheduler.pauses_for_data_of(sweep) {
                    let (data_set, cause) = (Some(data_set), RestoreCause::Person);
                    self.apply(turn, Event::WorkerRestored { worker, data_set, cause });
                }
                Event::DataReplaced { sweep }
            }
            Operation::Remove => {
                self.scheduler.removable(sweep)?;
                Event::SweepRemoved { sweep }
            }
        };
        self.apply(turn, event);
        Ok(Operated { summary: self.summary(sweep).unwrap_or(before), tasks, selected })
    }

    pub(super) fn summary(&self, sweep: SweepId) -> Option<SweepSummary> {
        SweepSummary::find(&self.scheduler, sweep)
    }
}

//! Leases: those that are taken, refused, returned, dropped, and reported.

use std::collections::BTreeSet;

use colearn_core::{
    failure::{Failure, FailureReason, RetryPolicy},
    id::{LeaseToken, TaskId},
    needs::{Lack, TrainerKind},
    text::{counted_len, one_line},
    time::Timestamp,
};
use colearn_proto::worker::{Assignment, Lease, Report};
use colearn_trainer_protocol::{Command, Member};

use super::{Agent, Link, Mode};
use crate::{
    input::{Action, LogLevel},
    slot::{Cohort, Trainer, Training},
};

impl Agent {
    pub(super) fn leased(&mut self, now: Timestamp, lease: Lease) {
        if let Link::Up { offered: Some(offered), .. } = &mut self.link {
            offered.retain(|slot| *slot != lease.slot);
        }
        let Lease { token, slot: index, tasks } = lease;
        if self.outbox.holds(token) {
            return self.log(LogLevel::Warn, format!("lease {token} arrived twice; the second is ignored"));
        }
        if tasks.is_empty() {
            return self.log(LogLevel::Warn, format!("lease {token} has no tasks; it is ignored"));
        }
        self.outbox.hold(token, tasks.iter().map(|assignment| assignment.task));
        let outbox = &self.outbox;
        self.names.retain(|_, (lease, _)| outbox.holds(*lease));
        self.names.extend(tasks.iter().map(|it| (it.task, (token, one_line(&it.name)))));
        let kinds = self.slot_for(index, tasks.len());
        let mut members = Vec::new();
        for assignment in tasks {
            let Assignment {
                task,
                attempt,
                settings,
                checkpoint_every_epochs,
                data_digest,
                name,
                keep,
                kept_in,
            } = assignment;
            match (&kinds, settings) {
                (Err(why), _) => self.refuse(token, task, why),
                (Ok(_), Err(unreadable)) => self.refuse(token, task, &unreadable.to_string()),
                (Ok(kinds), Ok(settings)) if !kinds.contains(&settings.trainer()) => {
                    let lack = Lack::Trainer(settings.trainer());
                    self.refuse(token, task, &format!("slot {index} of worker {} {lack}", self.worker));
                }
                (Ok(_), Ok(settings)) => {
                    members.push(Member {
                        task,
                        attempt,
                        settings,
                        checkpoint_every_epochs,
                        data_digest,
                        keep,
                        name: one_line(&name),
                        kept_in,
                    });
                }
            }
        }
        if !members.is_empty() {
            self.place(now, index, Cohort { token, members });
        }
    }

    /// The kinds of trainers that a slot runs, if it takes cohorts of this size.
    fn slot_for(&self, index: u32, tasks: usize) -> Result<BTreeSet<TrainerKind>, String> {
        let worker = &self.worker;
        let slot = self.slots.get(&index).ok_or_else(|| format!("worker {worker} has no slot {index}"))?;
        let most = slot.offer.max_cohort;
        if tasks > most as usize {
            return Err(format!(
                "slot {index} of worker {worker} takes cohorts of at most {most}, not {tasks}"
            ));
        }
        Ok(slot.offer.offers.trainers.clone())
    }

    fn refuse(&mut self, token: LeaseToken, task: TaskId, why: &str) {
        self.failed(token, task, Failure::new(FailureReason::Settings, why));
    }

    /// Trains a cohort now, lets it wait for its trainer, or returns it.
    fn place(&mut self, now: Timestamp, index: u32, cohort: Cohort) {
        let Some(slot) = self.slots.get_mut(&index) else { return };
        let token = cohort.token;
        // Offers and leases may cross on the wire. A lease for a busy slot is therefore not an error of the task, and
        // costs it no attempt.
        if self.mode != Mode::Working || matches!(slot.trainer, Trainer::Withdrawn) {
            return self.give_back(token, index, "the slot takes no more leases");
        }
        if slot.waiting.is_some() || matches!(slot.trainer, Trainer::Training(_)) {
            return self.give_back(token, index, "the slot is busy");
        }
        self.begin(now, index, cohort);
    }

    /// Trains a cohort if an idle trainer of its kind is there. Otherwise the cohort waits; a trainer of the other kind
    /// is ended, and one of the cohort's kind takes its place.
    pub(super) fn begin(&mut self, now: Timestamp, index: u32, cohort: Cohort) {
        let Some(slot) = self.slots.get_mut(&index) else { return };
        let same_kind = slot.kind == cohort.kind();
        match slot.trainer {
            Trainer::Idle if same_kind => self.train(now, index, cohort),
            Trainer::Idle | Trainer::Starting { .. } if !same_kind => {
                slot.trainer = Trainer::Ending;
                slot.waiting = Some(cohort);
                self.log(LogLevel::Info, format!("slot {index} changes to another kind of trainer"));
                self.actions.push(Action::KillTrainer { slot: index });
            }
            _ => slot.waiting = Some(cohort),
        }
    }

    pub(super) fn give_back(&mut self, token: LeaseToken, slot: u32, why: &str) {
        let text = format!("lease {token} on slot {slot} is returned: {why}");
        self.log_of(LogLevel::Warn, token, &[], text);
        self.outbox.owe(Report::Released { token });
    }

    /// The name of a task for people: `demo/audio=0.8,video=0.8/0`, or its id if an older coordinator leased it.
    pub(super) fn called(&self, task: TaskId) -> String {
        let name = self.names.get(&task).map(|(_, name)| name.clone()).filter(|name| !name.is_empty());
        name.unwrap_or_else(|| task.to_string())
    }

    fn train(&mut self, now: Timestamp, index: u32, cohort: Cohort) {
        let Some(slot) = self.slots.get_mut(&index) else { return };
        // Whether a program continues from the epoch that it reports is not known.
        let continues = cohort.kind() == TrainerKind::Networks;
        let Cohort { token, members } = cohort;
        slot.trainer = Trainer::Training(Training {
            token,
            members: members.iter().map(|member| member.task).collect(),
            began: now,
            made_progress: false,
            keeps_checkpoints: continues && members.iter().any(|member| member.checkpoint_every_epochs > 0),
            heard: now,
        });
        let tasks: Vec<TaskId> = members.iter().map(|member| member.task).collect();
        let names: Vec<String> = tasks.iter().map(|task| self.called(*task)).collect();
        let text = format!("slot {index} trains {} under lease {token}", names.join(", "));
        self.log_of(LogLevel::Info, token, &tasks, text);
        self.actions.push(Action::Command { slot: index, command: Command::Train { members } });
    }

    pub(super) fn dropped(&mut self, now: Timestamp, token: LeaseToken, tasks: &[TaskId], why: &str) {
        let dropped = self.outbox.drop_tasks(token, tasks);
        if dropped.is_empty() {
            return;
        }
        let text = format!("{} of lease {token} dropped: {why}", counted_len(dropped.len(), "task"));
        self.log_of(LogLevel::Info, token, &dropped, text);
        for (&index, slot) in &mut self.slots {
            if let Some(waiting) = &mut slot.waiting
                && waiting.token == token
            {
                waiting.members.retain(|member| !dropped.contains(&member.task));
                if waiting.members.is_empty() {
                    slot.waiting = None;
                }
            }
            if let Trainer::Training(training) = &mut slot.trainer
                && training.token == token
            {
                let abandoned: Vec<TaskId> =
                    dropped.iter().copied().filter(|task| training.members.remove(task)).collect();
                if !abandoned.is_empty() {
                    training.heard = now;
                    let command = Command::Abandon { tasks: abandoned };
                    self.actions.push(Action::Command { slot: index, command });
                }
            }
        }
    }

    /// After a durable result the checkpoints are not needed, nor after a failure that is not retried. After another
    /// failure there may be one more attempt, and a report that is not durable may be lost with this process.
    pub(super) fn acknowledged(&mut self, token: LeaseToken, task: TaskId) {
        let over = match self.outbox.acknowledged(token, task) {
            Some(Report::Finished { .. }) => {
                self.log(
                    LogLevel::Debug,
                    format!("result of {} under lease {token} is recorded", self.called(task)),
                );
                true
            }
            Some(Report::Failed { failure, .. }) => {
                failure.reason.policy() == RetryPolicy::Fail && !failure.reason.needs_confirmation()
            }
            Some(Report::Released { .. }) | None => false,
        };
        if over {
            self.actions.push(Action::RemoveCheckpoints { task });
        }
    }

    pub(super) fn failed(&mut self, token: LeaseToken, task: TaskId, failure: Failure) {
        let text = format!("{} failed: {failure}", self.called(task));
        self.log_of(LogLevel::Warn, token, &[task], text);
        self.outbox.owe(Report::Failed { token, task, failure });
    }
}

//! How the agent reacts to its trainers: to their events and their ends.

use colearn_core::{
    failure::{Failure, FailureReason},
    text::counted_len,
    time::Timestamp,
};
use colearn_proto::worker::{FromWorker, Report};
use colearn_trainer_protocol::Event;

use super::{Agent, Link};
use crate::{
    input::{Action, AgentOutcome, LogLevel, TrainerEnd},
    slot::{MAX_DEATHS_AT_START, Slot, Trainer},
};

impl Agent {
    pub(super) fn trainer_said(&mut self, now: Timestamp, index: u32, event: Event) {
        let parks = self.is_leaving();
        let Some(slot) = self.slots.get_mut(&index) else { return };
        match (&mut slot.trainer, event) {
            // Events between the kill and the end of a trainer are ignored.
            (Trainer::Ending | Trainer::Absent { .. } | Trainer::Withdrawn, _) => {}
            (Trainer::Starting { .. }, Event::Ready { device }) => {
                slot.trainer = Trainer::Idle;
                slot.deaths_at_start = 0;
                let waiting = slot.waiting.take();
                self.log(LogLevel::Info, format!("slot {index} is ready on {device}"));
                if let Some(cohort) = waiting {
                    self.begin(now, index, cohort);
                }
            }
            (Trainer::Training(training), Event::Idle) => {
                if training.members.is_empty() && parks {
                    self.retire(index);
                } else if training.members.is_empty() {
                    slot.trainer = Trainer::Idle;
                } else {
                    let left = counted_len(training.members.len(), "member");
                    self.violated(now, index, &format!("it is idle with {left} unreported"));
                }
            }
            (Trainer::Training(training), Event::Opened { data_set, digest }) => {
                training.heard = now;
                if self.data_sets.opened(data_set, digest) {
                    self.tell_data_sets();
                }
            }
            (Trainer::Training(training), Event::Alive) => training.heard = now,
            (Trainer::Training(training), Event::Epoch { task, record, epochs }) => {
                if training.members.contains(&task) {
                    training.heard = now;
                    slot.deaths = 0;
                    let token = training.token;
                    if training.keeps_checkpoints && !training.made_progress {
                        training.made_progress = true;
                        self.time.took(now.since(training.began));
                    }
                    let text = format!("slot {index}: {} epoch {}/{epochs}", self.called(task), record.epoch);
                    self.log(LogLevel::Debug, text);
                    if matches!(self.link, Link::Up { .. }) {
                        self.actions.push(Action::Send(FromWorker::Epoch { token, task, record, epochs }));
                    }
                }
            }
            (Trainer::Training(training), Event::Finished { task, result }) => {
                if training.members.remove(&task) {
                    training.heard = now;
                    slot.deaths = 0;
                    let token = training.token;
                    if !training.made_progress {
                        self.time.took(now.since(training.began));
                    }
                    let text = format!("slot {index}: {} is done", self.called(task));
                    self.log_of(LogLevel::Info, token, &[task], text);
                    self.outbox.owe(Report::Finished { token, task, result });
                }
            }
            (Trainer::Training(training), Event::Failed { task, failure }) => {
                if training.members.remove(&task) {
                    training.heard = now;
                    let token = training.token;
                    self.failed(token, task, failure);
                }
            }
            (Trainer::Training(training), Event::Parked { task }) if parks => {
                if training.members.remove(&task) {
                    training.heard = now;
                    let token = training.token;
                    let text = format!("slot {index}: {} is parked", self.called(task));
                    self.log_of(LogLevel::Info, token, &[task], text);
                }
            }
            // There may still be events of abandoned members, and a cohort may end while its abandonment is under
            // way.
            (Trainer::Idle, Event::Opened { .. } | Event::Alive | Event::Epoch { .. } | Event::Idle) => {}
            (trainer, event) => {
                let doing = match trainer {
                    Trainer::Starting { .. } => "starting",
                    Trainer::Idle => "idle",
                    _ => "training",
                };
                let name = event_name(&event);
                self.violated(now, index, &format!("`{name}` was received from a trainer that was {doing}"));
            }
        }
    }

    pub(super) fn violated(&mut self, now: Timestamp, index: u32, what: &str) {
        let why = format!("trainer violated the protocol: {what}");
        self.kill(now, index, &Failure::new(FailureReason::Crash, why));
    }

    /// Kills a trainer and fails its tasks.
    pub(super) fn kill(&mut self, now: Timestamp, index: u32, failure: &Failure) {
        let Some(slot) = self.slots.get_mut(&index) else { return };
        let before = std::mem::replace(&mut slot.trainer, Trainer::Ending);
        match before {
            Trainer::Absent { .. } | Trainer::Ending | Trainer::Withdrawn => {
                slot.trainer = before;
                return;
            }
            Trainer::Starting { .. } => self.died_at_start(now, index, &failure.message),
            Trainer::Idle => slot.deaths += 1,
            Trainer::Training(training) => {
                slot.deaths += 1;
                for task in training.members {
                    self.failed(training.token, task, failure.clone());
                }
            }
        }
        self.log(LogLevel::Warn, format!("slot {index}: killing the trainer: {}", failure.message));
        self.actions.push(Action::KillTrainer { slot: index });
    }

    pub(super) fn trainer_ended(&mut self, now: Timestamp, index: u32, end: &TrainerEnd) {
        let Some(slot) = self.slots.get_mut(&index) else { return };
        let pause = |slot: &Slot| Trainer::Absent { start_at: now.after(slot.pause()) };
        match std::mem::replace(&mut slot.trainer, Trainer::Ending) {
            Trainer::Withdrawn => slot.trainer = Trainer::Withdrawn,
            Trainer::Starting { .. } => {
                slot.trainer = pause(slot);
                self.died_at_start(now, index, &end.to_string());
            }
            Trainer::Ending if slot.deaths_at_start >= MAX_DEATHS_AT_START => {
                slot.trainer = Trainer::Withdrawn;
            }
            Trainer::Ending | Trainer::Absent { .. } => slot.trainer = pause(slot),
            Trainer::Idle => {
                slot.deaths += 1;
                slot.trainer = pause(slot);
                self.log(LogLevel::Warn, format!("slot {index}: idle {end}"));
            }
            Trainer::Training(training) => {
                slot.deaths += 1;
                slot.trainer = pause(slot);
                let failure = end.failure();
                self.log(LogLevel::Warn, format!("slot {index}: {}", failure.message));
                for task in training.members {
                    self.failed(training.token, task, failure.clone());
                }
            }
        }
        if self.is_leaving()
            && let Some(slot) = self.slots.get_mut(&index)
        {
            slot.trainer = Trainer::Withdrawn;
            self.give_back_untrained();
        }
    }

    /// Counts an end before the trainer was ready; withdraws the slot after too many.
    fn died_at_start(&mut self, now: Timestamp, index: u32, why: &str) {
        let Some(slot) = self.slots.get_mut(&index) else { return };
        slot.deaths += 1;
        slot.deaths_at_start += 1;
        let (deaths, kind) = (slot.deaths_at_start, slot.kind);
        if deaths < MAX_DEATHS_AT_START {
            return self.log(
                LogLevel::Warn,
                format!("slot {index}: the trainer ended before it was ready ({deaths} in a row): {why}"),
            );
        }
        if !matches!(slot.trainer, Trainer::Ending) {
            slot.trainer = Trainer::Withdrawn;
        }
        let waiting = slot.waiting.take();
        self.log(
            LogLevel::Error,
            format!(
                "slot {index} is withdrawn: its trainer ended {deaths} times in a row before it was ready: {why}"
            ),
        );
        if let Some(cohort) = waiting {
            self.give_back(cohort.token, index, "the slot is withdrawn");
        }
        if self.slots.values().all(|slot| slot.deaths_at_start >= MAX_DEATHS_AT_START) {
            self.leave(now, AgentOutcome::NoUsableSlot { kind, why: why.to_owned() });
        }
    }
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Ready { .. } => "ready",
        Event::Opened { .. } => "opened",
        Event::Alive => "alive",
        Event::Epoch { .. } => "epoch",
        Event::Finished { .. } => "finished",
        Event::Failed { .. } => "failed",
        Event::Parked { .. } => "parked",
        Event::Idle => "idle",
    }
}

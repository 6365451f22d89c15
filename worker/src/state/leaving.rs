//! How the agent exits: what it still accepts, finishes, returns and waits for.

use colearn_core::{id::LeaseToken, time::Timestamp};
use colearn_proto::worker::Report;
use colearn_trainer_protocol::Command;

use super::{Agent, Mode};
use crate::{
    input::{Action, AgentOutcome, LogLevel},
    slot::{Slot, Trainer},
};

impl Agent {
    pub(super) fn drain(&mut self, why: &str) {
        if self.mode == Mode::Working {
            self.mode = Mode::Draining;
            self.log(LogLevel::Info, format!("draining: {why}"));
        }
    }

    /// Undoes a drain. If the time limit is near, the agent drains again at once.
    pub(super) fn undrain(&mut self) {
        if self.mode == Mode::Draining {
            self.mode = Mode::Working;
            self.log(LogLevel::Info, "taking leases again");
        }
    }

    /// Whether the agent is about to exit: ended trainers are not replaced, and acknowledgements are awaited only for
    /// a short time.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        matches!(self.mode, Mode::Parking { .. } | Mode::Leaving { .. } | Mode::Gone)
    }

    /// Parks all running tasks, and exits as soon as they are returned and all reports are delivered.
    pub(super) fn leave(&mut self, now: Timestamp, outcome: AgentOutcome) {
        if self.is_leaving() {
            return;
        }
        self.mode = Mode::Parking { outcome, until: now.after(self.limits.grace) };
        for (&index, slot) in &mut self.slots {
            slot.waiting = None;
            match &slot.trainer {
                Trainer::Training(training) if !training.members.is_empty() => {
                    self.actions.push(Action::Command { slot: index, command: Command::Park });
                }
                Trainer::Starting { .. } | Trainer::Idle | Trainer::Training(_) => {
                    slot.trainer = Trainer::Withdrawn;
                    self.actions.push(Action::KillTrainer { slot: index });
                }
                Trainer::Absent { .. } | Trainer::Ending | Trainer::Withdrawn => {
                    slot.trainer = Trainer::Withdrawn;
                }
            }
        }
        self.give_back_untrained();
    }

    /// A trainer that has parked its cohort is not needed any more.
    pub(super) fn retire(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(&index) {
            slot.trainer = Trainer::Withdrawn;
            self.actions.push(Action::KillTrainer { slot: index });
        }
        self.give_back_untrained();
    }

    /// Returns the leases of which nothing is trained.
    pub(super) fn give_back_untrained(&mut self) {
        let trained = |token: LeaseToken| {
            self.slots.values().any(|slot| matches!(&slot.trainer, Trainer::Training(t) if t.token == token))
        };
        let leases: Vec<LeaseToken> =
            self.outbox.unreported().into_iter().filter(|token| !trained(*token)).collect();
        self.has_parked |= !leases.is_empty();
        for token in leases {
            let text = format!("lease {token} is returned: the worker exits");
            self.log_of(LogLevel::Info, token, &[], text);
            self.outbox.owe(Report::Released { token });
        }
    }

    /// Drains when another lease would be useless, and exits before the time is up.
    pub(super) fn enforce_time_limit(&mut self, now: Timestamp) {
        if self.time.end().is_some_and(|end| end <= now) {
            self.leave(now, AgentOutcome::Stopped);
        } else if self.time.last_lease().is_some_and(|last| last <= now) {
            self.drain("the rest of --time-limit is too short for another lease");
        }
    }

    /// Moves to the next stage of exiting, and finally exits.
    pub(super) fn finish(&mut self, now: Timestamp) {
        if let Mode::Parking { outcome, until } = &self.mode {
            let late = *until <= now;
            if late || self.slots.values().all(|slot| matches!(slot.trainer, Trainer::Withdrawn)) {
                let until = now.after(self.limits.shutdown_timeout);
                self.mode = Mode::Leaving { outcome: outcome.clone(), until };
                self.kill_overdue();
                self.speak();
            }
        }
        match &self.mode {
            Mode::Gone | Mode::Parking { .. } => {}
            Mode::Leaving { outcome, until } => {
                if self.outbox.is_empty() || *until <= now {
                    self.go(outcome.clone());
                }
            }
            Mode::Draining => {
                if self.outbox.is_empty() && self.slots.values().all(Slot::is_unoccupied) {
                    self.go(AgentOutcome::Drained);
                }
            }
            Mode::Working => {
                if self.reach_by.is_some_and(|deadline| deadline <= now) {
                    self.go(AgentOutcome::Unreachable);
                }
            }
        }
    }

    /// Tasks that are still trained after the grace period continue elsewhere from their last checkpoint.
    fn kill_overdue(&mut self) {
        let late: Vec<u32> = self
            .slots
            .iter()
            .filter(|(_, slot)| !matches!(slot.trainer, Trainer::Withdrawn))
            .map(|(&index, _)| index)
            .collect();
        for index in late {
            self.log(LogLevel::Warn, format!("slot {index}: killing the trainer: its epoch takes too long"));
            self.retire(index);
        }
    }

    pub(super) fn go(&mut self, outcome: AgentOutcome) {
        if self.mode != Mode::Gone {
            self.mode = Mode::Gone;
            let outcome = match outcome {
                AgentOutcome::Stopped if self.has_parked => AgentOutcome::Parked,
                outcome => outcome,
            };
            self.actions.push(Action::Leave(outcome));
        }
    }
}

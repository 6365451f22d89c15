//! Trainers that train nothing, to measure how fast coordinator, agent and network distribute tasks and collect
//! results, without child processes and libtorch.

use std::collections::BTreeSet;

use colearn_core::{
    id::TaskId,
    needs::TrainerKind,
    result::{EpochRecord, TaskResult, metric},
};
use colearn_proto::worker::SlotOffer;
use colearn_trainer_protocol::{Command, Event};
use tokio::sync::mpsc;

use super::{
    input::{EndStatus, Input, TrainerEnd},
    trainer_process::Trainers,
};

/// The device name of these trainers.
pub(crate) const DEVICE: &str = "no-op";

/// Maximum number of events of a trainer besides those of its members: ready, idle, and killed.
const BESIDE_MEMBERS: usize = 3;

/// Trainers that answer every cohort at once with an artificial result for each member.
#[derive(Debug)]
pub(crate) struct NoOpTrainers {
    inputs: mpsc::Sender<Input>,
    running: BTreeSet<u32>,
}

impl NoOpTrainers {
    /// Trainers for these slots, and the channel of their events.
    ///
    /// # Panics
    /// If there are no slots.
    #[must_use]
    pub(crate) fn new(slots: &[SlotOffer]) -> (Self, mpsc::Receiver<Input>) {
        // The agent sends a new command only after it has read the last answer, so this channel is never full.
        let answers = slots.iter().map(|slot| slot.max_cohort as usize + BESIDE_MEMBERS).sum();
        let (inputs, said) = mpsc::channel(answers);
        (Self { inputs, running: BTreeSet::new() }, said)
    }

    fn say(&self, input: Input) {
        // The agent may have ended.
        let _ = self.inputs.try_send(input);
    }
}

impl Trainers for NoOpTrainers {
    fn start(&mut self, slot: u32, _kind: TrainerKind) {
        self.running.insert(slot);
        self.say(Input::TrainerSaid { slot, event: Event::Ready { device: DEVICE.to_owned() } });
    }

    fn command(&mut self, slot: u32, command: Command) {
        match command {
            Command::Train { members } => {
                for task in members.into_iter().map(|member| member.task) {
                    let event = Event::Finished { task, result: Box::new(result(task)) };
                    self.say(Input::TrainerSaid { slot, event });
                }
                self.say(Input::TrainerSaid { slot, event: Event::Idle });
            }
            // All members have already ended.
            Command::Abandon { .. } | Command::Park => {}
        }
    }

    fn kill(&mut self, slot: u32) {
        if self.running.remove(&slot) {
            let status = EndStatus::Signalled(9);
            let end = TrainerEnd { status, stderr: String::new(), killed_for_memory: false };
            self.say(Input::TrainerEnded { slot, end });
        }
    }
}

/// A result with the size of a small task's result, different for each seed.
fn result(task: TaskId) -> TaskResult {
    #[expect(clippy::cast_precision_loss, reason = "it is less than a hundred")]
    let accuracy = 0.5 + (task.seed % 100) as f64 / 1000.0;
    let loss = 2.0 * (1.0 - accuracy);
    let metrics = [(metric::ACCURACY, accuracy), (metric::LOSS, loss), (metric::F_SCORE, accuracy)];
    TaskResult {
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
        confusion: vec![vec![50, 10], vec![20, 40]],
        classes: vec!["a".to_owned(), "b".to_owned()].into(),
        history: vec![EpochRecord::of_network(1, loss, loss, accuracy)],
        best_epoch: 1,
        parameters: 1,
        seconds: 0.0,
        device: DEVICE.to_owned(),
        data_digest: "0".repeat(64),
        weights_digest: format!("{:064x}", task.seed),
        resumed_after: Vec::new(),
        commit: String::new(),
        environment: Default::default(),
        artifacts: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId};

    use super::*;
    use colearn_proto::convert::check_result;
    use colearn_trainer_protocol::Member;

    fn members(count: u32) -> Vec<Member> {
        let settings = serde_json::from_str(
            r#"{"dataset":"demo","primary":"words","unimodal":false,
                "model":{"kind":"bi-eflstm","hidden":8,"layers":1,"dropout":0.0},
                "training":{"epochs":2,"batch_size":4,"learning_rate":0.001,"shuffle":"once","drop_last":false,
                "modality_draw":"shared"},"modality_dropout":{}}"#,
        );
        let settings: colearn_core::settings::TaskSettings = settings.unwrap();
        let member = |seed: u32| Member {
            task: TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: seed.into() },
            attempt: 1,
            settings: settings.clone(),
            checkpoint_every_epochs: 5,
            data_digest: String::new(),
            keep: Default::default(),
            name: String::new(),
            kept_in: String::new(),
        };
        (0..count).map(member).collect()
    }

    /// The channel has room for all events that can be sent before the agent reads.
    #[test]
    fn every_member_is_finished_at_once_and_a_kill_is_the_last_word() {
        let slot = |index| SlotOffer {
            index,
            device: DEVICE.to_owned(),
            max_cohort: 3,
            offers: colearn_core::needs::Offers::default(),
        };
        let (mut trainers, mut said) = NoOpTrainers::new(&[slot(0), slot(1)]);
        for slot in 0..2 {
            trainers.start(slot, TrainerKind::Networks);
            trainers.command(slot, Command::Train { members: members(3) });
            trainers.kill(slot);
            trainers.kill(slot);
        }
        let mut heard = vec![Vec::new(), Vec::new()];
        while let Ok(input) = said.try_recv() {
            match input {
                Input::TrainerSaid { slot, event } => {
                    let word = match event {
                        Event::Ready { .. } => "ready".to_owned(),
                        Event::Finished { task, result } => {
                            check_result(&result).unwrap();
                            format!("{} {}", task.seed, result.metrics["accuracy"])
                        }
                        Event::Idle => "idle".to_owned(),
                        other => panic!("{other:?}"),
                    };
                    heard[slot as usize].push(word);
                }
                Input::TrainerEnded { slot, .. } => heard[slot as usize].push("ended".to_owned()),
                other => panic!("{other:?}"),
            }
        }
        let all = ["ready", "0 0.5", "1 0.501", "2 0.502", "idle", "ended"];
        assert_eq!(heard, [all, all]);
    }
}

//! Trainers that follow a script: they take virtual time, and crash, hang and fail as the seed decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    needs::TrainerKind,
    result::{EpochRecord, TaskResult, metric},
};
use colearn_trainer_protocol::{Command, Event, Member};
use colearn_worker::{
    input::{EndStatus, Input, TrainerEnd},
    trainer_process::Trainers,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};

use crate::{chance::Chance, store::WatchedStore, trace::Trace};

/// Context of the trainers of one run of a worker.
#[derive(Clone)]
pub struct Surroundings {
    /// The worker's id in this run.
    pub worker: String,
    /// The trace for their events.
    pub trace: Trace,
    /// The store, to check acknowledgements.
    pub store: Arc<WatchedStore>,
    /// While false, trainers fail at random.
    pub calm: Arc<AtomicBool>,
}

/// The trainers of one run of a worker.
pub struct ScriptedTrainers {
    around: Surroundings,
    chance: Chance,
    inputs: mpsc::Sender<Input>,
    running: BTreeMap<u32, Running>,
    ailment: Option<Ailment>,
}

/// The fault of a host on which nothing succeeds.
#[derive(Clone, Copy, Debug)]
enum Ailment {
    /// Trainers crash at their first task.
    Crashes,
    /// The host has no data set.
    NoData,
}

struct Running {
    commands: mpsc::UnboundedSender<Command>,
    kill: oneshot::Sender<()>,
}

impl ScriptedTrainers {
    /// No trainers yet. Their events will go to `inputs`.
    #[must_use]
    pub fn new(seed: u64, around: Surroundings, inputs: mpsc::Sender<Input>) -> Self {
        let mut chance = Chance::new(seed, &around.worker);
        let ailment = match chance.below(8) {
            0 => Some(Ailment::Crashes),
            1 => Some(Ailment::NoData),
            _ => None,
        };
        if let Some(ailment) = ailment {
            around.trace.note(&around.worker, format_args!("is a bad host: {ailment:?}"));
        }
        Self { around, chance, inputs, running: BTreeMap::new(), ailment }
    }
}

impl Trainers for ScriptedTrainers {
    fn start(&mut self, slot: u32, kind: TrainerKind) {
        let (commands, heard) = mpsc::unbounded_channel();
        let (kill, killed) = oneshot::channel();
        let chance = Chance::new(self.chance.draw(), "trainer");
        let (around, inputs, ailment) = (self.around.clone(), self.inputs.clone(), self.ailment);
        self.around.trace.note(&self.around.worker, format_args!("starts slot {slot} for {kind:?}"));
        let trainer = Trainer { slot, kind, around, chance, inputs, ailment };
        tokio::spawn(trainer.live(heard, killed));
        self.running.insert(slot, Running { commands, kill });
    }

    fn command(&mut self, slot: u32, command: Command) {
        if let Some(running) = self.running.get(&slot) {
            // A trainer that has just crashed does not receive it.
            let _ = running.commands.send(command);
        }
    }

    fn kill(&mut self, slot: u32) {
        if let Some(running) = self.running.remove(&slot) {
            self.around.trace.note(&self.around.worker, format_args!("kills the trainer of slot {slot}"));
            // The trainer may have ended already.
            let _ = running.kill.send(());
        }
    }

    /// The agent knows that the task's report is durable; this checks that it is.
    fn remove_checkpoints(&mut self, task: TaskId) {
        self.around.trace.note(&self.around.worker, format_args!("{task} was acknowledged"));
        if !self.around.store.has_ended(task) {
            self.around.trace.wrong(format_args!("{task} was acknowledged and is not in the store"));
        }
    }
}

/// The way in which a whole cohort fails.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Fine,
    Dies(i32),
    Killed,
    KilledForMemory,
    Hangs,
    Babbles,
    IdlesEarly,
}

struct Trainer {
    slot: u32,
    kind: TrainerKind,
    around: Surroundings,
    chance: Chance,
    inputs: mpsc::Sender<Input>,
    ailment: Option<Ailment>,
}

impl Trainer {
    fn calm(&self) -> bool {
        self.around.calm.load(Ordering::Relaxed)
    }

    fn whim(&mut self, percent: u64) -> bool {
        self.chance.percent(percent) && !self.calm()
    }

    async fn say(&self, event: Event) {
        // The agent may have ended.
        let _ = self.inputs.send(Input::TrainerSaid { slot: self.slot, event }).await;
    }

    async fn live(mut self, heard: mpsc::UnboundedReceiver<Command>, killed: oneshot::Receiver<()>) {
        let (slot, inputs) = (self.slot, self.inputs.clone());
        let end = tokio::select! {
            biased;
            // A dropped sender is no kill: the agent starts the next trainer of a slot only after this one has ended.
            Ok(()) = killed => ended(EndStatus::Signalled(9)),
            end = self.work(heard) => end,
        };
        // The agent may have ended.
        let _ = inputs.send(Input::TrainerEnded { slot, end }).await;
    }

    async fn work(&mut self, mut heard: mpsc::UnboundedReceiver<Command>) -> TrainerEnd {
        let start = self.chance.millis(50, 500);
        sleep(start).await;
        if self.whim(8) {
            return ended(EndStatus::Exited(1));
        }
        self.say(Event::Ready { device: "virtual".to_owned() }).await;
        while let Some(command) = heard.recv().await {
            // Members to be abandoned or parked have ended already.
            let Command::Train { members } = command else { continue };
            if let Some(end) = self.train(members, &mut heard).await {
                return end;
            }
            self.say(Event::Idle).await;
        }
        ended(EndStatus::Exited(0))
    }

    /// Trains a cohort; returns how the trainer ended if it does not survive the cohort.
    async fn train(
        &mut self,
        members: Vec<Member>,
        heard: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Option<TrainerEnd> {
        let slot = self.slot;
        let names: Vec<String> =
            members.iter().map(|member| format!("{} attempt {}", member.task, member.attempt)).collect();
        self.around.trace.note(&self.around.worker, format_args!("slot {slot} trains {}", names.join(", ")));
        let (kind, count) = (self.kind, members.len());
        if members.iter().any(|member| member.settings.trainer() != kind)
            || (kind == TrainerKind::Programs && count != 1)
        {
            let what =
                format!("slot {slot} was started for {kind:?} and got {count} tasks: {}", names.join(", "));
            self.around.trace.wrong(format_args!("{what}"));
        }
        match self.ailment.filter(|_| !self.calm()) {
            Some(Ailment::Crashes) => return Some(ended(EndStatus::Signalled(4))),
            Some(Ailment::NoData) => {
                let failure = Failure::new(FailureReason::Data, "there is no such file");
                for member in members {
                    self.say(Event::Failed { task: member.task, failure: failure.clone() }).await;
                }
                return None;
            }
            None => {}
        }
        if let Some(Member { settings, .. }) = members.first() {
            let (data_set, digest) = (settings.data_set().into_owned(), DATA_DIGEST.to_owned());
            self.say(Event::Opened { data_set, digest }).await;
        }
        let fate = if self.whim(30) {
            let fates = [
                Fate::Dies(1),
                Fate::Dies(134),
                Fate::Killed,
                Fate::KilledForMemory,
                Fate::Hangs,
                Fate::Babbles,
                Fate::IdlesEarly,
            ];
            *self.chance.pick(&fates)
        } else {
            Fate::Fine
        };
        let fated = 1 + self.chance.below(4) as u32;
        let pace = self.chance.millis(150, 1500);
        let mut epoch = 0;
        let mut parking = false;
        let mut left: BTreeMap<TaskId, Member> =
            members.into_iter().map(|member| (member.task, member)).collect();
        while !left.is_empty() {
            match pause(pace, heard).await {
                Pause::Passed => {}
                Pause::Park => {
                    parking = true;
                    continue;
                }
                Pause::Abandon(abandoned) => {
                    left.retain(|task, _| !abandoned.contains(task));
                    continue;
                }
            }
            epoch += 1;
            if epoch == fated && !self.calm() {
                match fate {
                    Fate::Fine => {}
                    Fate::Dies(code) => return Some(ended(EndStatus::Exited(code))),
                    Fate::Killed => return Some(ended(EndStatus::Signalled(6))),
                    Fate::KilledForMemory => {
                        let status = EndStatus::Signalled(9);
                        return Some(TrainerEnd { killed_for_memory: true, ..ended(status) });
                    }
                    Fate::Hangs => std::future::pending().await,
                    Fate::Babbles => {
                        let what = "it sings".to_owned();
                        // The agent may have ended.
                        let _ = self.inputs.send(Input::ProtocolViolation { slot, what }).await;
                    }
                    Fate::IdlesEarly => self.say(Event::Idle).await,
                }
            }
            for (task, member) in left.clone() {
                if self.end_epoch(task, &member, epoch).await {
                    left.remove(&task);
                }
            }
            if parking {
                for task in std::mem::take(&mut left).into_keys() {
                    self.say(Event::Parked { task }).await;
                }
            }
        }
        None
    }

    /// Reports the outcome of a member's epoch, and returns whether the member has ended.
    async fn end_epoch(&mut self, task: TaskId, member: &Member, epoch: u32) -> bool {
        let epochs = member.settings.epochs().unwrap_or(3);
        if diverges(task) && epoch == 2 {
            let failure = Failure::new(FailureReason::Diverged, "as it always does");
            self.say(Event::Failed { task, failure }).await;
            return true;
        }
        if self.kind == TrainerKind::Programs && self.whim(5) {
            let failure = Failure::new(FailureReason::Parked, "it goes on later");
            self.say(Event::Failed { task, failure }).await;
            return true;
        }
        if self.whim(2) {
            let reasons = [
                FailureReason::OutOfMemory,
                FailureReason::Data,
                FailureReason::Settings,
                FailureReason::Crash,
                FailureReason::Hang,
            ];
            let failure = Failure::new(*self.chance.pick(&reasons), "at a whim");
            self.say(Event::Failed { task, failure }).await;
            return true;
        }
        match self.kind {
            TrainerKind::Networks => {
                let record = record(task, epoch);
                self.say(Event::Epoch { task, record, epochs }).await;
            }
            // This program does not know epochs.
            TrainerKind::Programs => self.say(Event::Alive).await,
        }
        if epoch == epochs {
            self.say(Event::Finished { task, result: Box::new(result(task, epochs)) }).await;
        }
        epoch == epochs
    }
}

/// The digest of the data set that every host has, if it has one.
const DATA_DIGEST: &str = "0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f";

/// The reason why a pause ended.
enum Pause {
    /// The time passed.
    Passed,
    /// The agent asked to remove these members.
    Abandon(BTreeSet<TaskId>),
    /// The agent asked to park at the end of the epoch.
    Park,
}

/// Waits for the given time, or until the agent sends a command.
async fn pause(pace: Duration, heard: &mut mpsc::UnboundedReceiver<Command>) -> Pause {
    tokio::select! {
        biased;
        command = heard.recv() => match command {
            Some(Command::Abandon { tasks }) => Pause::Abandon(tasks.into_iter().collect()),
            Some(Command::Train { .. }) => Pause::Abandon(BTreeSet::new()),
            Some(Command::Park) => Pause::Park,
            // If the agent ends, the trainer is dropped.
            None => std::future::pending().await,
        },
        () = sleep(pace) => Pause::Passed,
    }
}

fn ended(status: EndStatus) -> TrainerEnd {
    TrainerEnd { status, stderr: String::new(), killed_for_memory: false }
}

/// A number that is a function of configuration and seed only.
fn number_of(task: TaskId, purpose: &str) -> u64 {
    Chance::new(task.configuration.0 ^ task.seed.rotate_left(32), purpose).draw()
}

/// Whether a task diverges, on any worker.
#[must_use]
pub fn diverges(task: TaskId) -> bool {
    number_of(task, "divergence").is_multiple_of(8)
}

fn record(task: TaskId, epoch: u32) -> EpochRecord {
    let loss = (number_of(task, "loss") % 1000) as f64 / 700.0 + 1.0 / f64::from(epoch);
    EpochRecord::of_network(epoch, loss, loss + 0.125, 0.5)
}

/// The result of a task.
#[must_use]
pub fn result(task: TaskId, epochs: u32) -> TaskResult {
    let share = |purpose| (number_of(task, purpose) >> 11) as f64 / (1_u64 << 53) as f64;
    let (accuracy, loss, f_score) = (share("accuracy"), 2.0 * share("test loss"), share("f_score"));
    let metrics = [(metric::ACCURACY, accuracy), (metric::LOSS, loss), (metric::F_SCORE, f_score)];
    TaskResult {
        metrics: metrics.map(|(name, value)| (name.to_owned(), value)).into(),
        confusion: vec![vec![number_of(task, "hits") % 100, 3], vec![4, 50]],
        classes: vec!["calm".to_owned(), "trouble".to_owned()].into(),
        history: (1..=epochs).map(|epoch| record(task, epoch)).collect(),
        best_epoch: epochs,
        parameters: 42,
        seconds: 1.5,
        device: "virtual".to_owned(),
        data_digest: DATA_DIGEST.to_owned(),
        weights_digest: format!("{:064x}", number_of(task, "weights")),
        resumed_after: Vec::new(),
        commit: String::new(),
        environment: Default::default(),
        artifacts: Vec::new(),
    }
}

//! The agent's decisions: inputs in, actions out, no clock, no I/O.

use std::{collections::BTreeMap, time::Duration};

use colearn_core::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, TaskId, WorkerId},
    time::Timestamp,
};
use colearn_proto::worker::{FromWorker, Hello, SlotOffer, ToWorker};

use super::{
    input::{Action, AgentOutcome, Input, LogLevel},
    inventory::{Inventory, Listing},
    log_queue::About,
    outbox::ReportOutbox,
    slot::{Limits, Slot, Trainer},
    time_limit::TimeLimit,
};

/// Minimum pause between heartbeats, whatever interval the coordinator wants.
const SHORTEST_HEARTBEAT: Duration = Duration::from_millis(10);

mod idle;
mod leases;
mod leaving;
#[cfg(test)]
mod tests;
mod trainers;

/// The agent.
///
/// Training does not depend on the stream. While it is down, reports are kept in order; epochs are only progress and
/// are dropped.
#[derive(Clone, Debug)]
pub struct Agent {
    worker: WorkerId,
    host: String,
    warnings: Vec<String>,
    limits: Limits,
    slots: BTreeMap<u32, Slot>,
    outbox: ReportOutbox,
    /// Names of the tasks of held leases, for logs.
    names: BTreeMap<TaskId, (LeaseToken, String)>,
    data_sets: Inventory,
    link: Link,
    mode: Mode,
    time: TimeLimit,
    /// Deadline of the first connection; `None` after it, or if there is no limit.
    reach_by: Option<Timestamp>,
    ever_connected: bool,
    /// Since when it has had no lease; `None` while it has one.
    idle_since: Option<Timestamp>,
    /// Whether leases with unfinished tasks were returned because the worker exits.
    has_parked: bool,
    actions: Vec<Action>,
}

#[derive(Clone, Debug)]
enum Link {
    Down,
    Up {
        heartbeat: Duration,
        beat_at: Timestamp,
        /// The free slots that the coordinator knows: those that were sent, without those it has granted leases on.
        offered: Option<Vec<u32>>,
        /// Whether the coordinator has the latest report of `data_sets`.
        data_sets_told: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Working,
    /// The worker takes no new lease.
    Draining,
    /// The worker takes no new lease; running tasks stop at the end of their epoch and are returned.
    Parking {
        outcome: AgentOutcome,
        until: Timestamp,
    },
    /// Nothing is trained; remaining reports are delivered if possible.
    Leaving {
        outcome: AgentOutcome,
        until: Timestamp,
    },
    Gone,
}

impl Agent {
    /// An agent that has not started yet.
    #[must_use]
    pub fn new(
        worker: WorkerId,
        host: String,
        slots: impl IntoIterator<Item = SlotOffer>,
        limits: Limits,
        now: Timestamp,
    ) -> Self {
        Self {
            worker,
            host,
            warnings: Vec::new(),
            reach_by: limits.connect_timeout.map(|limit| now.after(limit)),
            time: TimeLimit::new(now, &limits),
            limits,
            slots: slots.into_iter().map(|offer| (offer.index, Slot::new(offer, now))).collect(),
            outbox: ReportOutbox::default(),
            names: BTreeMap::new(),
            data_sets: Inventory::default(),
            link: Link::Down,
            mode: Mode::Working,
            ever_connected: false,
            idle_since: None,
            has_parked: false,
            actions: Vec::new(),
        }
    }

    /// Like [`Self::new`], with warnings for the operator of this host.
    #[must_use]
    pub fn with_warnings(self, warnings: Vec<String>) -> Self {
        Self { warnings, ..self }
    }

    /// The same, with the listing of its data folder.
    #[must_use]
    pub fn with_data_folder(mut self, listing: Listing) -> Self {
        self.data_sets.listed(listing);
        self
    }

    /// The hello for a new stream.
    #[must_use]
    pub fn hello(&self) -> Hello {
        let usable = self.slots.values().filter(|slot| !matches!(slot.trainer, Trainer::Withdrawn));
        Hello {
            worker: self.worker.clone(),
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: usable.map(|slot| slot.offer.clone()).collect(),
            held: self.outbox.held(),
            warnings: self.warnings.clone(),
        }
    }

    /// The tasks that the trainer of a slot trains, if any.
    #[must_use]
    pub fn trained_on(&self, slot: u32) -> Option<About> {
        match &self.slots.get(&slot)?.trainer {
            Trainer::Training(training) if !training.members.is_empty() => {
                Some(About { token: training.token, tasks: training.members.iter().copied().collect() })
            }
            _ => None,
        }
    }

    /// When the next [`Input::Tick`] is due, if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let link = match &self.link {
            Link::Up { beat_at, .. } => Some(*beat_at),
            Link::Down => self.reach_by,
        };
        let mode = match &self.mode {
            Mode::Parking { until, .. } | Mode::Leaving { until, .. } => Some(*until),
            Mode::Gone => return None,
            Mode::Working => [self.time.last_lease(), self.idle_end()].into_iter().flatten().min(),
            Mode::Draining => self.time.end(),
        };
        let slots = self.slots.values().filter_map(|slot| slot.deadline(&self.limits)).min();
        [link, mode, slots].into_iter().flatten().min()
    }

    /// The actions for an input.
    pub fn apply(&mut self, now: Timestamp, input: Input) -> Vec<Action> {
        if self.mode == Mode::Gone {
            return Vec::new();
        }
        match input {
            Input::Started | Input::Tick => {}
            Input::Received(message) => self.received(now, message),
            Input::Disconnected => {
                self.link = Link::Down;
                self.outbox.disconnected();
            }
            Input::Refused { why } => self.refused(why),
            Input::DataFolder(listing) => {
                self.data_sets.listed(listing);
                self.tell_data_sets();
            }
            Input::Usage(usage) => {
                if matches!(self.link, Link::Up { .. }) {
                    self.actions.push(Action::Send(FromWorker::Usage(usage)));
                }
            }
            Input::TrainerSaid { slot, event } => self.trainer_said(now, slot, event),
            Input::ProtocolViolation { slot, what } => self.violated(now, slot, &what),
            Input::TrainerEnded { slot, end } => self.trainer_ended(now, slot, &end),
            Input::Stop => self.leave(now, AgentOutcome::Stopped),
        }
        self.act_on_time(now);
        self.watch_idleness(now);
        self.speak();
        self.finish(now);
        std::mem::take(&mut self.actions)
    }

    fn received(&mut self, now: Timestamp, message: ToWorker) {
        match message {
            ToWorker::Welcome(welcome) => self.connected(now, welcome.heartbeat),
            ToWorker::Lease(lease) => self.leased(now, lease),
            ToWorker::Acknowledged { token, task } => self.acknowledged(token, task),
            ToWorker::Drop { token, tasks, reason } => self.dropped(now, token, &tasks, &reason),
            ToWorker::Drain { now: true } => self.leave(now, AgentOutcome::Drained),
            ToWorker::Drain { now: false } => self.drain("finishing running tasks, taking no new ones"),
            ToWorker::Undrain => self.undrain(),
            ToWorker::Notice { text } => self.log(LogLevel::Warn, format!("the coordinator says: {text}")),
        }
    }

    fn connected(&mut self, now: Timestamp, heartbeat: Duration) {
        let heartbeat = heartbeat.max(SHORTEST_HEARTBEAT);
        self.reach_by = None;
        self.ever_connected = true;
        self.outbox.disconnected();
        self.link =
            Link::Up { heartbeat, beat_at: now.after(heartbeat), offered: None, data_sets_told: false };
    }

    fn tell_data_sets(&mut self) {
        if let Link::Up { data_sets_told, .. } = &mut self.link {
            *data_sets_told = false;
        }
    }

    fn log(&mut self, level: LogLevel, text: impl Into<String>) {
        self.actions.push(Action::Log(level, About::default(), text.into()));
    }

    /// Logs a line about tasks of a lease, so that it appears in the log of these tasks.
    fn log_of(&mut self, level: LogLevel, token: LeaseToken, tasks: &[TaskId], text: String) {
        self.actions.push(Action::Log(level, About { token, tasks: tasks.to_vec() }, text));
    }

    fn refused(&mut self, why: String) {
        self.link = Link::Down;
        self.outbox.disconnected();
        // If the coordinator accepted this worker before, it may be in the middle of being replaced.
        if !self.ever_connected {
            self.go(AgentOutcome::Refused { why });
        }
    }

    fn act_on_time(&mut self, now: Timestamp) {
        self.enforce_time_limit(now);
        let overdue: Vec<u32> = self
            .slots
            .iter()
            .filter(|(_, slot)| slot.deadline(&self.limits).is_some_and(|deadline| deadline <= now))
            .map(|(&index, _)| index)
            .collect();
        for index in overdue {
            let Some(slot) = self.slots.get_mut(&index) else { continue };
            match &slot.trainer {
                Trainer::Absent { .. } => {
                    let kind = slot.start(now);
                    self.actions.push(Action::StartTrainer { slot: index, kind });
                }
                Trainer::Starting { since } => {
                    let seconds = now.since(*since).as_secs();
                    let why = format!("trainer was not ready after {seconds} s");
                    self.kill(now, index, &Failure::new(FailureReason::Hang, why));
                }
                Trainer::Training(training) => {
                    let seconds = now.since(training.heard).as_secs();
                    let why = format!("trainer sent nothing for {seconds} s");
                    self.kill(now, index, &Failure::new(FailureReason::Hang, why));
                }
                Trainer::Idle | Trainer::Ending | Trainer::Withdrawn => {}
            }
        }
        if let Link::Up { heartbeat, beat_at, .. } = &mut self.link
            && *beat_at <= now
        {
            *beat_at = now.after(*heartbeat);
            self.actions.push(Action::Send(FromWorker::Heartbeat));
        }
    }

    /// Sends the reports first, then the free slots, so that the coordinator learns of results before it grants more
    /// leases.
    fn speak(&mut self) {
        let Link::Up { offered, data_sets_told, .. } = &mut self.link else { return };
        // This comes before the free slots, so that no lease is granted whose data set is missing here.
        if !std::mem::replace(data_sets_told, true)
            && let Some(known) = self.data_sets.known()
        {
            self.actions.push(Action::Send(FromWorker::DataSets(known)));
        }
        for report in self.outbox.deliver() {
            self.actions.push(Action::Send(FromWorker::Report(report)));
        }
        let working = self.mode == Mode::Working;
        let free: Vec<u32> =
            self.slots.iter().filter(|(_, s)| working && s.is_free()).map(|(&index, _)| index).collect();
        if offered.as_ref() != Some(&free) {
            self.actions.push(Action::Send(FromWorker::FreeSlots(free.clone())));
            *offered = Some(free);
        }
    }
}

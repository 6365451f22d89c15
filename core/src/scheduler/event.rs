//! Everything that can happen to the scheduler.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    sweep::Sweep,
};

use super::data_sets::DataSets;

/// Something that happened.
///
/// The first fifteen are *durable*: facts that the journal keeps and recovery replays. The others are
/// *volatile*: they say who is there and alive now, which nobody needs to know after a restart.
///
/// The serialised form of the durable ones is what journals are made of: add variants, and fields with a
/// default, but change nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A sweep was submitted, or submitted again with other report or retry settings.
    SweepSubmitted {
        /// New, or that of the sweep of the same name and tasks.
        id: SweepId,
        /// What it is.
        sweep: Arc<Sweep>,
    },
    /// A worker was given tasks, all of one sweep.
    LeaseGranted {
        /// Greater than every token before it.
        token: LeaseToken,
        /// Who trains.
        worker: WorkerId,
        /// On which of its slots.
        slot: u32,
        /// What, with the number of the attempt, counting from 1.
        tasks: Vec<(TaskId, u32)>,
    },
    /// A task was trained to its end.
    TaskFinished {
        /// The lease it was trained under.
        token: LeaseToken,
        /// Which.
        task: TaskId,
        /// The digest of the data set it was trained on; empty when it is not known.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        data_digest: String,
    },
    /// An attempt at a task failed; the other members of its lease go on.
    AttemptFailed {
        /// The lease it was trained under.
        token: LeaseToken,
        /// Which.
        task: TaskId,
        /// Why.
        failure: Failure,
        /// The failure would be permanent, but may be the worker's: the task is tried again as long as attempts
        /// are left, see [`super::Scheduler::failed_attempt`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unconfirmed: bool,
    },
    /// A lease's worker was silent for too long, or came back without it.
    LeaseExpired {
        /// Which.
        token: LeaseToken,
        /// Those of its tasks that got further than any attempt before, with the epochs they had finished.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        progressed: Vec<(TaskId, u32)>,
    },
    /// A worker gave a lease back: what is unfinished returns to pending and keeps its attempts.
    /// The worker holds it until it is told to drop it, so that a release that is lost costs nothing.
    LeaseReleased {
        /// Which.
        token: LeaseToken,
    },
    /// A person cancelled a sweep.
    SweepCancelled {
        /// Which.
        sweep: SweepId,
    },
    /// A person wants tasks that have ended without a result to be tried again, with all their attempts.
    TasksRetried {
        /// Whose.
        sweep: SweepId,
        /// Which.
        scope: RetryScope,
    },
    /// A person added configurations or seeds to a sweep. What was there is there still.
    SweepExtended {
        /// Which.
        id: SweepId,
        /// All of it now, see [`super::Scheduler::extension`].
        sweep: Arc<Sweep>,
    },
    /// A person paused a sweep, so that nothing new of it starts, or resumed it.
    SweepPaused {
        /// Which.
        sweep: SweepId,
        /// Whether it is paused now.
        paused: bool,
    },
    /// A person gave a sweep another priority.
    SweepPrioritized {
        /// Which.
        sweep: SweepId,
        /// See [`crate::sweep::ScheduleSettings::priority`].
        priority: i32,
    },
    /// A person removed a sweep that had ended, with its results.
    SweepRemoved {
        /// Which. Its number is not given again.
        sweep: SweepId,
    },
    /// A worker on which nothing succeeds gets nothing for a while, and then one task at a time until one
    /// succeeds; see [`super::Scheduler::proposals`].
    WorkerSetAside {
        /// Which.
        worker: WorkerId,
        /// Only for tasks that are trained on this data set; none means for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_set: Option<String>,
        /// How many pauses in a row this makes.
        pauses: u32,
        /// How long it gets nothing, in milliseconds.
        pause_millis: u64,
        /// Leases that failed in a row.
        failures: u32,
        /// The last failure.
        failure: Failure,
    },
    /// A worker that was set aside gets tasks as any other again.
    WorkerRestored {
        /// Which.
        worker: WorkerId,
        /// Which of its pauses ends: that for a data set, or that for all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_set: Option<String>,
        /// Why.
        cause: RestoreCause,
    },
    /// The coordinator started on what an earlier one left: every worker has time to come back.
    CoordinatorStarted,

    /// A worker opened its stream.
    WorkerConnected {
        /// Who.
        worker: WorkerId,
        /// Where it runs, for people.
        host: String,
        /// Which version of colearn it is, for people.
        version: String,
        /// What its operator should know, for people.
        #[serde(default)]
        warnings: Vec<String>,
        /// What it can train on.
        slots: Vec<SlotOffer>,
        /// What it brought along: trained still, or not acknowledged yet.
        held: Vec<HeldLease>,
    },
    /// A worker says which data sets it has. Replaces what it said before.
    DataSetsKnown {
        /// The worker.
        worker: WorkerId,
        /// Its data sets.
        data_sets: DataSets,
    },
    /// These slots of a worker are idle, and no others. A slot with an active lease is not free even if it
    /// is named here: the offer was on its way when the lease was granted.
    SlotsFree {
        /// Whose.
        worker: WorkerId,
        /// Their indices.
        slots: Vec<u32>,
    },
    /// A worker is alive.
    Heartbeat {
        /// Who.
        worker: WorkerId,
    },
    /// A person wants a worker to take nothing new and to leave.
    DrainRequested {
        /// Who.
        worker: WorkerId,
        /// Without waiting for what runs.
        now: bool,
    },
    /// A person wants a worker that was asked to leave, but not at once, to stay.
    UndrainRequested {
        /// Who.
        worker: WorkerId,
    },
    /// A worker's stream ended. Its leases stay until their deadlines.
    WorkerDisconnected {
        /// Who.
        worker: WorkerId,
    },
    /// A running task finished an epoch.
    EpochReported {
        /// The lease it is trained under.
        token: LeaseToken,
        /// Which.
        task: TaskId,
        /// Epochs finished.
        epoch: u32,
    },
    /// The coordinator listened to nobody for a while, such as a process that was stopped and goes on: every
    /// worker has time to be heard again.
    CoordinatorWoke,
    /// Time has passed: a deadline may have come.
    Tick,
}

/// Which tasks of a sweep are to be tried again. Those that are done, pending or running are left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryScope {
    /// All that failed.
    Failed,
    /// All that failed or were cancelled.
    FailedAndCancelled,
    /// These.
    Tasks(Vec<TaskId>),
}

/// Why a worker that was set aside gets tasks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreCause {
    /// A task succeeded on it.
    Succeeded,
    /// A person said so.
    Person,
    /// What failed on it failed on other workers too.
    Exonerated,
    /// It has not been there for long, and is forgotten.
    Gone,
}

/// One slot of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotOffer {
    /// Its number on the worker.
    pub index: u32,
    /// Such as `cpu x1` or `cuda:0 NVIDIA H100`, for people.
    pub device: String,
    /// The most tasks it takes in one cohort; at least 1.
    pub max_cohort: u32,
}

/// A lease a connecting worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Its token.
    pub token: LeaseToken,
    /// Tasks that are trained still or whose report is not acknowledged; empty means all of the lease.
    pub tasks: Vec<TaskId>,
}

impl Event {
    /// Whether the journal must hold this event before anyone is told what follows from it.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        match self {
            Self::SweepSubmitted { .. }
            | Self::LeaseGranted { .. }
            | Self::TaskFinished { .. }
            | Self::AttemptFailed { .. }
            | Self::LeaseExpired { .. }
            | Self::LeaseReleased { .. }
            | Self::SweepCancelled { .. }
            | Self::TasksRetried { .. }
            | Self::SweepExtended { .. }
            | Self::SweepPaused { .. }
            | Self::SweepPrioritized { .. }
            | Self::SweepRemoved { .. }
            | Self::WorkerSetAside { .. }
            | Self::WorkerRestored { .. }
            | Self::CoordinatorStarted => true,
            Self::WorkerConnected { .. }
            | Self::DataSetsKnown { .. }
            | Self::SlotsFree { .. }
            | Self::Heartbeat { .. }
            | Self::DrainRequested { .. }
            | Self::UndrainRequested { .. }
            | Self::WorkerDisconnected { .. }
            | Self::EpochReported { .. }
            | Self::CoordinatorWoke
            | Self::Tick => false,
        }
    }

    /// The event's name as the journal and logs have it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SweepSubmitted { .. } => "sweep_submitted",
            Self::LeaseGranted { .. } => "lease_granted",
            Self::TaskFinished { .. } => "task_finished",
            Self::AttemptFailed { .. } => "attempt_failed",
            Self::LeaseExpired { .. } => "lease_expired",
            Self::LeaseReleased { .. } => "lease_released",
            Self::SweepCancelled { .. } => "sweep_cancelled",
            Self::TasksRetried { .. } => "tasks_retried",
            Self::SweepExtended { .. } => "sweep_extended",
            Self::SweepPaused { .. } => "sweep_paused",
            Self::SweepPrioritized { .. } => "sweep_prioritized",
            Self::SweepRemoved { .. } => "sweep_removed",
            Self::WorkerSetAside { .. } => "worker_set_aside",
            Self::WorkerRestored { .. } => "worker_restored",
            Self::CoordinatorStarted => "coordinator_started",
            Self::WorkerConnected { .. } => "worker_connected",
            Self::DataSetsKnown { .. } => "data_sets_known",
            Self::SlotsFree { .. } => "slots_free",
            Self::Heartbeat { .. } => "heartbeat",
            Self::DrainRequested { .. } => "drain_requested",
            Self::UndrainRequested { .. } => "undrain_requested",
            Self::WorkerDisconnected { .. } => "worker_disconnected",
            Self::EpochReported { .. } => "epoch_reported",
            Self::CoordinatorWoke => "coordinator_woke",
            Self::Tick => "tick",
        }
    }
}

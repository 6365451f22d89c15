//! Everything that can happen to the scheduler.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    failure::Failure,
    id::{ConfigurationId, LeaseToken, SweepId, TaskId, WorkerId},
    needs::Offers,
    result::EpochRecord,
    sweep::Sweep,
};

use super::data_sets::DataSets;

/// An event.
///
/// The first eighteen are *durable*: the journal keeps them and recovery replays them. The others are *volatile*: they
/// say which workers are connected now, which is not needed after a restart.
///
/// Journals consist of the serialised form of the durable events. Variants may be added, and fields with a default;
/// nothing may be changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A sweep was submitted, or submitted again with other report or retry settings.
    SweepSubmitted {
        /// A new number, or that of the sweep with the same name and tasks.
        id: SweepId,
        /// The sweep.
        sweep: Arc<Sweep>,
    },
    /// A worker was given tasks, all of one sweep.
    LeaseGranted {
        /// Greater than all earlier tokens.
        token: LeaseToken,
        /// The worker.
        worker: WorkerId,
        /// The slot of the worker.
        slot: u32,
        /// The tasks, with the numbers of their attempts, counting from 1.
        tasks: Vec<(TaskId, u32)>,
    },
    /// A task was trained to its end.
    TaskFinished {
        /// The lease under which it was trained.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// The digest of the data set that it was trained on; empty if unknown.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        data_digest: String,
    },
    /// An attempt at a task failed; the other members of its lease continue.
    AttemptFailed {
        /// The lease under which it was trained.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// The failure.
        failure: Failure,
        /// The failure would be permanent, but the worker may be the cause: the task is tried again as long as
        /// attempts are left, see [`super::Scheduler::failed_attempt`].
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unconfirmed: bool,
    },
    /// The worker of a lease was silent for too long, or reconnected without the lease.
    LeaseExpired {
        /// The lease.
        token: LeaseToken,
        /// The tasks that got further than in any attempt before, with the number of their finished epochs.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        progressed: Vec<(TaskId, u32)>,
    },
    /// A worker returned a lease: unfinished tasks become pending and keep their attempts. The worker holds the lease
    /// until it is told to drop it, so a lost message costs nothing.
    LeaseReleased {
        /// The lease.
        token: LeaseToken,
    },
    /// A person cancelled a sweep.
    SweepCancelled {
        /// The sweep.
        sweep: SweepId,
    },
    /// A person cancelled tasks of a sweep. Those that have ended stay as they are; the others are not trained, and the
    /// sweep goes on without them.
    TasksCancelled {
        /// The sweep.
        sweep: SweepId,
        /// The tasks.
        tasks: Selection,
    },
    /// The tasks of a sweep fail: those that are pending were cancelled.
    RestCancelled {
        /// The sweep.
        sweep: SweepId,
        /// Why, for people.
        reason: String,
    },
    /// A sweep does not fit its data set: its tasks that are not done have failed.
    SweepRefused {
        /// The sweep.
        sweep: SweepId,
        /// The mistakes, as a failure.
        failure: Failure,
    },
    /// A person retried tasks that ended without a result, with their full number of attempts.
    TasksRetried {
        /// The sweep.
        sweep: SweepId,
        /// The tasks.
        scope: RetryScope,
    },
    /// A person added configurations or seeds to a sweep. Everything that existed before is kept.
    SweepExtended {
        /// The sweep.
        id: SweepId,
        /// The whole sweep after the change, see [`super::Scheduler::extension`].
        sweep: Arc<Sweep>,
    },
    /// A person paused a sweep, so that no new tasks of it start, or resumed it.
    SweepPaused {
        /// The sweep.
        sweep: SweepId,
        /// Whether it is paused now.
        paused: bool,
    },
    /// A person changed the priority of a sweep.
    SweepPrioritized {
        /// The sweep.
        sweep: SweepId,
        /// See [`crate::sweep::ScheduleSettings::priority`].
        priority: i32,
    },
    /// A person says that a sweep goes on with another data set or a changed program: the results so far do not
    /// determine its files any more, and the next result does.
    DataReplaced {
        /// The sweep.
        sweep: SweepId,
    },
    /// A person removed an ended sweep with its results.
    SweepRemoved {
        /// The sweep. Its number is not used again.
        sweep: SweepId,
    },
    /// A worker on which no task succeeds gets no tasks for a while, and then one task at a time until one succeeds;
    /// see [`super::Scheduler::proposals`].
    WorkerSetAside {
        /// The worker.
        worker: WorkerId,
        /// Only for tasks with this data set; `None` means all tasks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_set: Option<String>,
        /// Whether `data_set` names the files of a program.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        program: bool,
        /// Number of pauses in a row, including this one.
        pauses: u32,
        /// Length of the pause, in milliseconds.
        pause_millis: u64,
        /// Number of leases that failed in a row.
        failures: u32,
        /// The last failure.
        failure: Failure,
    },
    /// A worker that was set aside gets tasks like any other worker again.
    WorkerRestored {
        /// The worker.
        worker: WorkerId,
        /// The pause that ends: the one for a data set, or the one for all tasks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data_set: Option<String>,
        /// The reason.
        cause: RestoreCause,
    },
    /// The coordinator started on the state of an earlier one: every worker has time to reconnect.
    CoordinatorStarted,

    /// A worker opened its stream.
    WorkerConnected {
        /// The worker.
        worker: WorkerId,
        /// Its host, for people.
        host: String,
        /// Its version of colearn, for people.
        version: String,
        /// Warnings for its operator, for people.
        #[serde(default)]
        warnings: Vec<String>,
        /// Its slots.
        slots: Vec<SlotOffer>,
        /// Its leases with tasks that are still trained or not acknowledged.
        held: Vec<HeldLease>,
    },
    /// A worker reports its data sets. Replaces its earlier report.
    DataSetsKnown {
        /// The worker.
        worker: WorkerId,
        /// Its data sets.
        data_sets: DataSets,
    },
    /// These slots of a worker are idle, and no others. A slot with an active lease is not free even if it is named
    /// here: the offer was sent before the lease was granted.
    SlotsFree {
        /// The worker.
        worker: WorkerId,
        /// The indices of the slots.
        slots: Vec<u32>,
    },
    /// A worker is alive.
    Heartbeat {
        /// The worker.
        worker: WorkerId,
    },
    /// A person asks a worker to take no new tasks and to exit.
    DrainRequested {
        /// The worker.
        worker: WorkerId,
        /// Whether to exit without waiting for running tasks.
        now: bool,
    },
    /// A person undoes a drain that was not `now`.
    UndrainRequested {
        /// The worker.
        worker: WorkerId,
    },
    /// A worker's stream ended. Its leases are kept until their deadlines.
    WorkerDisconnected {
        /// The worker.
        worker: WorkerId,
    },
    /// A running task finished an epoch.
    EpochReported {
        /// The lease under which it is trained.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// The epoch, whose number is that of finished epochs.
        record: EpochRecord,
    },
    /// The coordinator processed no messages for a while, for example because its process was suspended: every worker
    /// has time to be heard again.
    CoordinatorWoke,
    /// Time has passed: a deadline may be due.
    Tick,
}

/// The tasks of a sweep to be tried again. Tasks that are done, pending or running are left alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryScope {
    /// All failed tasks.
    Failed,
    /// All failed and cancelled tasks.
    FailedAndCancelled,
    /// These tasks.
    Tasks(Vec<TaskId>),
}

/// Tasks of a sweep that a person names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// These tasks.
    Tasks(Vec<TaskId>),
    /// A part of the grid.
    Grid {
        /// Only tasks of these configurations; empty means all.
        configurations: Vec<ConfigurationId>,
        /// Only tasks with these seeds; empty means all.
        seeds: Vec<u64>,
    },
}

/// The reason why a worker that was set aside gets tasks again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreCause {
    /// A task succeeded on it.
    Succeeded,
    /// A person restored it.
    Person,
    /// Its failed tasks failed on other workers too.
    Exonerated,
    /// It has been away for a long time, and is forgotten.
    Gone,
}

/// One slot of a worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SlotOffer {
    /// Number of the slot on its worker.
    pub index: u32,
    /// Device of the slot, such as `cpu x1` or `cuda:0 NVIDIA H100`, for people.
    pub device: String,
    /// Maximum number of tasks in one cohort; at least 1.
    pub max_cohort: u32,
    /// What it offers to tasks.
    #[serde(default)]
    pub offers: Offers,
}

/// A lease that a connecting worker holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldLease {
    /// Its token.
    pub token: LeaseToken,
    /// Tasks that are still trained or whose report is not acknowledged; empty means all tasks of the lease.
    pub tasks: Vec<TaskId>,
}

impl Event {
    /// Whether the event must be in the journal before anyone is told its consequences.
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
            | Self::TasksCancelled { .. }
            | Self::RestCancelled { .. }
            | Self::SweepRefused { .. }
            | Self::TasksRetried { .. }
            | Self::SweepExtended { .. }
            | Self::SweepPaused { .. }
            | Self::SweepPrioritized { .. }
            | Self::DataReplaced { .. }
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

    /// The event's name in the journal and in logs.
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
            Self::TasksCancelled { .. } => "tasks_cancelled",
            Self::RestCancelled { .. } => "rest_cancelled",
            Self::SweepRefused { .. } => "sweep_refused",
            Self::TasksRetried { .. } => "tasks_retried",
            Self::SweepExtended { .. } => "sweep_extended",
            Self::SweepPaused { .. } => "sweep_paused",
            Self::SweepPrioritized { .. } => "sweep_prioritized",
            Self::DataReplaced { .. } => "data_replaced",
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

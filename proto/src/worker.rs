//! The protocol between workers and the coordinator, in the types of both sides.
//!
//! Conversions from the wire check that a message is meaningful. Limits for untrusted senders (counts, lengths,
//! printable text) are checked by the coordinator.

use std::{collections::BTreeSet, time::Duration};

use colearn_core::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, TaskId, WorkerId},
    result::{EpochRecord, TaskResult},
    settings::TaskSettings,
    sweep::Kept,
};

pub use colearn_core::scheduler::{DataSetShape, DataSets, HeldLease, KnownDataSet, SlotOffer};

use crate::{
    convert::{self, ConvertError},
    v1::{self, work_request, work_response},
    versions,
};

/// The first message of a worker on every stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The worker's name.
    pub worker: WorkerId,
    /// The name of its host, for people.
    pub host: String,
    /// Its colearn version, for people.
    pub version: String,
    /// The slots that have a trainer, or will have one.
    pub slots: Vec<SlotOffer>,
    /// The leases whose tasks it trains or whose reports are not acknowledged.
    pub held: Vec<HeldLease>,
    /// Warnings for its operator, such as a GPU that is not used and the reason.
    pub warnings: Vec<String>,
}

/// A message from a worker, after its hello. Log lines are not included.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker {
    /// These slots are free, and no others.
    FreeSlots(Vec<u32>),
    /// The worker is alive.
    Heartbeat,
    /// The data sets of the worker, as far as it knows them. Replaces its earlier message on this stream.
    DataSets(DataSets),
    /// A task finished an epoch. Losing this message does no harm.
    Epoch {
        /// The lease under which the task is trained.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// The epoch and its losses.
        record: EpochRecord,
        /// The number of epochs that the task is trained for.
        epochs: u32,
    },
    /// What the worker's host does. Losing this message does no harm.
    Usage(v1::Usage),
    /// A report, which the worker repeats on every new stream until it is answered.
    Report(Report),
}

/// A report that must reach the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A task was trained to its end.
    Finished {
        /// The lease under which it was trained.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// Its result.
        result: Box<TaskResult>,
    },
    /// An attempt at a task failed; the other members of its lease continue.
    Failed {
        /// The lease under which it was trained.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// The reason.
        failure: Failure,
    },
    /// The worker returns a lease: its unreported tasks become pending and keep their attempts. Answered with a drop
    /// of the lease.
    Released {
        /// The lease.
        token: LeaseToken,
    },
}

impl Report {
    /// The lease that the report is about.
    #[must_use]
    pub fn token(&self) -> LeaseToken {
        match self {
            Self::Finished { token, .. } | Self::Failed { token, .. } | Self::Released { token } => *token,
        }
    }

    /// The task that the report is about; `None` if it is about the whole lease.
    #[must_use]
    pub fn task(&self) -> Option<TaskId> {
        match self {
            Self::Finished { task, .. } | Self::Failed { task, .. } => Some(*task),
            Self::Released { .. } => None,
        }
    }
}

impl FromWorker {
    /// The lease that the message is about, and the task if it is about one.
    #[must_use]
    pub fn subject(&self) -> Option<(LeaseToken, Option<TaskId>)> {
        match self {
            Self::FreeSlots(_) | Self::Heartbeat | Self::DataSets(_) | Self::Usage(_) => None,
            Self::Epoch { token, task, .. } => Some((*token, Some(*task))),
            Self::Report(report) => Some((report.token(), report.task())),
        }
    }
}

/// A message from the coordinator to a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// The answer to the hello: the first message on every stream, and only there.
    Welcome(Welcome),
    /// Train these tasks.
    Lease(Lease),
    /// A report is durable: the worker may delete it.
    Acknowledged {
        /// The lease of the report.
        token: LeaseToken,
        /// The task of the report.
        task: TaskId,
    },
    /// Stop training and reporting under a lease.
    Drop {
        /// The lease.
        token: LeaseToken,
        /// The affected tasks of the lease; empty means all.
        tasks: Vec<TaskId>,
        /// The reason, for people.
        reason: String,
    },
    /// Take no new lease, and exit when all running tasks have ended.
    Drain {
        /// Do not wait for running tasks: write checkpoints and return the leases.
        now: bool,
    },
    /// Take leases again: the last drain is undone, unless it was `now`.
    Undrain,
    /// A line for the worker's log, such as why it gets no tasks.
    Notice {
        /// The line.
        text: String,
    },
}

/// The rules of a coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// A worker that is silent for longer than this loses its leases. Whole milliseconds, at most 49 days.
    pub lease: Duration,
    /// Interval of the worker's heartbeats. Whole milliseconds, at most 49 days.
    pub heartbeat: Duration,
    /// The coordinator's colearn version, for people.
    pub version: String,
}

/// A worker's right to train tasks as one cohort.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// The fencing token that every report under this lease carries.
    pub token: LeaseToken,
    /// The slot of the worker on which to train.
    pub slot: u32,
    /// The members of the cohort.
    pub tasks: Vec<Assignment>,
}

/// One task of a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The task.
    pub task: TaskId,
    /// The number of the attempt, counting from 1.
    pub attempt: u32,
    /// The settings of the task. If this version cannot read them, the lease is still valid: the worker holds it, and
    /// has to report the task as failed.
    pub settings: Result<TaskSettings, UnreadableSettings>,
    /// Epochs between two checkpoints; 0 means that none are written.
    pub checkpoint_every_epochs: u32,
    /// The SHA-256 digest, in hexadecimal, that the data set must have; empty for any.
    pub data_digest: String,
    /// A name of the task for logs, such as `demo/audio=0.8,video=0.8/0`; empty from an older coordinator.
    pub name: String,
    /// The files to keep.
    pub keep: BTreeSet<Kept>,
    /// The folder for these files, within the location of checkpoints; empty for the location itself.
    pub kept_in: String,
}

/// Settings that this version cannot read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the settings of the task cannot be read: {why}")]
pub struct UnreadableSettings {
    /// The received JSON.
    pub json: String,
    /// The parser's message.
    pub why: String,
}

impl From<Hello> for v1::WorkRequest {
    fn from(hello: Hello) -> Self {
        let labels: BTreeSet<String> =
            hello.slots.iter().flat_map(|slot| &slot.offers.labels).cloned().collect();
        let slot = |offer: SlotOffer| v1::Slot {
            index: offer.index,
            device: offer.device,
            max_cohort: offer.max_cohort,
            offers: Some(offer.offers.into()),
        };
        let held = |lease: HeldLease| v1::HeldLease { token: lease.token.0, tasks: to_wire(lease.tasks) };
        request(work_request::Message::Hello(v1::Hello {
            worker: hello.worker.into(),
            host: hello.host,
            version: hello.version,
            slots: hello.slots.into_iter().map(slot).collect(),
            held: hello.held.into_iter().map(held).collect(),
            warnings: hello.warnings,
            labels: labels.into_iter().collect(),
            protocol: versions::PROTOCOL,
            oldest_protocol: versions::OLDEST_COORDINATOR,
        }))
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = ConvertError;

    fn try_from(hello: v1::Hello) -> Result<Self, ConvertError> {
        let slot = |slot: v1::Slot| SlotOffer {
            index: slot.index,
            device: slot.device,
            max_cohort: slot.max_cohort.max(1),
            offers: convert::offers(slot.offers.as_ref(), &hello.labels),
        };
        let held = |lease: v1::HeldLease| {
            Ok(HeldLease { token: LeaseToken(lease.token), tasks: from_wire(lease.tasks)? })
        };
        Ok(Self {
            worker: WorkerId::new(hello.worker)?,
            host: hello.host,
            version: hello.version,
            slots: hello.slots.into_iter().map(slot).collect(),
            held: hello.held.into_iter().map(held).collect::<Result<_, ConvertError>>()?,
            warnings: hello.warnings,
        })
    }
}

impl From<FromWorker> for v1::WorkRequest {
    fn from(message: FromWorker) -> Self {
        request(match message {
            FromWorker::FreeSlots(slots) => work_request::Message::FreeSlots(v1::FreeSlots { slots }),
            FromWorker::DataSets(data_sets) => work_request::Message::DataSets(data_sets.into()),
            FromWorker::Heartbeat => work_request::Message::Heartbeat(v1::Heartbeat {}),
            FromWorker::Usage(usage) => work_request::Message::Usage(usage),
            FromWorker::Epoch { token, task, record, epochs } => {
                let (task, record) = (Some(task.into()), Some(record.into()));
                work_request::Message::Epoch(v1::EpochReport { token: token.0, task, record, epochs })
            }
            FromWorker::Report(Report::Finished { token, task, result }) => {
                let (task, result) = (Some(task.into()), Some((*result).into()));
                work_request::Message::Finished(v1::TaskFinished { token: token.0, task, result })
            }
            FromWorker::Report(Report::Failed { token, task, failure }) => {
                let (task, failure) = (Some(task.into()), Some(failure.into()));
                work_request::Message::Failed(v1::TaskFailed { token: token.0, task, failure })
            }
            FromWorker::Report(Report::Released { token }) => {
                work_request::Message::Released(v1::LeaseReleased { token: token.0 })
            }
        })
    }
}

impl TryFrom<work_request::Message> for FromWorker {
    type Error = ConvertError;

    fn try_from(message: work_request::Message) -> Result<Self, ConvertError> {
        use work_request::Message;
        Ok(match message {
            Message::Hello(_) => {
                let why = "a stream has one, at its beginning";
                return Err(ConvertError::Unexpected { message: "hello", why });
            }
            Message::Log(_) => {
                let why = "lines of logs are not for the scheduler";
                return Err(ConvertError::Unexpected { message: "log", why });
            }
            Message::FreeSlots(free) => Self::FreeSlots(free.slots),
            Message::Heartbeat(v1::Heartbeat {}) => Self::Heartbeat,
            Message::Usage(usage) => Self::Usage(usage),
            Message::DataSets(data_sets) => Self::DataSets(data_sets.into()),
            Message::Epoch(report) => Self::Epoch {
                token: LeaseToken(report.token),
                task: convert::task(report.task)?,
                record: report.record.ok_or(ConvertError::Missing("record"))?.into(),
                epochs: report.epochs,
            },
            Message::Finished(report) => Self::Report(finished(report)?),
            Message::Failed(report) => Self::Report(Report::Failed {
                token: LeaseToken(report.token),
                task: convert::task(report.task)?,
                failure: report.failure.ok_or(ConvertError::Missing("failure"))?.try_into()?,
            }),
            Message::Released(report) => Self::Report(Report::Released { token: LeaseToken(report.token) }),
        })
    }
}

/// An unacceptable result counts as a failed attempt: if it were refused, it would be sent again forever.
fn finished(report: v1::TaskFinished) -> Result<Report, ConvertError> {
    let (token, task) = (LeaseToken(report.token), convert::task(report.task)?);
    let result = report.result.ok_or(ConvertError::Missing("result")).and_then(TaskResult::try_from);
    Ok(match result {
        Ok(result) => Report::Finished { token, task, result: Box::new(result) },
        Err(error) => {
            let reason = match error {
                ConvertError::NotFinite(_) => FailureReason::Diverged,
                _ => FailureReason::Crash,
            };
            let failure = Failure::new(reason, format!("its result is not acceptable: {error}"));
            Report::Failed { token, task, failure }
        }
    })
}

impl From<ToWorker> for v1::WorkResponse {
    fn from(message: ToWorker) -> Self {
        use work_response::Message;
        let message = match message {
            ToWorker::Welcome(Welcome { lease, heartbeat, version }) => Message::Welcome(v1::Welcome {
                lease_millis: millis(lease),
                heartbeat_millis: millis(heartbeat),
                coordinator_version: version,
                protocol: versions::PROTOCOL,
                oldest_protocol: versions::OLDEST_WORKER,
            }),
            ToWorker::Lease(Lease { token, slot, tasks }) => {
                let tasks = tasks.into_iter().map(Into::into).collect();
                Message::Lease(v1::Lease { token: token.0, slot, tasks })
            }
            ToWorker::Acknowledged { token, task } => {
                Message::Acknowledged(v1::Acknowledged { token: token.0, task: Some(task.into()) })
            }
            ToWorker::Drop { token, tasks, reason } => {
                Message::Drop(v1::Drop { token: token.0, tasks: to_wire(tasks), reason })
            }
            ToWorker::Drain { now } => Message::Drain(v1::Drain { now }),
            ToWorker::Undrain => Message::Undrain(v1::Undrain {}),
            ToWorker::Notice { text } => Message::Notice(v1::Notice { text }),
        };
        Self { message: Some(message) }
    }
}

impl TryFrom<v1::WorkResponse> for ToWorker {
    type Error = ConvertError;

    fn try_from(response: v1::WorkResponse) -> Result<Self, ConvertError> {
        use work_response::Message;
        Ok(match response.message.ok_or(ConvertError::Missing("message"))? {
            Message::Welcome(welcome) => Self::Welcome(Welcome {
                lease: Duration::from_millis(welcome.lease_millis.into()),
                heartbeat: Duration::from_millis(welcome.heartbeat_millis.into()),
                version: welcome.coordinator_version,
            }),
            Message::Lease(lease) => Self::Lease(Lease {
                token: LeaseToken(lease.token),
                slot: lease.slot,
                tasks: lease.tasks.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            }),
            Message::Acknowledged(ack) => {
                Self::Acknowledged { token: LeaseToken(ack.token), task: convert::task(ack.task)? }
            }
            Message::Drop(drop) => Self::Drop {
                token: LeaseToken(drop.token),
                tasks: from_wire(drop.tasks)?,
                reason: drop.reason,
            },
            Message::Drain(v1::Drain { now }) => Self::Drain { now },
            Message::Undrain(v1::Undrain {}) => Self::Undrain,
            Message::Notice(v1::Notice { text }) => Self::Notice { text },
        })
    }
}

impl From<Assignment> for v1::Assignment {
    fn from(assignment: Assignment) -> Self {
        let settings_json = match assignment.settings {
            // The keys of their maps are text, as JSON requires.
            Ok(settings) => serde_json::to_string(&settings).unwrap_or_default(),
            Err(unreadable) => unreadable.json,
        };
        Self {
            task: Some(assignment.task.into()),
            attempt: assignment.attempt,
            settings_json,
            checkpoint_every_epochs: assignment.checkpoint_every_epochs,
            data_digest: assignment.data_digest,
            name: assignment.name,
            keep: assignment.keep.iter().map(|kept| kept.as_str().to_owned()).collect(),
            kept_in: assignment.kept_in,
        }
    }
}

impl TryFrom<v1::Assignment> for Assignment {
    type Error = ConvertError;

    fn try_from(assignment: v1::Assignment) -> Result<Self, ConvertError> {
        let (json, words) = (assignment.settings_json, assignment.keep);
        let settings = serde_json::from_str(&json);
        Ok(Self {
            task: convert::task(assignment.task)?,
            attempt: assignment.attempt,
            settings: settings.map_err(|error| UnreadableSettings { json, why: error.to_string() }),
            checkpoint_every_epochs: assignment.checkpoint_every_epochs,
            data_digest: assignment.data_digest,
            name: assignment.name,
            keep: Kept::ALL.into_iter().filter(|kept| words.iter().any(|it| it == kept.as_str())).collect(),
            kept_in: assignment.kept_in,
        })
    }
}

fn request(message: work_request::Message) -> v1::WorkRequest {
    v1::WorkRequest { message: Some(message) }
}

fn to_wire(tasks: Vec<TaskId>) -> Vec<v1::TaskId> {
    tasks.into_iter().map(Into::into).collect()
}

fn from_wire(tasks: Vec<v1::TaskId>) -> Result<Vec<TaskId>, ConvertError> {
    tasks.into_iter().map(TryInto::try_into).collect()
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

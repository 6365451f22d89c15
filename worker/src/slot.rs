//! One slot: the known state of its trainer, and the work of the trainer.

use std::{collections::BTreeSet, time::Duration};

use colearn_core::{
    id::{LeaseToken, TaskId},
    needs::TrainerKind,
    time::Timestamp,
};
use colearn_proto::worker::SlotOffer;
use colearn_trainer_protocol::Member;

/// The time limits of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a training trainer may be silent; `None` for no limit.
    pub trainer_timeout: Option<Duration>,
    /// Time limit for a trainer to become ready.
    pub start_timeout: Duration,
    /// Time limit for a trainer to become idle after its last member has left.
    pub idle_timeout: Duration,
    /// How long to try to reach the coordinator for the first time; `None` for no limit.
    pub connect_timeout: Option<Duration>,
    /// Time for trainers to finish their epochs after the worker was told to stop.
    pub grace: Duration,
    /// Time for reports to be acknowledged after that.
    pub shutdown_timeout: Duration,
    /// Time limit of the worker; `None` for no limit. The worker exits early enough for `grace` and
    /// `shutdown_timeout` to fit.
    pub time_limit: Option<Duration>,
    /// How long the worker may be without a lease before it exits; `None` for no limit.
    pub without_lease: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            trainer_timeout: Some(Duration::from_secs(30 * 60)),
            start_timeout: Duration::from_secs(5 * 60),
            // A user who cancels a sweep wants the device back within seconds, even in the middle of a long step.
            idle_timeout: Duration::from_secs(5),
            connect_timeout: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(5),
            time_limit: None,
            without_lease: None,
        }
    }
}

/// A slot whose trainer ends this often in a row before it is ready is withdrawn.
pub const MAX_DEATHS_AT_START: u32 = 5;

/// Maximum pause before a trainer is started again.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// One slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// The slot's description for the coordinator.
    pub offer: SlotOffer,
    /// The kind of its trainer, or of the last one.
    pub kind: TrainerKind,
    /// Its trainer.
    pub trainer: Trainer,
    /// A lease that arrived while the trainer was being replaced, or that needs a trainer of another kind.
    pub waiting: Option<Cohort>,
    /// Number of times in a row that the trainer ended before it was ready.
    pub deaths_at_start: u32,
    /// Number of times in a row that the trainer ended without progress in between.
    pub deaths: u32,
}

/// A slot's trainer.
#[derive(Clone, Debug)]
pub enum Trainer {
    /// There is no trainer; one will be started.
    Absent {
        /// When to start it.
        start_at: Timestamp,
    },
    /// The trainer was started and is not ready yet.
    Starting {
        /// When it was started.
        since: Timestamp,
    },
    /// The trainer waits for work.
    Idle,
    /// The trainer trains.
    Training(Training),
    /// The trainer was killed; its end has not been seen.
    Ending,
    /// The trainer will not be started again.
    Withdrawn,
}

/// Tasks of one lease that were not begun yet.
#[derive(Clone, Debug)]
pub struct Cohort {
    /// The lease.
    pub token: LeaseToken,
    /// The tasks.
    pub members: Vec<Member>,
}

/// Tasks of one lease that are being trained.
#[derive(Clone, Debug)]
pub struct Training {
    /// The lease.
    pub token: LeaseToken,
    /// The members that have not finished, failed, been abandoned or been parked.
    pub members: BTreeSet<TaskId>,
    /// When the training began.
    pub began: Timestamp,
    /// Whether it has progressed far enough that its successor can continue its work, see `time_limit.rs`; never
    /// without checkpoints.
    pub made_progress: bool,
    /// Whether its members keep checkpoints.
    pub keeps_checkpoints: bool,
    /// Time of the trainer's last event, or of the last member's end if none is left.
    pub heard: Timestamp,
}

impl Cohort {
    /// The kind of trainer for it. All members have the same.
    #[must_use]
    pub fn kind(&self) -> TrainerKind {
        self.members.first().map(|member| member.settings.trainer()).unwrap_or_default()
    }
}

impl Slot {
    /// A slot whose trainer is to be started at once. If it can run several kinds, this is one of networks, which takes
    /// longer to start.
    #[must_use]
    pub fn new(offer: SlotOffer, now: Timestamp) -> Self {
        let trainer = Trainer::Absent { start_at: now };
        let kind = offer.offers.trainers.first().copied().unwrap_or_default();
        Self { offer, kind, trainer, waiting: None, deaths_at_start: 0, deaths: 0 }
    }

    /// The trainer is started now. Returns its kind, which is that of the waiting lease, if there is one.
    pub fn start(&mut self, now: Timestamp) -> TrainerKind {
        self.trainer = Trainer::Starting { since: now };
        if let Some(waiting) = &self.waiting {
            self.kind = waiting.kind();
        }
        self.kind
    }

    /// Whether a new lease could be trained at once.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self.trainer, Trainer::Idle) && self.waiting.is_none()
    }

    /// Whether no lease is trained or waiting here.
    #[must_use]
    pub fn is_unoccupied(&self) -> bool {
        let members_left = matches!(&self.trainer, Trainer::Training(t) if !t.members.is_empty());
        !members_left && self.waiting.is_none()
    }

    /// The next deadline of this slot.
    #[must_use]
    pub fn deadline(&self, limits: &Limits) -> Option<Timestamp> {
        match &self.trainer {
            Trainer::Absent { start_at } => Some(*start_at),
            Trainer::Starting { since } => Some(since.after(limits.start_timeout)),
            Trainer::Training(training) if training.members.is_empty() => {
                Some(training.heard.after(limits.idle_timeout))
            }
            Trainer::Training(training) => limits.trainer_timeout.map(|limit| training.heard.after(limit)),
            Trainer::Idle | Trainer::Ending | Trainer::Withdrawn => None,
        }
    }

    /// The pause after the latest end of a trainer: none after the first, then doubling from half a second. It also
    /// prevents a slot on which every trainer crashes from using up the attempts of a whole sweep quickly.
    #[must_use]
    pub fn pause(&self) -> Duration {
        match self.deaths {
            0 | 1 => Duration::ZERO,
            deaths => Duration::from_millis(500).saturating_mul(1 << (deaths - 2).min(16)).min(MAX_PAUSE),
        }
    }
}

//! One slot: its trainer, as far as the agent knows, and what the trainer works on.

use std::{collections::BTreeSet, time::Duration};

use colearn_core::{
    id::{LeaseToken, TaskId},
    time::Timestamp,
};
use colearn_proto::worker::SlotOffer;
use colearn_trainer_protocol::Member;

/// How patient the agent is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a training trainer may say nothing; none means for ever.
    pub trainer_timeout: Option<Duration>,
    /// How long a trainer may take to say that it is ready.
    pub start_timeout: Duration,
    /// How long a trainer may take to become idle when no member is left.
    pub idle_timeout: Duration,
    /// How long to look for a coordinator that was never reached; none means for ever.
    pub connect_timeout: Option<Duration>,
    /// How long a worker that was told to stop lets its trainers finish their epochs.
    pub grace: Duration,
    /// How long it waits for its reports to be acknowledged after that.
    pub shutdown_timeout: Duration,
    /// How long the worker has been given; none means for ever. It leaves so early that grace and shutdown_timeout fit.
    pub time_limit: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            trainer_timeout: Some(Duration::from_secs(30 * 60)),
            start_timeout: Duration::from_secs(5 * 60),
            // Who cancels a sweep wants the device back within seconds, also in the middle of a long step.
            idle_timeout: Duration::from_secs(5),
            connect_timeout: Some(Duration::from_secs(60)),
            grace: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(5),
            time_limit: None,
        }
    }
}

/// A slot that dies this often in a row before it is ready is withdrawn.
pub const MAX_DEATHS_AT_START: u32 = 5;

/// The longest pause before a trainer is started again.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// One slot.
#[derive(Clone, Debug)]
pub struct Slot {
    /// What the coordinator is told of it.
    pub offer: SlotOffer,
    /// Its trainer.
    pub trainer: Trainer,
    /// A lease that came while the trainer was being replaced.
    pub waiting: Option<Cohort>,
    /// Deaths in a row before the trainer was ready.
    pub deaths_at_start: u32,
    /// Deaths in a row without any progress in between.
    pub deaths: u32,
}

/// A slot's trainer.
#[derive(Clone, Debug)]
pub enum Trainer {
    /// There is none; one is to be started.
    Absent {
        /// When.
        start_at: Timestamp,
    },
    /// It was started and has not said that it is ready.
    Starting {
        /// When it was started.
        since: Timestamp,
    },
    /// It waits for work.
    Idle,
    /// It trains.
    Training(Training),
    /// It was killed; its end has not been seen.
    Ending,
    /// It will not be started again.
    Withdrawn,
}

/// Tasks of one lease that were not begun.
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
    /// The members that have neither finished, nor failed, nor been abandoned or parked.
    pub members: BTreeSet<TaskId>,
    /// When it began.
    pub began: Timestamp,
    /// Whether it got so far that its successor has something to go on from, see `time_limit.rs`; never where
    /// no checkpoints are kept.
    pub made_progress: bool,
    /// Whether its members keep checkpoints.
    pub keeps_checkpoints: bool,
    /// When the trainer last said something; or when the last member ended, if none is left.
    pub heard: Timestamp,
}

impl Slot {
    /// A slot whose trainer is to be started at once.
    #[must_use]
    pub fn new(offer: SlotOffer, now: Timestamp) -> Self {
        let trainer = Trainer::Absent { start_at: now };
        Self { offer, trainer, waiting: None, deaths_at_start: 0, deaths: 0 }
    }

    /// Whether a lease that came now could be trained at once.
    #[must_use]
    pub fn is_free(&self) -> bool {
        matches!(self.trainer, Trainer::Idle) && self.waiting.is_none()
    }

    /// Whether no lease is trained here or waits to be.
    #[must_use]
    pub fn is_unoccupied(&self) -> bool {
        let members_left = matches!(&self.trainer, Trainer::Training(t) if !t.members.is_empty());
        !members_left && self.waiting.is_none()
    }

    /// When something must happen if nothing else does.
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

    /// The pause after the latest death: none after the first, then doubling from half a second. It also
    /// keeps a slot that kills whatever it trains from using up the attempts of a whole sweep in no time.
    #[must_use]
    pub fn pause(&self) -> Duration {
        match self.deaths {
            0 | 1 => Duration::ZERO,
            deaths => Duration::from_millis(500).saturating_mul(1 << (deaths - 2).min(16)).min(MAX_PAUSE),
        }
    }
}

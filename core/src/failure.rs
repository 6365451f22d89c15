//! Reasons why an attempt failed, and what follows from each.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::shortened;

/// The type of a failure. It alone decides what follows; the message is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The loss became NaN or infinite.
    Diverged,
    /// The device or the host ran out of memory.
    OutOfMemory,
    /// The data set is missing, malformed or does not fit the settings; or the program is missing, or another one
    /// than the one that the results so far are from.
    Data,
    /// The settings cannot be trained on this worker; or the program ended without a usable result.
    Settings,
    /// The trainer process ended: by a signal, an abort, or an exception in libtorch; or the program failed.
    Crash,
    /// The trainer made no progress for too long, or the program exceeded its time limit.
    Hang,
    /// The worker was lost: its lease expired.
    LeaseExpired,
    /// The sweep was cancelled.
    Cancelled,
    /// The program asked to go on later. That is not a fault, and costs no attempt.
    Parked,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Try again, as long as attempts are left.
    Retry,
    /// Try again in a cohort of half the size, which costs no attempt. Halving ends when the cohort fits, or when the
    /// member that makes the others fail is alone. A task that was alone is tried again as long as attempts are left.
    RetryAtLowerDensity,
    /// A retry would fail in the same way: the task has failed.
    Fail,
}

impl FailureReason {
    /// All reasons, for conversions and tests.
    pub const ALL: [Self; 9] = [
        Self::Diverged,
        Self::OutOfMemory,
        Self::Data,
        Self::Settings,
        Self::Crash,
        Self::Hang,
        Self::LeaseExpired,
        Self::Cancelled,
        Self::Parked,
    ];

    /// What follows from a failure of this type, after it is confirmed to be the task's (see
    /// [`Self::needs_confirmation`]).
    ///
    /// Training is a function of configuration and seed, so a task that diverged diverges again. A trainer that
    /// crashes or hangs takes its whole cohort with it, although usually one member causes it: halving finds that
    /// member.
    #[must_use]
    pub fn policy(self) -> RetryPolicy {
        match self {
            Self::Diverged | Self::Data | Self::Settings | Self::Cancelled => RetryPolicy::Fail,
            Self::OutOfMemory | Self::Crash | Self::Hang => RetryPolicy::RetryAtLowerDensity,
            Self::LeaseExpired | Self::Parked => RetryPolicy::Retry,
        }
    }

    /// Whether a second worker has to report the same failure before it counts as the task's. A data set that is
    /// missing or outdated on one host may be fine on another.
    #[must_use]
    pub fn needs_confirmation(self) -> bool {
        matches!(self, Self::Data | Self::Settings)
    }

    /// Whether the worker can be the cause of a failure of this type. A task that diverged was trained correctly, and
    /// a cancellation or a program that goes on later says nothing about the worker.
    #[must_use]
    pub fn may_be_the_workers(self) -> bool {
        !matches!(self, Self::Diverged | Self::Cancelled | Self::Parked)
    }

    /// The word for the reason in files, tables and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::OutOfMemory => "out_of_memory",
            Self::Data => "data",
            Self::Settings => "settings",
            Self::Crash => "crash",
            Self::Hang => "hang",
            Self::LeaseExpired => "lease_expired",
            Self::Cancelled => "cancelled",
            Self::Parked => "parked",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A failed attempt: its type, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The type, which decides what happens next.
    pub reason: FailureReason,
    /// What happened, for people.
    pub message: String,
}

impl Failure {
    /// The longest message that is kept, in bytes.
    pub const MAX_MESSAGE_CHARS: usize = 4096;

    /// A failure with its message cut to [`Self::MAX_MESSAGE_CHARS`].
    #[must_use]
    pub fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message: shortened(&message, Self::MAX_MESSAGE_CHARS) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}

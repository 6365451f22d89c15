//! Why an attempt failed, and what follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::text::shortened;

/// The type of a failure. What is done about it depends on the type alone; the text beside it is for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureReason {
    /// The loss became NaN or infinite.
    Diverged,
    /// The device or the host ran out of memory.
    OutOfMemory,
    /// The data set is missing, malformed or does not fit the settings.
    Data,
    /// The settings can not be trained on this worker.
    Settings,
    /// The trainer died: a signal, an abort, an exception in libtorch.
    Crash,
    /// The trainer made no progress for too long.
    Hang,
    /// The worker was lost: its lease ran out.
    LeaseExpired,
    /// The sweep was cancelled.
    Cancelled,
}

/// What follows from a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryPolicy {
    /// Try again, as long as attempts are left.
    Retry,
    /// Try again in a cohort of half the size, which costs no attempt: until it fits, or until the member that
    /// takes the others along is alone. A task that was alone tries again as long as attempts are left.
    RetryAtLowerDensity,
    /// The same would happen again: the task has failed.
    Fail,
}

impl FailureReason {
    /// Every reason, for conversions and tests.
    pub const ALL: [Self; 8] = [
        Self::Diverged,
        Self::OutOfMemory,
        Self::Data,
        Self::Settings,
        Self::Crash,
        Self::Hang,
        Self::LeaseExpired,
        Self::Cancelled,
    ];

    /// What follows from a failure of this type, once it is known to be the task's, see
    /// [`Self::needs_confirmation`].
    ///
    /// Training is a function of configuration and seed, so what diverged diverges again. A trainer that died
    /// or hangs does so with its whole cohort, though most likely for one member: halving finds out which.
    #[must_use]
    pub fn policy(self) -> RetryPolicy {
        match self {
            Self::Diverged | Self::Data | Self::Settings | Self::Cancelled => RetryPolicy::Fail,
            Self::OutOfMemory | Self::Crash | Self::Hang => RetryPolicy::RetryAtLowerDensity,
            Self::LeaseExpired => RetryPolicy::Retry,
        }
    }

    /// Whether a second worker has to see the same before it is the task's: a data set that is missing on one
    /// host, or older there, is fine on the next.
    #[must_use]
    pub fn needs_confirmation(self) -> bool {
        matches!(self, Self::Data | Self::Settings)
    }

    /// Whether a failure of this type can be the fault of the worker. What diverged was trained, and what was
    /// cancelled says nothing.
    #[must_use]
    pub fn may_be_the_workers(self) -> bool {
        !matches!(self, Self::Diverged | Self::Cancelled)
    }

    /// The word for it in files, tables and logs.
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

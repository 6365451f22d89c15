//! Events that somebody is to be told of.

use std::fmt;

use colearn_core::time::Timestamp;

/// Somebody who is told of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Receiver {
    /// A server that gets them over HTTP.
    Webhook,
    /// A command of the coordinator's user.
    Command,
}

impl Receiver {
    /// The word in logs and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Command => "command",
        }
    }
}

impl fmt::Display for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event, and who has not been told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Its identifier, which stays the same however often it is sent.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// JSON, as it is sent.
    pub body: String,
    /// Whether the webhook is to be told.
    pub webhook: bool,
    /// Whether the command is to be told.
    pub command: bool,
}

impl Notice {
    /// Maximum number of events that are kept until they are delivered; the oldest make room.
    pub const MOST: usize = 1000;

    /// Whether this receiver is to be told.
    #[must_use]
    pub fn is_for(&self, receiver: Receiver) -> bool {
        match receiver {
            Receiver::Webhook => self.webhook,
            Receiver::Command => self.command,
        }
    }

    /// Removes a receiver. Returns whether another is left.
    pub(crate) fn told(&mut self, receiver: Receiver) -> bool {
        match receiver {
            Receiver::Webhook => self.webhook = false,
            Receiver::Command => self.command = false,
        }
        self.webhook || self.command
    }
}

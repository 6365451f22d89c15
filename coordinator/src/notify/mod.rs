//! Tells somebody that a sweep has ended or goes no further: a server (a webhook), and a command.
//!
//! What happened is committed together with the entries that it follows from, for every receiver, and removed when the
//! receiver has it. A receiver therefore hears of an event at least once, also after a crash, unless it takes nothing for
//! days or too many wait. `docs/notifications.md` is the description for users.

mod command;
mod courier;
mod event;
mod signature;
mod stall;
mod webhook;

use std::{sync::Arc, time::Duration};

use tokio::sync::watch;

pub use self::{
    command::EventCommand,
    signature::{Secrets, SecretsError},
    webhook::{Webhook, WebhookError},
};
pub(crate) use self::{courier::Courier, event::notice_of_end};

/// Who is told of what.
#[derive(Clone, Debug)]
pub struct NotifyRules {
    /// The server that is told.
    pub webhook: Option<Webhook>,
    /// The command that is told.
    pub command: Option<EventCommand>,
    /// A sweep that made no progress for this time is stalled.
    pub stalled_after: Duration,
    /// How long a coordinator that stops waits until its receivers were told once.
    pub patience: Duration,
}

/// Which receivers there are, and how they learn that there is something for them.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) webhook: bool,
    pub(crate) command: bool,
    news: Arc<watch::Sender<()>>,
}

impl Wanted {
    pub(crate) fn of(rules: &NotifyRules) -> Self {
        let news = Arc::new(watch::Sender::new(()));
        Self { webhook: rules.webhook.is_some(), command: rules.command.is_some(), news }
    }

    /// Something was committed.
    pub(crate) fn told(&self) {
        self.news.send_replace(());
    }

    fn listen(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }
}

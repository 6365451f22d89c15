//! How receivers of events are told.

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::{Label, Labels};
use crate::store::Receiver;

/// Tries to tell receivers of events.
#[derive(Debug)]
pub(crate) struct Notifications {
    tried: Family<Labels, Counter>,
    waiting: Family<Label, Gauge>,
}

impl Default for Notifications {
    fn default() -> Self {
        let receivers = [Receiver::Webhook, Receiver::Command].map(Receiver::as_str);
        let outcomes =
            |receiver| ["delivered", "failed"].map(|outcome| [("receiver", receiver), ("outcome", outcome)]);
        Self { tried: super::from_zero(receivers.into_iter().flat_map(outcomes)), waiting: Family::default() }
    }
}

impl Notifications {
    /// A receiver was told, or not.
    pub(crate) fn tried(&self, receiver: Receiver, told: bool) {
        let outcome = if told { "delivered" } else { "failed" };
        self.tried.get_or_create(&[("receiver", receiver.as_str()), ("outcome", outcome)]).inc();
    }

    /// This many events wait for a receiver.
    pub(crate) fn waiting(&self, receiver: Receiver, events: usize) {
        self.waiting.get_or_create(&[("receiver", receiver.as_str())]).set(events as i64);
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "colearn_notifications",
            "Tries to tell the webhook or the command of an event, by outcome",
            self.tried.clone(),
        );
        registry.register(
            "colearn_notifications_waiting",
            "Events that the webhook or the command has not been told of",
            self.waiting.clone(),
        );
    }
}

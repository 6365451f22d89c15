//! Brings events to their receivers, beside the engine.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    NotifyRules, Wanted,
    event::notice_of_stall,
    stall::{self, Stalls},
    webhook::Trouble,
};
use crate::{
    engine::{Clock, EngineHandle},
    metrics::Metrics,
    store::{Notice, Receiver, Store},
};

/// The wait after the first failed try; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// An event that could not be delivered for this time is given up.
const GIVEN_UP_AFTER: Duration = Duration::from_hours(72);
/// After an error of the store.
const AFTER_AN_ERROR: Duration = Duration::from_secs(10);
/// The longest interval between two looks at the progress of sweeps.
const LONGEST_LOOK: Duration = Duration::from_secs(15);

/// Tells the receivers what is kept for them in the store.
#[derive(Clone)]
pub(crate) struct Courier {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) engine: EngineHandle,
    pub(crate) rules: NotifyRules,
    pub(crate) wanted: Wanted,
    pub(crate) metrics: Metrics,
    pub(crate) clock: Clock,
}

/// The tries of one event.
struct Tries {
    failed: u32,
    next: Instant,
}

impl Courier {
    /// Runs until `stop` is cancelled and everything was tried once.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let webhook = async {
            if self.wanted.webhook {
                self.deliver(Receiver::Webhook, &stop).await;
            }
        };
        let command = async {
            if self.wanted.command {
                self.deliver(Receiver::Command, &stop).await;
            }
        };
        tokio::join!(webhook, command, self.watch(&stop));
    }

    async fn deliver(&self, receiver: Receiver, stop: &CancellationToken) {
        let mut news = self.wanted.listen();
        let mut tries: BTreeMap<String, Tries> = BTreeMap::new();
        loop {
            news.mark_unchanged();
            let waiting = match self.store.notices().await {
                Ok(all) => all.into_iter().filter(|notice| notice.is_for(receiver)).collect::<Vec<_>>(),
                Err(error) => {
                    tracing::warn!(%error, "events for the {receiver} cannot be read");
                    if stop.run_until_cancelled(sleep(AFTER_AN_ERROR)).await.is_none() {
                        return;
                    }
                    continue;
                }
            };
            self.metrics.notifications.waiting(receiver, waiting.len());
            tries.retain(|id, _| waiting.iter().any(|notice| notice.id == *id));
            let now = Instant::now();
            let due = |notice: &&Notice| tries.get(&notice.id).map_or(now, |tries| tries.next);
            match waiting.iter().min_by_key(due) {
                Some(next) if due(&next) <= now => self.attempt(receiver, next, &mut tries).await,
                next => {
                    if stop.is_cancelled() {
                        return;
                    }
                    pause(next.as_ref().map(due), &mut news, stop).await;
                }
            }
        }
    }

    /// Tries to deliver an event once.
    async fn attempt(&self, receiver: Receiver, notice: &Notice, tries: &mut BTreeMap<String, Tries>) {
        let Notice { id, at, body, .. } = notice;
        let told = match (receiver, &self.rules) {
            (Receiver::Webhook, NotifyRules { webhook: Some(webhook), .. }) => webhook.send(id, body).await,
            (Receiver::Command, NotifyRules { command: Some(command), .. }) => command.run(id, body).await,
            _ => Ok(()),
        };
        self.metrics.notifications.tried(receiver, told.is_ok());
        let failed = tries.get(id).map_or(0, |tries| tries.failed);
        let over = match told {
            Ok(()) => {
                tracing::info!(id, tries = failed + 1, "the {} was told", self.name(receiver));
                true
            }
            Err(Trouble { why, .. }) if self.clock.now().since(*at) >= GIVEN_UP_AFTER => {
                tracing::error!(
                    id,
                    "the {} was not told, and is not told any more: {why}",
                    self.name(receiver)
                );
                true
            }
            Err(Trouble { why, wait }) => {
                let wait = wait.unwrap_or_default().max(wait_after(failed));
                tracing::warn!(id, ?wait, "the {} was not told: {why}", self.name(receiver));
                tries.insert(id.clone(), Tries { failed: failed + 1, next: Instant::now() + wait });
                false
            }
        };
        if over && let Err(error) = self.store.told(id.clone(), receiver).await {
            tracing::warn!(id, %error, "the {receiver} will be told again");
            tries.insert(id.clone(), Tries { failed, next: Instant::now() + LONGEST_WAIT });
        }
    }

    /// The receiver in the log.
    fn name(&self, receiver: Receiver) -> String {
        match &self.rules.webhook {
            Some(webhook) if receiver == Receiver::Webhook => format!("webhook {webhook}"),
            _ => receiver.to_string(),
        }
    }

    /// Looks for sweeps that make no progress.
    async fn watch(&self, stop: &CancellationToken) {
        let every = (self.rules.stalled_after / 4).min(LONGEST_LOOK);
        let mut stalls = Stalls::new(self.rules.stalled_after, Instant::now());
        while stop.run_until_cancelled(sleep(every)).await.is_some() {
            let Ok(seen) = self.engine.ask(stall::active).await else { return };
            for (summary, why) in stalls.look(Instant::now(), seen) {
                tracing::warn!(sweep = %summary.name, "sweep is stalled: {why}");
                let by = self.engine.submitters().of(summary.id);
                let notice = notice_of_stall(&summary, by.as_deref(), self.clock.now(), &why, &self.wanted);
                match self.store.add_notice(notice).await {
                    Ok(()) => self.wanted.told(),
                    Err(error) => tracing::warn!(%error, "nobody is told that the sweep is stalled"),
                }
            }
        }
    }
}

/// Waits until an event is due, until there is a new one, or for the end.
async fn pause(due: Option<Instant>, news: &mut watch::Receiver<()>, stop: &CancellationToken) {
    let due = async {
        match due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = due => {}
        // The sender lives as long as this courier.
        _ = news.changed() => {}
        () = stop.cancelled() => {}
    }
}

/// The wait after this many failed tries before the last one.
fn wait_after(failed: u32) -> Duration {
    FIRST_WAIT.saturating_mul(2_u32.saturating_pow(failed)).min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_an_hour() {
        let waits: Vec<u64> =
            [0, 1, 2, 11, 12, 40, u32::MAX].map(|failed| wait_after(failed).as_secs()).into();
        assert_eq!(waits, [1, 2, 4, 2048, 3600, 3600, 3600]);
    }
}

//! What `/metrics` says, in the text formats of Prometheus and OpenMetrics.
//!
//! What happens is counted where it is committed; what there is (sweeps, workers, jobs) is asked of the engine at each
//! scrape. `docs/monitoring.md` lists all metrics; a test compares it with what is served.

mod calls;
mod notifications;
mod process;
mod registry;
mod routes;
mod seen;
mod tally;
mod usage;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use colearn_core::failure::FailureReason;
use prometheus_client::metrics::{
    counter::Counter,
    family::Family,
    histogram::{Histogram, exponential_buckets},
};

pub(crate) use self::{calls::CountLayer, routes::routes, tally::Tally};

/// A label with a value from a fixed list.
type Label = [(&'static str, &'static str); 1];
/// Two of them.
type Labels = [(&'static str, &'static str); 2];

/// Everything that is counted since the start of this coordinator. Clones count in the same place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics(Arc<Counted>);

impl std::ops::Deref for Metrics {
    type Target = Counted;

    fn deref(&self) -> &Counted {
        &self.0
    }
}

/// See [`Metrics`].
#[derive(Debug)]
pub(crate) struct Counted {
    turn_seconds: Histogram,
    turn_inputs: Histogram,
    commit_seconds: Histogram,
    commit_rows: Histogram,
    sweeps_submitted: Counter,
    sweeps_ended: Family<Label, Counter>,
    tasks_finished: Counter,
    tasks_failed: Counter,
    attempts_failed: Family<Label, Counter>,
    leases_granted: Counter,
    leases_expired: Counter,
    leases_released: Counter,
    workers_set_aside: Counter,
    workers_restored: Counter,
    pub(crate) calls: calls::Calls,
    pub(crate) notifications: notifications::Notifications,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            // From a tenth of a millisecond to 13 seconds.
            turn_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            turn_inputs: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            commit_seconds: Histogram::new(exponential_buckets(0.0001, 2.0, 18)),
            commit_rows: Histogram::new(exponential_buckets(1.0, 2.0, 12)),
            sweeps_submitted: Counter::default(),
            sweeps_ended: from_zero(tally::ENDS.map(|state| [("state", state)])),
            tasks_finished: Counter::default(),
            tasks_failed: Counter::default(),
            attempts_failed: from_zero(FailureReason::ALL.map(|reason| [("reason", reason.as_str())])),
            leases_granted: Counter::default(),
            leases_expired: Counter::default(),
            leases_released: Counter::default(),
            workers_set_aside: Counter::default(),
            workers_restored: Counter::default(),
            calls: calls::Calls::default(),
            notifications: notifications::Notifications::default(),
        }
    }
}

/// Counters that are there from the start: Prometheus sees no increase of one that begins with 1.
fn from_zero<const N: usize>(
    labels: impl IntoIterator<Item = [(&'static str, &'static str); N]>,
) -> Family<[(&'static str, &'static str); N], Counter> {
    let family = Family::default();
    for labels in labels {
        drop(family.get_or_create(&labels));
    }
    family
}

impl Metrics {
    /// A turn of the engine has taken this many inputs, and this long.
    pub(crate) fn turned(&self, inputs: usize, elapsed: Duration) {
        // Most turns without inputs only look whether a deadline has passed.
        if inputs > 0 {
            self.turn_seconds.observe(elapsed.as_secs_f64());
            self.turn_inputs.observe(inputs as f64);
        }
    }

    /// A batch was committed in this time.
    pub(crate) fn committed(&self, tally: &Tally, elapsed: Duration) {
        self.commit_seconds.observe(elapsed.as_secs_f64());
        self.commit_rows.observe(tally.rows as f64);
        tally.count_in(self);
    }
}

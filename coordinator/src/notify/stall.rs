//! Which sweeps make no progress.

use std::{collections::BTreeMap, time::Duration};

use colearn_core::{
    id::SweepId,
    scheduler::{Scheduler, SweepStatus, TaskCounts},
};
use tokio::time::Instant;

use crate::engine::SweepSummary;

/// What a sweep has reached. It differs after every result, failure and epoch.
type Reached = (TaskCounts, u64, (u64, u64));

/// Watches the progress of all active sweeps.
pub(super) struct Stalls {
    after: Duration,
    sweeps: BTreeMap<SweepId, Watched>,
    /// When any sweep was last seen to make progress.
    any: Instant,
}

struct Watched {
    reached: Reached,
    since: Instant,
    said: bool,
}

impl Stalls {
    pub(super) fn new(after: Duration, now: Instant) -> Self {
        Self { after, sweeps: BTreeMap::new(), any: now }
    }

    /// The sweeps that have become stalled, with the reason. Each is told once, until it makes progress.
    pub(super) fn look(&mut self, now: Instant, seen: Vec<SweepSummary>) -> Vec<(SweepSummary, String)> {
        let mut former = std::mem::take(&mut self.sweeps);
        for summary in &seen {
            let reached = (summary.counts, summary.retried, summary.running_epochs);
            let watched = match former.remove(&summary.id) {
                // Nobody expects progress of a paused sweep.
                Some(known) if known.reached == reached && !summary.paused => known,
                known => {
                    if known.is_some_and(|known| known.reached != reached) {
                        self.any = now;
                    }
                    Watched { reached, since: now, said: false }
                }
            };
            self.sweeps.insert(summary.id, watched);
        }
        let others = now.saturating_duration_since(self.any) < self.after;
        let mut stalled = Vec::new();
        for summary in seen {
            let Some(watched) = self.sweeps.get_mut(&summary.id) else { continue };
            let is_due = now.saturating_duration_since(watched.since) >= self.after;
            if watched.said || !is_due {
                continue;
            }
            if let Some(why) = why(&summary, others, self.after) {
                watched.said = true;
                stalled.push((summary, why));
            }
        }
        stalled
    }
}

/// Why a sweep without progress is stalled; `None` if there is a good reason. `others` says whether any sweep makes
/// progress.
fn why(summary: &SweepSummary, others: bool, after: Duration) -> Option<String> {
    if summary.trains_only.as_ref().is_some_and(|only| *only != summary.name) {
        return None;
    }
    if let Some(why) = &summary.why_waiting {
        return (summary.counts.running == 0).then(|| why.to_string());
    }
    let time = match after.as_secs() {
        seconds @ ..60 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    match (summary.counts.running, summary.running_epochs.1) {
        // It waits for other sweeps.
        (0, _) if others => None,
        (0, _) => Some(format!("none of its tasks was started for {time}, and no other sweep goes on")),
        // Programs may report nothing until they end; their workers watch them.
        (_, 0) => None,
        (running, _) => Some(format!("its running tasks ({running}) finished no epoch for {time}")),
    }
}

/// The active sweeps.
pub(super) fn active(scheduler: &Scheduler) -> Vec<SweepSummary> {
    let active = scheduler.sweeps().filter(|view| view.status() == SweepStatus::Active);
    active.map(|view| SweepSummary::of(scheduler, view)).collect()
}

#[cfg(test)]
mod tests {
    use colearn_core::{id::SweepName, scheduler::WhyWaiting};

    use super::*;

    const AFTER: Duration = Duration::from_mins(30);

    fn summary(id: u64, pending: u32, running: u32, epochs: (u64, u64)) -> SweepSummary {
        let counts = TaskCounts { pending, running, ..TaskCounts::default() };
        SweepSummary { counts, running_epochs: epochs, ..SweepSummary::example(id, &format!("sweep-{id}")) }
    }

    /// What is told of this sweep, which does not change for 40 minutes, beside one that does.
    fn told(sweep: &SweepSummary, other_goes_on: bool) -> Vec<String> {
        let start = Instant::now();
        let mut stalls = Stalls::new(AFTER, start);
        let look = |minute: u64| {
            let other = summary(9, 0, 1, (if other_goes_on { minute } else { 0 }, 1000));
            let now = start + Duration::from_secs(60 * minute);
            let found = stalls.look(now, vec![sweep.clone(), other]);
            found.into_iter().filter(|(it, _)| it.id == sweep.id).map(|(_, why)| why).collect::<Vec<_>>()
        };
        (0..=40).flat_map(look).collect()
    }

    #[test]
    fn a_stalled_sweep_is_told_once_with_the_reason() {
        let nobody = SweepSummary { why_waiting: Some(WhyWaiting::NoWorker), ..summary(1, 4, 0, (0, 0)) };
        assert_eq!(told(&nobody, true), ["no worker is connected"]);
        assert_eq!(
            told(&summary(1, 2, 2, (7, 200)), true),
            ["its running tasks (2) finished no epoch for 30 min"]
        );
        let waits = "none of its tasks was started for 30 min, and no other sweep goes on";
        assert_eq!(told(&summary(1, 4, 0, (0, 0)), false), [waits]);
    }

    #[test]
    fn what_waits_for_a_good_reason_is_not_stalled() {
        assert_eq!(told(&summary(1, 4, 0, (0, 0)), true), [""; 0], "behind another sweep");
        assert_eq!(
            told(&SweepSummary { paused: true, ..summary(1, 4, 0, (0, 0)) }, false),
            [""; 0],
            "paused"
        );
        assert_eq!(told(&summary(1, 2, 2, (0, 0)), false), [""; 0], "a program without epochs");
        let other = SweepName::new("other").unwrap();
        assert_eq!(
            told(&SweepSummary { trains_only: Some(other), ..summary(1, 4, 0, (0, 0)) }, false),
            [""; 0]
        );
    }

    #[test]
    fn a_paused_sweep_is_no_progress_of_another() {
        let start = Instant::now();
        let mut stalls = Stalls::new(AFTER, start);
        let paused = SweepSummary { paused: true, ..summary(2, 4, 0, (0, 0)) };
        let look = |minute: u64| {
            let now = start + Duration::from_secs(60 * minute);
            stalls.look(now, vec![summary(1, 4, 0, (0, 0)), paused.clone()]).len()
        };
        assert_eq!((0..=40).map(look).sum::<usize>(), 1);
    }

    #[test]
    fn progress_begins_anew() {
        let start = Instant::now();
        let mut stalls = Stalls::new(AFTER, start);
        let mut at = |minute: u64, epochs| {
            let now = start + Duration::from_secs(60 * minute);
            stalls.look(now, vec![summary(1, 0, 1, (epochs, 100))]).len()
        };
        assert_eq!(
            [at(0, 1), at(29, 1), at(29, 2), at(58, 2), at(59, 2), at(99, 2), at(100, 3)],
            [0, 0, 0, 0, 1, 0, 0]
        );
        assert_eq!(at(131, 3), 1);
    }
}

//! Replays the journal, and checks whether journal, results and marks agree.

use std::collections::BTreeMap;

use colearn_core::{
    id::{LeaseToken, SweepId},
    scheduler::{Event, Recovered, Scheduler, SchedulerSettings},
    text::counted,
};

use super::error::EngineError;
use crate::store::{JournalEntry, Store};

/// Number of journal entries that are read at once.
const PAGE: u32 = 4096;
/// Maximum number of problems that are listed.
const MAX_PROBLEMS: usize = 5;

/// The outcome of a replay.
pub(super) struct Replayed {
    pub(super) scheduler: Scheduler,
    /// Number of sweeps that were settled before.
    pub(super) settled: usize,
    /// Number of replayed entries.
    pub(super) entries: u64,
    pub(super) problems: Problems,
}

/// The contradictions; only the first few have their text.
#[derive(Debug, Default)]
pub(super) struct Problems {
    told: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, problem: impl FnOnce() -> String) {
        if self.told.len() < MAX_PROBLEMS {
            self.told.push(problem());
        } else {
            self.more += 1;
        }
    }

    /// All problems as one text; `None` if there are none.
    pub(super) fn text(&self) -> Option<String> {
        let mut text = self.told.join("; ");
        if self.more > 0 {
            text += &format!("; and {} more", self.more);
        }
        (!text.is_empty()).then_some(text)
    }
}

/// Replays the journal. For settled sweeps, whose history is not replayed, only the number of results is compared.
pub(super) async fn replay(store: &dyn Store, settings: SchedulerSettings) -> Result<Replayed, EngineError> {
    let Recovered { last_sweep, last_token, settled } =
        store.recovered().await.map_err(EngineError::Recover)?;
    let mut done: BTreeMap<SweepId, u64> =
        settled.iter().map(|settled| (settled.id, settled.counts.done.into())).collect();
    let settled_before = settled.len();
    let mut scheduler = Scheduler::recovering(settings, settled);
    let (mut after, mut entries) = (0, 0_u64);
    let (mut problems, mut greatest) = (Problems::default(), (SweepId(0), LeaseToken(0)));
    loop {
        let page = store.journal(after, PAGE).await.map_err(EngineError::Recover)?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        entries += page.len() as u64;
        for (number, JournalEntry { at, sweep, event }) in page {
            // Only events that changed something were journaled.
            if let Some(sweep) = sweep
                && !scheduler.changes_state(&event)
            {
                let kind = event.kind();
                problems.add(|| {
                    format!(
                        "journal entry {number} ({kind} of sweep {sweep}) does not follow from those before it"
                    )
                });
            }
            match &event {
                Event::SweepSubmitted { id, .. } => greatest.0 = greatest.0.max(*id),
                Event::LeaseGranted { token, .. } => greatest.1 = greatest.1.max(*token),
                _ => {}
            }
            // The actions were performed before, or will be requested again.
            drop(scheduler.apply(at, event));
        }
    }
    if greatest.0 > last_sweep || greatest.1 > last_token {
        problems.add(|| "the marks are behind the journal".to_owned());
    }
    done.extend(scheduler.sweeps().map(|view| (view.id(), u64::from(view.counts().done))));
    let counted = store.result_counts().await.map_err(EngineError::Recover)?;
    compare(done, counted, &mut problems);
    scheduler.recovered(last_sweep, last_token);
    Ok(Replayed { scheduler, settled: settled_before, entries, problems })
}

fn compare(mut done: BTreeMap<SweepId, u64>, recorded: Vec<(SweepId, u64)>, problems: &mut Problems) {
    let mut differ = |sweep, done, recorded| {
        problems.add(|| {
            format!(
                "sweep {sweep} has {} according to the journal, but {} recorded",
                counted(done, "done task"),
                counted(recorded, "result")
            )
        });
    };
    for (sweep, recorded) in recorded {
        match done.remove(&sweep).unwrap_or(0) {
            done if done == recorded => {}
            done => differ(sweep, done, recorded),
        }
    }
    for (sweep, done) in done.into_iter().filter(|(_, done)| *done > 0) {
        differ(sweep, done, 0);
    }
}

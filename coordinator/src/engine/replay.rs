//! Replays the journal, and checks whether journal, results and marks agree.

use std::{collections::BTreeMap, sync::Arc};

use colearn_core::{
    id::{LeaseToken, SweepId},
    scheduler::{Event, Recovered, Scheduler, SchedulerSettings},
    text::counted,
};

use tokio::{sync::mpsc, task::JoinHandle};

use super::error::EngineError;
use crate::store::{JournalEntry, Store, StoreError};

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
pub(super) async fn replay(
    store: &Arc<dyn Store>,
    settings: SchedulerSettings,
) -> Result<Replayed, EngineError> {
    let Recovered { last_sweep, last_token, settled } =
        store.recovered().await.map_err(EngineError::Recover)?;
    let mut done: BTreeMap<SweepId, u64> =
        settled.iter().map(|settled| (settled.id, settled.counts.done.into())).collect();
    let settled_before = settled.len();
    let mut scheduler = Scheduler::recovering(settings, settled);
    let mut entries = 0_u64;
    let (mut problems, mut greatest) = (Problems::default(), (SweepId(0), LeaseToken(0)));
    let mut journal = Journal::read(store.clone());
    while let Some(page) = journal.next().await {
        let page = page.map_err(EngineError::Recover)?;
        entries += page.len() as u64;
        for (number, JournalEntry { at, sweep, event }) in page {
            let kind = event.kind();
            match &event {
                Event::SweepSubmitted { id, .. } => greatest.0 = greatest.0.max(*id),
                Event::LeaseGranted { token, .. } => greatest.1 = greatest.1.max(*token),
                _ => {}
            }
            // Only events that changed something were journaled.
            let news = scheduler.replay(at, event);
            if let Some(sweep) = sweep.filter(|_| !news) {
                problems.add(|| {
                    format!(
                        "journal entry {number} ({kind} of sweep {sweep}) does not follow from those before it"
                    )
                });
            }
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

/// Reads the journal page by page, one page ahead of the replay.
struct Journal {
    pages: mpsc::Receiver<Page>,
    reading: JoinHandle<()>,
}

type Page = Result<Vec<(u64, JournalEntry)>, StoreError>;

impl Journal {
    fn read(store: Arc<dyn Store>) -> Self {
        let (sender, pages) = mpsc::channel(1);
        let reading = tokio::spawn(async move {
            let mut after = 0;
            loop {
                let page = store.journal(after, PAGE).await;
                let last = match &page {
                    Ok(entries) => entries.last().map(|(number, _)| *number),
                    Err(_) => None,
                };
                if matches!(&page, Ok(entries) if entries.is_empty()) || sender.send(page).await.is_err() {
                    return;
                }
                let Some(last) = last else { return };
                after = last;
            }
        });
        Self { pages, reading }
    }

    /// The next page; `None` after the last one.
    async fn next(&mut self) -> Option<Page> {
        let page = self.pages.recv().await;
        if !matches!(page, Some(Ok(_))) {
            // The store is no longer used when this has returned.
            let _ = (&mut self.reading).await;
        }
        page
    }
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

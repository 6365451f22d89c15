//! Checks and copies a state folder from outside.
//!
//! Both work while a coordinator uses the folder, and change nothing in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    path::{Path, PathBuf},
};

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    scheduler::{Event, Scheduler, TaskState},
    text::counted,
};

use super::{Store, StoreError, sqlite::SqliteStore};

/// Number of rows that are read at once.
const PAGE: u32 = 4096;
/// Maximum number of problems with text.
const MAX_PROBLEMS: usize = 100;

/// The report of [`check`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Number of replayed sweeps.
    pub sweeps: u64,
    /// Number of their tasks.
    pub tasks: u64,
    /// Number of journal entries.
    pub entries: u64,
    /// Number of recorded results.
    pub results: u64,
    /// The problems, one sentence each; at most a hundred. Empty if there are none.
    pub problems: Vec<String>,
    /// Number of further problems.
    pub more: u64,
}

impl CheckReport {
    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        } else {
            self.more += 1;
        }
    }
}

/// Checks the database itself, then replays the journal sweep by sweep and compares the outcome with the recorded
/// results, the outcomes of settled sweeps and the marks. Everything is read as of one moment.
///
/// # Errors
/// If the database cannot be read at all. Inconsistencies in it are in the report.
pub async fn check(folder: &Path) -> Result<CheckReport, StoreError> {
    let store = SqliteStore::open_to_read(folder).await?;
    store.begin_snapshot().await?;
    let mut report = CheckReport::default();
    for problem in store.integrity().await? {
        report.problem(problem);
    }
    let recovered = store.recovered().await?;
    let sweeps = store.sweep_names().await?;
    for sweep in store.orphans().await? {
        report.problem(format!("the journal has entries of sweep {sweep}, which does not exist"));
    }
    let mut last_token = 0;
    for (id, name) in &sweeps {
        report.sweeps += 1;
        let replayed = match replay(&store, *id, name, &mut report).await {
            Ok(replayed) => replayed,
            Err(StoreError::Corrupt { detail, .. }) => {
                report.problem(format!("sweep {id} (`{name}`): {detail}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        let (mut alone, grants) = replayed;
        last_token = grants.keys().next_back().map_or(last_token, |token| last_token.max(token.0));
        let Some(view) = alone.sweep(*id) else {
            report.problem(format!("sweep {id} (`{name}`) has no submission in the journal"));
            continue;
        };
        report.tasks += u64::from(view.counts().total());
        if view.sweep().name.as_str() != name {
            report.problem(format!("sweep {id} is `{name}`, but `{}` in the journal", view.sweep().name));
        }
        let done = u64::from(view.counts().done);
        let recorded = match check_results(&store, &alone, &grants, *id, &mut report).await {
            Ok(recorded) => recorded,
            Err(StoreError::Corrupt { detail, .. }) => {
                report.problem(format!("sweep {id} (`{name}`): {detail}"));
                continue;
            }
            Err(error) => return Err(error),
        };
        if recorded != done {
            report.problem(format!(
                "sweep {id} (`{name}`) has {} according to the journal, but {} recorded",
                counted(done, "done task"),
                counted(recorded, "result")
            ));
        }
        if let Some(settled) = recovered.settled.iter().find(|settled| settled.id == *id)
            && alone.settle(*id).as_ref() != Some(settled)
        {
            report
                .problem(format!("sweep {id} (`{name}`) is settled with another outcome than the journal's"));
        }
    }
    let last_sweep = sweeps.iter().map(|(id, _)| id.0).max().unwrap_or(0);
    if recovered.last_sweep.0 < last_sweep || recovered.last_token.0 < last_token {
        report.problem("the marks are behind the journal: numbers could be assigned twice".to_owned());
    }
    Ok(report)
}

/// The worker and the tasks of each token; each task with the number of its attempt.
type Grants = BTreeMap<LeaseToken, (WorkerId, BTreeMap<TaskId, u32>)>;

/// Rebuilds a sweep from its entries. Only events that changed something were journaled: an entry without effect
/// shows that another entry is missing, or that it is not at its original position.
async fn replay(
    store: &SqliteStore,
    sweep: SweepId,
    name: &str,
    report: &mut CheckReport,
) -> Result<(Scheduler, Grants), StoreError> {
    let (mut alone, mut grants) = (Scheduler::of_one_sweep([]), Grants::new());
    let mut after = 0;
    loop {
        let page = store.journal_of(sweep, after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok((alone, grants)) };
        after = *last;
        for (number, entry) in page {
            report.entries += 1;
            let kind = entry.event.kind();
            if let Event::LeaseGranted { token, worker, tasks, .. } = &entry.event {
                grants.insert(*token, (worker.clone(), tasks.iter().copied().collect()));
            }
            if !alone.replay(entry.at, entry.event) {
                report.problem(format!(
                    "sweep {sweep} (`{name}`): journal entry {number} ({kind}) does not follow from those before it"
                ));
            }
        }
    }
}

/// Compares the recorded results of a sweep with the state that its journal leads to; returns the number of results
/// of finished tasks.
async fn check_results(
    store: &SqliteStore,
    alone: &Scheduler,
    grants: &Grants,
    sweep: SweepId,
    report: &mut CheckReport,
) -> Result<u64, StoreError> {
    let (mut from, mut seen) = (0, BTreeSet::new());
    loop {
        let rows = store.results(sweep, from, PAGE).await?;
        let Some(last) = rows.last() else { return Ok(seen.len() as u64) };
        from = last.position + 1;
        for row in rows {
            report.results += 1;
            let task = row.task;
            match alone.state_of(task) {
                Some(TaskState::Done) => drop(seen.insert(task)),
                Some(state) => {
                    report.problem(format!(
                        "task {task} has a result, but is {state:?} according to the journal"
                    ));
                }
                None => report.problem(format!("task {task} has a result, but its sweep has no such task")),
            }
            if alone.position_of(task).is_some_and(|position| position != row.position) {
                report.problem(format!("the result of task {task} has another position than the task"));
            }
            if alone.finished_under(task).is_some_and(|token| token != row.token) {
                report.problem(format!("the result of task {task} is of another lease than the journal's"));
            } else if let Some((worker, tasks)) = grants.get(&row.token) {
                if *worker != row.worker {
                    report.problem(format!(
                        "the result of task {task} is of another worker than the journal's"
                    ));
                }
                if tasks.get(&task).is_some_and(|attempt| *attempt != row.attempt) {
                    report.problem(format!(
                        "the result of task {task} is of another attempt than the journal's"
                    ));
                }
            }
        }
    }
}

/// Copies the database of a state folder, as of one moment, to a new file. The copy is complete and durable, or does
/// not exist.
///
/// # Errors
/// If the file exists or cannot be written, or the database cannot be read.
pub async fn backup(folder: &Path, to: &Path) -> Result<(), StoreError> {
    let not_written = |cause: io::Error| StoreError::BackupNotWritten { path: to.to_owned(), cause };
    if to.symlink_metadata().is_ok() {
        return Err(not_written(io::Error::other("it exists already; name another file")));
    }
    let store = SqliteStore::open_to_read(folder).await?;
    let beside = PathBuf::from(format!("{}.part-{}", to.display(), std::process::id()));
    let copied = async {
        store.copy_to(&beside).await?;
        let durable = || {
            File::open(&beside)?.sync_all()?;
            std::fs::rename(&beside, to)?;
            let parent = to.parent().filter(|parent| !parent.as_os_str().is_empty());
            File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
        };
        durable().map_err(not_written)
    };
    let copied = copied.await;
    if copied.is_err() {
        // The file may not exist.
        let _ = std::fs::remove_file(&beside);
    }
    copied
}

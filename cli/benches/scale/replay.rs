//! Starts on a long journal (one entry per lease and one per result, for a sweep that is not settled), and removes it.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use colearn_coordinator::store::{Batch, JournalEntry, ResultRow, SqliteStore, Store};
use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    result::{EpochRecord, TaskResult, metric},
    scheduler::Event,
    sweep::Sweep,
    time::Timestamp,
};
use colearn_proto::v1;

use super::{
    Outcome,
    figures::{Figures, Goal},
    large::{Asking, MOST},
    programs::{self, Coordinator},
};

/// Number of tasks written in one commit.
const AT_ONCE: usize = 5000;

pub(crate) async fn measure(figures: &mut Figures, small: bool) -> Outcome {
    for tasks in [100_000, 1_000_000] {
        let tasks: u32 = if small { tasks / 10 } else { tasks };
        let folder = tempfile::tempdir()?;
        write(folder.path(), tasks).await?;
        let coordinator = Coordinator::start(folder.path()).await?;
        let goals = tasks == 1_000_000;
        let seconds = coordinator.started_in.as_secs_f64();
        let goal = |most| goals.then_some(Goal::AtMost(most));
        figures.add(format!("replay: start on {tasks} finished tasks"), seconds, "s", goal(5.0));
        let what = format!("replay: peak memory of the coordinator at {tasks} tasks");
        figures.add(what, coordinator.peak_memory()?, "MiB", goal(768.0));
        let what = format!("replay: its memory afterwards at {tasks} tasks");
        figures.add(what, coordinator.memory()?, "MiB", goal(512.0));
        // The coordinator must know the sweep from the journal.
        coordinator.wait("replay").await?;
        let (began, asking) = (Instant::now(), Asking::start(&coordinator).await?);
        let name = "replay".to_owned();
        coordinator.client().await?.remove_sweep(v1::RemoveSweepRequest { name }).await?;
        let seconds = began.elapsed().as_secs_f64();
        figures.add(format!("replay: {tasks} finished tasks removed"), seconds, "s", None);
        // What is deleted after the answer makes others wait too.
        tokio::time::sleep(Duration::from_secs(5)).await;
        let what = format!("replay: the longest wait while {tasks} tasks were removed, and after that");
        figures.add(what, asking.longest().await?, "ms", goal(MOST));
    }
    Ok(())
}

/// Writes the same data as a coordinator whose worker trained the whole sweep, task by task.
async fn write(folder: &Path, tasks: u32) -> Outcome {
    let store = SqliteStore::open(folder).await?;
    let sweep = Sweep::parse(&programs::sweep("replay", tasks), "replay.yaml")?.sweep;
    let worker = WorkerId::new("w")?;
    let id = SweepId(1);
    let places = (0_u64..).zip(&sweep.seeds).flat_map(|(at, seed)| {
        (0_u64..).zip(&sweep.configurations).map(move |(place, configuration)| {
            (TaskId { sweep: id, configuration: configuration.id, seed: *seed }, place << 32 | at)
        })
    });
    let places: Vec<(TaskId, u64)> = places.collect();
    let submitted = Event::SweepSubmitted { id, sweep: Arc::new(sweep) };
    store.commit(Batch { entries: vec![entry(0, submitted)], ..Batch::default() }).await?;
    let mut token = LeaseToken(0);
    for chunk in places.chunks(AT_ONCE) {
        let mut batch = Batch::default();
        for (task, position) in chunk {
            token = LeaseToken(token.0 + 1);
            let at = i64::try_from(token.0)?;
            let tasks = vec![(*task, 1)];
            let granted = Event::LeaseGranted { token, worker: worker.clone(), slot: 0, tasks };
            batch.entries.push(entry(at, granted));
            batch.entries.push(entry(
                at,
                Event::TaskFinished { token, task: *task, data_digest: result().data_digest },
            ));
            batch.results.push(ResultRow {
                task: *task,
                position: *position,
                attempt: 1,
                worker: worker.clone(),
                token,
                recorded_at: Timestamp(at),
                result: result(),
            });
        }
        store.commit(batch).await?;
    }
    Ok(())
}

fn entry(at: i64, event: Event) -> JournalEntry {
    JournalEntry { at: Timestamp(at), sweep: Some(SweepId(1)), event }
}

fn result() -> TaskResult {
    let metrics = [metric::ACCURACY, metric::LOSS, metric::F_SCORE];
    let record = EpochRecord::of_network(1, 1.0, 1.0, 0.5);
    TaskResult {
        metrics: metrics.map(|name| (name.to_owned(), 0.5)).into_iter().collect(),
        confusion: vec![vec![3, 1], vec![1, 3]],
        history: vec![record],
        best_epoch: 1,
        device: "no-op".to_owned(),
        ..TaskResult::default()
    }
}

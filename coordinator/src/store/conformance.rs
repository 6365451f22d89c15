//! Requirements of every store. Each check runs on each backend.

use std::sync::Arc;

use colearn_core::{
    id::{ConfigurationId, LeaseToken, SweepId, SweepName, TaskId, WorkerId},
    result::{EpochRecord, TaskResult},
    scheduler::{Event, SettledSweep, SweepStatus, TaskCounts},
    time::Timestamp,
};

use super::{Batch, JournalEntry, MemoryStore, Notice, Receiver, ResultRow, SqliteStore, Store, StoreError};
use crate::testing::small_sweep;

fn batch(entries: Vec<JournalEntry>, results: Vec<ResultRow>) -> Batch {
    Batch { entries, results, ..Batch::default() }
}

fn entry(at: i64, event: Event) -> JournalEntry {
    // As the scheduler would do; the leases of these tests are all of sweep 1.
    let sweep = match &event {
        Event::SweepSubmitted { id, .. } => Some(*id),
        Event::TaskFinished { task, .. } => Some(task.sweep),
        Event::LeaseGranted { .. } => Some(SweepId(1)),
        _ => None,
    };
    JournalEntry { at: Timestamp(at), sweep, event }
}

fn submitted(id: u64) -> JournalEntry {
    let sweep = Arc::new(small_sweep(&format!("sweep-{id}"), 2, 2));
    entry(1, Event::SweepSubmitted { id: SweepId(id), sweep })
}

fn finished(seed: u64) -> JournalEntry {
    entry(
        2,
        Event::TaskFinished { token: LeaseToken(u64::MAX), task: task(1, seed), data_digest: String::new() },
    )
}

fn task(sweep: u64, seed: u64) -> TaskId {
    TaskId { sweep: SweepId(sweep), configuration: ConfigurationId(u64::MAX), seed }
}

fn row(sweep: u64, seed: u64, position: u64) -> ResultRow {
    ResultRow {
        task: task(sweep, seed),
        position,
        attempt: 2,
        worker: WorkerId::new("w-1").unwrap(),
        token: LeaseToken(u64::MAX),
        recorded_at: Timestamp(5),
        result: TaskResult {
            metrics: [("accuracy".to_owned(), 0.1 + 0.2), ("loss".to_owned(), f64::MIN_POSITIVE)].into(),
            confusion: vec![vec![1, 2], vec![3, u64::MAX]],
            history: vec![EpochRecord::of_network(1, 1.0 / 3.0, 2.0, 0.5)],
            best_epoch: 1,
            parameters: 42,
            seconds: 1.5,
            device: "cpu x1 \"quoted\" ä".to_owned(),
            ..TaskResult::default()
        },
    }
}

async fn journal(store: &dyn Store) -> Vec<JournalEntry> {
    store.journal(0, 1000).await.unwrap().into_iter().map(|(_, entry)| entry).collect()
}

async fn keeps_what_it_was_given(store: &dyn Store) {
    assert_eq!(journal(store).await, []);
    let first = batch(vec![entry(-1, Event::CoordinatorStarted), submitted(1)], vec![]);
    let second = batch(vec![finished(u64::MAX)], vec![row(1, u64::MAX, 3)]);
    store.commit(first.clone()).await.unwrap();
    store.commit(second.clone()).await.unwrap();
    store.commit(Batch::default()).await.unwrap();
    assert_eq!(journal(store).await, [first.entries, second.entries].concat());
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap(), second.results);
    assert_eq!(store.results(SweepId(2), 0, 10).await.unwrap(), []);
}

async fn reads_in_order_and_in_pages(store: &dyn Store) {
    let entries: Vec<JournalEntry> = (0..25).map(|at| entry(at, Event::CoordinatorStarted)).collect();
    let mut results: Vec<ResultRow> = (0..25).map(|n| row(1, n, n)).collect();
    results.reverse();
    let entries = [vec![submitted(1), submitted(2)], entries].concat();
    store.commit(batch(entries.clone(), results.clone())).await.unwrap();
    store.commit(batch(vec![], vec![row(2, 0, 0)])).await.unwrap();
    let (mut read, mut after) = (Vec::new(), 0);
    loop {
        let page = store.journal(after, 10).await.unwrap();
        assert!(page.len() <= 10);
        let Some((last, _)) = page.last() else { break };
        assert!(*last > after);
        after = *last;
        read.extend(page.into_iter().map(|(_, entry)| entry));
    }
    assert_eq!(read, entries);
    let positions = |rows: Vec<ResultRow>| rows.iter().map(|row| row.position).collect::<Vec<_>>();
    assert_eq!(positions(store.results(SweepId(1), 0, 10).await.unwrap()), (0..10).collect::<Vec<_>>());
    assert_eq!(positions(store.results(SweepId(1), 20, 10).await.unwrap()), (20..25).collect::<Vec<_>>());
}

async fn keeps_at_most_one_result_a_task(store: &dyn Store) {
    store.commit(batch(vec![submitted(1)], vec![row(1, 0, 0)])).await.unwrap();
    let before = journal(store).await;
    let again = batch(vec![finished(0)], vec![row(1, 1, 1), row(1, 0, 0)]);
    let error = store.commit(again).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyRecorded(of) if of == task(1, 0)), "{error:?}");
    let twice = batch(vec![finished(2)], vec![row(1, 2, 2), row(1, 2, 2)]);
    assert!(store.commit(twice).await.is_err());
    assert_eq!(journal(store).await, before, "all or nothing");
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap().len(), 1);
    store.commit(batch(vec![finished(1)], vec![row(1, 1, 1)])).await.unwrap();
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap().len(), 2, "and it goes on afterwards");
}

async fn refuses_what_makes_no_sense(store: &dyn Store) {
    let orphan = batch(vec![finished(0)], vec![row(9, 0, 0)]);
    let error = store.commit(orphan).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownSweep(SweepId(9))), "{error:?}");
    let volatile = batch(vec![submitted(1), entry(1, Event::Tick)], vec![]);
    let error = store.commit(volatile).await.unwrap_err();
    assert!(matches!(error, StoreError::NotAFact("tick")), "{error:?}");
    assert_eq!(journal(store).await, []);
}

async fn takes_a_sweep_twice(store: &dyn Store) {
    store.commit(batch(vec![submitted(1), submitted(1)], vec![])).await.unwrap();
    store.commit(batch(vec![submitted(1)], vec![row(1, 0, 0)])).await.unwrap();
    assert_eq!(journal(store).await.len(), 3);
}

fn outcome(id: u64) -> SettledSweep {
    SettledSweep {
        id: SweepId(id),
        name: SweepName::new(format!("sweep-{id}")).unwrap(),
        submitted_at: Timestamp(1),
        ended_at: Timestamp(2),
        status: SweepStatus::Complete,
        counts: TaskCounts { done: 4, ..TaskCounts::default() },
        configurations: 2,
        seeds: 2,
        retried: 0,
        priority: -3,
        max_concurrent_tasks: Some(9),
        stopped: Some("3 tasks failed".to_owned()),
    }
}

fn granted(token: u64) -> JournalEntry {
    let (worker, slot) = (WorkerId::new("w").unwrap(), 0);
    entry(3, Event::LeaseGranted { token: LeaseToken(token), worker, slot, tasks: vec![(task(1, 0), 1)] })
}

async fn leaves_settled_sweeps_out_of_the_replay(store: &dyn Store) {
    let entries = vec![submitted(1), granted(5), submitted(2), finished(0)];
    store.commit(batch(entries.clone(), vec![row(1, 0, 0)])).await.unwrap();
    store.commit(Batch { settled: vec![outcome(1)], ..Batch::default() }).await.unwrap();
    assert_eq!(journal(store).await, [submitted(2)]);
    let of_one: Vec<JournalEntry> =
        store.journal_of(SweepId(1), 0, 10).await.unwrap().into_iter().map(|(_, entry)| entry).collect();
    assert_eq!(of_one, [submitted(1), granted(5), finished(0)]);
    let first = store.journal_of(SweepId(1), 0, 1).await.unwrap()[0].0;
    assert_eq!(store.journal_of(SweepId(1), first, 10).await.unwrap().len(), 2);
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap().len(), 1);
    let recovered = store.recovered().await.unwrap();
    assert_eq!(recovered.settled, [outcome(1)]);
    assert_eq!((recovered.last_sweep, recovered.last_token), (SweepId(2), LeaseToken(5)));
    store.commit(Batch { settled: vec![outcome(2)], ..Batch::default() }).await.unwrap();
    assert!(journal(store).await.iter().all(|entry| entry.sweep.is_none()));
    store.commit(Batch { revived: vec![SweepId(1)], ..Batch::default() }).await.unwrap();
    assert_eq!(journal(store).await, [submitted(1), granted(5), finished(0)]);
    assert_eq!(store.recovered().await.unwrap().settled, [outcome(2)]);
}

async fn keeps_who_submitted(store: &dyn Store) {
    let by = |sweep, who: &str| (SweepId(sweep), who.into());
    let entries = vec![submitted(1), submitted(2), submitted(3)];
    store
        .commit(Batch { entries, submitters: vec![by(1, "anna"), by(3, "ben")], ..Batch::default() })
        .await
        .unwrap();
    assert_eq!(store.submitters().await.unwrap(), [by(1, "anna"), by(3, "ben")]);
    let removal = entry(9, Event::SweepRemoved { sweep: SweepId(1) });
    store.commit(batch(vec![removal], vec![])).await.unwrap();
    assert_eq!(store.submitters().await.unwrap(), [by(3, "ben")]);
}

async fn forgets_what_was_removed_but_not_its_numbers(store: &dyn Store) {
    store.commit(batch(vec![submitted(1), granted(5)], vec![row(1, 0, 0)])).await.unwrap();
    let removal = entry(9, Event::SweepRemoved { sweep: SweepId(1) });
    store.commit(batch(vec![removal.clone()], vec![])).await.unwrap();
    assert_eq!(journal(store).await, [removal]);
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap(), []);
    let recovered = store.recovered().await.unwrap();
    assert_eq!((recovered.last_sweep, recovered.last_token), (SweepId(1), LeaseToken(5)));
    assert_eq!(recovered.settled, []);
    let error = store.commit(batch(vec![], vec![row(1, 0, 0)])).await.unwrap_err();
    assert!(matches!(error, StoreError::UnknownSweep(_)), "{error:?}");
}

fn notice(number: usize, webhook: bool, command: bool) -> Notice {
    let (id, body) = (format!("msg_{number}"), format!("{{\"number\":{number}}}"));
    Notice { id, at: Timestamp(number as i64), body, webhook, command }
}

async fn keeps_events_until_all_were_told(store: &dyn Store) {
    let notices = vec![notice(1, true, true), notice(2, true, false)];
    store.commit(Batch { notices, ..batch(vec![submitted(1)], vec![]) }).await.unwrap();
    store.add_notice(notice(3, true, true)).await.unwrap();
    let told = |number, receiver| store.told(format!("msg_{number}"), receiver);
    told(1, Receiver::Webhook).await.unwrap();
    told(2, Receiver::Webhook).await.unwrap();
    told(3, Receiver::Command).await.unwrap();
    told(9, Receiver::Command).await.unwrap();
    assert_eq!(store.notices().await.unwrap(), [notice(1, false, true), notice(3, true, false)]);
    told(1, Receiver::Command).await.unwrap();
    assert_eq!(store.notices().await.unwrap(), [notice(3, true, false)]);
    // A batch that is refused brings no event.
    let notices = vec![notice(4, true, true)];
    store.commit(Batch { notices, ..batch(vec![], vec![row(7, 0, 0)]) }).await.unwrap_err();
    assert_eq!(store.notices().await.unwrap(), [notice(3, true, false)]);
}

async fn keeps_a_bounded_number_of_events(store: &dyn Store) {
    let many = (0..Notice::MOST + 5).map(|number| notice(number, true, false)).collect();
    store.commit(Batch { notices: many, ..Batch::default() }).await.unwrap();
    store.add_notice(notice(5000, true, false)).await.unwrap();
    let kept = store.notices().await.unwrap();
    let ends = kept.first().zip(kept.last()).map(|(first, last)| (first.id.clone(), last.id.clone()));
    assert_eq!((kept.len(), ends), (Notice::MOST, Some(("msg_6".into(), "msg_5000".into()))));
}

async fn keeps_pools_by_their_names(store: &dyn Store) {
    assert_eq!(store.pools().await.unwrap(), Vec::<String>::new());
    for (name, body) in [("b", "1"), ("a", "2"), ("b", "3")] {
        store.keep_pool(name.to_owned(), Some(body.to_owned())).await.unwrap();
    }
    assert_eq!(store.pools().await.unwrap(), ["2", "3"]);
    for _ in 0..2 {
        store.keep_pool("a".to_owned(), None).await.unwrap();
    }
    assert_eq!(store.pools().await.unwrap(), ["3"]);
    store.commit(batch(vec![submitted(1)], vec![])).await.unwrap();
}

macro_rules! on_every_store {
    ($($check:ident),* $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $check() {
                super::$check(&super::MemoryStore::new()).await;
            })*
        }
        mod sqlite {
            $(#[tokio::test]
            async fn $check() {
                let folder = tempfile::tempdir().unwrap();
                super::$check(&super::SqliteStore::open(folder.path()).await.unwrap()).await;
            })*
        }
    };
}

on_every_store!(
    keeps_what_it_was_given,
    reads_in_order_and_in_pages,
    keeps_at_most_one_result_a_task,
    refuses_what_makes_no_sense,
    takes_a_sweep_twice,
    leaves_settled_sweeps_out_of_the_replay,
    forgets_what_was_removed_but_not_its_numbers,
    keeps_pools_by_their_names,
    keeps_who_submitted,
    keeps_events_until_all_were_told,
    keeps_a_bounded_number_of_events,
);

#[tokio::test]
async fn sqlite_has_everything_after_it_was_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let batch = batch(vec![submitted(1), finished(0)], vec![row(1, 0, 0)]);
    let store = SqliteStore::open(folder.path()).await.unwrap();
    store.commit(batch.clone()).await.unwrap();
    drop(store);
    let store = SqliteStore::open(folder.path()).await.unwrap();
    assert_eq!(journal(&store).await, batch.entries);
    assert_eq!(store.results(SweepId(1), 0, 10).await.unwrap(), batch.results);
}

#[tokio::test]
async fn sqlite_is_opened_by_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let _store = SqliteStore::open(folder.path()).await.unwrap();
    let error = SqliteStore::open(folder.path()).await.unwrap_err();
    assert!(matches!(error, StoreError::Held { .. }), "{error:?}");
}

/// A second coordinator that no lock prevents: it has everything that the first one committed, and the first one can
/// commit nothing more.
async fn is_taken_over_by_whoever_opens_it_next(open: impl AsyncFn() -> Box<dyn Store>) {
    let first = open().await;
    let before = batch(vec![submitted(1), finished(0)], vec![row(1, 0, 0)]);
    first.commit(before.clone()).await.unwrap();
    let second = open().await;
    assert_eq!(journal(&*second).await, before.entries, "what was acknowledged is there");
    for late in [
        batch(vec![finished(1)], vec![row(1, 1, 1)]),
        Batch { settled: vec![outcome(1)], ..Batch::default() },
    ] {
        let error = first.commit(late).await.unwrap_err();
        assert!(matches!(error, StoreError::TakenOver { .. }), "{error:?}");
    }
    let after = batch(vec![submitted(2)], vec![row(1, 2, 2)]);
    second.commit(after.clone()).await.unwrap();
    let error = first.keep_pool("a".to_owned(), Some("1".to_owned())).await.unwrap_err();
    assert!(matches!(error, StoreError::TakenOver { .. }), "{error:?}");
    let error = first.commit(batch(vec![submitted(3)], vec![])).await.unwrap_err();
    assert!(matches!(error, StoreError::TakenOver { .. }), "{error:?}");
    second.commit(batch(vec![submitted(4)], vec![])).await.unwrap();
    assert_eq!(journal(&*second).await, [before.entries, after.entries, vec![submitted(4)]].concat());
    assert_eq!(second.result_counts().await.unwrap(), [(SweepId(1), 2)]);
    assert_eq!(second.recovered().await.unwrap().settled, []);
}

#[tokio::test]
async fn memory_is_taken_over_by_whoever_opens_it_next() {
    let kept = MemoryStore::new();
    is_taken_over_by_whoever_opens_it_next(async || Box::new(kept.take_over()) as Box<dyn Store>).await;
}

#[tokio::test]
async fn sqlite_is_taken_over_by_whoever_opens_it_next() {
    let folder = tempfile::tempdir().unwrap();
    let open = async || {
        // The lock file was removed, or the file system has no locks.
        let _ = std::fs::remove_file(folder.path().join("lock"));
        Box::new(SqliteStore::open(folder.path()).await.unwrap()) as Box<dyn Store>
    };
    is_taken_over_by_whoever_opens_it_next(open).await;
}

//! What the coordinator asks of a store.

use std::{future::Future, pin::Pin};

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    result::TaskResult,
    scheduler::{Event, Recovered, SettledSweep},
    time::Timestamp,
};

use super::error::StoreError;

/// What a store's methods return: boxed, so that the engine need not be generic over its store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps the journal and the results.
///
/// With [`Event::SweepRemoved`] everything of a sweep goes, entries and results, but for the removal itself.
/// The greatest number of a sweep and the greatest token are known for ever.
///
/// There is one writer, the engine; it waits for a commit before it starts the next. Reading may happen at
/// any time beside it, and sees whole batches only.
///
/// Whoever opens what a store keeps takes it over: from then on nobody who had it before can commit. Nor can anybody
/// when the journal does not end where their last commit left it, or when something else has taken the place of what
/// they opened. Locks alone do not see to that: they can be removed, and some file systems have none that work.
pub trait Store: Send + Sync + 'static {
    /// Appends entries to the journal, in their order, and records results.
    ///
    /// All or nothing: after an error nothing of the batch is there, now or after a restart. When it returns
    /// without one, all of the batch is durable: it survives the death of the process and of the host.
    /// A dropped future may or may not have committed.
    ///
    /// # Errors
    /// [`StoreError::AlreadyRecorded`] when a result of the same task is there: at most one is ever kept.
    /// [`StoreError::NotAFact`] when an entry's event is volatile. [`StoreError::UnknownSweep`] when a result
    /// belongs to a sweep that neither the journal nor this batch has submitted. [`StoreError::Full`] when
    /// there is no space left. [`StoreError::TakenOver`] when what is kept is not this store's any more; nothing that
    /// is committed afterwards can be relied upon, so the engine stops. Others as the backend has it.
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()>;

    /// Up to `limit` entries of the journal that are to be replayed and come after entry number `after`, in
    /// order, with their numbers. Numbers begin at 1 and grow, not necessarily by one. An empty answer means
    /// the end. Those of settled sweeps are left out, and so may be those that belong to no sweep once there is
    /// a settled one.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when an entry can not be read; it names the entry.
    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>>;

    /// The same of one sweep, settled or not.
    ///
    /// # Errors
    /// As [`Store::journal`].
    fn journal_of(&self, sweep: SweepId, after: u64, limit: u32)
    -> StoreFuture<'_, Vec<(u64, JournalEntry)>>;

    /// What is known without the journal: to be asked before it is replayed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it can not be read.
    fn recovered(&self) -> StoreFuture<'_, Recovered>;

    /// Up to `limit` results of a sweep whose position is at least `from`, by position.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when a result can not be read; it names the task.
    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>>;

    /// Called when nothing more will be committed: what is kept is left so that it can be read where nothing can be
    /// written. It is durable without that.
    ///
    /// # Errors
    /// When that can not be done.
    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// How many results are recorded of each sweep that has any, by sweep: what a start compares with the journal.
    ///
    /// # Errors
    /// When they can not be counted.
    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>>;
}

/// What is committed at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// For the journal, in order.
    pub entries: Vec<JournalEntry>,
    /// Of tasks that were not recorded before.
    pub results: Vec<ResultRow>,
    /// Ended sweeps whose entries need not be replayed from now on.
    pub settled: Vec<SettledSweep>,
    /// Sweeps whose entries are to be replayed again.
    pub revived: Vec<SweepId>,
}

impl Batch {
    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.results.is_empty()
            && self.settled.is_empty()
            && self.revived.is_empty()
    }
}

/// One fact of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// The scheduler's time when it was applied.
    pub at: Timestamp,
    /// The sweep it belongs to, if any, see [`colearn_core::scheduler::Scheduler::sweep_of`].
    pub sweep: Option<SweepId>,
    /// What happened; durable.
    pub event: Event,
}

/// The recorded result of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// Whose.
    pub task: TaskId,
    /// The task's place in the order of the grid: it grows along it, not by one, and is as good as `task` to tell
    /// which task of the sweep it is.
    pub position: u64,
    /// The attempt that got there, counting from 1.
    pub attempt: u32,
    /// Who trained it.
    pub worker: WorkerId,
    /// The lease it was trained under.
    pub token: LeaseToken,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// What came out.
    pub result: TaskResult,
}

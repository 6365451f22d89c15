//! The interface of a store.

use std::{future::Future, pin::Pin, sync::Arc};

use colearn_core::{
    id::{LeaseToken, SweepId, TaskId, WorkerId},
    result::TaskResult,
    scheduler::{Event, Recovered, SettledSweep},
    sweep::Sweep,
    time::Timestamp,
};

use super::{
    error::StoreError,
    notice::{Notice, Receiver},
};

/// The return type of a store's methods: boxed, so that the engine need not be generic over its store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Keeps the journal and the results.
///
/// [`Event::SweepRemoved`] deletes all entries and results of a sweep, except for the removal itself; those of a large
/// sweep are not shown any more and deleted by [`Store::purge`]. The greatest
/// number of a sweep and the greatest token are kept forever.
///
/// There is one writer, the engine; it waits for a commit before it starts the next. Reads may happen at any time,
/// and see only whole batches.
///
/// Opening the data of a store takes ownership of it: from then on an earlier owner cannot commit. Commits are also
/// refused if the journal does not end where this owner's last commit left it, or if other files have replaced the
/// opened ones. Locks alone do not guarantee this: they can be removed, and on some file systems they do not work.
pub trait Store: Send + Sync + 'static {
    /// Appends entries to the journal, in their order, and records results.
    ///
    /// All or nothing: after an error nothing of the batch is stored, now or after a restart. After a return without
    /// an error all of the batch is durable: it survives the death of the process and of the host. A dropped future
    /// may or may not have committed.
    ///
    /// # Errors
    /// [`StoreError::AlreadyRecorded`] if the task already has a result: at most one is ever kept.
    /// [`StoreError::NotAFact`] if an entry's event is volatile. [`StoreError::UnknownSweep`] if a result belongs to
    /// a sweep that neither the journal nor this batch has submitted. [`StoreError::Full`] if there is no space left.
    /// [`StoreError::TakenOver`] if another owner has taken over the data; later commits cannot be relied on, so the
    /// engine stops. Other errors depend on the backend.
    fn commit(&self, batch: Batch) -> StoreFuture<'_, ()>;

    /// Writes a large sweep ahead of the entry that brings it, without holding up commits for long. An entry with this
    /// very sweep is then short. It may do nothing.
    ///
    /// # Errors
    /// As [`Store::commit`]. Whatever was written is removed by [`Store::discard`] or at the next opening.
    fn prepare(&self, sweep: Arc<Sweep>) -> StoreFuture<'_, ()> {
        drop(sweep);
        Box::pin(async { Ok(()) })
    }

    /// Removes what [`Store::prepare`] wrote, unless the sweep's entry is committed.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn discard(&self, sweep: Arc<Sweep>) -> StoreFuture<'_, ()> {
        drop(sweep);
        Box::pin(async { Ok(()) })
    }

    /// Up to `limit` journal entries that are to be replayed and come after entry number `after`, in order, with
    /// their numbers. Numbers begin at 1 and grow, not necessarily by one. An empty answer means the end. Entries of
    /// settled sweeps are left out; if there is a settled sweep, entries that belong to no sweep may be left out too.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if an entry cannot be read; it names the entry.
    fn journal(&self, after: u64, limit: u32) -> StoreFuture<'_, Vec<(u64, JournalEntry)>>;

    /// The entries of one sweep, settled or not.
    ///
    /// # Errors
    /// As [`Store::journal`].
    fn journal_of(&self, sweep: SweepId, after: u64, limit: u32)
    -> StoreFuture<'_, Vec<(u64, JournalEntry)>>;

    /// The data that is known without the journal; to be queried before the replay.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if it cannot be read.
    fn recovered(&self) -> StoreFuture<'_, Recovered>;

    /// Up to `limit` results of a sweep with a position of at least `from`, ordered by position.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if a result cannot be read; it names the task.
    fn results(&self, sweep: SweepId, from: u64, limit: u32) -> StoreFuture<'_, Vec<ResultRow>>;

    /// Called when nothing more will be committed. Afterwards the data can be read from a read-only folder. It is
    /// durable even without this call.
    ///
    /// # Errors
    /// If that fails.
    fn finish(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    /// Deletes a part of what is left of removed sweeps. Commits need not wait for more than that part. To be called
    /// after a start and after a removal, until it returns false: nothing is left.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn purge(&self) -> StoreFuture<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    /// The pools of worker jobs, as JSON, ordered by name. A store may keep none.
    ///
    /// # Errors
    /// If they cannot be read.
    fn pools(&self) -> StoreFuture<'_, Vec<String>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Keeps a pool in place of the one of the same name, or removes it. It is durable when this returns.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn keep_pool(&self, name: String, body: Option<String>) -> StoreFuture<'_, ()> {
        drop((name, body));
        Box::pin(async { Ok(()) })
    }

    /// Who submitted sweeps, where it is known; a store need not keep it.
    ///
    /// # Errors
    /// If that cannot be read.
    fn submitters(&self) -> StoreFuture<'_, Vec<(SweepId, Arc<str>)>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// The events that somebody has not been told of yet, oldest first; at most [`Notice::MOST`]. A store may keep none.
    ///
    /// # Errors
    /// If they cannot be read.
    fn notices(&self) -> StoreFuture<'_, Vec<Notice>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    /// Keeps an event that follows from no entry. It is durable when this returns. The oldest make room for it.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn add_notice(&self, notice: Notice) -> StoreFuture<'_, ()> {
        drop(notice);
        Box::pin(async { Ok(()) })
    }

    /// Records that a receiver was told of an event. Nothing happens if there is no such event.
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn told(&self, id: String, receiver: Receiver) -> StoreFuture<'_, ()> {
        drop((id, receiver));
        Box::pin(async { Ok(()) })
    }

    /// Its present size, for people who watch it. The answer waits for nothing.
    fn figures(&self) -> StoreFigures {
        StoreFigures::default()
    }

    /// The number of recorded results of each sweep that has any, ordered by sweep. A start compares it with the
    /// journal.
    ///
    /// # Errors
    /// If they cannot be counted.
    fn result_counts(&self) -> StoreFuture<'_, Vec<(SweepId, u64)>>;
}

/// The contents of one commit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// Journal entries, in order.
    pub entries: Vec<JournalEntry>,
    /// Results of tasks without a recorded result.
    pub results: Vec<ResultRow>,
    /// Ended sweeps whose entries need not be replayed from now on.
    pub settled: Vec<SettledSweep>,
    /// Sweeps whose entries are to be replayed again.
    pub revived: Vec<SweepId>,
    /// Who submitted new sweeps of this batch, where it is known.
    pub submitters: Vec<(SweepId, Arc<str>)>,
    /// Events that follow from the entries, and that somebody is to be told of.
    pub notices: Vec<Notice>,
}

/// The size of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreFigures {
    /// Bytes of its tables on the disk.
    pub database_bytes: u64,
    /// Bytes of its log, which is copied into the tables from time to time.
    pub log_bytes: u64,
    /// Bytes of the entries and results that were written since it was opened.
    pub written_bytes: u64,
}

impl Batch {
    /// Whether there is nothing to commit.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
            && self.results.is_empty()
            && self.settled.is_empty()
            && self.revived.is_empty()
            && self.submitters.is_empty()
            && self.notices.is_empty()
    }
}

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalEntry {
    /// The scheduler's time when the event was applied.
    pub at: Timestamp,
    /// The sweep it belongs to, if any, see [`colearn_core::scheduler::Scheduler::sweep_of`].
    pub sweep: Option<SweepId>,
    /// The event; durable.
    pub event: Event,
}

/// The recorded result of a task.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultRow {
    /// The task.
    pub task: TaskId,
    /// The task's position in the order of the grid. It increases along the grid, not always by one, and identifies
    /// the task of the sweep as well as `task` does.
    pub position: u64,
    /// The attempt that gave the result, counting from 1.
    pub attempt: u32,
    /// The worker that trained it.
    pub worker: WorkerId,
    /// The lease under which it was trained.
    pub token: LeaseToken,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The result.
    pub result: TaskResult,
}

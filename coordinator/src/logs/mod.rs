//! What workers and trainers log, for people who look for a fault: bounded, and not as precious as results.
//!
//! Lines are taken without waiting and written by a task of their own, beside the store and not through it: no
//! commit waits for a log. What comes faster than it can be written is left out, and so are the oldest lines when
//! there are too many.

mod buffer;

use std::{path::Path, sync::Arc};

use colearn_core::{
    id::{LeaseToken, TaskId, WorkerId},
    time::Timestamp,
};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use buffer::Kept;

/// Batches that wait to be written.
const QUEUE: usize = 256;
/// Batches that are written together at most.
const MAX_WRITE: usize = 64;
/// The most lines that are kept.
pub(crate) const MAX_LINES: u64 = 200_000;

/// Whose log is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogOf {
    /// Lines about a task, of all its attempts.
    Task(TaskId),
    /// The own lines of the workers whose ids begin so, and those of their trainers while they trained nothing.
    Worker(WorkerId),
}

/// Where a line comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogSource {
    /// The agent.
    Worker,
    /// Standard error of a trainer.
    Trainer,
}

/// One line as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// By the worker's clock.
    pub(crate) at: Timestamp,
    pub(crate) source: LogSource,
    /// Without its end.
    pub(crate) text: String,
}

/// Lines that came together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogBatch {
    pub(crate) worker: WorkerId,
    /// The lease they belong to; 0 for the worker itself.
    pub(crate) token: LeaseToken,
    /// Members of the lease.
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) lines: Vec<LogLine>,
}

/// A line as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeptLine {
    /// Grows with every line.
    pub(crate) number: u64,
    pub(crate) worker: WorkerId,
    pub(crate) token: LeaseToken,
    pub(crate) line: LogLine,
}

enum Order {
    Append(LogBatch),
    /// Answered when everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// The way to the logs.
#[derive(Clone)]
pub(crate) struct Logs {
    kept: Arc<Kept>,
    orders: mpsc::Sender<Order>,
    /// Changes whenever there are new lines.
    written: watch::Receiver<u64>,
}

impl Logs {
    /// Logs in this folder; in memory when there is none, or when it can not be written.
    pub(crate) async fn open(folder: Option<&Path>) -> Self {
        Self::over(Kept::open(folder).await)
    }

    /// Logs in this folder as they are.
    pub(crate) async fn open_to_read(folder: &Path) -> Self {
        Self::over(Kept::open_to_read(folder).await)
    }

    fn over(kept: Kept) -> Self {
        let kept = Arc::new(kept);
        let (orders, waiting) = mpsc::channel(QUEUE);
        let (news, written) = watch::channel(0);
        tokio::spawn(write(kept.clone(), waiting, news));
        Self { kept, orders, written }
    }

    /// Takes lines without waiting. Says whether there was room for them.
    pub(crate) fn append(&self, batch: LogBatch) -> bool {
        self.orders.try_send(Order::Append(batch)).is_ok()
    }

    /// Waits until what was appended is written.
    pub(crate) async fn flush(&self) {
        let (reply, flushed) = oneshot::channel();
        if self.orders.send(Order::Flush(reply)).await.is_ok() {
            // Without an answer the writer has ended: there is nothing to wait for.
            let _ = flushed.await;
        }
    }

    /// Writes what was appended, so that it can be read where nothing can be written.
    pub(crate) async fn finish(&self) {
        self.flush().await;
        self.kept.finish().await;
    }

    /// Up to `limit` lines that come after number `after`, in order.
    pub(crate) async fn read(&self, of: &LogOf, after: u64, limit: u32) -> Vec<KeptLine> {
        self.kept.read(of, after, limit).await
    }

    /// Tells of new lines, of whomever.
    pub(crate) fn written(&self) -> watch::Receiver<u64> {
        self.written.clone()
    }
}

async fn write(kept: Arc<Kept>, mut waiting: mpsc::Receiver<Order>, news: watch::Sender<u64>) {
    let mut orders = Vec::new();
    while waiting.recv_many(&mut orders, MAX_WRITE).await > 0 {
        let (mut batches, mut flushed) = (Vec::new(), Vec::new());
        for order in orders.drain(..) {
            match order {
                Order::Append(batch) => batches.push(batch),
                Order::Flush(reply) => flushed.push(reply),
            }
        }
        if !batches.is_empty() {
            kept.write(batches).await;
            news.send_modify(|written| *written += 1);
        }
        for reply in flushed {
            // Who waited may have gone away.
            let _ = reply.send(());
        }
    }
}

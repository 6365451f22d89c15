//! The logs of workers and trainers, for people who look for an error: bounded, and less important than results.
//!
//! Lines are accepted without waiting, and written by a separate task beside the store, so that no commit waits for a
//! log. Lines that come faster than they can be written are dropped, and so are the oldest lines if there are too
//! many.

mod buffer;

use std::{path::Path, sync::Arc};

use colearn_core::{
    id::{LeaseToken, TaskId, WorkerId},
    time::Timestamp,
};
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use buffer::Kept;

/// Maximum number of batches that wait to be written.
const QUEUE: usize = 256;
/// Maximum number of batches that are written together.
const MAX_WRITE: usize = 64;
/// Maximum number of lines that are kept.
pub(crate) const MAX_LINES: u64 = 200_000;

/// The log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum LogOf {
    /// Lines about a task, of all its attempts.
    Task(TaskId),
    /// The own lines of workers whose ids begin with this text, and those of their trainers while they trained
    /// nothing.
    Worker(WorkerId),
}

/// The source of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogSource {
    /// The worker agent.
    Worker,
    /// The standard error of a trainer.
    Trainer,
}

/// One line as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// Time by the worker's clock.
    pub(crate) at: Timestamp,
    pub(crate) source: LogSource,
    /// The text without its line break.
    pub(crate) text: String,
}

/// Lines that were received together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogBatch {
    pub(crate) worker: WorkerId,
    /// The lease of the lines; 0 for the worker itself.
    pub(crate) token: LeaseToken,
    /// Members of the lease.
    pub(crate) tasks: Vec<TaskId>,
    pub(crate) lines: Vec<LogLine>,
}

/// A stored line.
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
    /// Answered after everything before it is written.
    Flush(oneshot::Sender<()>),
}

/// A handle for the logs.
#[derive(Clone)]
pub(crate) struct Logs {
    kept: Arc<Kept>,
    orders: mpsc::Sender<Order>,
    /// Changes when there are new lines.
    written: watch::Receiver<u64>,
}

impl Logs {
    /// Opens the logs in this folder; in memory if there is no folder, or if it cannot be written.
    pub(crate) async fn open(folder: Option<&Path>) -> Self {
        Self::over(Kept::open(folder).await)
    }

    /// Opens the existing logs in this folder for reading.
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

    /// Adds lines without waiting. Returns whether there was room for them.
    pub(crate) fn append(&self, batch: LogBatch) -> bool {
        self.orders.try_send(Order::Append(batch)).is_ok()
    }

    /// Waits until all added lines are written.
    pub(crate) async fn flush(&self) {
        let (reply, flushed) = oneshot::channel();
        if self.orders.send(Order::Flush(reply)).await.is_ok() {
            // Without an answer the writer has ended, and there is nothing to wait for.
            let _ = flushed.await;
        }
    }

    /// Writes all added lines, so that they can be read from a read-only folder.
    pub(crate) async fn finish(&self) {
        self.flush().await;
        self.kept.finish().await;
    }

    /// Up to `limit` lines after number `after`, in order.
    pub(crate) async fn read(&self, of: &LogOf, after: u64, limit: u32) -> Vec<KeptLine> {
        self.kept.read(of, after, limit).await
    }

    /// Signals new lines of any log.
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
            // The waiting client may have disconnected.
            let _ = reply.send(());
        }
    }
}

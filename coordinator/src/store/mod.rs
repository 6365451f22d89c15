//! The data that outlives the process: the journal of facts, and one result per task.

mod check;
mod contract;
mod error;
mod files;
mod lock;
mod memory;
mod notice;
mod sqlite;

#[cfg(test)]
mod conformance;

pub use check::{CheckReport, backup, check};
pub use contract::{Batch, JournalEntry, ResultRow, Store, StoreFigures, StoreFuture};
pub use error::StoreError;
pub use files::{concern, open_private, replace_private};
pub(crate) use files::{has_log, make_private_database};
pub(crate) use lock::StateLock;
pub use memory::MemoryStore;
pub use notice::{Notice, Receiver};
pub use sqlite::SqliteStore;

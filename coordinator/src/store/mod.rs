//! What outlives the process: the journal of facts, and one result a task.

mod check;
mod contract;
mod error;
mod lock;
mod memory;
mod sqlite;

#[cfg(test)]
mod conformance;

pub use check::{CheckReport, backup, check};
pub use contract::{Batch, Entry, ResultRow, Store, StoreFuture};
pub use error::StoreError;
pub use memory::MemoryStore;
pub use sqlite::SqliteStore;

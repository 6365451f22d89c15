//! Errors that stop the engine.

use crate::store::StoreError;

/// The reason why the engine could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be read.
    #[error("the journal cannot be replayed: {0}")]
    Recover(StoreError),
    /// Journal, results and marks contradict each other.
    #[error(
        "the state is inconsistent ({problems}), so nothing is trained on it: `colearn db check` with the same --state lists all problems, `colearn results NAME --format json` saves the data that can still be read, and a backup can replace the folder"
    )]
    Inconsistent {
        /// The contradictions.
        problems: String,
    },
    /// A batch could not be made durable.
    #[error(
        "results cannot be stored, so the coordinator stops, and workers keep unacknowledged results: {0}"
    )]
    Commit(StoreError),
}

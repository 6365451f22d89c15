//! Errors that stop the engine.

use crate::store::StoreError;

/// The reason why the engine could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The journal cannot be read.
    #[error("the journal can not be replayed: {0}")]
    Recover(StoreError),
    /// Journal, results and marks contradict each other.
    #[error(
        "the state is inconsistent ({problems}), so nothing is trained on it: `colearn db check` with the same --state says all that is wrong, `colearn results NAME --format json` saves what can still be read, and a backup can take its place"
    )]
    Inconsistent {
        /// The contradictions.
        problems: String,
    },
    /// A batch could not be made durable.
    #[error(
        "results can not be stored, so the coordinator stops, and workers keep what was not acknowledged: {0}"
    )]
    Commit(StoreError),
}

//! The commands of a batch system.

use std::{future::Future, pin::Pin};

use colearn_core::pools::{SeenJob, SubmitError};

/// The return type of the commands.
pub type BatchFuture<'a, T, E = String> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// A batch system. Commands end within [`colearn_core::pools::SUBMISSION_TAKES`], also if the coordinator ends before.
pub trait BatchSystem: Send + Sync + 'static {
    /// What the batch system says of a job, without submitting it. The error is its refusal.
    fn check(&self, arguments: Vec<String>, script: String) -> BatchFuture<'_, String>;

    /// Submits a job. Returns its id.
    fn submit(&self, arguments: Vec<String>, script: String) -> BatchFuture<'_, String, SubmitError>;

    /// The jobs of this user, also those that ended a short time ago.
    fn queue(&self) -> BatchFuture<'_, Vec<SeenJob>>;

    /// Cancels a job, or only if it has not started. That a job has ended is no error.
    fn cancel(&self, id: String, only_queued: bool) -> BatchFuture<'_, ()>;
}

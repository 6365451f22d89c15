//! Pools: workers that a batch system starts while tasks wait.
//!
//! A pool keeps as many worker jobs in the queue of a batch system as the waiting tasks can use, and no more than its
//! limit. Everything here is decisions: what was seen of the batch system, of workers and of waiting tasks goes in,
//! jobs to submit and to cancel come out. The caller stores each pool before it performs an action on its jobs, so that
//! a crash at any moment neither loses nor doubles a job: a job has a number, and a name that only it has, before it
//! is submitted, and is found by this name afterwards.

mod decide;
mod job;
mod pool;
mod settings;
pub mod slurm;

#[cfg(test)]
mod tests;

pub use self::{
    decide::{Pools, Waiting},
    job::{End, EndedJob, Job, JobState, SeenJob, SeenState, SeenWorker},
    pool::{Action, MAX_FAILURES, Pause, Pool, SUBMISSION_TAKES, SubmitError},
    settings::{PoolName, PoolNameError, PoolSettings, SettingsError, WorkerSettings},
};

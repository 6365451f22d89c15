//! What is left of sweeps that are settled.

use serde::{Deserialize, Serialize};

use crate::{
    id::{LeaseToken, SweepId, SweepName},
    time::Timestamp,
};

use super::task::{SweepStatus, TaskCounts};

/// The outcome of a sweep that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledSweep {
    /// Its number.
    pub id: SweepId,
    /// Its name.
    pub name: SweepName,
    /// When it was first submitted.
    pub submitted_at: Timestamp,
    /// When its last task ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub status: SweepStatus,
    /// Number of tasks by how they ended.
    pub counts: TaskCounts,
    /// Number of points of the grid.
    pub configurations: u64,
    /// Number of seeds.
    pub seeds: u64,
    /// Number of attempts that failed and were tried again.
    pub retried: u64,
    /// Its priority at the end.
    pub priority: i32,
    /// Maximum number of tasks that could run at a time.
    pub max_concurrent_tasks: Option<u32>,
    /// Why it was stopped, if its tasks failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// The data that a store has without its journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The greatest number that was ever given to a sweep.
    pub last_sweep: SweepId,
    /// The greatest token that was ever granted.
    pub last_token: LeaseToken,
    /// Sweeps whose entries need not be replayed.
    pub settled: Vec<SettledSweep>,
}

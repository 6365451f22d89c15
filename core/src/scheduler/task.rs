//! The state of one task, kept small: a sweep may have a million.

use serde::{Deserialize, Serialize};

use crate::{failure::FailureReason, id::LeaseToken, time::Timestamp};

/// The state of one task, stored at its index in the sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    /// The lease of the task, or the one whose report ended its last attempt; 0 if there is none, as after a lease
    /// expired or was returned. A report under this token is a repetition, not stale.
    pub(super) token: LeaseToken,
    /// For a waiting task: when it may run again.
    pub(super) not_before: Timestamp,
    /// Number of attempts begun and not returned; the number of the running attempt.
    pub(super) attempts: u32,
    /// Number of these attempts that do not count: the task was retried by a person, or got further before its worker
    /// was lost.
    pub(super) forgiven: u32,
    /// The greatest number of epochs that any of its lost attempts had finished.
    pub(super) furthest: u32,
    /// Maximum number of members of a cohort with this task.
    pub(super) max_cohort: u32,
    pub(super) phase: Phase,
}

/// The phase of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Pending, and may be leased now.
    Ready,
    /// Pending, and backing off.
    Waiting,
    Running,
    Done,
    Failed(FailureReason),
    Cancelled,
}

impl Phase {
    pub(super) fn is_pending(self) -> bool {
        matches!(self, Self::Ready | Self::Waiting)
    }
}

impl Task {
    /// Whether it has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.phase.is_pending() || self.phase == Phase::Running
    }

    /// Number of attempts begun that count against the limit.
    pub(super) fn charged(&self) -> u32 {
        self.attempts.saturating_sub(self.forgiven)
    }

    pub(super) const NO_LEASE: LeaseToken = LeaseToken(0);

    /// A task that waits, in cohorts of at most this size.
    pub(super) fn new(max_cohort: u32) -> Self {
        Self {
            token: Self::NO_LEASE,
            not_before: Timestamp(0),
            attempts: 0,
            forgiven: 0,
            furthest: 0,
            max_cohort,
            phase: Phase::Ready,
        }
    }

    pub(super) fn state(&self) -> TaskState {
        match self.phase {
            Phase::Ready => TaskState::Pending { not_before: None },
            Phase::Waiting => TaskState::Pending { not_before: Some(self.not_before) },
            Phase::Running => TaskState::Running { token: self.token },
            Phase::Done => TaskState::Done,
            Phase::Failed(reason) => TaskState::Failed { reason },
            Phase::Cancelled => TaskState::Cancelled,
        }
    }
}

/// The state of a task, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// The task waits to be trained.
    Pending {
        /// The earliest start, if it backs off after a failed attempt.
        not_before: Option<Timestamp>,
    },
    /// The task is being trained.
    Running {
        /// The lease under which it is trained.
        token: LeaseToken,
    },
    /// Its result is recorded.
    Done,
    /// The task failed and is not tried again.
    Failed {
        /// The reason of the last attempt.
        reason: FailureReason,
    },
    /// The task or its sweep was cancelled before it was done.
    Cancelled,
}

/// The state of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepStatus {
    /// Some tasks are pending or running.
    Active,
    /// Every task has its result.
    Complete,
    /// Every task has ended, and some have no result.
    Failed,
    /// Every task has ended, and a person cancelled some of them before they were done. A sweep that was stopped because
    /// its tasks fail has failed.
    Cancelled,
}

/// Numbers of tasks by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// Tasks that wait to be trained, including those that back off.
    pub pending: u32,
    /// Tasks in training.
    pub running: u32,
    /// Tasks with a result.
    pub done: u32,
    /// Tasks that failed.
    pub failed: u32,
    /// Tasks that were cancelled before they were done.
    pub cancelled: u32,
}

impl TaskCounts {
    /// Number of all tasks.
    #[must_use]
    pub fn total(&self) -> u32 {
        self.pending + self.running + self.done + self.failed + self.cancelled
    }

    pub(super) fn of(&mut self, phase: Phase) -> &mut u32 {
        match phase {
            Phase::Ready | Phase::Waiting => &mut self.pending,
            Phase::Running => &mut self.running,
            Phase::Done => &mut self.done,
            Phase::Failed(_) => &mut self.failed,
            Phase::Cancelled => &mut self.cancelled,
        }
    }
}

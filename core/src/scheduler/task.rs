//! The state of one task, kept small: a sweep may have a million.

use serde::{Deserialize, Serialize};

use crate::{failure::FailureReason, id::LeaseToken, time::Timestamp};

/// What is kept for each task, at its index in the sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Task {
    /// The lease it runs under, or the one whose report ended its last attempt; 0 when there is none, as
    /// after a lease expired or was released. A report is repeated, not stale, when it comes under this token.
    pub(super) token: LeaseToken,
    /// While waiting: when it may run again.
    pub(super) not_before: Timestamp,
    /// Attempts begun and not given back; the number of the running attempt.
    pub(super) attempts: u32,
    /// Attempts of these that no longer count: it was retried by a person, or got further before its worker
    /// was lost.
    pub(super) forgiven: u32,
    /// The most epochs any of its lost attempts had finished.
    pub(super) furthest: u32,
    /// The most members a cohort with it may have.
    pub(super) max_cohort: u32,
    pub(super) phase: Phase,
}

/// Where a task is in its life.
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
    /// Attempts begun that count against the limit.
    pub(super) fn charged(&self) -> u32 {
        self.attempts.saturating_sub(self.forgiven)
    }

    pub(super) const NO_LEASE: LeaseToken = LeaseToken(0);

    pub(super) fn new() -> Self {
        Self {
            token: Self::NO_LEASE,
            not_before: Timestamp(0),
            attempts: 0,
            forgiven: 0,
            furthest: 0,
            max_cohort: u32::MAX,
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

/// Where a task is in its life, as seen from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// To be trained.
    Pending {
        /// Not before this moment, when it backs off after a failed attempt.
        not_before: Option<Timestamp>,
    },
    /// Being trained.
    Running {
        /// Under this lease.
        token: LeaseToken,
    },
    /// Its result is recorded.
    Done,
    /// No attempt is left, or none would help.
    Failed {
        /// Of the last attempt.
        reason: FailureReason,
    },
    /// Its sweep was cancelled before it was done.
    Cancelled,
}

/// Where a sweep is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepStatus {
    /// Tasks are pending or running.
    Active,
    /// Every task has its result.
    Complete,
    /// Every task has ended, some without a result.
    Failed,
    /// Every task has ended, and a person cancelled some of them before they were done.
    Cancelled,
}

/// How many tasks are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskCounts {
    /// To be trained, backing off ones among them.
    pub pending: u32,
    /// Being trained.
    pub running: u32,
    /// With a result.
    pub done: u32,
    /// Given up.
    pub failed: u32,
    /// Cancelled before they were done.
    pub cancelled: u32,
}

impl TaskCounts {
    /// All of them.
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

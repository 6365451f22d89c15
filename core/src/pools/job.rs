//! The jobs of a pool, and what is seen of them.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// A job of a pool that has not ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number in the pool, counting from 1; no two jobs of a pool have the same.
    pub number: u64,
    /// The id that the batch system gave it; `None` until it is known.
    pub id: Option<String>,
    /// Its state when it was last seen.
    pub state: JobState,
    /// When its submission began.
    pub submitted_at: Timestamp,
    /// Whether its worker stays when nothing waits.
    pub kept: bool,
    /// Whether its worker has connected since the job last started.
    pub arrived: bool,
    /// Whether its worker has had a task since the job last started.
    pub worked: bool,
    /// When a person removed its pool, if its worker was asked to exit.
    pub draining: Option<Timestamp>,
    /// Why it waits in the queue, as the batch system says it.
    #[serde(skip)]
    pub detail: String,
    /// Since when no waiting task needs it.
    #[serde(skip)]
    pub(super) surplus_since: Option<Timestamp>,
    /// Whether it was seen in the queue since this process began.
    #[serde(skip)]
    pub(super) watched: bool,
    /// Number of times in a row that it was looked for and not seen.
    #[serde(skip)]
    pub(super) missed: u32,
}

/// The state of a job that has not ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Its submission has begun, and it is not known whether the batch system has it.
    Submitting,
    /// It waits in the queue.
    Queued,
    /// It has a node.
    Running,
}

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Its worker left in an orderly way.
    Completed,
    /// It failed; how, as in "job 7 ran out of memory".
    Failed(String),
    /// Somebody cancelled it, or the pool did because it was not needed.
    Cancelled,
    /// The batch system took its node away and did not queue it again.
    Preempted,
    /// It was never submitted.
    NeverSubmitted,
    /// The batch system does not know it any more.
    Unknown,
}

/// A job that has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedJob {
    /// Its number.
    pub number: u64,
    /// Its id, if it was known.
    pub id: Option<String>,
    /// When its end was seen.
    pub at: Timestamp,
    /// How it ended.
    pub end: End,
    /// Whether its worker had a task.
    pub worked: bool,
}

/// A job as the batch system shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJob {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: SeenState,
    /// Why it waits, if it does.
    pub detail: String,
}

/// The state of a job as the batch system shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeenState {
    /// It waits in the queue.
    Queued,
    /// It has a node.
    Running,
    /// It has ended.
    Ended(End),
}

/// A worker that is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenWorker {
    /// Its name without the random digits, see [`super::Pool::worker_name`].
    pub name: String,
    /// Whether it has or had a task.
    pub worked: bool,
    /// The most memory that one of its slots offers, if that is known.
    pub memory: Option<u64>,
    /// The most threads that one of its slots offers, if that is known.
    pub threads: Option<u32>,
}

impl Job {
    /// A job whose submission begins.
    pub(super) fn new(number: u64, now: Timestamp, kept: bool) -> Self {
        Self {
            number,
            id: None,
            state: JobState::Submitting,
            submitted_at: now,
            kept,
            arrived: false,
            worked: false,
            draining: None,
            detail: String::new(),
            surplus_since: None,
            watched: false,
            missed: 0,
        }
    }

    /// Whether it will take waiting tasks that no other worker takes: its worker has not had one yet.
    pub(super) fn is_promised(&self) -> bool {
        !self.worked && self.draining.is_none()
    }

    /// It waits in the queue, for the first time or again.
    pub(super) fn queued(&mut self, detail: &str) {
        if self.state == JobState::Running {
            (self.arrived, self.worked) = (false, false);
        }
        self.state = JobState::Queued;
        self.detail = detail.to_owned();
    }

    /// It has a node.
    pub(super) fn running(&mut self) {
        self.state = JobState::Running;
        self.surplus_since = None;
        self.detail = String::new();
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Completed => f.write_str("completed"),
            Self::Failed(how) => f.write_str(how),
            Self::Cancelled => f.write_str("cancelled"),
            Self::Preempted => f.write_str("preempted"),
            Self::NeverSubmitted => f.write_str("never submitted"),
            Self::Unknown => f.write_str("gone from the queue"),
        }
    }
}

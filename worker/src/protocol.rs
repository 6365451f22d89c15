//! What the agent and its trainer child say to each other: one JSON object a line, commands on the
//! trainer's standard input, events on its standard output. Its standard error is its log.
//!
//! The trainer ends when its standard input closes, so that it never outlives its agent.

use std::{collections::BTreeMap, path::PathBuf};

use colearn_core::{
    failure::Failure,
    id::TaskId,
    result::{EpochRecord, TaskResult},
    settings::TaskSettings,
};
use serde::{Deserialize, Serialize};

/// From agent to trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Train these tasks as one cohort. Sent only when the trainer is idle.
    Train {
        /// The members, all of one cohort key; at least one.
        members: Vec<Member>,
    },
    /// Leave these members out as soon as possible; nothing more is said of them. The cohort ends when none is left.
    Abandon {
        /// Which.
        tasks: Vec<TaskId>,
    },
    /// Finish the epoch, write a checkpoint of where each member is, and end the cohort. Members that keep no
    /// checkpoints are left where they are, at once: there would be nothing to go on from at the epoch's end either.
    Park,
}

/// One member of a cohort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Which task it is; its seed is the member's seed.
    pub task: TaskId,
    /// Counting from 1.
    pub attempt: u32,
    /// What to train.
    pub settings: TaskSettings,
    /// Epochs between one checkpoint and the next; 0 means that there are none.
    #[serde(default)]
    pub checkpoint_every_epochs: u32,
}

/// From trainer to agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The trainer has started and is idle. Always the first event.
    Ready {
        /// What it trains on, such as `cpu x1` or `cuda:0 NVIDIA H100`.
        device: String,
    },
    /// A member finished an epoch.
    Epoch {
        /// Which member.
        task: TaskId,
        /// What happened in it.
        record: EpochRecord,
        /// How many epochs the member trains in all.
        epochs: u32,
    },
    /// A member is done.
    Finished {
        /// Which member.
        task: TaskId,
        /// What came out.
        result: Box<TaskResult>,
    },
    /// A member failed; the others go on.
    Failed {
        /// Which member.
        task: TaskId,
        /// Why.
        failure: Failure,
    },
    /// A member was left where it is, as the agent wished; another attempt goes on from its checkpoint.
    Parked {
        /// Which member.
        task: TaskId,
    },
    /// The cohort has ended: every member was finished, failed, abandoned or parked. The trainer is idle again.
    Idle,
}

/// How the agent starts a trainer: the arguments of `colearn-worker trainer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerOptions {
    /// Folder that bare data set names are looked up in.
    pub data_dir: PathBuf,
    /// Where checkpoints lie, see [`crate::checkpoint::Store::open`]; none means that there are none.
    pub checkpoints: Option<String>,
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Intra-op threads; 1 or more.
    pub threads: u32,
    /// Extra environment, such as OMP_NUM_THREADS.
    pub environment: BTreeMap<String, String>,
}

//! What the worker and its trainers share. Nothing here depends on libtorch, nor on the coordinator's protocol.
//!
//! Worker and trainer speak lines of JSON: [`Command`]s on the trainer's standard input, [`Event`]s on its
//! standard output. Its standard error is its log. The trainer ends when its standard input closes, so that it
//! never outlives its worker. [`checkpoint`] is the format of what trainers leave and workers remove.

pub mod checkpoint;
pub mod out_of_memory;

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
    /// The digest that the data set must have, so that all results of a sweep are of one; empty for any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_digest: String,
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
    /// The data set of the cohort was opened. At most once a cohort, before anything else is said of its members.
    Opened {
        /// The data set, as the members' settings name it.
        data_set: String,
        /// Its SHA-256, in hexadecimal.
        digest: String,
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

/// What libtorch can do on this host, as `colearn-trainer devices` prints it: one JSON object in one line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// The version of libtorch that the trainer is built for.
    pub libtorch: String,
    /// The path of the CUDA half of libtorch; none where this libtorch has none.
    pub cuda_library: Option<String>,
    /// Why that library can not be loaded, in the dynamic linker's words.
    pub cuda_error: Option<String>,
    /// How many CUDA devices libtorch can use.
    pub cuda_devices: u32,
}

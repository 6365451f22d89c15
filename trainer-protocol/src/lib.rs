//! The interface between the worker and its trainers. It depends neither on libtorch nor on the coordinator's
//! protocol.
//!
//! Worker and trainer exchange lines of JSON: [`Command`]s on the trainer's standard input, [`Event`]s on its
//! standard output. The trainer's standard error is its log. The trainer ends when its standard input closes, so that
//! it never outlives its worker. [`checkpoint`] is the format of the checkpoints that trainers write and workers
//! remove.

pub mod checkpoint;
pub mod environment;
pub mod file_state;
pub mod out_of_memory;

use std::collections::BTreeSet;

use colearn_core::{
    failure::Failure,
    id::TaskId,
    result::{EpochRecord, TaskResult},
    settings::TaskSettings,
    sweep::Kept,
};
use serde::{Deserialize, Serialize};

/// A message from the agent to the trainer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Train these tasks as one cohort. Sent only when the trainer is idle.
    Train {
        /// The members: at least one, all with the same cohort key.
        members: Vec<Member>,
    },
    /// Remove these members as soon as possible; no more events of them follow. The cohort ends when no member is
    /// left.
    Abandon {
        /// The tasks to remove.
        tasks: Vec<TaskId>,
    },
    /// Finish the epoch, write a checkpoint of each member, and end the cohort; a program gets SIGTERM. Members that keep no checkpoints are
    /// stopped at once: the end of the epoch would leave nothing to continue from either.
    Park,
}

/// One member of a cohort.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// The task. Its seed is the member's seed.
    pub task: TaskId,
    /// Number of the attempt, counting from 1.
    pub attempt: u32,
    /// The settings to train with.
    pub settings: TaskSettings,
    /// Epochs between two checkpoints; 0 means that none are written.
    #[serde(default)]
    pub checkpoint_every_epochs: u32,
    /// The digest that the data set, or the files of the program, must have, so that all results of a sweep are made of
    /// the same; empty for any.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub data_digest: String,
    /// The files to keep of the task.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep: BTreeSet<Kept>,
    /// The folder for these files, within the location of checkpoints; empty for the location itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kept_in: String,
    /// The name of the task in logs, such as `demo/audio=0.8,video=0.8/0`; empty if it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Member {
    /// What the task is called in logs: its name, or its id.
    #[must_use]
    pub fn called(&self) -> String {
        if self.name.is_empty() { self.task.to_string() } else { self.name.clone() }
    }
}

/// A message from the trainer to the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// The trainer has started and is idle. Always the first event.
    Ready {
        /// The device of the trainer, such as `cpu x1` or `cuda:0 NVIDIA H100`.
        device: String,
    },
    /// The data set of the cohort was opened, or the files of the program were read. At most once a cohort, before anything else is said of its members.
    Opened {
        /// The data set, or the program, as [`TaskSettings::data_set`] names it.
        data_set: String,
        /// Its SHA-256, in hexadecimal.
        digest: String,
    },
    /// The members are still worked on. Sent by trainers that do not know epochs, so that their silence means a fault.
    Alive,
    /// A member finished an epoch.
    Epoch {
        /// The task of the member.
        task: TaskId,
        /// The record of the epoch.
        record: EpochRecord,
        /// Total number of epochs of the member; 0 if it is not known.
        epochs: u32,
    },
    /// A member is done.
    Finished {
        /// The task of the member.
        task: TaskId,
        /// The result of the member.
        result: Box<TaskResult>,
    },
    /// A member failed; the others continue.
    Failed {
        /// The task of the member.
        task: TaskId,
        /// The failure.
        failure: Failure,
    },
    /// A member was parked, as the agent requested; another attempt continues from its checkpoint.
    Parked {
        /// The task of the member.
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
    /// The path of the CUDA half of libtorch; none if this libtorch has none.
    pub cuda_library: Option<String>,
    /// The dynamic linker's error, if that library cannot be loaded.
    pub cuda_error: Option<String>,
    /// Number of CUDA devices that libtorch can use.
    pub cuda_devices: u32,
}

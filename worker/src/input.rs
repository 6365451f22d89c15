//! What can happen to the agent, and what it can do about it.

use std::time::Duration;

use colearn_core::{
    failure::{Failure, FailureReason},
    id::{LeaseToken, TaskId, WorkerId},
    result::{EpochRecord, TaskResult},
    settings::TaskSettings,
};
use colearn_trainer_protocol::{self as protocol, out_of_memory};

use super::log_queue::About;

/// Everything that can happen to the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The process has started. Always the first.
    Started,
    /// The coordinator answered the hello: the stream is up.
    Connected {
        /// How often it wants to hear from the worker.
        heartbeat: Duration,
    },
    /// The stream, or the attempt to open one, is no more.
    Disconnected,
    /// The coordinator turned the worker away, in a way that trying again does not mend.
    Refused {
        /// What it said.
        why: String,
    },
    /// The coordinator granted a lease.
    Leased(Lease),
    /// A report is durable.
    Acknowledged {
        /// The lease it was under.
        token: LeaseToken,
        /// The task it was about.
        task: TaskId,
    },
    /// Tasks of a lease are no longer this worker's.
    Dropped {
        /// The lease.
        token: LeaseToken,
        /// Which tasks of it; empty means all.
        tasks: Vec<TaskId>,
        /// For people.
        why: String,
    },
    /// The coordinator asks the worker to finish what runs and leave.
    Drain,
    /// The coordinator wants the worker, which it had asked to finish and leave, to stay.
    Undrain,
    /// The coordinator says something for the log.
    Notice {
        /// What.
        text: String,
    },
    /// A trainer said something.
    TrainerSaid {
        /// Its slot.
        slot: u32,
        /// What.
        event: protocol::Event,
    },
    /// A trainer said something that is not of the protocol. It still runs.
    ProtocolViolation {
        /// Its slot.
        slot: u32,
        /// What is wrong with what it said.
        what: String,
    },
    /// A trainer has ended, or could not be started. Always the last of a trainer.
    TrainerEnded {
        /// Its slot.
        slot: u32,
        /// How.
        end: TrainerEnd,
    },
    /// A person or the system asks the worker to leave now.
    Stop,
    /// Time has passed: a deadline may be due.
    Tick,
}

/// Everything the agent can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a message on the stream, which is up.
    Send(Message),
    /// Start the trainer of a slot, which has none.
    StartTrainer {
        /// The slot.
        slot: u32,
    },
    /// Tell a trainer something.
    Command {
        /// Its slot.
        slot: u32,
        /// What.
        command: protocol::Command,
    },
    /// Kill a trainer; [`Input::TrainerEnded`] follows.
    KillTrainer {
        /// Its slot.
        slot: u32,
    },
    /// Remove the checkpoints of a task, which nobody goes on from any more.
    RemoveCheckpoints {
        /// The task.
        task: TaskId,
    },
    /// A line for the log, and what it is about.
    Log(LogLevel, About, String),
    /// End the process. Nothing follows.
    Leave(Outcome),
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Of interest when looking for a fault.
    Debug,
    /// The normal course of things.
    Info,
    /// Something went wrong and is being dealt with.
    Warn,
    /// Something went wrong and will not mend by itself.
    Error,
}

/// Why the agent leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The coordinator drained it, and everything is delivered.
    Drained,
    /// It was stopped; leases were given back.
    Stopped,
    /// It never reached its coordinator.
    Unreachable,
    /// The coordinator turned it away.
    Refused {
        /// What the coordinator said.
        why: String,
    },
    /// Not one slot has a trainer that starts.
    NoUsableSlot {
        /// How the last one failed.
        why: String,
    },
}

/// What the agent tells the coordinator, after its hello.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// These slots, and no others, are free.
    FreeSlots(Vec<u32>),
    /// The worker is alive.
    Heartbeat,
    /// A member finished an epoch. Lost without harm.
    Epoch {
        /// The lease.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// What happened in it.
        record: EpochRecord,
        /// How many epochs there are in all.
        epochs: u32,
    },
    /// What is kept until it is acknowledged.
    Report(Report),
}

/// What must reach the coordinator.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// A task is done.
    Finished {
        /// The lease.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// What came out.
        result: Box<TaskResult>,
    },
    /// An attempt failed.
    Failed {
        /// The lease.
        token: LeaseToken,
        /// The task.
        task: TaskId,
        /// Why.
        failure: Failure,
    },
    /// The lease's unreported tasks are given back. Kept until the lease is dropped.
    Released {
        /// The lease.
        token: LeaseToken,
    },
}

/// The first message on every stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Who speaks.
    pub worker: WorkerId,
    /// On which host.
    pub host: String,
    /// The slots that have, or will have, a trainer.
    pub slots: Vec<SlotOffer>,
    /// What is trained or not acknowledged.
    pub held: Vec<Held>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// A slot as the coordinator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotOffer {
    /// Counting from 0.
    pub index: u32,
    /// Such as `cpu x1` or `cuda:0 NVIDIA H100`.
    pub device: String,
    /// The most tasks of one cohort; 1 or more.
    pub max_cohort: u32,
}

/// A lease the worker still has business with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The lease.
    pub token: LeaseToken,
    /// Where it trains or trained.
    pub slot: u32,
    /// The tasks that are trained or not acknowledged.
    pub tasks: Vec<TaskId>,
}

/// A lease as it was granted.
#[derive(Clone, Debug, PartialEq)]
pub struct Lease {
    /// Echoed in every report.
    pub token: LeaseToken,
    /// Where to train.
    pub slot: u32,
    /// What to train.
    pub tasks: Vec<Assignment>,
}

/// One task of a lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Which task.
    pub task: TaskId,
    /// Counting from 1.
    pub attempt: u32,
    /// What to train, or why the settings can not be read.
    pub settings: Result<TaskSettings, String>,
    /// See [`protocol::Member::checkpoint_every_epochs`].
    pub checkpoint_every_epochs: u32,
    /// See [`protocol::Member::data_digest`].
    pub data_digest: String,
}

/// How a trainer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerEnd {
    /// What the operating system says.
    pub status: EndStatus,
    /// The last of its standard error, at most [`TrainerEnd::STDERR_KEPT`] bytes.
    pub stderr: String,
    /// The system's out-of-memory killer was at work.
    pub killed_for_memory: bool,
}

/// What the operating system says about an ended trainer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndStatus {
    /// It exited.
    Exited(i32),
    /// A signal killed it.
    Signalled(i32),
    /// It did not start.
    NotStarted(String),
}

impl TrainerEnd {
    /// How much of a trainer's standard error is kept, in bytes: what fits into a failure's message together
    /// with how the trainer ended, since a message that is too long loses its end.
    pub const STDERR_KEPT: usize = Failure::MAX_MESSAGE_CHARS - 256;

    /// What this end means for the tasks that were being trained.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let memory = self.killed_for_memory || out_of_memory::tells_of_it(&self.stderr);
        let reason = if memory { FailureReason::OutOfMemory } else { FailureReason::Crash };
        Failure::new(reason, self.to_string())
    }
}

impl std::fmt::Display for TrainerEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.status {
            EndStatus::Exited(code) => write!(f, "trainer exited with code {code}")?,
            EndStatus::Signalled(signal) => write!(f, "trainer was killed by signal {signal}")?,
            EndStatus::NotStarted(why) => write!(f, "trainer could not be started: {why}")?,
        }
        if self.killed_for_memory {
            write!(f, " (the system ran out of memory)")?;
        }
        let stderr = self.stderr.trim();
        if stderr.is_empty() { Ok(()) } else { write!(f, ": {stderr}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(status: EndStatus, stderr: &str) -> TrainerEnd {
        TrainerEnd { status, stderr: stderr.to_owned(), killed_for_memory: false }
    }

    #[test]
    fn an_end_says_how_and_what_was_said_last() {
        let failure = end(EndStatus::Exited(3), "loading\nno such file\n").failure();
        assert_eq!(failure.reason, FailureReason::Crash);
        assert_eq!(failure.message, "trainer exited with code 3: loading\nno such file");
        assert_eq!(end(EndStatus::Signalled(9), "").failure().message, "trainer was killed by signal 9");
    }

    #[test]
    fn running_out_of_memory_is_recognised() {
        for text in [
            "CUDA out of memory. Tried to allocate 2 GiB",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes",
        ] {
            let failure = end(EndStatus::Signalled(6), text).failure();
            assert_eq!(failure.reason, FailureReason::OutOfMemory, "{text}");
        }
        let killed = TrainerEnd { killed_for_memory: true, ..end(EndStatus::Signalled(9), "") };
        assert_eq!(killed.failure().reason, FailureReason::OutOfMemory);
        assert_eq!(killed.failure().message, "trainer was killed by signal 9 (the system ran out of memory)");
    }
}

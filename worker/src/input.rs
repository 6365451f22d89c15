//! What can happen to the agent, and what it can do about it.

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
};
use colearn_proto::worker::{FromWorker, ToWorker};
use colearn_trainer_protocol::{self as protocol, out_of_memory};

use super::{data_folder::Listing, log_queue::About};

/// Everything that can happen to the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The process has started. Always the first.
    Started,
    /// The coordinator said something. A welcome, which is the first on a stream, means that the stream is up.
    Received(ToWorker),
    /// The stream, or the attempt to open one, is no more.
    Disconnected,
    /// The coordinator turned the worker away, in a way that trying again does not mend.
    Refused {
        /// What it said.
        why: String,
    },
    /// The data folder was looked at, and it has changed.
    DataFolder(Listing),
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
    Send(FromWorker),
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
    Leave(AgentOutcome),
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
pub enum AgentOutcome {
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

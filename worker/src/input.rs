//! The inputs and actions of the agent.

use colearn_core::{
    failure::{Failure, FailureReason},
    id::TaskId,
    needs::TrainerKind,
};
use colearn_proto::{
    v1::Usage,
    worker::{FromWorker, ToWorker},
};
use colearn_trainer_protocol::{self as protocol, out_of_memory};

use super::{inventory::Listing, log_queue::About};

/// Everything that can happen to the agent.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// The process has started. Always the first input.
    Started,
    /// A message of the coordinator. A welcome, which is the first message on a stream, means that the stream is up.
    Received(ToWorker),
    /// The stream, or the attempt to open one, has ended.
    Disconnected,
    /// The coordinator refused the worker, and another attempt would not help.
    Refused {
        /// The reason that it gave.
        why: String,
    },
    /// The data folder has changed.
    DataFolder(Listing),
    /// What the host does.
    Usage(Usage),
    /// A trainer sent an event.
    TrainerSaid {
        /// Slot of the trainer.
        slot: u32,
        /// The event.
        event: protocol::Event,
    },
    /// A trainer sent something that is not part of the protocol. It is still running.
    ProtocolViolation {
        /// Slot of the trainer.
        slot: u32,
        /// The error in the message.
        what: String,
    },
    /// A trainer has ended, or could not be started. Always the last input from a trainer.
    TrainerEnded {
        /// Slot of the trainer.
        slot: u32,
        /// How it ended.
        end: TrainerEnd,
    },
    /// A user or the system asks the worker to exit.
    Stop,
    /// Time has passed: a deadline may be due.
    Tick,
}

/// Everything that the agent can do.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send a message on the stream, which is up.
    Send(FromWorker),
    /// Start the trainer of a slot without one.
    StartTrainer {
        /// The slot.
        slot: u32,
        /// The kind of the trainer.
        kind: TrainerKind,
    },
    /// Send a command to a trainer.
    Command {
        /// Slot of the trainer.
        slot: u32,
        /// The command.
        command: protocol::Command,
    },
    /// Kill a trainer; [`Input::TrainerEnded`] follows.
    KillTrainer {
        /// Slot of the trainer.
        slot: u32,
    },
    /// Remove the checkpoints of a task, which are no longer needed.
    RemoveCheckpoints {
        /// The task.
        task: TaskId,
    },
    /// Write a line to the log, with its subject.
    Log(LogLevel, About, String),
    /// End the process. Nothing follows.
    Leave(AgentOutcome),
}

/// The level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Useful when looking for an error.
    Debug,
    /// Normal operation.
    Info,
    /// An error that the worker handles.
    Warn,
    /// An error that needs a person.
    Error,
}

/// The reason why the agent exits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentOutcome {
    /// The coordinator drained the worker, or it was without a lease for too long; everything is delivered.
    Drained,
    /// The worker was stopped, or out of time, and had no task to return.
    Stopped,
    /// The worker was stopped, or out of time, and returned leases with unfinished tasks: there is work left.
    Parked,
    /// The worker never reached its coordinator.
    Unreachable,
    /// The coordinator refused the worker.
    Refused {
        /// The reason that the coordinator gave.
        why: String,
    },
    /// No slot has a trainer that starts.
    NoUsableSlot {
        /// The kind of the last one.
        kind: TrainerKind,
        /// The failure of the last one.
        why: String,
    },
}

/// How a trainer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainerEnd {
    /// The status from the operating system.
    pub status: EndStatus,
    /// The end of its standard error, at most [`TrainerEnd::STDERR_KEPT`] bytes.
    pub stderr: String,
    /// Whether the system's out-of-memory killer killed it.
    pub killed_for_memory: bool,
}

/// The status of an ended trainer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndStatus {
    /// The trainer exited with this code.
    Exited(i32),
    /// This signal killed the trainer.
    Signalled(i32),
    /// The trainer did not start.
    NotStarted(String),
}

impl TrainerEnd {
    /// Maximum number of bytes of a trainer's standard error that are kept. They fit into a failure's message
    /// together with the text about how the trainer ended, because a message that is too long loses its end.
    pub const STDERR_KEPT: usize = Failure::MAX_MESSAGE_CHARS - 256;

    /// The failure that this end means for the trained tasks.
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

//! The agent's side of the protocol: commands on standard input, events on standard output.

use std::{
    collections::VecDeque,
    io::{self, Write as _},
    process::ExitCode,
};

use colearn_trainer_protocol::{Command, Event};
use nix::{errno::Errno, unistd::read};

use crate::log::say;

/// The reason why the runner ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Standard input closed: the agent has ended, or wants the runner to end.
    InputClosed,
    /// The input cannot be read, or nobody reads the events.
    Broken,
    /// A command is not understood, or not at this time.
    Misunderstood,
}

impl End {
    pub(crate) fn exit_code(self) -> ExitCode {
        ExitCode::from(match self {
            Self::InputClosed => 0,
            Self::Broken => 1,
            Self::Misunderstood => 2,
        })
    }
}

/// The agent. After the first [`End`] nothing more is read or written.
#[derive(Debug, Default)]
pub(crate) struct Agent {
    /// Bytes that were read and are not a whole line yet.
    unfinished: Vec<u8>,
    commands: VecDeque<Command>,
    pub(crate) ended: Option<End>,
}

impl Agent {
    /// Reads what has arrived; called when standard input is readable.
    pub(crate) fn read(&mut self) {
        let mut bytes = vec![0; 64 << 10];
        match read(io::stdin(), &mut bytes) {
            Ok(0) => self.end(End::InputClosed),
            Ok(length) => {
                let start = self.unfinished.len();
                self.unfinished.extend_from_slice(&bytes[..length]);
                self.split(start);
            }
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => {
                say(&format!("error: failed to read commands: {error}"));
                self.end(End::Broken);
            }
        }
    }

    /// Takes the whole lines; there is no line break before `start`.
    fn split(&mut self, start: usize) {
        let mut from = 0;
        let mut searched = start;
        while let Some(position) = self.unfinished[searched..].iter().position(|&byte| byte == b'\n') {
            let end = searched + position;
            match serde_json::from_slice(&self.unfinished[from..end]) {
                Ok(command) => self.commands.push_back(command),
                Err(error) => {
                    say(&format!("error: failed to understand a command: {error}"));
                    return self.end(End::Misunderstood);
                }
            }
            from = end + 1;
            searched = from;
        }
        self.unfinished.drain(..from);
    }

    /// The next command that has arrived.
    pub(crate) fn command(&mut self) -> Option<Command> {
        self.commands.pop_front().filter(|_| self.ended.is_none())
    }

    /// Says something to the agent.
    pub(crate) fn emit(&mut self, event: &Event) {
        if self.ended.is_some() {
            return;
        }
        let mut line = match serde_json::to_vec(event) {
            Ok(line) => line,
            Err(error) => {
                say(&format!("error: an event cannot be written: {error}"));
                return self.end(End::Broken);
            }
        };
        line.push(b'\n');
        let mut out = io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            say("error: no process reads the events");
            self.end(End::Broken);
        }
    }

    pub(crate) fn end(&mut self, end: End) {
        self.ended.get_or_insert(end);
    }
}

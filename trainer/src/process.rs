//! The trainer process: commands on standard input, events on standard output.

use std::{
    io::{self, BufRead, Write},
    process::ExitCode,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use colearn_core::id::TaskId;
use colearn_data_format::DataFolder;
use colearn_trainer_protocol::{Command, Event, checkpoint::Store};
use nix::{
    libc,
    sys::signal::{SigHandler, Signal, signal},
};

use crate::{
    device::TrainingDevice,
    training::{Control, TrainingSession},
};

/// Runs the trainer process on `cpu` or `cuda:N`, with data sets from `data`. The process ends when its standard
/// input closes, at any point of the training.
///
/// Exit codes: 0 when standard input closed, 1 when the device cannot be used or nobody reads the events, 2 when a
/// command is not understood.
#[must_use]
pub fn run(data: DataFolder, checkpoints: Option<&str>, device: &str, threads: u32) -> ExitCode {
    leave_signals_to_the_agent();
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    tch::set_num_interop_threads(1);
    let device = match TrainingDevice::find(device, threads) {
        Ok(device) => device,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::from(1);
        }
    };
    let (sender, commands) = channel();
    thread::spawn(move || read_commands(&sender));
    let mut pipe = Pipe { commands, abandoned: Vec::new(), parks: false };
    pipe.emit(Event::Ready { device: device.name.clone() });
    let checkpoints = checkpoints.and_then(|location| {
        // Without checkpoints training still works; only an interruption costs more.
        Store::open(location).map_err(|error| eprintln!("warning: {error}; no checkpoints are kept")).ok()
    });
    let environment = device.environment(threads);
    let mut session = TrainingSession::new(device, data, checkpoints).with_environment(environment);
    loop {
        match pipe.commands.recv() {
            Ok(Command::Train { members }) => {
                (pipe.abandoned, pipe.parks) = (Vec::new(), false);
                session.train(&members, &mut pipe);
                pipe.emit(Event::Idle);
            }
            // For a cohort that has ended in the meantime.
            Ok(Command::Abandon { .. } | Command::Park) => {}
            // The reader never returns. If it panicked, no more commands can arrive.
            Err(_) => return ExitCode::from(1),
        }
    }
}

/// A user who stops the agent may signal all its processes, as `killall` does. A trainer that ended at the signal
/// could not park its tasks. The trainer therefore ignores the signals and ends with its standard input, which the
/// agent holds open.
fn leave_signals_to_the_agent() {
    for asked in [Signal::SIGTERM, Signal::SIGINT] {
        // SAFETY: ignoring a signal runs no code of this program.
        if let Err(error) = unsafe { signal(asked, SigHandler::SigIgn) } {
            eprintln!("warning: {asked} cannot be ignored: {error}");
        }
    }
}

/// Reads commands until standard input closes, then ends the process.
fn read_commands(sender: &Sender<Command>) {
    for line in io::stdin().lock().lines() {
        let command = match line {
            Ok(line) => serde_json::from_str(&line),
            Err(error) => {
                eprintln!("error: failed to read commands: {error}");
                end(1);
            }
        };
        match command {
            // Without a receiver the process is ending.
            Ok(command) => drop(sender.send(command)),
            Err(error) => {
                eprintln!("error: failed to understand a command: {error}");
                end(2);
            }
        }
    }
    end(0)
}

/// Ends the process at once. `exit` would run libtorch's destructors while the other thread uses libtorch.
fn end(code: i32) -> ! {
    // SAFETY: the call does not return, and all output was flushed line by line.
    unsafe { libc::_exit(code) }
}

/// Standard input and output as the training loop sees them.
struct Pipe {
    commands: Receiver<Command>,
    /// Tasks that the agent abandoned and the training loop does not know yet.
    abandoned: Vec<TaskId>,
    /// Whether the agent asked to park since the cohort began.
    parks: bool,
}

impl Pipe {
    fn hear(&mut self) {
        for command in self.commands.try_iter() {
            match command {
                Command::Abandon { tasks } => self.abandoned.extend(tasks),
                Command::Park => self.parks = true,
                Command::Train { .. } => {
                    eprintln!("error: got a command to train while training");
                    end(2);
                }
            }
        }
    }
}

impl Control for Pipe {
    fn emit(&mut self, event: Event) {
        let mut line = serde_json::to_vec(&event).expect("events are plain data");
        line.push(b'\n');
        let mut out = io::stdout().lock();
        if out.write_all(&line).and_then(|()| out.flush()).is_err() {
            eprintln!("error: no process reads the events");
            end(1);
        }
    }

    fn abandoned(&mut self) -> Vec<TaskId> {
        self.hear();
        std::mem::take(&mut self.abandoned)
    }

    fn parks(&mut self) -> bool {
        self.hear();
        self.parks
    }
}

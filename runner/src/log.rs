//! The log: lines on standard error. A reader that is slow or has stopped holds up neither the runner nor the program.

use std::{
    io::{self, Write as _},
    sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    thread,
    time::Duration,
};

/// Number of lines that wait for the reader; further ones are left out.
const WAITING: usize = 1024;
/// How long to wait for the reader at the end of a task.
const FLUSH: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

/// The log of the runner and of its program.
#[derive(Debug)]
pub(crate) struct Log {
    lines: SyncSender<Message>,
    left_out: u64,
}

impl Log {
    pub(crate) fn start() -> Self {
        let (lines, receiver) = sync_channel(WAITING);
        thread::spawn(move || write(&receiver));
        Self { lines, left_out: 0 }
    }

    /// A log that nobody reads.
    #[cfg(test)]
    pub(crate) fn discard() -> Self {
        let (lines, _) = sync_channel(WAITING);
        Self { lines, left_out: 0 }
    }

    /// Adds a line of the program's output.
    pub(crate) fn line(&mut self, text: &str) {
        if self.left_out > 0 {
            let note =
                format!("warning: {} lines of the log were left out: nobody read them\n", self.left_out);
            if self.lines.try_send(Message::Line(note.into_bytes())).is_ok() {
                self.left_out = 0;
            }
        }
        let line = format!("{text}\n").into_bytes();
        if let Err(TrySendError::Full(_)) = self.lines.try_send(Message::Line(line)) {
            self.left_out += 1;
        }
    }

    /// Adds a line of the runner's own.
    pub(crate) fn warn(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// Waits until everything is written, or a second has passed.
    pub(crate) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

/// Says something on standard error at once. `eprintln` would panic when the agent, which reads it, has ended.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn write(lines: &Receiver<Message>) {
    for message in lines {
        match message {
            // Nobody is left to hear of an error.
            Message::Line(line) => drop(io::stderr().write_all(&line)),
            Message::Flush(done) => drop(done.send(())),
        }
    }
}

//! The log: lines on standard error. A reader that is slow or has stopped holds up neither the runner nor the program.

use std::{
    collections::VecDeque,
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use colearn_core::text::counted;

/// Bytes of lines that wait for the reader; beyond that the oldest lines are left out. It is more than a program may log
/// at once, unless its lines are very long.
const WAITING: usize = 4 << 20;
/// How long to wait for the reader at the end of a task.
const FLUSH: Duration = Duration::from_secs(1);

/// The log of the runner and of its program.
#[derive(Debug)]
pub(crate) struct Log(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines that were left out before the oldest one.
    left_out: u64,
    /// Whether a line is written at this moment.
    writing: bool,
}

impl Log {
    /// A log on standard error.
    pub(crate) fn start() -> Self {
        // Not locked for longer than a line: others write there too.
        Self::to(io::stderr())
    }

    fn to(mut writer: impl Write + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let log = Self(Arc::clone(&shared));
        thread::spawn(move || {
            loop {
                let line = shared.next_line();
                // Nobody is left to hear of an error.
                let _ = writer.write_all(&line);
            }
        });
        log
    }

    /// A log that nobody reads.
    #[cfg(test)]
    pub(crate) fn discard() -> Self {
        Self(Arc::default())
    }

    /// Adds a line of the program's output.
    pub(crate) fn line(&mut self, text: &str) {
        self.0.waiting().add(format!("{text}\n").into_bytes());
        self.0.changed.notify_all();
    }

    /// Adds a line of the runner's own.
    pub(crate) fn warn(&mut self, text: &str) {
        self.line(&format!("warning: {text}"));
    }

    /// Waits until everything is written, or a second has passed.
    pub(crate) fn flush(&self) {
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        drop(self.0.changed.wait_timeout_while(self.0.waiting(), FLUSH, unwritten));
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic during a change can at most have lost a line.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that the line before is written, and waits for the next one.
    fn next_line(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        waiting.writing = false;
        self.changed.notify_all();
        let none = |waiting: &mut Waiting| waiting.lines.is_empty();
        let mut waiting = self.changed.wait_while(waiting, none).unwrap_or_else(PoisonError::into_inner);
        waiting.writing = true;
        waiting.take()
    }
}

impl Waiting {
    fn add(&mut self, line: Vec<u8>) {
        self.bytes += line.len();
        self.lines.push_back(line);
        // The last lines say how the program ended.
        while self.bytes > WAITING
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
            self.left_out += 1;
        }
    }

    /// The oldest line, after a note if lines before it were left out.
    fn take(&mut self) -> Vec<u8> {
        let line = self.lines.pop_front().unwrap_or_default();
        self.bytes -= line.len();
        match mem::take(&mut self.left_out) {
            0 => line,
            count => {
                let lines = counted(count, "line");
                let note = format!("warning: {lines} of the log left out here: they were not read in time\n");
                [note.into_bytes(), line].concat()
            }
        }
    }
}

/// Says something on standard error at once. `eprintln` would panic when the agent, which reads it, has ended.
pub(crate) fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that has stopped: each write, once it is seen, waits for a word, unless nobody is left to give one.
    struct Reader {
        told: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.read.send(bytes.to_vec());
            let _ = self.told.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn log() -> (Log, Sender<()>, Receiver<Vec<u8>>) {
        let (tell, told) = channel();
        let (read, text) = channel();
        (Log::to(Reader { told, read }), tell, text)
    }

    #[test]
    fn everything_is_written_when_the_task_ends() {
        let (mut log, tell, text) = log();
        for number in 1..=3000 {
            log.line(&number.to_string());
        }
        log.line("what matters");
        drop(tell);
        log.flush();
        let text: Vec<u8> = text.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().count(), 3001);
        assert!(text.ends_with("\n3000\nwhat matters\n"));
    }

    #[test]
    fn a_reader_that_has_stopped_misses_the_oldest_lines() {
        let (mut log, tell, text) = log();
        log.line("first");
        assert_eq!(text.recv().unwrap(), b"first\n");
        let long = "x".repeat((1 << 20) - 1);
        for _ in 0..10 {
            log.line(&long);
        }
        log.line("what matters");
        drop(tell);
        log.flush();
        let text: Vec<u8> = text.try_iter().flatten().collect();
        let text = String::from_utf8(text).unwrap();
        let note = "warning: 7 lines of the log left out here: they were not read in time";
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines == [note, &long, &long, &long, "what matters"], "{} lines", lines.len());
    }
}

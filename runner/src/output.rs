//! What a program writes on its standard output and error: lines for the log, within bounds.
//!
//! Everything is read, so that a full pipe never holds up the program; what exceeds the bounds is counted.

use std::{
    collections::VecDeque,
    mem,
    time::{Duration, Instant},
};

use colearn_core::text::printable_lines;

use crate::log::Log;

/// Longest line, in bytes. The agent takes a line of 16 KiB with its line break as a whole.
const MAX_LINE: usize = (16 << 10) - 64;
/// What stands for the rest of a longer line.
const CUT: &str = " [...]";
/// Lines per second, and lines at once.
const RATE: f64 = 200.0;
const BURST: f64 = 2000.0;
/// Last lines that are shown when a program fails.
const LAST: usize = 50;
/// How often the same progress bar is shown.
const PROGRESS: Duration = Duration::from_secs(1);

/// Which of the two outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Stdout,
    Stderr,
}

/// A line that was read.
#[derive(Debug)]
struct Line {
    bytes: Vec<u8>,
    number: u64,
    logged: bool,
    is_progress: bool,
}

/// The beginning of a line, and the last lines, of one output.
#[derive(Debug, Default)]
struct Stream {
    line: Vec<u8>,
    is_cut: bool,
    /// Whether the last byte was a carriage return: a line feed after it ends the same line.
    returned: bool,
    last: VecDeque<Line>,
    /// When a line of a progress bar was shown.
    progress: Option<Instant>,
}

/// Both outputs of a program.
#[derive(Debug)]
pub(crate) struct Output {
    stdout: Stream,
    stderr: Stream,
    lines: u64,
    /// Lines that may be logged now.
    allowed: f64,
    since: Instant,
    /// Whether lines are left out until those of a second are allowed.
    exhausted: bool,
    left_out: u64,
}

impl Output {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            stdout: Stream::default(),
            stderr: Stream::default(),
            lines: 0,
            allowed: BURST,
            since: now,
            exhausted: false,
            left_out: 0,
        }
    }

    fn stream(&mut self, source: Source) -> &mut Stream {
        match source {
            Source::Stdout => &mut self.stdout,
            Source::Stderr => &mut self.stderr,
        }
    }

    /// Takes bytes of an output. `seen` gets each line, also those that are not logged.
    pub(crate) fn take(
        &mut self,
        source: Source,
        bytes: &[u8],
        now: Instant,
        log: &mut Log,
        seen: &mut dyn FnMut(&[u8]),
    ) {
        let mut rest = bytes;
        while let Some(position) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let ends_with = rest[position];
            let stream = self.stream(source);
            stream.add(&rest[..position]);
            let second_half = ends_with == b'\n' && stream.returned && position == 0;
            stream.returned = ends_with == b'\r';
            rest = &rest[position + 1..];
            if !second_half {
                self.end_line(source, ends_with == b'\r', now, log, seen);
            }
        }
        if !rest.is_empty() {
            let stream = self.stream(source);
            stream.returned = false;
            stream.add(rest);
        }
    }

    /// Takes what follows the last line breaks.
    pub(crate) fn finish(&mut self, now: Instant, log: &mut Log, seen: &mut dyn FnMut(&[u8])) {
        for source in [Source::Stdout, Source::Stderr] {
            if !self.stream(source).line.is_empty() {
                self.end_line(source, false, now, log, seen);
            }
        }
        self.tell_left_out(log);
    }

    fn end_line(
        &mut self,
        source: Source,
        is_progress: bool,
        now: Instant,
        log: &mut Log,
        seen: &mut dyn FnMut(&[u8]),
    ) {
        let number = self.lines;
        self.lines += 1;
        let stream = self.stream(source);
        let mut bytes = mem::take(&mut stream.line);
        if mem::take(&mut stream.is_cut) {
            bytes.extend_from_slice(CUT.as_bytes());
        }
        if is_progress && bytes.is_empty() {
            // A progress bar that begins with a carriage return.
            return;
        }
        seen(&bytes);
        let repeated = is_progress && stream.progress.is_some_and(|shown| now < shown + PROGRESS);
        if is_progress && !repeated {
            stream.progress = Some(now);
        }
        let logged = !repeated && self.may_log(now);
        if logged {
            self.tell_left_out(log);
            log.line(&shown(&bytes));
        } else if !repeated {
            self.left_out += 1;
        }
        let last = &mut self.stream(source).last;
        if repeated {
            // The bar is one line that changes.
            last.pop_back_if(|line| line.is_progress);
        }
        last.push_back(Line { bytes, number, logged, is_progress });
        if last.len() > LAST {
            last.pop_front();
        }
    }

    fn may_log(&mut self, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(self.since);
        self.since = now;
        self.allowed = (self.allowed + elapsed.as_secs_f64() * RATE).min(BURST);
        let may = self.allowed >= if self.exhausted { RATE } else { 1.0 };
        self.exhausted = !may;
        if may {
            self.allowed -= 1.0;
        }
        may
    }

    fn tell_left_out(&mut self, log: &mut Log) {
        let left_out = mem::take(&mut self.left_out);
        if left_out > 0 {
            log.warn(&format!(
                "{left_out} lines of the program's output were left out: after {BURST} lines at once, at most {RATE} per second are kept"
            ));
        }
    }

    /// Logs those of the last lines that were left out.
    pub(crate) fn show_last(&self, log: &mut Log) {
        let both = self.stdout.last.iter().chain(&self.stderr.last);
        let mut lines: Vec<&Line> = both.collect();
        lines.sort_by_key(|line| line.number);
        let first = lines.len().saturating_sub(LAST);
        for line in lines.iter().skip(first).filter(|line| !line.logged) {
            log.line(&shown(&line.bytes));
        }
    }

    /// The last lines of standard error, or of standard output if there are none, oldest first.
    pub(crate) fn last_lines(&self) -> Vec<String> {
        let stderr = self.stderr.last.iter().any(|line| !line.bytes.is_empty());
        let stream = if stderr { &self.stderr } else { &self.stdout };
        stream.last.iter().map(|line| shown(&line.bytes)).collect()
    }
}

impl Stream {
    fn add(&mut self, bytes: &[u8]) {
        let room = MAX_LINE.saturating_sub(self.line.len());
        self.is_cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// A line of a program as text: without the sequences that colour a terminal, and without other control characters.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut plain = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        plain.push_str(before);
        // Parameters, then one final byte.
        let end = after.find(|c: char| ('@'..='~').contains(&c)).map_or(after.len(), |end| end + 1);
        rest = &after[end..];
    }
    plain.push_str(rest);
    let mut plain = printable_lines(plain);
    // A replacement character is longer than the byte that it replaces.
    plain.truncate(plain.floor_char_boundary(MAX_LINE + CUT.len()));
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(chunks: &[&[u8]]) -> Vec<String> {
        let now = Instant::now();
        let (mut output, mut log) = (Output::new(now), Log::discard());
        let mut lines = Vec::new();
        for chunk in chunks {
            output.take(Source::Stdout, chunk, now, &mut log, &mut |line| lines.push(shown(line)));
        }
        output.finish(now, &mut log, &mut |line| lines.push(shown(line)));
        lines
    }

    #[test]
    fn lines_end_with_either_break_and_empty_ones_stay() {
        let chunks: &[&[u8]] = &[b"one\r\ntw", b"o\r", b"\n\nthree\rfour\n\r", b"five"];
        assert_eq!(lines_of(chunks), ["one", "two", "", "three", "four", "five"]);
    }

    #[test]
    fn long_lines_are_cut_and_binary_is_text() {
        let long = vec![b'x'; 1 << 20];
        let lines = lines_of(&[&long, b"\nnext\n"]);
        assert_eq!(lines[0].len(), MAX_LINE + CUT.len());
        assert_eq!(lines[1], "next");
        assert_eq!(lines_of(&[b"\x1b[1;31mred\x1b[0m \x07\xff\x00\t.\n"]), ["red \u{fffd}\t."]);
        let binary = vec![0xff; 1 << 20];
        assert!(lines_of(&[&binary])[0].len() <= MAX_LINE + CUT.len());
    }

    #[test]
    fn a_flood_is_counted_and_its_end_is_kept() {
        let now = Instant::now();
        let (mut output, mut log) = (Output::new(now), Log::discard());
        for number in 0..10_000 {
            output.take(Source::Stdout, format!("{number}\n").as_bytes(), now, &mut log, &mut |_| {});
        }
        assert_eq!(output.left_out, 8000);
        let later = now + Duration::from_secs(1);
        assert!(output.may_log(later));
        assert_eq!(output.allowed, RATE - 1.0);
        let last = output.last_lines();
        assert_eq!((last.len(), last[0].as_str(), last[49].as_str()), (50, "9950", "9999"));
    }

    #[test]
    fn a_progress_bar_is_shown_once_a_second_and_takes_one_of_the_last_lines() {
        let now = Instant::now();
        let (mut output, mut log) = (Output::new(now), Log::discard());
        output.take(Source::Stderr, b"start\n", now, &mut log, &mut |_| {});
        for step in 0..3000_u32 {
            let time = now + Duration::from_millis(u64::from(step));
            output.take(Source::Stderr, format!("\r {step}").as_bytes(), time, &mut log, &mut |_| {});
        }
        assert_eq!(output.left_out, 0);
        assert!(output.allowed > BURST - 10.0);
        let last = output.last_lines();
        assert_eq!((last[0].as_str(), last.len() <= 7), ("start", true), "{last:?}");
    }
}

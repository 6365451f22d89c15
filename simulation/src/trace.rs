//! The record of events, with virtual time.

use std::{
    fmt::Display,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::{Level, Metadata, subscriber::DefaultGuard};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
};

/// The events of a history, line by line, and the violations among them. Clones share the same trace.
#[derive(Clone, Debug, Default)]
pub struct Trace(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    lines: Vec<String>,
    wrong: Vec<String>,
}

impl Trace {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // A list of lines is never half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an action at the current time.
    pub fn note(&self, who: &str, what: impl Display) {
        self.kept().lines.push(format!("{} {who}: {what}", now()));
    }

    /// Records an action from outside the hosts, at the given time.
    pub fn note_at(&self, at: Duration, who: &str, what: impl Display) {
        self.kept().lines.push(format!("{} {who}: {what}", moment(at)));
    }

    /// Records that an invariant is violated.
    pub fn wrong(&self, what: impl Display) {
        let line = format!("{} WRONG: {what}", now());
        let mut kept = self.kept();
        kept.wrong.push(line.clone());
        kept.lines.push(line);
    }

    /// All lines, in order.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.kept().lines.clone()
    }

    /// All violations.
    #[must_use]
    pub fn wrongs(&self) -> Vec<String> {
        self.kept().wrong.clone()
    }

    /// The number of lines that contain this text.
    #[must_use]
    pub fn count(&self, text: &str) -> usize {
        self.kept().lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Records what programs log on this thread in the trace, until the guard is dropped. Turmoil's span gives the
    /// host.
    #[must_use]
    pub fn listen(&self) -> DefaultGuard {
        // A greater `Level` lets more through.
        let ours = |metadata: &Metadata<'_>| {
            *metadata.level() <= Level::INFO
                && (metadata.target().starts_with("colearn") || metadata.is_span())
        };
        let lines = fmt::layer().without_time().with_ansi(false).with_target(false).with_writer(self.clone());
        let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter_fn(ours)));
        tracing::subscriber::set_default(subscriber)
    }
}

/// One log line that is about to be added to the trace.
#[derive(Debug)]
pub struct Line<'a> {
    trace: &'a Trace,
    text: Vec<u8>,
}

impl io::Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        self.trace.kept().lines.push(format!("{} {}", now(), text.trim()));
    }
}

impl<'a> MakeWriter<'a> for Trace {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { trace: self, text: Vec::new() }
    }
}

fn now() -> String {
    turmoil::sim_elapsed().map_or_else(|| "-".to_owned(), moment)
}

fn moment(at: Duration) -> String {
    format!("{:9.3}", at.as_secs_f64())
}

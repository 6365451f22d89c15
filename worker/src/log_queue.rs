//! Log lines on their way to the coordinator: those of the agent and those of its trainers.
//!
//! Logs never block anything: lines are kept in a bounded queue. If they come faster than the link takes them, or
//! while there is no link, the oldest are dropped and counted.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt::Write as _,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use colearn_core::{
    id::{LeaseToken, TaskId},
    text::{counted, shortened},
};
use colearn_proto::v1;
use tokio::{sync::Notify, time::Instant};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

/// Maximum number of waiting lines; about a megabyte of usual lines.
const MAX_WAITING: usize = 2048;
/// Maximum length of a line in bytes; longer lines are cut.
const MAX_LINE_BYTES: usize = 4096;
/// Interval of sends, and the number of lines per send, including lines that report dropped ones: at most 800 per
/// second; the coordinator accepts 1000.
const BETWEEN_SENDS: Duration = Duration::from_millis(250);
const LINES_A_SEND: usize = 200;
/// Number of lines that are sent at once when the worker exits: with those of the second before they are not more than
/// the coordinator accepts.
const LAST_LINES: usize = 200;
/// Maximum number of leases with separate counts of dropped lines.
const MAX_COUNTS: usize = 64;
/// Target of trainers' lines in the agent's own log; they must not be sent a second time.
pub(super) const TRAINER_TARGET: &str = "trainer";
/// Target of the state machine's log lines; these are queued together with their subject.
pub(super) const AGENT_TARGET: &str = "colearn_worker::state";

/// The subject of lines: a lease with its members, or the worker itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// The lease; 0 for the worker itself.
    pub token: LeaseToken,
    /// Its members.
    pub tasks: Vec<TaskId>,
}

/// The queue. Clones share the same queue.
#[derive(Clone, Debug, Default)]
pub struct LogQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    news: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(Arc<About>, v1::LogLine)>,
    left_out: BTreeMap<LeaseToken, (Arc<About>, u64)>,
}

impl LogQueue {
    /// Adds a line of the worker's own log.
    pub fn worker_says(&self, about: About, text: &str) {
        self.put(Arc::new(about), v1::LogSource::Worker, text);
    }

    /// Adds a line of a trainer's standard error.
    pub fn trainer_says(&self, about: Arc<About>, text: &str) {
        self.put(about, v1::LogSource::Trainer, text);
    }

    fn put(&self, about: Arc<About>, source: v1::LogSource, text: &str) {
        let mut waiting = self.waiting();
        if waiting.lines.len() >= MAX_WAITING
            && let Some((about, _)) = waiting.lines.pop_front()
        {
            waiting.leave_out(about);
        }
        waiting.lines.push_back((about, line(source, text)));
        drop(waiting);
        self.0.news.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic during a change can at most have lost a line.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when there are lines and it is time to send. Dropping the future loses nothing.
    pub(super) async fn due(&self, not_before: Instant) {
        while self.waiting().lines.is_empty() {
            self.0.news.notified().await;
        }
        tokio::time::sleep_until(not_before).await;
    }

    /// The oldest lines that may be sent now, in messages with one subject each; and the time of the next send.
    pub(super) fn take(&self) -> (Vec<v1::LogLines>, Instant) {
        let mut messages: Vec<(About, Vec<v1::LogLine>)> = Vec::new();
        let mut put = |about: Arc<About>, line: v1::LogLine| match messages
            .iter_mut()
            .find(|(other, _)| other.token == about.token)
        {
            Some((same, lines)) => {
                same.tasks
                    .extend(about.tasks.iter().filter(|task| !same.tasks.contains(task)).collect::<Vec<_>>());
                lines.push(line);
            }
            None => messages.push(((*about).clone(), vec![line])),
        };
        let mut waiting = self.waiting();
        for (about, count) in std::mem::take(&mut waiting.left_out).into_values() {
            let lines = counted(count, "line");
            let text = format!("{lines} left out here: lines came faster than they could be sent");
            put(about, line(v1::LogSource::Worker, &text));
        }
        let count = waiting.lines.len().min(LINES_A_SEND - MAX_COUNTS);
        for (about, line) in waiting.lines.drain(..count) {
            put(about, line);
        }
        let message = |(about, lines): (About, Vec<v1::LogLine>)| v1::LogLines {
            token: about.token.0,
            tasks: about.tasks.iter().copied().map(Into::into).collect(),
            lines,
        };
        (messages.into_iter().map(message).collect(), Instant::now() + BETWEEN_SENDS)
    }
}

impl LogQueue {
    /// Leaves out all lines but the newest, which can be sent at once.
    pub(super) fn keep_newest(&self) {
        let mut waiting = self.waiting();
        while waiting.lines.len() > LAST_LINES - MAX_COUNTS {
            if let Some((about, _)) = waiting.lines.pop_front() {
                waiting.leave_out(about);
            }
        }
    }

    /// No lines; and when to try again.
    pub(super) fn not_now(&self) -> (Vec<v1::LogLines>, Instant) {
        (Vec::new(), Instant::now() + BETWEEN_SENDS)
    }
}

impl Waiting {
    fn leave_out(&mut self, about: Arc<About>) {
        let known = self.left_out.contains_key(&about.token) || self.left_out.len() < MAX_COUNTS - 1;
        // With too many leases, gaps are not counted for each of them.
        let about = if known { about } else { Arc::default() };
        self.left_out.entry(about.token).or_insert((about, 0)).1 += 1;
    }
}

fn line(source: v1::LogSource, text: &str) -> v1::LogLine {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let at = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
    v1::LogLine { at, source: source.into(), text: shortened(text.trim_end(), MAX_LINE_BYTES) }
}

/// A tracing layer that adds the agent's log lines to the queue, from level `info` up.
#[derive(Clone, Debug)]
pub struct LogLayer(LogQueue);

impl LogLayer {
    /// A layer for this queue.
    #[must_use]
    pub fn new(queue: LogQueue) -> Self {
        Self(queue)
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() > Level::INFO || [TRAINER_TARGET, AGENT_TARGET].contains(&metadata.target()) {
            return;
        }
        let mut text = Text(match *metadata.level() {
            Level::INFO => String::new(),
            level => format!("{level} "),
        });
        event.record(&mut text);
        self.0.worker_says(About::default(), &text.0);
    }
}

/// An event's message, followed by its fields.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use colearn_core::id::{ConfigurationId, SweepId};

    use super::*;

    fn about(token: u64) -> Arc<About> {
        let task = TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed: token };
        Arc::new(About { token: LeaseToken(token), tasks: vec![task] })
    }

    fn texts(messages: &[v1::LogLines]) -> Vec<(u64, Vec<&str>)> {
        let lines = |m: &'_ v1::LogLines| m.lines.iter().map(|line| line.text.len()).collect::<Vec<_>>();
        assert!(messages.iter().all(|m| m.lines.len() <= 256 && lines(m).iter().all(|len| *len <= 4096)));
        let lines = |m| -> Vec<&str> {
            let m: &v1::LogLines = m;
            m.lines.iter().map(|line| line.text.as_str()).collect()
        };
        messages.iter().map(|message| (message.token, lines(message))).collect()
    }

    #[tokio::test]
    async fn lines_travel_in_order_with_those_of_the_same_lease() {
        let queue = LogQueue::default();
        queue.worker_says(About::default(), "connected\n");
        queue.trainer_says(about(7), "loading");
        queue.worker_says(About::default(), "ready");
        queue.trainer_says(about(7), &"x".repeat(5000));
        queue.due(Instant::now()).await;
        let (messages, _) = queue.take();
        let long = "x".repeat(4096);
        assert_eq!(texts(&messages), [(0, vec!["connected", "ready"]), (7, vec!["loading", &long])]);
        assert_eq!(messages[1].tasks.len(), 1);
        assert_eq!(messages[0].lines[0].source(), v1::LogSource::Worker);
        assert_eq!(messages[1].lines[0].source(), v1::LogSource::Trainer);
        assert!(queue.take().0.is_empty());
    }

    #[test]
    fn lines_about_members_one_by_one_are_found_by_each_of_them() {
        let queue = LogQueue::default();
        let task = |seed| TaskId { sweep: SweepId(1), configuration: ConfigurationId(2), seed };
        for tasks in [vec![task(1)], vec![task(2), task(1)], vec![]] {
            queue.worker_says(About { token: LeaseToken(7), tasks }, "done");
        }
        let (messages, _) = queue.take();
        assert_eq!(texts(&messages), [(7, vec!["done"; 3])]);
        assert_eq!(messages[0].tasks, [task(1).into(), task(2).into()]);
    }

    #[test]
    fn the_last_lines_are_the_newest() {
        let queue = LogQueue::default();
        for number in 0..1000 {
            queue.trainer_says(about(7), &number.to_string());
        }
        queue.keep_newest();
        let (messages, _) = queue.take();
        let texts = texts(&messages);
        assert!(texts[0].1[0].contains("lines left out here"), "{texts:?}");
        assert_eq!(texts[0].1.last(), Some(&"999"));
        assert!(queue.take().0.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_counted_where_it_is_missing() {
        let queue = LogQueue::default();
        queue.trainer_says(about(7), "lost");
        for number in 0..MAX_WAITING + 1 {
            queue.worker_says(About::default(), &number.to_string());
        }
        let (messages, _) = queue.take();
        let texts = texts(&messages);
        assert_eq!(texts[1].0, 7);
        assert!(texts[1].1[0].starts_with("1 line left out here"), "{texts:?}");
        assert!(texts[0].1[0].starts_with("1 line left out here"), "{texts:?}");
        assert_eq!(texts[0].1[1], "1", "the newest are kept");
        // Sending the whole queue takes some time: the coordinator drops lines that come faster.
        assert!(messages.iter().map(|message| message.lines.len()).sum::<usize>() <= LINES_A_SEND);
    }

    #[test]
    fn gaps_of_any_number_of_leases_are_counted() {
        let queue = LogQueue::default();
        for token in 1..=200 {
            queue.trainer_says(about(token), "lost");
        }
        for _ in 0..MAX_WAITING {
            queue.worker_says(About::default(), "kept");
        }
        let (messages, _) = queue.take();
        assert_eq!(messages.len(), MAX_COUNTS);
        assert!(messages.iter().map(|message| message.lines.len()).sum::<usize>() <= LINES_A_SEND);
    }
}

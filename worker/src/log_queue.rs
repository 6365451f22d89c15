//! Log lines on their way to the coordinator: those of the agent and those of its trainers.
//!
//! Logs never block anything: a bounded number of lines waits. If they come faster than the link takes them, or while
//! there is no link, the oldest lines of the lease with the most lines are left out and counted: what one program says
//! does not push out how another one ended.

use std::{
    cmp::Reverse,
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
/// Interval of sends, and the number of lines per send, including notes of lines that were left out: at most 800 per
/// second; the coordinator accepts 1000. It is also the number of lines that are sent at once when the worker exits: with
/// those of the second before they are not more than the coordinator accepts.
const BETWEEN_SENDS: Duration = Duration::from_millis(250);
const LINES_A_SEND: usize = 200;
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
    of: BTreeMap<LeaseToken, LeaseLines>,
    /// Number of lines of all leases.
    count: usize,
    /// The next send begins with this lease.
    next: LeaseToken,
}

/// The lines of one lease, or of the worker itself, oldest first.
#[derive(Debug, Default)]
struct LeaseLines {
    lines: VecDeque<(Arc<About>, v1::LogLine)>,
    /// Number of lines that were left out before them.
    left_out: u64,
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
        for text in text.trim_end().split('\n') {
            waiting.add(Arc::clone(&about), line(source, now(), text));
        }
        while waiting.count > MAX_WAITING {
            waiting.leave_one_out();
        }
        drop(waiting);
        self.0.news.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic during a change can at most have lost a line.
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Completes when there are lines and it is time to send. Dropping the future loses nothing.
    pub(super) async fn due(&self, not_before: Instant) {
        while self.waiting().of.is_empty() {
            self.0.news.notified().await;
        }
        tokio::time::sleep_until(not_before).await;
    }

    /// The oldest lines that may be sent now, in messages with one subject each; and the time of the next send.
    pub(super) fn take(&self) -> (Vec<v1::LogLines>, Instant) {
        let mut waiting = self.waiting();
        let mut messages: BTreeMap<LeaseToken, v1::LogLines> = BTreeMap::new();
        let mut room = LINES_A_SEND;
        while room > 0 && !waiting.of.is_empty() {
            let share = (room / waiting.of.len()).max(1);
            let later = waiting.of.range(waiting.next..);
            let tokens: Vec<LeaseToken> =
                later.chain(waiting.of.range(..waiting.next)).map(|(token, _)| *token).collect();
            for token in tokens.into_iter().take(room) {
                let message = messages.entry(token).or_insert_with(|| v1::LogLines {
                    token: token.0,
                    tasks: Vec::new(),
                    lines: Vec::new(),
                });
                room -= waiting.take(token, share.min(room), message);
                waiting.next = LeaseToken(token.0.wrapping_add(1));
            }
        }
        (messages.into_values().collect(), Instant::now() + BETWEEN_SENDS)
    }

    /// Leaves out all lines but the newest of each lease, which can be sent at once.
    pub(super) fn keep_newest(&self) {
        let mut waiting = self.waiting();
        while waiting.count + waiting.notes() > LINES_A_SEND {
            waiting.leave_one_out();
        }
    }

    /// No lines; and when to try again.
    pub(super) fn not_now(&self) -> (Vec<v1::LogLines>, Instant) {
        (Vec::new(), Instant::now() + BETWEEN_SENDS)
    }
}

impl Waiting {
    fn add(&mut self, about: Arc<About>, line: v1::LogLine) {
        self.count += 1;
        self.of.entry(about.token).or_default().lines.push_back((about, line));
    }

    /// Leaves out the oldest line of the lease with the most lines, the oldest of such leases.
    fn leave_one_out(&mut self) {
        let Some((&token, longest)) =
            self.of.iter_mut().max_by_key(|(token, of)| (of.lines.len(), Reverse(**token)))
        else {
            return;
        };
        self.count -= longest.lines.pop_front().map_or(0, |_| 1);
        longest.left_out += 1;
        if longest.lines.is_empty() && token != LeaseToken::default() {
            // With as many leases as lines, gaps are not counted for each of them.
            let left_out = longest.left_out;
            self.of.remove(&token);
            self.of.entry(LeaseToken::default()).or_default().left_out += left_out;
        }
    }

    /// Number of leases with a gap.
    fn notes(&self) -> usize {
        self.of.values().filter(|of| of.left_out > 0).count()
    }

    /// Moves up to `limit` lines of a lease to a message; a note of a gap counts as a line. Returns their number.
    fn take(&mut self, token: LeaseToken, limit: usize, message: &mut v1::LogLines) -> usize {
        let Some(of) = self.of.get_mut(&token) else { return 0 };
        let mut moved = 0;
        if of.left_out > 0 {
            let lines = counted(std::mem::take(&mut of.left_out), "line");
            let text = format!("{lines} left out here: lines came faster than they could be sent");
            // At the time of the line after the gap, among those of other leases.
            let at = of.lines.front().map_or_else(now, |(_, line)| line.at);
            message.lines.push(line(v1::LogSource::Worker, at, &text));
            moved += 1;
        }
        let count = of.lines.len().min(limit - moved);
        let mut named: Option<Arc<About>> = None;
        for (about, line) in of.lines.drain(..count) {
            message.lines.push(line);
            if named.as_ref().is_some_and(|named| Arc::ptr_eq(named, &about)) {
                continue;
            }
            for task in about.tasks.iter().copied().map(Into::into) {
                if !message.tasks.contains(&task) {
                    message.tasks.push(task);
                }
            }
            named = Some(about);
        }
        if of.lines.is_empty() {
            self.of.remove(&token);
        }
        self.count -= count;
        moved + count
    }
}

/// The time of this host's clock, in milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn line(source: v1::LogSource, at: i64, text: &str) -> v1::LogLine {
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
        queue.trainer_says(about(7), "kept");
        for number in 0..MAX_WAITING + 1 {
            queue.worker_says(About::default(), &number.to_string());
        }
        let (messages, _) = queue.take();
        let texts = texts(&messages);
        assert_eq!(texts[1], (7, vec!["kept"]));
        assert!(texts[0].1[0].starts_with("2 lines left out here"), "{texts:?}");
        assert_eq!(texts[0].1[1], "2", "the newest are kept");
        assert_eq!(messages[0].lines[0].at, messages[0].lines[1].at);
        // Sending the whole queue takes some time: the coordinator drops lines that come faster.
        assert_eq!(messages.iter().map(|message| message.lines.len()).sum::<usize>(), LINES_A_SEND);
    }

    #[test]
    fn what_one_task_says_does_not_push_out_how_another_ended() {
        let queue = LogQueue::default();
        for token in 1..=40 {
            for number in 0..3000 {
                queue.trainer_says(about(token), &number.to_string());
            }
            queue.trainer_says(about(token), &format!("task {token} failed"));
        }
        let mut last = BTreeMap::new();
        for _ in 0..5 {
            let (messages, _) = queue.take();
            assert_eq!(messages.len(), 40, "each of them gets on");
            last.extend(
                messages.into_iter().map(|mut message| (message.token, message.lines.pop().unwrap())),
            );
        }
        queue.keep_newest();
        let (messages, _) = queue.take();
        let count = messages.iter().map(|message| message.lines.len()).sum::<usize>();
        assert!(count <= LINES_A_SEND, "{count}");
        last.extend(messages.into_iter().map(|mut message| (message.token, message.lines.pop().unwrap())));
        for (token, line) in last {
            assert_eq!(line.text, format!("task {token} failed"));
        }
        assert!(queue.take().0.is_empty());
    }

    #[test]
    fn texts_of_several_lines_are_several_lines() {
        let queue = LogQueue::default();
        queue.worker_says(About::default(), "failed: exit code 3:\nno such gradient\n");
        assert_eq!(texts(&queue.take().0), [(0, vec!["failed: exit code 3:", "no such gradient"])]);
    }

    #[test]
    fn gaps_of_any_number_of_leases_are_counted() {
        let queue = LogQueue::default();
        let leases = 2 * MAX_WAITING as u64;
        for token in 1..=leases {
            queue.trainer_says(about(token), "a line");
        }
        let mut kept = 0;
        let mut notes = Vec::new();
        loop {
            let (messages, _) = queue.take();
            assert!(messages.iter().map(|message| message.lines.len()).sum::<usize>() <= LINES_A_SEND);
            if messages.is_empty() {
                break;
            }
            for message in messages {
                if message.token == 0 {
                    notes.extend(message.lines.into_iter().map(|line| line.text));
                } else {
                    kept += message.lines.len();
                }
            }
        }
        assert_eq!(kept, MAX_WAITING);
        assert_eq!(notes.len(), 1);
        assert!(notes[0].starts_with("2048 lines left out here"), "{notes:?}");
    }
}

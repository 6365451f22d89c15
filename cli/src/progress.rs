//! Progress of a sweep: a full-screen view, or a bar, on a terminal that supports it, otherwise plain lines.

use std::time::{Duration, Instant};

use colearn_core::text::counted;
use colearn_proto::v1::{SweepState, SweepSummary, TaskCounts};
use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Client,
    output,
    view::{self, Kind, View, screen},
};

/// Minimum interval of plain lines while no task ends.
const QUIET: Duration = Duration::from_secs(10);

/// Shows a sweep's progress on standard error.
pub(crate) struct Progress {
    shown: Shown,
    pace: Pace,
    /// Whether to report that no worker is connected. `colearn run` does so only after its own worker has connected
    /// once.
    workers_matter: bool,
    /// Why the tasks wait, as it was said last.
    waits: String,
    /// Why the sweep was stopped.
    stopped: String,
    /// The last state.
    last: Option<SweepSummary>,
    /// Cancelled when a person has left the view.
    left: CancellationToken,
}

enum Shown {
    /// A view, as soon as there is something to follow.
    Soon(Box<Client>, Kind),
    View(View),
    Bar(ProgressBar),
    Lines {
        last: Option<(Instant, u64)>,
    },
    Nothing,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// Not at all.
    Quiet,
    /// As lines.
    Plain,
    /// As a bar, where the terminal supports one, else as lines.
    Bar,
    /// Over the whole screen.
    View,
}

impl Style {
    /// What suits the terminal; lines if they are wanted.
    pub(crate) fn of(plain: bool) -> Self {
        match plain {
            _ if output::is_quiet() => Self::Quiet,
            true => Self::Plain,
            false if view::suits() => Self::View,
            false => Self::Bar,
        }
    }
}

impl Progress {
    /// Starts to show progress.
    pub(crate) fn new(style: Style, client: &Client, kind: Kind) -> Self {
        let shown = match style {
            Style::Quiet => Shown::Nothing,
            Style::Plain => Shown::Lines { last: None },
            Style::Bar => bar(),
            Style::View => Shown::Soon(Box::new(client.clone()), kind),
        };
        let mut progress = Self::showing(shown);
        // The worker of a `colearn run` comes later.
        progress.workers_matter = kind == Kind::Watch;
        progress
    }

    fn showing(shown: Shown) -> Self {
        Self {
            shown,
            pace: Pace::default(),
            workers_matter: true,
            waits: String::new(),
            stopped: String::new(),
            last: None,
            left: CancellationToken::new(),
        }
    }

    /// Cancelled when a person leaves the view.
    pub(crate) fn left(&self) -> CancellationToken {
        self.left.clone()
    }

    /// The state that was shown last.
    pub(crate) fn last(&self) -> Option<&SweepSummary> {
        self.last.as_ref()
    }

    /// Goes on with another connection.
    pub(crate) fn reconnected(&self, client: &Client) {
        if let Shown::View(view) = &self.shown {
            view.reconnected(client.clone());
        }
    }

    /// Begins the view if it is time; shows a bar if there is no view any more.
    fn begin_or_end_view(&mut self, sweep: &SweepSummary) {
        if let Shown::Soon(client, kind) = &self.shown
            && !has_ended(sweep)
        {
            let begun = View::begin((**client).clone(), &sweep.name, *kind, self.left.clone());
            self.shown = begun.map_or_else(|_| bar(), Shown::View);
        } else if matches!(&self.shown, Shown::View(_)) && !screen::is_up() {
            self.shown = bar();
        }
    }

    /// Shows the state of `sweep`.
    pub(crate) fn update(&mut self, sweep: &SweepSummary) {
        let now = Instant::now();
        let counts = sweep.tasks.unwrap_or_default();
        let ended = counts.done + counts.failed + counts.cancelled;
        let portion = portion(sweep);
        self.pace.observe(now, worked(sweep));
        self.workers_matter |= sweep.workers > 0;
        for line in [self.begins_to_wait(sweep), self.stops(sweep)].into_iter().flatten() {
            self.say(&line);
        }
        let text = describe(&counts, sweep, self.pace.left(1.0 - portion), self.workers_matter);
        self.last = Some(sweep.clone());
        self.begin_or_end_view(sweep);
        match &mut self.shown {
            Shown::Nothing | Shown::Soon(..) => {}
            Shown::View(view) => view.update(sweep, text, portion),
            Shown::Bar(bar) => {
                bar.set_length(1000);
                bar.set_position((portion * 1000.0) as u64);
                bar.set_prefix(sweep.name.clone());
                bar.set_message(text);
            }
            Shown::Lines { last } => {
                let due = match last {
                    None => true,
                    Some((at, before)) => {
                        now.duration_since(*at) >= QUIET || (*before != ended && ended == counts.total)
                    }
                };
                if due {
                    noteln!("{}: {text}", sweep.name);
                    *last = Some((now, ended));
                }
            }
        }
    }

    /// The line to say once, when no slot of the connected workers can take the tasks.
    fn begins_to_wait(&mut self, sweep: &SweepSummary) -> Option<String> {
        // Without workers the progress itself says so.
        let why = if sweep.workers > 0 { sweep.why_waiting.as_str() } else { "" };
        let begins = !why.is_empty() && self.waits.is_empty();
        why.clone_into(&mut self.waits);
        begins.then(|| format!("{}: its pending tasks wait: {why}", sweep.name))
    }

    /// The line to say once, when the pending tasks were cancelled because tasks failed.
    fn stops(&mut self, sweep: &SweepSummary) -> Option<String> {
        let stops = !sweep.stopped.is_empty() && self.stopped.is_empty();
        self.stopped.clone_from(&sweep.stopped);
        stops.then(|| format!("{}: stopped, no other task begins: {}", sweep.name, sweep.stopped))
    }

    /// Prints a line; above the bar, if there is one.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| noteln!("{line}")),
            // A view shows it, and leaves it behind.
            _ => noteln!("{line}"),
        }
    }

    /// Removes the bar or the view.
    pub(crate) fn finish(&self) {
        match &self.shown {
            Shown::Bar(bar) => bar.finish_and_clear(),
            Shown::View(_) => screen::leave(),
            Shown::Nothing | Shown::Soon(..) | Shown::Lines { .. } => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Shown::View(_) = &self.shown {
            screen::leave();
        }
    }
}

/// A bar, or lines where the terminal does not support one.
fn bar() -> Shown {
    let bar = ProgressBar::new(1);
    // indicatif hides the bar without a terminal, and on a terminal with TERM=dumb or without TERM.
    if bar.is_hidden() {
        return Shown::Lines { last: None };
    }
    // Two lines, so that neither is wider than the terminal.
    let style = ProgressStyle::with_template("{prefix} [{wide_bar}]\n{wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(500));
    Shown::Bar(bar)
}

/// Whether the sweep has ended.
pub(crate) fn has_ended(sweep: &SweepSummary) -> bool {
    matches!(sweep.state(), SweepState::Complete | SweepState::Failed | SweepState::Cancelled)
}

/// The finished share of the sweep, in [0, 1]; epochs of running tasks count.
fn portion(sweep: &SweepSummary) -> f64 {
    let counts = sweep.tasks.unwrap_or_default();
    share(sweep, counts.done + counts.failed + counts.cancelled)
}

/// The share of the sweep's work that was done, in [0, 1]. Failed and cancelled tasks do not count: many fail at the
/// same time, and the estimate of the remaining time would assume the same speed for the others.
fn worked(sweep: &SweepSummary) -> f64 {
    share(sweep, sweep.tasks.unwrap_or_default().done)
}

/// The share of `tasks` tasks, and of the finished epochs of running tasks.
fn share(sweep: &SweepSummary, tasks: u64) -> f64 {
    let counts = sweep.tasks.unwrap_or_default();
    if counts.total == 0 {
        return 0.0;
    }
    let running = if sweep.running_epochs_total == 0 {
        0.0
    } else {
        counts.running as f64 * sweep.running_epochs_done as f64 / sweep.running_epochs_total as f64
    };
    ((tasks as f64 + running) / counts.total as f64).min(1.0)
}

fn describe(
    counts: &TaskCounts,
    sweep: &SweepSummary,
    left: Option<Duration>,
    workers_matter: bool,
) -> String {
    let mut text =
        format!("{}/{} done, {} running", counts.done, counted(counts.total, "task"), counts.running);
    if counts.failed > 0 {
        text += &format!(", {} failed", counts.failed);
    }
    if sweep.retried > 0 {
        text += &format!(", {} tried again", sweep.retried);
    }
    if counts.cancelled > 0 {
        text += &format!(", {} cancelled", counts.cancelled);
    }
    let starts = !has_ended(sweep) && !sweep.paused;
    if sweep.paused {
        text += ", paused";
    }
    if sweep.workers == 0 && workers_matter && !has_ended(sweep) {
        text += ", no worker is connected";
    }
    // If nothing starts, the estimate would never end.
    if let Some(left) = left.filter(|_| starts) {
        let seconds = left.as_secs_f64();
        let pace = (counts.pending + counts.running) as f64 / seconds.max(0.001) * 60.0;
        text += &format!(", {pace:.1} tasks/min, about {} left", human(left));
    }
    text
}

/// A duration in its two largest units.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// The speed of the work since the first observation.
#[derive(Default)]
struct Pace {
    start: Option<(Instant, f64)>,
    latest: Option<(Instant, f64)>,
}

impl Pace {
    /// Records the share of the work that is done at `now`.
    fn observe(&mut self, now: Instant, worked: f64) {
        self.start.get_or_insert((now, worked));
        self.latest = Some((now, worked));
    }

    /// The time for the share `remaining` at the speed so far; `None` if there is not enough data.
    fn left(&self, remaining: f64) -> Option<Duration> {
        let ((began, from), (now, to)) = (self.start?, self.latest?);
        let (spent, gained) = (now.duration_since(began).as_secs_f64(), to - from);
        if spent < 3.0 || gained <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64(remaining * spent / gained).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(done: u64, running: u64, epochs: (u64, u64)) -> SweepSummary {
        SweepSummary {
            name: "s".into(),
            tasks: Some(TaskCounts {
                total: 10,
                done,
                running,
                pending: 10 - done - running,
                ..TaskCounts::default()
            }),
            running_epochs_done: epochs.0,
            running_epochs_total: epochs.1,
            workers: 1,
            ..SweepSummary::default()
        }
    }

    #[test]
    fn epochs_of_running_tasks_count() {
        assert_eq!(portion(&sweep(4, 2, (10, 40))), 0.45);
        assert_eq!(portion(&sweep(10, 0, (0, 0))), 1.0);
        assert_eq!(portion(&SweepSummary::default()), 0.0);
    }

    #[test]
    fn the_time_left_follows_the_pace() {
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.observe(start, 0.5);
        assert_eq!(pace.left(0.5), None);
        pace.observe(start + Duration::from_secs(10), 0.75);
        assert_eq!(pace.left(0.25), Some(Duration::from_secs(10)));
    }

    #[test]
    fn tasks_that_failed_are_no_progress() {
        let failed = |done, failed| SweepSummary {
            tasks: Some(TaskCounts { total: 10, done, failed, ..TaskCounts::default() }),
            ..SweepSummary::default()
        };
        let mut pace = Pace::default();
        let start = Instant::now();
        pace.observe(start, worked(&failed(0, 0)));
        // One task is done, and six failed at once: three remain, of ten seconds each.
        let now = failed(1, 6);
        pace.observe(start + Duration::from_secs(10), worked(&now));
        let left = pace.left(1.0 - portion(&now)).unwrap();
        assert!(left.abs_diff(Duration::from_secs(30)) < Duration::from_millis(1), "{left:?}");
    }

    #[test]
    fn a_worker_of_ones_own_is_not_missed_before_it_is_there() {
        let alone = SweepSummary { workers: 0, ..sweep(0, 0, (0, 0)) };
        let told = |workers_matter| describe(&alone.tasks.unwrap(), &alone, None, workers_matter);
        assert_eq!(told(false), "0/10 tasks done, 0 running");
        assert_eq!(told(true), "0/10 tasks done, 0 running, no worker is connected");
    }

    #[test]
    fn why_tasks_wait_is_said_once_when_it_begins() {
        let mut progress = Progress::showing(Shown::Nothing);
        let mut waits = sweep(0, 0, (0, 0));
        assert_eq!(progress.begins_to_wait(&waits), None);
        waits.why_waiting = "none of 2 slots can run its tasks: 2 have no GPU".into();
        let line = "s: its pending tasks wait: none of 2 slots can run its tasks: 2 have no GPU";
        assert_eq!(progress.begins_to_wait(&waits).as_deref(), Some(line));
        waits.why_waiting = "none of 3 slots can run its tasks: 3 have no GPU".into();
        assert_eq!(progress.begins_to_wait(&waits), None, "it still waits");
        assert_eq!(progress.begins_to_wait(&sweep(0, 1, (0, 0))), None);
        assert!(progress.begins_to_wait(&waits).is_some(), "it waits again");
        let alone = SweepSummary { workers: 0, why_waiting: "no worker is connected".into(), ..waits };
        assert_eq!(progress.begins_to_wait(&alone), None, "the progress says so itself");
    }

    #[test]
    fn who_waits_for_a_paused_sweep_is_told() {
        let told = |paused| {
            let sweep = SweepSummary { paused, ..sweep(4, 2, (0, 0)) };
            describe(&sweep.tasks.unwrap(), &sweep, Some(Duration::from_secs(60)), true)
        };
        assert_eq!(told(false), "4/10 tasks done, 2 running, 6.0 tasks/min, about 1 min 0 s left");
        assert_eq!(told(true), "4/10 tasks done, 2 running, paused");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(human(Duration::from_secs(59)), "59 s");
        assert_eq!(human(Duration::from_secs(3700)), "1 h 1 min");
    }
}

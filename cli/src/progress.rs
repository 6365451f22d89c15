//! Progress of a sweep: a bar on a terminal, plain lines elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use colearn_proto::v1::{SweepState, SweepSummary, TaskCounts};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a plain line is printed at most, while nothing ends.
const QUIET: Duration = Duration::from_secs(10);

/// Shows a sweep's progress on standard error.
pub(crate) struct Progress {
    shown: Shown,
    pace: Pace,
}

enum Shown {
    Bar(ProgressBar),
    Lines { last: Option<(Instant, u64)> },
}

impl Progress {
    /// Starts to show progress.
    pub(crate) fn new() -> Self {
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(1);
            let style = ProgressStyle::with_template("{prefix} [{bar:32}] {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            bar.set_style(style);
            bar.enable_steady_tick(Duration::from_millis(500));
            Shown::Bar(bar)
        } else {
            Shown::Lines { last: None }
        };
        Self { shown, pace: Pace::default() }
    }

    /// Shows the state of `sweep`.
    pub(crate) fn update(&mut self, sweep: &SweepSummary) {
        let now = Instant::now();
        let counts = sweep.tasks.unwrap_or_default();
        let ended = counts.done + counts.failed + counts.cancelled;
        let portion = portion(sweep);
        self.pace.observe(now, portion);
        let text = describe(&counts, sweep, self.pace.left(portion));
        match &mut self.shown {
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
                    tell!("{}: {text}", sweep.name);
                    *last = Some((now, ended));
                }
            }
        }
    }

    /// Prints a line above the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.shown {
            Shown::Bar(bar) => bar.suspend(|| tell!("{line}")),
            Shown::Lines { .. } => tell!("{line}"),
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}

/// Whether nothing more will happen to the sweep.
pub(crate) fn has_ended(sweep: &SweepSummary) -> bool {
    matches!(sweep.state(), SweepState::Complete | SweepState::Failed | SweepState::Cancelled)
}

/// The share of the sweep's work that is done, in [0, 1]; epochs of running tasks count.
fn portion(sweep: &SweepSummary) -> f64 {
    let counts = sweep.tasks.unwrap_or_default();
    if counts.total == 0 {
        return 0.0;
    }
    let ended = (counts.done + counts.failed + counts.cancelled) as f64;
    let running = if sweep.running_epochs_total == 0 {
        0.0
    } else {
        counts.running as f64 * sweep.running_epochs_done as f64 / sweep.running_epochs_total as f64
    };
    ((ended + running) / counts.total as f64).min(1.0)
}

fn describe(counts: &TaskCounts, sweep: &SweepSummary, left: Option<Duration>) -> String {
    let mut text = format!("{}/{} tasks done, {} running", counts.done, counts.total, counts.running);
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
    if sweep.workers == 0 && !has_ended(sweep) {
        text += ", no worker is connected";
    }
    // At a pace at which nothing starts it would never end.
    if let Some(left) = left.filter(|_| starts) {
        let seconds = left.as_secs_f64();
        let pace = (counts.total as f64 - counts.done as f64).max(0.0) / seconds.max(0.001) * 60.0;
        text += &format!(", {pace:.1} tasks/min, about {} left", human(left));
    }
    text
}

/// A duration in the two largest units that matter.
pub(crate) fn human(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// How fast the work goes, from when it was first seen.
#[derive(Default)]
struct Pace {
    start: Option<(Instant, f64)>,
    latest: Option<(Instant, f64)>,
}

impl Pace {
    fn observe(&mut self, now: Instant, portion: f64) {
        self.start.get_or_insert((now, portion));
        self.latest = Some((now, portion));
    }

    /// The time left at the pace so far; `None` until enough was seen.
    fn left(&self, portion: f64) -> Option<Duration> {
        let ((began, from), (now, to)) = (self.start?, self.latest?);
        let (spent, gained) = (now.duration_since(began).as_secs_f64(), to - from);
        if spent < 3.0 || gained <= 0.0 {
            return None;
        }
        Duration::try_from_secs_f64((1.0 - portion) * spent / gained).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(done: u64, running: u64, epochs: (u64, u64)) -> SweepSummary {
        SweepSummary {
            name: "s".into(),
            tasks: Some(TaskCounts { total: 10, done, running, ..TaskCounts::default() }),
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
        assert_eq!(pace.left(0.75), Some(Duration::from_secs(10)));
    }

    #[test]
    fn who_waits_for_a_paused_sweep_is_told() {
        let told = |paused| {
            let sweep = SweepSummary { paused, ..sweep(4, 2, (0, 0)) };
            describe(&sweep.tasks.unwrap(), &sweep, Some(Duration::from_secs(60)))
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

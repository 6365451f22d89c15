//! Names and times as text.

use std::{collections::HashMap, time::Duration};

use colearn_client::words::formatted;
pub(crate) use colearn_client::words::reason_word;
pub(super) use colearn_client::words::{
    failure_parts, instant, last_seen, source_word, state_word, task_state_word, trainer_word, worker_state,
};
use colearn_core::text::counted;
use colearn_proto::v1::{SweepState, SweepSummary, TaskFailure, Worker};
use jiff::Timestamp;

use crate::progress::human;

/// A sweep's state for people. "paused" matters only while tasks are left to start.
pub(super) fn state_for_people(sweep: &SweepSummary) -> &'static str {
    match sweep.state() {
        SweepState::Active if sweep.paused => "paused",
        state => state_word(state),
    }
}

/// How far a task is: `3/40`; `3` if its number of epochs is not known, as for a program.
pub(crate) fn epoch_of(epoch: u32, epochs: u32) -> String {
    if epochs == 0 { epoch.to_string() } else { format!("{epoch}/{epochs}") }
}

/// The name of a configuration for people: its id if the coordinator is of an older version and sends no names.
pub(crate) fn called(name: &str, id: &str) -> String {
    if name.is_empty() { format!("configuration {id}") } else { one_line(name) }
}

/// A failed attempt as one line for people.
fn failure_line(failed: &TaskFailure) -> String {
    let (configuration, seed, reason, message) = failure_parts(failed);
    let name = called(&failed.name, &configuration);
    let last = if failed.r#final { ", the last," } else { "" };
    format!("{name} seed {seed}, attempt {}{last} failed: {reason}: {message}", failed.attempt)
}

/// Failed attempts as lines for people: equal failures share one line, with their number.
pub(crate) fn failure_lines(failures: &[TaskFailure]) -> Vec<String> {
    let mut alike: Vec<(&TaskFailure, u64)> = Vec::new();
    let mut places: HashMap<(bool, i32, &str), usize> = HashMap::new();
    for failed in failures {
        let Some(failure) = &failed.failure else { continue };
        let key = (failed.r#final, failure.reason, failure.message.as_str());
        let place = *places.entry(key).or_insert(alike.len());
        match alike.get_mut(place) {
            Some((_, times)) => *times += 1,
            None => alike.push((failed, 1)),
        }
    }
    let line = |(failed, times): (&TaskFailure, u64)| match times {
        1 => failure_line(failed),
        times => format!("{} alike, such as {}", counted(times, "failure"), failure_line(failed)),
    };
    alike.into_iter().map(line).collect()
}

/// The state of a worker for people: whether it gets tasks.
pub(super) fn worker_state_for_people(worker: &Worker) -> &'static str {
    match worker_state(worker) {
        "connected" if worker.set_aside.iter().any(|pause| pause.data_set.is_empty()) => "set aside",
        state => state,
    }
}

/// A time for people, from milliseconds since the Unix epoch.
pub(crate) fn moment(millis: i64) -> String {
    formatted(millis, "%Y-%m-%d %H:%M:%S UTC")
}

/// A time for a table whose heading says that it is in UTC, to the minute.
pub(super) fn minute(millis: i64) -> String {
    formatted(millis, "%Y-%m-%d %H:%M")
}

/// A time of a log line, to the millisecond.
pub(super) fn log_moment(millis: i64) -> String {
    formatted(millis, "%Y-%m-%d %H:%M:%S%.3f")
}

/// The time of day, where the day is known.
pub(crate) fn log_time(millis: i64) -> String {
    formatted(millis, "%H:%M:%S")
}

/// The time until `until`, for people.
pub(super) fn ahead(until: i64, now: i64) -> String {
    human(Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0)))
}

/// The current time in milliseconds since the Unix epoch.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

/// The time since `then`. Clocks of two hosts may differ, so `then` may be in the future.
pub(super) fn ago(then: i64, now: i64) -> String {
    let millis = u64::try_from(now.saturating_sub(then)).unwrap_or(0);
    format!("{} ago", human(Duration::from_millis(millis)))
}

/// A text from another program as one line, without characters that control a terminal.
pub(super) fn one_line(text: &str) -> String {
    colearn_core::text::one_line(text.trim_end())
}

#[cfg(test)]
mod tests {
    use colearn_proto::v1;

    use super::*;

    #[test]
    fn what_failed_alike_is_one_line() {
        let failed = |seed, message: &str, last| TaskFailure {
            task: Some(v1::TaskId { sweep: 1, configuration: "00ff".into(), seed }),
            attempt: 1,
            failure: Some(v1::Failure {
                reason: v1::FailureReason::Settings.into(),
                message: message.into(),
            }),
            r#final: last,
            name: if seed == 2 { String::new() } else { "audio=0.8".into() },
        };
        let all =
            [failed(1, "no", true), failed(2, "other", true), failed(3, "no", true), failed(4, "no", false)];
        assert_eq!(
            failure_lines(&all),
            [
                "2 failures alike, such as audio=0.8 seed 1, attempt 1, the last, failed: settings: no",
                "configuration 00ff seed 2, attempt 1, the last, failed: settings: other",
                "audio=0.8 seed 4, attempt 1 failed: settings: no",
            ]
        );
    }

    #[test]
    fn a_program_has_epochs_without_a_total() {
        assert_eq!((epoch_of(3, 40), epoch_of(5, 0)), ("3/40".to_owned(), "5".to_owned()));
    }

    #[test]
    fn moments_are_told_to_people_and_to_programs() {
        assert_eq!(moment(1_700_000_000_123), "2023-11-14 22:13:20 UTC");
        assert_eq!(instant(1_700_000_000_000), "2023-11-14T22:13:20.000Z");
        assert_eq!(instant(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(log_moment(1_700_000_000_020), "2023-11-14 22:13:20.020");
        assert_eq!(moment(i64::MAX), "-");
    }

    #[test]
    fn a_clock_that_is_ahead_is_no_future() {
        assert_eq!(ago(1000, 4999), "3 s ago");
        assert_eq!(ago(5000, 1000), "0 s ago");
    }

    #[test]
    fn what_comes_from_elsewhere_can_not_move_the_cursor() {
        assert_eq!(one_line("a\n\u{1b}[2Jb\tc\n"), "a  [2Jb c");
    }
}

//! Texts about workers that get no tasks.

use colearn_core::text::{counted, shortened};
use colearn_proto::v1::{SetAside, WithoutData};

use super::labels::{ahead, reason_word};

/// Maximum length of a failure's text, in bytes.
const MAX_FAILURE: usize = 400;

/// Two lines: why a worker gets no tasks, until when, and how to restore it. `typed` are the options that name the
/// coordinator.
pub(super) fn explained(pause: &SetAside, now: i64, typed: &str) -> String {
    let SetAside { worker, data_set, until, failures, failure, .. } = pause;
    let failure = failure.as_ref();
    let reason = failure.map_or("unknown", reason_word);
    let message = shortened(failure.map_or("", |failure| &failure.message), MAX_FAILURE);
    let what = if data_set.is_empty() {
        let leases = counted(u64::from(*failures), "lease");
        format!("{worker} is set aside: {leases} in a row failed there, the last with {reason}: {message}")
    } else {
        format!("{worker} gets no tasks of data set {data_set}: {reason}: {message}")
    };
    let next = if *until > now {
        format!("it gets one task as a test in {}", ahead(*until, now))
    } else {
        "it may get one task as a test now".to_owned()
    };
    format!("{what}\n  {next}; restore it at once with: colearn undrain {worker}{typed}")
}

/// Lines for the workers that get no tasks of a sweep, with the reasons. For a worker that lacks a data set no test task is
/// announced, because it gets none before the file is there.
pub(super) fn of_sweep(lacking: &[WithoutData], pauses: &[SetAside], now: i64, typed: &str) -> Vec<String> {
    let lacks = |pause: &SetAside| {
        let same = |lack: &WithoutData| (&lack.worker, &lack.data_set) == (&pause.worker, &pause.data_set);
        lacking.iter().any(same)
    };
    let pauses = pauses.iter().filter(|pause| !lacks(pause)).map(|pause| explained(pause, now, typed));
    lacking.iter().map(without_data).chain(pauses).collect()
}

/// The text that a worker gets no tasks of a data set, with the reason.
fn without_data(without: &WithoutData) -> String {
    let WithoutData { worker, data_set, other_digest } = without;
    let why = if other_digest.is_empty() {
        "it is not in its data folder; copy the file there".to_owned()
    } else {
        let short: String = other_digest.chars().take(12).collect();
        format!(
            "its file of that name has the digest {short}, but the sweep is trained on another file; copy that file there"
        )
    };
    format!("{worker} gets no tasks of data set {data_set}: {why}")
}

#[cfg(test)]
mod tests {
    use colearn_proto::v1::{Failure, FailureReason};

    use super::*;

    #[test]
    fn a_worker_that_is_set_aside_is_named_with_the_reason_and_the_way_back() {
        let failure = Failure { reason: FailureReason::Crash.into(), message: "killed by signal 4".into() };
        let pause = SetAside {
            worker: "bad-1".into(),
            until: 75_000,
            failures: 3,
            failure: Some(failure),
            ..SetAside::default()
        };
        assert_eq!(
            explained(&pause, 30_000, " --state st"),
            "bad-1 is set aside: 3 leases in a row failed there, the last with crash: killed by signal 4\n  \
             it gets one task as a test in 45 s; restore it at once with: colearn undrain bad-1 --state st"
        );
        let lack = WithoutData { worker: "bad-1".into(), data_set: "tiny".into(), ..WithoutData::default() };
        let for_data = SetAside { data_set: "tiny".into(), ..pause.clone() };
        let other = SetAside { worker: "bad-2".into(), ..for_data.clone() };
        let lines = of_sweep(&[lack], &[pause.clone(), for_data, other], 30_000, "");
        let begins =
            ["bad-1 gets no tasks of data set tiny: it is not in", "bad-1 is set aside", "bad-2 gets no"];
        assert_eq!(lines.len(), begins.len(), "{lines:?}");
        assert!(lines.iter().zip(begins).all(|(line, begin)| line.starts_with(begin)), "{lines:?}");
        let pause = SetAside { data_set: "tiny".into(), ..pause };
        let text = explained(&pause, 100_000, "");
        assert!(text.starts_with("bad-1 gets no tasks of data set tiny: crash: killed"), "{text}");
        assert!(text.contains("may get one task as a test now"), "{text}");
    }
}

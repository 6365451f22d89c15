//! Texts about workers that get no tasks.

use colearn_core::text::{counted, shortened};
use colearn_proto::v1::{SetAside, WithoutData};

use super::labels::{ahead, reason_word};

/// Maximum length of a failure's text, in bytes.
const MAX_FAILURE: usize = 400;

/// Two lines: why a worker gets no tasks, until when, and how to restore it. `typed` are the options that name the
/// coordinator.
pub(super) fn explained(pause: &SetAside, now: i64, typed: &str) -> String {
    let SetAside { worker, data_set, program, until, failures, failure, .. } = pause;
    let failure = failure.as_ref();
    let reason = failure.map_or("unknown", reason_word);
    let message = shortened(failure.map_or("", |failure| &failure.message), MAX_FAILURE);
    let what = if data_set.is_empty() {
        let leases = counted(u64::from(*failures), "lease");
        format!("{worker} is set aside: {leases} in a row failed there, the last with {reason}: {message}")
    } else {
        format!("{worker} gets no tasks of {}: {reason}: {message}", files(data_set, *program))
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

/// The name of a data set or of a program.
fn files(name: &str, program: bool) -> String {
    if program { format!("the program `{name}`") } else { format!("data set {name}") }
}

/// The text that a worker gets no tasks of a data set or a program, with the reason.
fn without_data(without: &WithoutData) -> String {
    let WithoutData { worker, data_set, other_digest, program } = without;
    let short: String = other_digest.chars().take(12).collect();
    let why = if *program {
        format!(
            "its files have the digest {short} there, but the results so far are from other files; copy those there, or go on with the changed program: --changed-program"
        )
    } else if other_digest.is_empty() {
        "it is not in its data folder; copy the file there".to_owned()
    } else {
        format!(
            "its file of that name has the digest {short}, but the sweep is trained on another file; copy that file there"
        )
    };
    format!("{worker} gets no tasks of {}: {why}", files(data_set, *program))
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

    #[test]
    fn a_program_is_no_data_set() {
        let data_set = "/home/me/net: python3 train.py ${args}".to_owned();
        let pause =
            SetAside { worker: "w".into(), data_set: data_set.clone(), program: true, ..SetAside::default() };
        let text = explained(&pause, 0, "");
        assert!(
            text.starts_with("w gets no tasks of the program `/home/me/net: python3 train.py ${args}`: "),
            "{text}"
        );
        let lack = WithoutData {
            worker: "w".into(),
            data_set,
            program: true,
            other_digest: "0123456789abcdef".into(),
        };
        let text = without_data(&lack);
        assert!(
            text.contains("`: its files have the digest 0123456789ab there") && !text.contains("data set"),
            "{text}"
        );
    }
}

//! Texts for the log of a worker and for the coordinator's own log.

use colearn_core::{
    id::WorkerId,
    scheduler::{PauseView, RestoreCause},
    text::shortened,
    time::Timestamp,
};

/// Maximum length of a failure's text in a notice, in bytes.
const MAX_FAILURE: usize = 512;

/// The text that a worker is set aside: why, and how to restore it.
pub(super) fn set_aside(worker: &WorkerId, pause: &PauseView, now: Timestamp) -> String {
    let seconds = pause.until.since(now).as_secs();
    let failure = shortened(&pause.failure.to_string(), MAX_FAILURE);
    let (what, why) = match &pause.data_set {
        Some(data_set) => (
            format!("this worker gets no tasks of {} for {seconds} s", files(data_set, pause.program)),
            format!("it could not be used here ({failure})"),
        ),
        None => (
            format!("this worker is set aside and gets no tasks for {seconds} s"),
            format!("{} in a row failed here, the last with {failure}", pause.failures),
        ),
    };
    format!(
        "{what}: {why}; it then gets one task as a test; restore it earlier with: colearn undrain {worker}"
    )
}

fn files(name: &str, program: bool) -> String {
    let kind = if program { "program" } else { "data set" };
    format!("{kind} `{name}`")
}

/// The text that a worker gets tasks again.
pub(super) fn restored(data_set: Option<&str>, program: bool, cause: RestoreCause) -> String {
    let what = match data_set {
        Some(data_set) => format!("this worker gets tasks of {} again", files(data_set, program)),
        None => "this worker gets tasks again".to_owned(),
    };
    let why = match cause {
        RestoreCause::Succeeded => "a task succeeded",
        RestoreCause::Person => "a person restored it",
        RestoreCause::Exonerated => "the tasks that failed here failed on other workers too",
        RestoreCause::Gone => "it was not connected for a day",
    };
    format!("{what}: {why}")
}

#[cfg(test)]
mod tests {
    use colearn_core::failure::{Failure, FailureReason};

    use super::*;

    #[test]
    fn a_notice_names_the_reason_and_the_way_back() {
        let worker = WorkerId::new("bad-1").unwrap();
        let mut pause = PauseView {
            data_set: None,
            program: false,
            since: Timestamp(0),
            until: Timestamp(60_000),
            failures: 3,
            failure: Failure::new(FailureReason::Crash, "trainer was killed by signal 4"),
        };
        let text = set_aside(&worker, &pause, Timestamp(30_000));
        assert_eq!(
            text,
            "this worker is set aside and gets no tasks for 30 s: 3 in a row failed here, the last with crash: \
             trainer was killed by signal 4; it then gets one task as a test; restore it earlier with: \
             colearn undrain bad-1"
        );
        pause.data_set = Some("tiny".to_owned());
        pause.failure = Failure::new(FailureReason::Data, "gone".repeat(1000));
        let text = set_aside(&worker, &pause, Timestamp(0));
        assert!(text.starts_with("this worker gets no tasks of data set `tiny` for 60 s: "), "{text}");
        assert!(text.len() < 1024 && text.ends_with("colearn undrain bad-1"), "{text}");
        assert!(restored(Some("tiny"), false, RestoreCause::Person).contains("data set `tiny`"));
        pause.program = true;
        pause.data_set = Some("/net: python3 train.py".to_owned());
        let text = set_aside(&worker, &pause, Timestamp(0));
        assert!(text.contains("no tasks of program `/net: python3 train.py` for 60 s"), "{text}");
    }
}

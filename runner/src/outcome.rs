//! What the end of a program means.

use std::collections::BTreeMap;

use colearn_core::failure::{Failure, FailureReason};
use colearn_trainer_protocol::out_of_memory::tells_of_it;
use nix::{libc, sys::signal::Signal};

use crate::process::Ended;

/// The exit code with which a program asks to go on later.
pub(crate) const GO_ON_LATER: i32 = 75;
/// What a shell adds to the number of the signal that ended its program.
const SHELL_SIGNAL: i32 = 128;
/// Number of last lines that may tell of a lack of memory.
const TELLING: usize = 10;

/// The end of an attempt, as far as the agent is told.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The metrics of the result.
    Finished(BTreeMap<String, f64>),
    Failed(Failure),
    Parked,
}

/// The failure of a program that did not end with exit code 0. `last_lines` is the end of its output; `by_memory` asks
/// whether the system has killed a process because of a lack of memory.
pub(crate) fn crash(ended: Ended, last_lines: &[String], by_memory: impl FnOnce() -> bool) -> Failure {
    let kill =
        Ended::Signalled(libc::SIGKILL) == ended || ended == Ended::Exited(SHELL_SIGNAL + libc::SIGKILL);
    let telling = &last_lines[last_lines.len().saturating_sub(TELLING)..];
    let told = telling.iter().any(|line| tells_of_it(line) || line.starts_with("MemoryError"));
    let by_memory = kill && by_memory();
    let mut what = format!("the program {}", described(ended));
    if by_memory {
        what.push_str(": the system killed it, or a process of it, for lack of memory");
    }
    let reason = if by_memory || told { FailureReason::OutOfMemory } else { FailureReason::Crash };
    Failure::new(reason, with_last_lines(&what, last_lines))
}

/// Whether it ended as programs do that do not handle SIGTERM or SIGINT.
pub(crate) fn is_asked_to_end(ended: Ended) -> bool {
    let asked = |number: i32| matches!(number, libc::SIGTERM | libc::SIGINT);
    match ended {
        Ended::Signalled(number) => asked(number),
        Ended::Exited(code) => asked(code - SHELL_SIGNAL),
    }
}

/// `ended with exit code 1`, `was ended by SIGSEGV`.
pub(crate) fn described(ended: Ended) -> String {
    let signal =
        |number: i32| Signal::try_from(number).map_or_else(|_| format!("signal {number}"), |s| s.to_string());
    match ended {
        Ended::Exited(126) => {
            "ended with exit code 126, which is a shell's for a file that is not executable".to_owned()
        }
        Ended::Exited(127) => {
            "ended with exit code 127, which is a shell's for a program that it does not find".to_owned()
        }
        Ended::Exited(code) if code > SHELL_SIGNAL && Signal::try_from(code - SHELL_SIGNAL).is_ok() => {
            format!("ended with exit code {code}, which is a shell's for {}", signal(code - SHELL_SIGNAL))
        }
        Ended::Exited(code) => format!("ended with exit code {code}"),
        Ended::Signalled(number) => format!("was ended by {}", signal(number)),
    }
}

/// A message with as many last lines as there is room for.
pub(crate) fn with_last_lines(what: &str, last_lines: &[String]) -> String {
    let room = Failure::MAX_MESSAGE_CHARS.saturating_sub(what.len() + ": ".len());
    let mut quoted = Vec::new();
    let mut length = 0;
    for line in last_lines.iter().rev().filter(|line| !line.trim().is_empty()) {
        let left = room.saturating_sub(length);
        if line.len() + 1 > left {
            if quoted.is_empty() {
                quoted.push(
                    &line[line.ceil_char_boundary(line.len().saturating_sub(left.saturating_sub(1)))..],
                );
            }
            break;
        }
        length += line.len() + 1;
        quoted.push(line);
    }
    if quoted.is_empty() {
        return format!("{what}, without output");
    }
    quoted.reverse();
    format!("{what}:\n{}", quoted.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn a_crash_quotes_how_it_ended_and_the_last_lines() {
        let failure =
            crash(Ended::Exited(1), &lines(&["Traceback", "", "ValueError: x"]), || panic!("not asked"));
        assert_eq!(
            failure,
            Failure::new(
                FailureReason::Crash,
                "the program ended with exit code 1:\nTraceback\nValueError: x"
            )
        );
        let failure = crash(Ended::Signalled(libc::SIGSEGV), &[], || panic!("not asked"));
        assert_eq!(failure.message, "the program was ended by SIGSEGV, without output");
        assert!(described(Ended::Exited(127)).contains("does not find"));
        assert!(described(Ended::Exited(139)).contains("SIGSEGV"));
    }

    #[test]
    fn a_lack_of_memory_is_told() {
        let killed = Ended::Signalled(libc::SIGKILL);
        assert_eq!(crash(killed, &[], || false).reason, FailureReason::Crash);
        assert_eq!(crash(killed, &[], || true).reason, FailureReason::OutOfMemory);
        assert_eq!(crash(Ended::Exited(137), &[], || true).reason, FailureReason::OutOfMemory);
        let told = lines(&["torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"]);
        assert_eq!(crash(Ended::Exited(1), &told, || false).reason, FailureReason::OutOfMemory);
    }

    #[test]
    fn messages_are_bounded_and_keep_the_end() {
        let many: Vec<String> = (0..50).map(|n| format!("{n} {}", "x".repeat(200))).collect();
        let message = with_last_lines("it failed", &many);
        assert!(message.len() <= Failure::MAX_MESSAGE_CHARS && message.len() > 3800);
        assert!(message.contains("\n49 x") && !message.contains("\n1 x"));
        let long = with_last_lines("it failed", &[format!("{}end", "ä".repeat(9000))]);
        assert!(long.ends_with("ääend") && long.len() <= Failure::MAX_MESSAGE_CHARS);
    }
}

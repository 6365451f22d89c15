//! Chooses the histories that a test runs, and prints them.

use std::{io::Write, ops::Range, panic};

/// Runs the histories of a test: `wanted` of them, or `COLEARN_HISTORIES`, or only the one with the seed
/// `COLEARN_HISTORY`. Prints which on standard error, past the test harness, so that they are always visible.
///
/// # Panics
/// If a history panics, after printing how to repeat it; or if a variable is not a number.
pub fn every(name: &str, wanted: u64, mut history: impl FnMut(u64)) {
    let range = range(wanted);
    say(&format!(
        "{name}: {} histories, seeds {} to {}",
        range.end - range.start,
        range.start,
        range.end - 1
    ));
    for seed in range {
        let outcome = panic::catch_unwind(panic::AssertUnwindSafe(|| history(seed)));
        if let Err(cause) = outcome {
            say(&format!(
                "history {seed} went wrong; to repeat it: COLEARN_HISTORY={seed} cargo test -p colearn-simulation {name}"
            ));
            panic::resume_unwind(cause);
        }
    }
}

/// Whether only one history is run, to be examined.
#[must_use]
pub fn one_alone() -> bool {
    number("COLEARN_HISTORY").is_some()
}

fn range(wanted: u64) -> Range<u64> {
    match number("COLEARN_HISTORY") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COLEARN_HISTORIES").unwrap_or(wanted).max(1),
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`, which is not a number")))
}

/// Unlike with `eprintln`, the test harness does not capture this output.
fn say(line: &str) {
    // Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

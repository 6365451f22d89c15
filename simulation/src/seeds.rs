//! Which histories a test runs, and how it says so.

use std::{io::Write, ops::Range, panic};

/// Runs the histories of a test: so many as it wants, `COLEARN_HISTORIES` of them, or the one of seed
/// `COLEARN_HISTORY`. Says which on standard error, past the test harness, so that everybody sees it.
///
/// # Panics
/// When a history does, after it has said how to repeat it; and when a variable is not a number.
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

/// Whether a person looks at one history alone.
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

/// Unlike `eprintln`, what is written here is not captured.
fn say(line: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

//! Random choices that are a function of a seed, and the seeds that a test runs.

use std::io::Write;

/// SplitMix64. With its own generator a seed gives the same history forever.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub(super) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Runs the histories of a test: `wanted` of them, or `COLEARN_HISTORIES`, or only the one with the seed
/// `COLEARN_HISTORY`. Prints which on standard error, past the test harness, so that they are always visible. Returns
/// their number.
pub(super) fn every(name: &str, wanted: u64, mut history: impl FnMut(u64)) -> u64 {
    let seeds = match number("COLEARN_HISTORY") {
        Some(seed) => seed..seed + 1,
        None => 0..number("COLEARN_HISTORIES").unwrap_or(wanted).max(1),
    };
    let count = seeds.end - seeds.start;
    say(&format!("{name}: {count} histories, seeds {} to {}", seeds.start, seeds.end - 1));
    for seed in seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| history(seed)));
        if let Err(cause) = outcome {
            say(&format!(
                "history {seed} went wrong; to repeat it: COLEARN_HISTORY={seed} cargo test -p colearn-core {name}"
            ));
            std::panic::resume_unwind(cause)
        }
    }
    count
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var_os(variable)?;
    Some(
        text.to_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{variable} is no number")),
    )
}

/// Unlike with `eprintln`, the test harness does not capture this output.
fn say(line: &str) {
    // Standard error may be closed.
    let _ = writeln!(std::io::stderr(), "{line}");
}

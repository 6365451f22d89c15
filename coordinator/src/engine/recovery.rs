//! The outcome of a recovery, as one line for people.

use std::{fmt, time::Duration};

/// The state that a coordinator found in its store at its start, and the duration of the recovery.
#[derive(Clone, Debug)]
pub(super) struct Recovery {
    /// Number of replayed sweeps.
    pub(super) sweeps: usize,
    /// Number of settled sweeps, which were not replayed.
    pub(super) settled: usize,
    /// Number of tasks of the replayed sweeps.
    pub(super) tasks: u32,
    /// Number of those tasks that have a result.
    pub(super) done: u32,
    /// Number of leases whose workers may return.
    pub(super) leases: usize,
    /// Number of replayed journal entries.
    pub(super) entries: u64,
    /// Duration of the recovery.
    pub(super) elapsed: Duration,
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sweeps, settled, tasks, done, leases, entries, elapsed } = self;
        if *sweeps == 0 && *settled == 0 {
            return write!(f, "nothing to recover: no sweep was submitted yet");
        }
        write!(
            f,
            "recovered {} ({}, {done} done, {}) from {} in {} ms",
            Counted(*sweeps as u64, "sweep", "sweeps"),
            Counted(u64::from(*tasks), "task", "tasks"),
            Counted(*leases as u64, "lease", "leases"),
            Counted(*entries, "journal entry", "journal entries"),
            elapsed.as_millis()
        )?;
        if *settled > 0 {
            write!(f, "; {} settled before", Counted(*settled as u64, "sweep was", "sweeps were"))?;
        }
        Ok(())
    }
}

/// A number with its noun, in singular and plural.
struct Counted(u64, &'static str, &'static str);

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, one, several) = self;
        write!(f, "{count} {}", if *count == 1 { one } else { several })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_told_in_one_line() {
        let elapsed = Duration::from_micros(12_700);
        let found = Recovery { sweeps: 2, settled: 0, tasks: 80, done: 31, leases: 4, entries: 214, elapsed };
        assert_eq!(
            found.to_string(),
            "recovered 2 sweeps (80 tasks, 31 done, 4 leases) from 214 journal entries in 12 ms"
        );
        let found = Recovery { sweeps: 1, settled: 1, tasks: 1, done: 0, leases: 1, entries: 1, elapsed };
        assert_eq!(
            found.to_string(),
            "recovered 1 sweep (1 task, 0 done, 1 lease) from 1 journal entry in 12 ms; 1 sweep was settled before"
        );
        let found = Recovery { sweeps: 0, settled: 0, tasks: 0, done: 0, leases: 0, entries: 1, elapsed };
        assert_eq!(found.to_string(), "nothing to recover: no sweep was submitted yet");
    }
}

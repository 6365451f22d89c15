//! The wait of a task before its next attempt.

use std::time::Duration;

use crate::{id::TaskId, sweep::RetrySettings};

/// The wait after attempt number `failed` of `task`: `initial_backoff`, doubled for each attempt after the first, at
/// most `max_backoff`; the actual wait is between half of that and all of it.
///
/// The jitter is a hash of task and attempt. Tasks that failed together (when a host died) therefore do not return
/// together, and a replayed journal gives the same time.
pub(super) fn wait(retries: &RetrySettings, task: TaskId, failed: u32) -> Duration {
    let doublings = failed.saturating_sub(1).min(31);
    let whole = retries.initial_backoff.saturating_mul(1 << doublings).min(retries.max_backoff);
    let mut hash = task.sweep.0;
    for word in [task.configuration.0, task.seed, u64::from(failed)] {
        hash = mix(hash ^ word);
    }
    // 53 bits, which a double represents exactly.
    let share = 0.5 + 0.5 * ((hash >> 11) as f64 / (1_u64 << 53) as f64);
    whole.mul_f64(share)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{ConfigurationId, SweepId};

    fn retries() -> RetrySettings {
        RetrySettings {
            max_attempts: 9,
            initial_backoff: Duration::from_secs(4),
            max_backoff: Duration::from_secs(60),
        }
    }

    fn task(seed: u64) -> TaskId {
        TaskId { sweep: SweepId(1), configuration: ConfigurationId(7), seed }
    }

    #[test]
    fn it_doubles_up_to_the_longest() {
        for (failed, whole) in [(1, 4), (2, 8), (3, 16), (4, 32), (5, 60), (60, 60)] {
            let wait = wait(&retries(), task(0), failed);
            let whole = Duration::from_secs(whole);
            assert!(wait >= whole / 2 && wait <= whole, "after {failed}: {wait:?}");
        }
    }

    #[test]
    fn tasks_that_failed_together_do_not_come_back_together() {
        let waits: std::collections::BTreeSet<_> =
            (0..100).map(|seed| wait(&retries(), task(seed), 1).as_millis()).collect();
        assert!(waits.len() > 80, "only {} distinct waits", waits.len());
        assert_eq!(wait(&retries(), task(3), 2), wait(&retries(), task(3), 2));
    }
}

//! Random moments and choices that depend on a seed.

use std::{ops::Range, time::Duration};

/// SplitMix64 (Steele, Lea and Flood, 2014).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `count - 1`.
    pub(super) fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap()
    }

    /// A duration within this range of milliseconds.
    pub(super) fn pause(&mut self, milliseconds: Range<u64>) -> Duration {
        let length = milliseconds.end - milliseconds.start;
        Duration::from_millis(milliseconds.start + self.next() % length)
    }
}

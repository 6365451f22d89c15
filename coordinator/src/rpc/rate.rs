//! Rate limits for a worker's messages.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// A rate limit: a number of events at once after a pause, and a number per second.
pub(super) struct Rate {
    at_once: f64,
    a_second: f64,
    left: f64,
    since: Instant,
}

impl Rate {
    pub(super) fn new(at_once: u32, a_second: u32) -> Self {
        let (at_once, a_second) = (f64::from(at_once), f64::from(a_second));
        Self { at_once, a_second, left: at_once, since: Instant::now() }
    }

    /// Takes room for this number of events; returns false if there is not enough.
    pub(super) fn take(&mut self, count: usize) -> bool {
        let now = Instant::now();
        let earned = now.duration_since(self.since).as_secs_f64() * self.a_second;
        (self.left, self.since) = ((self.left + earned).min(self.at_once), now);
        let enough = self.left >= count as f64;
        if enough {
            self.left -= count as f64;
        }
        enough
    }

    /// Waits until there is room for one event, and takes it.
    pub(super) async fn wait(&mut self) {
        while !self.take(1) {
            // Rounding may leave a small remainder to wait for.
            let missing = ((1.0 - self.left) / self.a_second).max(0.001);
            sleep(Duration::from_secs_f64(missing)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn there_is_so_much_at_once_and_then_so_much_a_second() {
        let mut rate = Rate::new(5, 2);
        assert!(rate.take(3) && rate.take(2) && !rate.take(1));
        sleep(Duration::from_secs(1)).await;
        assert!(rate.take(2) && !rate.take(1));
        sleep(Duration::from_secs(3600)).await;
        assert!(!rate.take(6) && rate.take(5), "a long pause earns no more");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_slowed_down_and_not_refused() {
        let mut rate = Rate::new(5, 2);
        let began = Instant::now();
        for _ in 0..25 {
            rate.wait().await;
        }
        let took = began.elapsed().as_secs_f64();
        assert!((10.0..10.2).contains(&took), "five at once, and twenty at two a second: {took}");
    }
}

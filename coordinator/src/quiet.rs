//! Lines in the log that clients cause: not more than a person can read.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Maximum number of lines in each period.
const LINES: u32 = 20;
const PERIOD: Duration = Duration::from_secs(10);

/// Limits the lines about clients that are refused.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quiet(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    since: Option<Instant>,
    lines: u32,
}

impl Quiet {
    /// Logs a line, unless there were many already.
    pub(crate) fn say(&self, log: impl FnOnce()) {
        if self.may_say() {
            log();
        }
    }

    fn may_say(&self) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if said.since.is_none_or(|since| since.elapsed() >= PERIOD) {
            if said.lines > LINES {
                tracing::warn!("{} more clients were refused", said.lines - LINES);
            }
            *said = Said { since: Some(Instant::now()), lines: 0 };
        }
        said.lines = said.lines.saturating_add(1);
        said.lines <= LINES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn many_lines_at_once_are_left_out() {
        let quiet = Quiet::default();
        assert_eq!((0..1000).filter(|_| quiet.may_say()).count(), LINES as usize);
        tokio::time::advance(PERIOD).await;
        assert!(quiet.may_say());
    }
}

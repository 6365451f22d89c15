//! Points in time with a resolution of seconds, as certificates have them.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Seconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(pub i64);

/// A day.
pub const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before the end of a credential its holder is told.
pub const IN_GOOD_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

impl Moment {
    /// The time of this host.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
    }

    /// This much later.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(seconds(time)))
    }

    /// This much earlier.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Self(self.0.saturating_sub(seconds(time)))
    }

    /// Whether a credential that ends now is to be replaced soon.
    #[must_use]
    pub fn is_soon(self, now: Self) -> bool {
        self <= now.after(IN_GOOD_TIME)
    }

    /// The warning about a credential that ends soon; `None` while there is time.
    #[must_use]
    pub fn warning(self, what: &str, now: Self) -> Option<String> {
        if self <= now {
            return Some(format!("{what} has expired on {self}"));
        }
        self.is_soon(now).then(|| {
            let days = (self.0 - now.0) / seconds(DAY);
            let days = if days == 1 { "1 day".to_owned() } else { format!("{days} days") };
            format!("{what} expires on {self}, in {days}")
        })
    }

    pub(crate) fn date_time(self) -> OffsetDateTime {
        // The limits of the type are the years -9999 and 9999.
        OffsetDateTime::from_unix_timestamp(self.0).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.date_time().date();
        write!(f, "{:04}-{:02}-{:02}", date.year(), u8::from(date.month()), date.day())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_said_a_month_before() {
        let now = Moment(1_795_000_000);
        assert_eq!(now.to_string(), "2026-11-18");
        assert_eq!(now.after(IN_GOOD_TIME).after(DAY).warning("x", now), None);
        let soon = now.after(DAY * 5).warning("x", now).unwrap();
        assert_eq!(soon, "x expires on 2026-11-23, in 5 days");
        assert!(now.before(DAY).warning("x", now).unwrap().contains("has expired on 2026-11-17"));
    }
}

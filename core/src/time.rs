//! Time is an argument in this crate; no clock is read.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// Parses a duration as sweep files and command lines write it: numbers with units, such as `500ms`, `90s`, `5m`,
/// `1h30m` or `2h 15m`.
///
/// # Errors
/// If the text is not a duration, has no unit, or overflows.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    humantime::parse_duration(text).map_err(|error| DurationError(error.to_string()))
}

/// Parses a duration as flags take it: as [`parse_duration`] does, or a whole number of seconds.
///
/// # Errors
/// When the text is neither.
pub fn parse_duration_or_seconds(text: &str) -> Result<Duration, DurationError> {
    text.parse().map_or_else(|_| parse_duration(text), |seconds| Ok(Duration::from_secs(seconds)))
}

/// The text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DurationError(String);

impl Timestamp {
    /// This moment plus `duration`, saturating at the largest value.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time from `earlier` to this moment; zero if this moment is not later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_numbers_with_units() {
        for (text, millis) in [
            ("500ms", 500),
            ("5s", 5_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1h30m", 5_400_000),
            ("1h 30m", 5_400_000),
            ("1.5s", 1_500),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "soon", "5x", "18446744073709551615h", "99999999999999999999s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_take_seconds_without_a_unit() {
        for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("1h30m", 5400)] {
            assert_eq!(parse_duration_or_seconds(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-3", "soon", "1.5", "99999999999999999999"] {
            assert!(parse_duration_or_seconds(text).is_err(), "{text}");
        }
    }
}

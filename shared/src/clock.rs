//! Points in time, and the only code that reads the current time.
//!
//! Cores never use the clock: `now` is an argument of their functions.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::values::InvalidValue;

/// A point in time, in microseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// `seconds` seconds after the Unix epoch. Saturates.
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the Unix epoch.
    pub const fn as_seconds(self) -> u64 {
        self.0 / 1_000_000
    }

    /// The time from `earlier` to this; zero if `earlier` is later, as it may be after a clock was set
    /// back.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The same point in time as a type of the standard library, which is also the form of
    /// `created_time` in dashboards.
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0)
    }

    /// The date in UTC, such as `2026-12-24`; at most the last day of the year 9999.
    pub fn date(self) -> String {
        let mut text = self.date_and_time();
        text.truncate("2026-12-24".len());
        text
    }

    /// Date and time in UTC, to the second, such as `2026-12-24T10:00:05Z` (RFC 3339); at most the last
    /// second of the year 9999.
    pub fn date_and_time(self) -> String {
        let moment = self.min(Self::from_seconds(LAST_SECOND));
        humantime::format_rfc3339_seconds(moment.to_system_time()).to_string()
    }
}

impl FromStr for Timestamp {
    type Err = InvalidValue;

    /// Parses microseconds since the Unix epoch, in decimal, as they are sent in queries.
    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let micros = is_decimal.then(|| text.parse().ok()).flatten();
        micros.map(Self).ok_or(InvalidValue {
            field: "enqueued_at",
            allowed: "microseconds since the Unix epoch, a decimal number",
        })
    }
}

/// A point in time as people write it in a query: `2026-12-24T10:00:05Z`, `2026-12-24`, both in UTC, or
/// microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment(pub Timestamp);

impl FromStr for Moment {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, InvalidValue> {
        if let Ok(timestamp) = text.parse() {
            return Ok(Self(timestamp));
        }
        let is_date = text.len() == "2026-12-24".len();
        let text = if is_date {
            format!("{text}T00:00:00Z")
        } else {
            text.to_owned()
        };
        let time = humantime::parse_rfc3339_weak(&text).ok();
        let since_epoch = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let invalid = InvalidValue {
            field: "a time",
            allowed: "such as 2026-12-24T10:00:05Z or 2026-12-24 (UTC), or microseconds since the Unix epoch",
        };
        let timestamp = since_epoch.map(|since_epoch| Timestamp::default() + since_epoch);
        timestamp.map(Self).ok_or(invalid)
    }
}

/// 9999-12-31 23:59:59: later years have more than four digits.
const LAST_SECOND: u64 = 253_402_300_799;

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}.{:06}s",
            self.0 / 1_000_000,
            self.0 % 1_000_000
        )
    }
}

/// A monotonic clock: it reads the wall clock once, when it is created, and counts from there.
///
/// So a change of the wall clock while a daemon runs moves no deadline and reorders no jobs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// Reads the wall clock, once.
    #[expect(
        clippy::disallowed_methods,
        reason = "the only place that reads the time"
    )]
    pub fn start() -> Self {
        // A time before 1970 means that the machine has no clock; counting from zero is as good.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started_at: Timestamp::default() + since_epoch,
            started: Instant::now(),
        }
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    /// `moment` as a type of the standard library, for timers. A moment before the start of this clock
    /// becomes its start.
    pub fn instant_of(&self, moment: Timestamp) -> Instant {
        self.started + moment.since(self.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_since_a_later_moment_is_zero() {
        let moment = Timestamp::from_seconds(100);
        assert_eq!(
            moment.since(moment + Duration::from_secs(5)),
            Duration::ZERO
        );
        assert_eq!(
            (moment + Duration::from_secs(5)).since(moment),
            Duration::from_secs(5)
        );
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let end = Timestamp::from_micros(u64::MAX);
        assert_eq!(end + Duration::MAX, end);
        assert_eq!(
            Timestamp::from_seconds(1) - Duration::MAX,
            Timestamp::default()
        );
        assert_eq!(Timestamp::from_seconds(u64::MAX), end);
    }

    #[test]
    fn every_moment_has_a_date() {
        for (moment, date) in [
            (Timestamp::default(), "1970-01-01"),
            (Timestamp::from_seconds(1_798_106_400), "2026-12-24"),
            (Timestamp::from_micros(u64::MAX), "9999-12-31"),
        ] {
            assert_eq!(moment.date(), date);
        }
        let moment = Timestamp::from_micros(1_798_106_405_999_999);
        assert_eq!(moment.date_and_time(), "2026-12-24T10:00:05Z");
    }

    #[test]
    fn a_moment_is_written_as_a_time_a_date_or_a_number() {
        for (text, micros) in [
            ("1798106405000001", Some(1_798_106_405_000_001)),
            ("2026-12-24T10:00:05Z", Some(1_798_106_405_000_000)),
            ("2026-12-24 10:00:05", Some(1_798_106_405_000_000)),
            ("2026-12-24", Some(1_798_070_400_000_000)),
            ("1969-12-31", None),
            ("", None),
            ("-1", None),
            ("10:00", None),
            ("yesterday.", None),
            ("2026-12-24T10:00:05+01:00", None),
        ] {
            let expected = micros.map(|micros| Moment(Timestamp::from_micros(micros)));
            assert_eq!(text.parse::<Moment>().ok(), expected, "{text}");
        }
    }

    #[test]
    fn the_clock_does_not_run_backwards() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}

//! The one place that asks what time it is.
//!
//! Owns moments (`Timestamp`) and the clock that the daemons share. Cores never call it: they get
//! `now` as an argument.

use std::{
    fmt,
    ops::{Add, Sub},
    str::FromStr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};

use crate::values::InvalidValue;

/// A moment, in microseconds since the Unix epoch (UTC).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// The moment `seconds` seconds after the Unix epoch; the far future saturates.
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

    /// How long ago `earlier` was; zero if it lies ahead, as it may after a clock was set back.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }

    /// The same moment as the standard library writes it, which is also how it stands in
    /// `created_time` on the wire.
    pub fn to_system_time(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_micros(self.0)
    }

    /// The day in UTC, such as `2026-12-24`; no later one than the last of the year 9999.
    pub fn date(self) -> String {
        let moment = self.min(Self::from_seconds(LAST_SECOND));
        let mut text = humantime::format_rfc3339_seconds(moment.to_system_time()).to_string();
        text.truncate("2026-12-24".len());
        text
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

/// 9999-12-31 23:59:59: later years have no four digits.
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

/// A clock that never runs backwards: it reads the wall once, when made, and counts from there.
///
/// So a wall clock that is set back or jumps ahead while a daemon runs moves no deadline and
/// swaps no two jobs.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started_at: Timestamp,
    started: Instant,
}

impl Clock {
    /// Reads the wall clock, once.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that asks for the time"
    )]
    pub fn start() -> Self {
        // A wall clock before 1970 is a machine without one; counting from zero is as good.
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            started_at: Timestamp::default() + since_epoch,
            started: Instant::now(),
        }
    }

    /// The current moment.
    pub fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }

    /// The standard library's instant for `moment`, for those who sleep until then. A moment that
    /// has passed gives the past or the start of this clock.
    pub fn instant_of(&self, moment: Timestamp) -> Instant {
        self.started + moment.since(self.started_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_lies_ahead_was_no_time_ago() {
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
    fn a_day_has_a_date_however_far_it_is() {
        for (moment, date) in [
            (Timestamp::default(), "1970-01-01"),
            (Timestamp::from_seconds(1_798_106_400), "2026-12-24"),
            (Timestamp::from_micros(u64::MAX), "9999-12-31"),
        ] {
            assert_eq!(moment.date(), date);
        }
    }

    #[test]
    fn the_clock_does_not_run_backwards() {
        let clock = Clock::start();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}

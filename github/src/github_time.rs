//! GitHub's clock, as the dates of its responses tell it.
//!
//! Responsible for not believing a single date that contradicts the others: one in the year 9999, or of a
//! cache, must not make tokens expire or artifacts too old.

use std::time::Duration;

use shared::clock::Timestamp;

/// How far the clocks of GitHub's machines may differ, and how late a response may be.
const TOLERANCE: Duration = Duration::from_secs(120);

/// One date of GitHub and our time when it arrived.
#[derive(Clone, Copy, Debug)]
struct Reading {
    theirs: Timestamp,
    ours: Timestamp,
}

/// What is known of GitHub's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct GithubTime {
    believed: Option<Reading>,
    /// A reading that contradicts the believed one. The next one that agrees with it makes it believed.
    doubted: Option<Reading>,
}

impl Reading {
    /// GitHub's time when ours is `now`.
    fn at(self, now: Timestamp) -> Timestamp {
        self.theirs + now.since(self.ours)
    }

    fn agrees_with(self, later: Self) -> bool {
        let expected = self.at(later.ours);
        expected.since(later.theirs) <= TOLERANCE && later.theirs.since(expected) <= TOLERANCE
    }
}

impl GithubTime {
    /// GitHub's time when ours is `now`; ours as long as no response has had a date.
    pub fn at(self, now: Timestamp) -> Timestamp {
        self.believed.map_or(now, |reading| reading.at(now))
    }

    /// What is known after a response with that date, received when our time is `now`.
    pub fn with(self, date: Timestamp, now: Timestamp) -> Self {
        let reading = Reading {
            theirs: date,
            ours: now,
        };
        let agrees = |other: Option<Reading>| other.is_some_and(|it| it.agrees_with(reading));
        if self.believed.is_none() || agrees(self.believed) || agrees(self.doubted) {
            return Self {
                believed: Some(reading),
                doubted: None,
            };
        }
        Self {
            doubted: Some(reading),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time after these dates, one a second, in seconds since 2026.
    fn after(dates: &[u64]) -> u64 {
        let start = 1_767_225_600;
        let mut time = GithubTime::default();
        let mut now = Timestamp::from_seconds(5000);
        for date in dates {
            now = now + Duration::from_secs(1);
            time = time.with(Timestamp::from_seconds(start + date), now);
        }
        time.at(now).as_seconds() - start
    }

    #[test]
    fn one_odd_date_is_not_believed_and_two_that_agree_are() {
        const FAR: u64 = 250_000_000_000;
        for (dates, expected) in [
            (&[100][..], 100),
            (&[100, 101, 150], 150),
            (&[100, FAR], 101),
            (&[100, FAR, 102], 102),
            (&[100, FAR, 102, FAR + 2, 104], 104),
            (&[1000, 0, 1002], 1002),
            (&[100, FAR, FAR + 1], FAR + 1),
            (&[FAR, 100, 101], 101),
            (&[FAR, 100, FAR + 9, 102, 103], 103),
        ] {
            assert_eq!(after(dates), expected, "{dates:?}");
        }
        let ours = Timestamp::from_seconds(7);
        assert_eq!(GithubTime::default().at(ours), ours);
    }
}

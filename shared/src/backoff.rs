//! Exponential back-off with jitter.
//!
//! Responsible for how long to wait after a failure. Not responsible for what counts as a failure,
//! nor for waiting: pure, without a clock or a source of random numbers.

use std::time::Duration;

use crate::clock::Timestamp;

/// How long to wait between tries: the pause doubles with every failure in a row, up to a maximum.
///
/// Jitter is added to each pause, because clients that failed in the same moment (an outage ends
/// for all servers at once) must not come back in the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause that doubling leads to.
    pub max: Duration,
    /// The most that jitter adds, in percent of the pause: 50 makes 10 s a random pause of
    /// 10 s to 15 s, 0 adds nothing.
    pub jitter_percent: u32,
}

impl Backoff {
    /// The pause after that many failures in a row (1 or more).
    ///
    /// `at_least` is what the other side asked for, such as `Retry-After`; zero if it asked for
    /// nothing. It may exceed [`max`](Self::max). `entropy` selects the jitter and should differ
    /// between clients that fail together: a random number, or the moment of the failure in
    /// microseconds. Equal arguments give equal pauses.
    pub fn pause(&self, failures: u32, at_least: Duration, entropy: u64) -> Duration {
        // 20 doublings exceed every maximum in use; more would only overflow.
        let doublings = failures.saturating_sub(1).min(20);
        let doubled = self.first.saturating_mul(1 << doublings).min(self.max);
        let pause = doubled.max(at_least);
        let jitter_max = pause.min(self.max).saturating_mul(self.jitter_percent) / 100;
        pause.saturating_add(share_of(jitter_max, entropy))
    }
}

/// The part of `whole` that `entropy` selects: 0 to 1023 of its 1024 equal parts.
fn share_of(whole: Duration, entropy: u64) -> Duration {
    const PARTS: u32 = 1024;
    // Two rounds of multiplying by an odd number and folding the upper half onto the lower place
    // neighbouring values, such as two moments a microsecond apart, far from each other.
    let mixed = (0..2).fold(entropy, |bits, _| {
        let bits = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits ^ (bits >> 32)
    });
    whole / PARTS * (mixed as u32 % PARTS)
}

/// Failures in a row, and the moment before which there is no further try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    count: u32,
    since: Option<Timestamp>,
    retry_at: Timestamp,
}

impl Failures {
    /// Counts one more failure at `now`, and moves [`retry_at`](Self::retry_at) a pause of
    /// `backoff` away. The moment itself is the entropy: no two servers notice an outage in the
    /// same microsecond.
    pub fn record(&mut self, now: Timestamp, backoff: Backoff, at_least: Duration) {
        self.since.get_or_insert(now);
        self.count = self.count.saturating_add(1);
        self.retry_at = now + backoff.pause(self.count, at_least, now.as_micros());
    }

    /// Forgets all failures: the next one counts as the first.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Allows the next try at once. The failures still count for the pause after the next one.
    pub fn end_pause(&mut self) {
        self.retry_at = Timestamp::default();
    }

    /// How many failures there were since the last success.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// When the first of them was; none if nothing failed.
    pub fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// The moment from which the next try may be made; the Unix epoch if nothing failed.
    pub fn retry_at(&self) -> Timestamp {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        first: Duration::from_secs(1),
        max: Duration::from_secs(60),
        jitter_percent: 50,
    };

    /// The shortest and the longest pause, in milliseconds, of a thousand clients that fail within
    /// as many microseconds.
    fn pauses_after(failures: u32, at_least: Duration) -> (u128, u128) {
        let moments = 1_000_000_000..1_000_001_000;
        let pauses: Vec<u128> = moments
            .map(|micros| BACKOFF.pause(failures, at_least, micros).as_millis())
            .collect();
        let ends = (pauses.iter().min(), pauses.iter().max());
        (*ends.0.unwrap(), *ends.1.unwrap())
    }

    #[test]
    fn each_failure_doubles_the_pause_up_to_the_maximum_and_jitter_adds_up_to_half() {
        for (failures, pause) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (6, 32),
            (7, 60),
            (8, 60),
            (1000, 60),
            (u32::MAX, 60),
        ] {
            let (shortest, longest) = pauses_after(failures, Duration::ZERO);
            let pause = pause * 1000;
            assert!((pause..pause * 11 / 10).contains(&shortest), "{shortest}");
            assert!(
                (pause * 14 / 10..pause * 15 / 10).contains(&longest),
                "{longest}"
            );
        }
    }

    #[test]
    fn the_pause_is_at_least_what_the_other_side_asked_for() {
        let (shortest, longest) = pauses_after(1, Duration::from_secs(3600));
        assert!((3_600_000..3_603_000).contains(&shortest), "{shortest}");
        assert!((3_627_000..3_630_000).contains(&longest), "{longest}");
    }

    #[test]
    fn without_jitter_the_pause_is_exact() {
        let exact = Backoff {
            jitter_percent: 0,
            ..BACKOFF
        };
        for (failures, seconds) in [(0, 1), (1, 1), (2, 2), (7, 60)] {
            let pause = exact.pause(failures, Duration::ZERO, 12345);
            assert_eq!(pause, Duration::from_secs(seconds));
        }
        assert_eq!(exact.pause(1, Duration::MAX, 12345), Duration::MAX);
    }

    #[test]
    fn the_same_failures_at_the_same_moments_give_the_same_pauses() {
        let play = || {
            let mut failures = Failures::default();
            for micros in [5, 1_234_567, 9_876_543] {
                let now = Timestamp::from_micros(micros);
                failures.record(now, BACKOFF, Duration::ZERO);
            }
            failures
        };
        assert_eq!(play(), play());
        assert_eq!(play().count(), 3);
        assert_eq!(play().since(), Some(Timestamp::from_micros(5)));
        let pause = play().retry_at().since(Timestamp::from_micros(9_876_543));
        assert!((4000..6000).contains(&pause.as_millis()), "{pause:?}");
    }

    #[test]
    fn after_a_success_there_is_nothing_to_wait_for() {
        let now = Timestamp::from_seconds(1000);
        let mut failures = Failures::default();
        failures.record(now, BACKOFF, Duration::ZERO);
        failures.reset();
        assert_eq!(
            (failures.count(), failures.retry_at(), failures.since()),
            (0, Timestamp::default(), None)
        );
    }
}

//! How long to leave something alone that has just failed.
//!
//! Owns the doubling. Never decides what counts as a failure.

use std::time::Duration;

use shared::clock::Timestamp;

/// Failures in a row, and until when to wait because of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackOff {
    failure_count: u32,
    until: Timestamp,
}

/// The wait after the first failure, and the longest that doubling leads to.
#[derive(Clone, Copy, Debug)]
pub struct Pauses {
    /// After one failure.
    pub first: Duration,
    /// After many.
    pub longest: Duration,
}

impl BackOff {
    /// One more failure. `at_least` is what the other side asked for, if it did.
    pub fn fail(&mut self, now: Timestamp, pauses: Pauses, at_least: Duration) {
        // Doubling 20 times is beyond any longest pause; more would only overflow.
        let doublings = self.failure_count.min(20);
        let pause = (pauses.first * 2u32.pow(doublings)).min(pauses.longest);
        self.failure_count = self.failure_count.saturating_add(1);
        self.until = now + pause.max(at_least);
    }

    /// It worked: the next failure counts as the first.
    pub fn succeed(&mut self) {
        *self = Self::default();
    }

    /// How often it has failed since it last worked.
    pub fn failure_count(&self) -> u32 {
        self.failure_count
    }

    /// The moment from which it may be tried again.
    pub fn until(&self) -> Timestamp {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
    };

    fn pause_after(failure_count: u32) -> u64 {
        let now = Timestamp::from_seconds(1000);
        let mut back_off = BackOff::default();
        for _ in 0..failure_count {
            back_off.fail(now, PAUSES, Duration::ZERO);
        }
        back_off.until().since(now).as_secs()
    }

    #[test]
    fn each_failure_doubles_the_pause_up_to_the_longest() {
        let pauses: Vec<u64> = [1, 2, 3, 6, 7, 8, 1000].map(pause_after).into();
        assert_eq!(pauses, [1, 2, 4, 32, 60, 60, 60]);
    }

    #[test]
    fn what_the_other_side_asks_for_is_the_least() {
        let now = Timestamp::from_seconds(1000);
        let mut back_off = BackOff::default();
        back_off.fail(now, PAUSES, Duration::from_secs(3600));
        assert_eq!(back_off.until().since(now).as_secs(), 3600);
    }

    #[test]
    fn after_a_success_there_is_nothing_to_wait_for() {
        let now = Timestamp::from_seconds(1000);
        let mut back_off = BackOff::default();
        back_off.fail(now, PAUSES, Duration::ZERO);
        back_off.succeed();
        assert_eq!(
            (back_off.failure_count(), back_off.until()),
            (0, Timestamp::default())
        );
    }
}

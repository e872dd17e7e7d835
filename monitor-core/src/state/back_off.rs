//! How long to leave something alone that has just failed.
//!
//! Owns the doubling, and that whoever failed together does not come back together: an outage of
//! GitHub ends for all servers in the same moment. Never decides what counts as a failure.

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
        let spread = (pause / 2).max(at_least / 2).min(pauses.longest / 2);
        self.until = now + pause.max(at_least) + share_of(spread, now);
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

/// A share of `spread` that nobody can tell beforehand, because no two servers see a failure in the
/// same microsecond; and yet the same moment always gives the same share.
fn share_of(spread: Duration, moment: Timestamp) -> Duration {
    // Multiplying by an odd number and folding the upper half onto the lower, twice: neighbouring
    // moments end up far apart.
    let scrambled = (0..2).fold(moment.as_micros(), |bits, _| {
        let bits = bits.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits ^ (bits >> 32)
    });
    spread / SHARES * (scrambled as u32 % SHARES)
}

/// Into how many parts a spread is divided.
const SHARES: u32 = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: Pauses = Pauses {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(60),
    };

    /// Milliseconds from `now` until the next try, after so many failures.
    fn pause_after(failure_count: u32, now: Timestamp, at_least: Duration) -> u128 {
        let mut back_off = BackOff::default();
        for _ in 0..failure_count {
            back_off.fail(now, PAUSES, at_least);
        }
        back_off.until().since(now).as_millis()
    }

    /// The shortest and the longest pause of a thousand servers that fail within as many
    /// microseconds.
    fn pauses_after(failure_count: u32, at_least: Duration) -> (u128, u128) {
        let moments = (1_000_000_000..1_000_001_000).map(Timestamp::from_micros);
        let pauses = moments.map(|now| pause_after(failure_count, now, at_least));
        let pauses: Vec<u128> = pauses.collect();
        let ends = (pauses.iter().min(), pauses.iter().max());
        (*ends.0.unwrap(), *ends.1.unwrap())
    }

    #[test]
    fn each_failure_doubles_the_pause_up_to_the_longest_and_chance_adds_up_to_half() {
        for (failure_count, pause) in [
            (1, 1),
            (2, 2),
            (3, 4),
            (6, 32),
            (7, 60),
            (8, 60),
            (1000, 60),
        ] {
            let (shortest, longest) = pauses_after(failure_count, Duration::ZERO);
            let pause = pause * 1000;
            assert!((pause..pause * 11 / 10).contains(&shortest), "{shortest}");
            assert!(
                (pause * 14 / 10..pause * 15 / 10).contains(&longest),
                "{longest}"
            );
        }
    }

    #[test]
    fn what_the_other_side_asks_for_is_the_least() {
        let (shortest, longest) = pauses_after(1, Duration::from_secs(3600));
        assert!((3_600_000..3_603_000).contains(&shortest), "{shortest}");
        assert!((3_627_000..3_630_000).contains(&longest), "{longest}");
    }

    #[test]
    fn the_same_failures_in_the_same_moments_give_the_same_pause() {
        let now = Timestamp::from_micros(1_234_567_890);
        let again = || pause_after(3, now, Duration::ZERO);
        assert_eq!(again(), again());
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

//! How many runners of a profile a server has had at once: whether it can reach its target.
//!
//! A target can be higher than what the host has memory for. A job that needs as many runners would
//! gather them for ever, and block those behind it.

use std::time::Duration;

use shared::clock::Timestamp;

/// How long a target is believed, from the first report of it: the time to make the runners. Also how
/// long it is remembered how many there were.
const PERIOD: Duration = Duration::from_secs(15 * 60);

/// The runners of one profile on one server.
#[derive(Clone, Debug, Default)]
pub struct Reached {
    target: usize,
    /// When the target was first reported, or raised.
    since: Timestamp,
    is_believed: bool,
    /// The most runners at once in this period and in the last one.
    most: usize,
    most_before: usize,
    period_began_at: Timestamp,
}

impl Reached {
    /// Records a report.
    pub fn record(&mut self, target: usize, existing: usize, now: Timestamp) {
        if target > self.target {
            self.since = now;
            self.is_believed = true;
        }
        self.target = target;
        let age = now.since(self.period_began_at);
        if age >= PERIOD {
            self.most_before = if age < PERIOD * 2 { self.most } else { 0 };
            self.most = 0;
            self.period_began_at = now;
        }
        self.most = self.most.max(existing);
        self.review(now);
    }

    /// Stops believing a target that was not reached in time; whether that is new.
    pub fn review(&mut self, now: Timestamp) -> bool {
        let is_over = self.is_believed && now.since(self.since) >= PERIOD;
        self.is_believed &= !is_over;
        is_over
    }

    /// How many runners there can be: the target, or what there was at most.
    pub fn reach(&self) -> usize {
        if self.is_believed {
            self.target
        } else {
            self.target.min(self.most.max(self.most_before))
        }
    }

    /// Since when the target is not believed, if it is not reached.
    pub fn missed_since(&self) -> Option<Timestamp> {
        (self.reach() < self.target).then_some(self.since + PERIOD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + minutes * 60)
    }

    #[test]
    fn a_target_counts_while_its_runners_may_still_be_made() {
        let mut reached = Reached::default();
        reached.record(5, 0, minutes(0));
        assert_eq!(reached.reach(), 5);
        reached.record(5, 3, minutes(14));
        assert_eq!((reached.reach(), reached.missed_since()), (5, None));
        reached.record(5, 3, minutes(15));
        assert_eq!(
            (reached.reach(), reached.missed_since()),
            (3, Some(minutes(15)))
        );
        // A higher target is a new one, a lower one is not.
        reached.record(4, 3, minutes(16));
        assert_eq!(reached.reach(), 3);
        reached.record(6, 3, minutes(17));
        assert_eq!(reached.reach(), 6);
        assert!(!reached.review(minutes(31)));
        assert!(reached.review(minutes(32)));
        assert!(!reached.review(minutes(33)));
        assert_eq!(reached.reach(), 3);
    }

    #[test]
    fn a_target_that_was_reached_counts_while_runners_are_replaced() {
        let mut reached = Reached::default();
        for minute in 0..100 {
            let existing = if minute % 10 == 9 { 5 } else { 2 };
            reached.record(5, existing, minutes(minute));
            assert_eq!(reached.reach(), 5, "{minute}");
        }
        for minute in 100..140 {
            reached.record(5, 2, minutes(minute));
        }
        assert_eq!(reached.reach(), 2);
        // It is reached again.
        reached.record(5, 5, minutes(140));
        assert_eq!(reached.reach(), 5);
    }

    #[test]
    fn what_was_reached_before_a_long_silence_no_longer_counts() {
        for (silence, reach) in [(29, 5), (30, 1), (100, 1)] {
            let mut reached = Reached::default();
            reached.record(5, 5, minutes(0));
            reached.record(5, 1, minutes(silence));
            assert_eq!(reached.reach(), reach, "{silence}");
        }
    }
}

//! When to look at the world again.
//!
//! Owns that rhythm. Guests are listed every `poll_interval`. GitHub's list costs requests, so it
//! may be as old as `cache_timeout`, except while something is about to change there, or when
//! something suggests that it has. A look that failed leaves the last one in place and is tried
//! again, ever more slowly.

use std::time::Duration;

use shared::clock::Timestamp;

use crate::{BackOff, state::back_off::Pauses};

/// The pauses after looks that failed.
const PAUSES: Pauses = Pauses {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(60),
};

/// Shortest time between two looks for which only somebody outside asked.
const NUDGE_PAUSE: Duration = Duration::from_secs(2);

/// From this long on, failures in a row are an outage. Shorter ones happen, and hold nothing up.
const OUTAGE: Duration = Duration::from_secs(60);

/// The rhythm of one kind of look.
#[derive(Clone, Copy, Debug, Default)]
pub struct PollSchedule {
    last_asked_at: Option<Timestamp>,
    is_under_way: bool,
    /// When a look is wanted that would not be due yet.
    wanted_at: Option<Timestamp>,
    back_off: BackOff,
    /// Since when every look has failed, if the last one did.
    failing_since: Option<Timestamp>,
    /// When there was an answer again after the last outage.
    recovered_at: Timestamp,
}

impl PollSchedule {
    /// Something suggests that there is something new to see.
    pub fn hint(&mut self) {
        self.wanted_at = Some(Timestamp::default());
    }

    /// Somebody outside says that there is something new to see. However often that is said, there
    /// are looks for it every few seconds only.
    pub fn nudge(&mut self) {
        let at = self.last_asked_at.unwrap_or_default() + NUDGE_PAUSE;
        self.wanted_at = Some(self.wanted_at.map_or(at, |wanted_at| wanted_at.min(at)));
    }

    /// When the next look is due, if none is under way.
    pub fn due_at(&self, interval: Duration) -> Option<Timestamp> {
        if self.is_under_way {
            return None;
        }
        let regular = self.last_asked_at.map(|asked_at| asked_at + interval);
        let wanted = self.wanted_at.unwrap_or(Timestamp::from_micros(u64::MAX));
        let due_at = regular.unwrap_or_default().min(wanted);
        Some(due_at.max(self.back_off.until()))
    }

    /// The question goes out.
    pub fn begin(&mut self, now: Timestamp) {
        self.is_under_way = true;
        self.wanted_at = None;
        self.last_asked_at = Some(now);
    }

    /// There is an answer.
    pub fn succeed(&mut self) {
        self.failing_since = None;
        self.is_under_way = false;
        self.back_off.succeed();
    }

    /// There is an answer, and if it ends an outage, that is remembered.
    pub fn recover(&mut self, now: Timestamp) {
        if self.is_out(now) {
            self.recovered_at = now;
        }
        self.succeed();
    }

    /// How long of the time since `since` could be waited for something to be seen: none of an
    /// outage, nor of what was before it.
    pub fn waited(&self, since: Timestamp, now: Timestamp) -> Duration {
        match self.is_out(now) {
            true => Duration::ZERO,
            false => now.since(since.max(self.recovered_at)),
        }
    }

    fn is_out(&self, now: Timestamp) -> bool {
        let failing_since = self.failing_since;
        failing_since.is_some_and(|since| now.since(since) >= OUTAGE)
    }

    /// There is none. `retry_after` is how long the other side wants to be left alone.
    pub fn fail(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.is_under_way = false;
        self.failing_since.get_or_insert(now);
        self.hint();
        self.back_off
            .fail(now, PAUSES, retry_after.unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn looked_at(seconds: u64) -> PollSchedule {
        let mut rhythm = PollSchedule::default();
        rhythm.begin(at(seconds));
        rhythm.succeed();
        rhythm
    }

    #[test]
    fn the_first_look_is_due_at_once_and_the_next_an_interval_later() {
        assert_eq!(PollSchedule::default().due_at(INTERVAL), Some(at(0)));
        assert_eq!(looked_at(100).due_at(INTERVAL), Some(at(110)));
    }

    #[test]
    fn there_is_one_look_at_a_time() {
        let mut rhythm = looked_at(100);
        rhythm.begin(at(110));
        rhythm.hint();
        assert_eq!(rhythm.due_at(INTERVAL), None);
    }

    #[test]
    fn a_hint_makes_the_next_look_due_at_once_even_one_that_came_during_a_look() {
        let mut rhythm = looked_at(100);
        rhythm.hint();
        assert_eq!(rhythm.due_at(INTERVAL), Some(at(0)));
        rhythm.begin(at(101));
        rhythm.hint();
        rhythm.succeed();
        assert_eq!(rhythm.due_at(INTERVAL), Some(at(0)));
    }

    #[test]
    fn whoever_nudges_gets_a_look_every_two_seconds_at_most() {
        let mut rhythm = looked_at(100);
        rhythm.nudge();
        rhythm.nudge();
        assert_eq!(rhythm.due_at(INTERVAL), Some(at(102)));
        rhythm.begin(at(102));
        rhythm.nudge();
        rhythm.succeed();
        assert_eq!(rhythm.due_at(INTERVAL), Some(at(104)));
        // What is known from inside is not kept waiting by it.
        rhythm.hint();
        rhythm.nudge();
        assert_eq!(rhythm.due_at(INTERVAL), Some(at(0)));
        assert_eq!(PollSchedule::default().due_at(INTERVAL), Some(at(0)));
    }

    #[test]
    fn a_look_that_failed_is_repeated_ever_more_slowly_whatever_the_hints() {
        let mut rhythm = looked_at(100);
        for (failed_at, pause) in [(110, 1), (112, 2), (115, 4)] {
            rhythm.begin(at(failed_at));
            rhythm.fail(at(failed_at), None);
            rhythm.hint();
            let due_at = rhythm.due_at(INTERVAL).unwrap();
            let earliest = at(failed_at + pause);
            let latest = earliest + Duration::from_secs(pause) / 2;
            assert!((earliest..latest).contains(&due_at), "{due_at:?}");
        }
        rhythm.begin(at(121));
        rhythm.succeed();
        assert_eq!(rhythm.due_at(INTERVAL), Some(at(131)));
    }

    #[test]
    fn an_outage_is_not_waited_through_and_a_failure_is() {
        let mut rhythm = looked_at(100);
        let waited = |rhythm: &PollSchedule, now| rhythm.waited(at(90), at(now)).as_secs();
        assert_eq!(waited(&rhythm, 110), 20);
        rhythm.begin(at(110));
        rhythm.fail(at(110), None);
        assert_eq!(waited(&rhythm, 169), 79);
        rhythm.recover(at(169));
        assert_eq!(waited(&rhythm, 200), 110);
        for failed_at in [200, 240, 4000] {
            rhythm.fail(at(failed_at), None);
        }
        assert_eq!((waited(&rhythm, 259), waited(&rhythm, 260)), (169, 0));
        rhythm.recover(at(4010));
        assert_eq!((waited(&rhythm, 4010), waited(&rhythm, 4030)), (0, 20));
        // What began since then has waited since then.
        assert_eq!(rhythm.waited(at(4020), at(4030)).as_secs(), 10);
    }

    #[test]
    fn one_who_wants_to_be_left_alone_is() {
        let mut rhythm = looked_at(100);
        rhythm.begin(at(110));
        rhythm.fail(at(110), Some(Duration::from_secs(3600)));
        let due_at = rhythm.due_at(INTERVAL).unwrap();
        assert!((at(3710)..at(3740)).contains(&due_at), "{due_at:?}");
    }
}

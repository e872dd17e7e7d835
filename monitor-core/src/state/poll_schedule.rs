//! When each kind of poll is due.
//!
//! Guests are listed every `poll_interval`. GitHub's list costs requests, so it may be as old as
//! `cache_timeout`, except while something is about to change at GitHub or an event suggests that it
//! has. A failed poll keeps the last result and is repeated with a growing pause.

use std::time::Duration;

use shared::{
    backoff::{Backoff, Failures},
    clock::Timestamp,
};

/// The pauses after failed polls.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
    jitter_percent: 50,
};

/// Minimum time between two polls that only events from outside requested.
const EXTERNAL_PAUSE: Duration = Duration::from_secs(2);

/// Failures in a row that last this long are an outage. Shorter ones are common and change nothing.
const OUTAGE: Duration = Duration::from_secs(60);

/// The schedule of one kind of poll.
#[derive(Clone, Copy, Debug, Default)]
pub struct PollSchedule {
    last_asked_at: Option<Timestamp>,
    is_in_flight: bool,
    /// When a poll is wanted that would not be due yet.
    wanted_at: Option<Timestamp>,
    failures: Failures,
    /// When the first of the failures in a row was; none if the last poll succeeded.
    failing_since: Option<Timestamp>,
    /// When the last outage ended.
    recovered_at: Timestamp,
}

impl PollSchedule {
    /// Makes the next poll due at once, because something is known to have changed.
    pub fn request_now(&mut self) {
        self.wanted_at = Some(Timestamp::default());
    }

    /// Makes the next poll due soon, because an event from outside reports a change. However many
    /// such events there are, they cause a poll every few seconds only.
    pub fn request_soon(&mut self) {
        let at = self.last_asked_at.unwrap_or_default() + EXTERNAL_PAUSE;
        self.wanted_at = Some(self.wanted_at.map_or(at, |wanted_at| wanted_at.min(at)));
    }

    /// When the next poll is due; none while one is in flight.
    pub fn due_at(&self, interval: Duration) -> Option<Timestamp> {
        if self.is_in_flight {
            return None;
        }
        let regular = self.last_asked_at.map(|asked_at| asked_at + interval);
        let wanted = self.wanted_at.unwrap_or(Timestamp::from_micros(u64::MAX));
        let due_at = regular.unwrap_or_default().min(wanted);
        Some(due_at.max(self.failures.retry_at()))
    }

    /// A poll is sent.
    pub fn start(&mut self, now: Timestamp) {
        self.is_in_flight = true;
        self.wanted_at = None;
        self.last_asked_at = Some(now);
    }

    /// A poll was answered.
    pub fn succeed(&mut self, now: Timestamp) {
        if self.is_outage(now) {
            self.recovered_at = now;
        }
        self.failing_since = None;
        self.is_in_flight = false;
        self.failures.reset();
    }

    /// A poll failed. `retry_after` is the pause that the other side asked for.
    pub fn fail(&mut self, now: Timestamp, retry_after: Option<Duration>) {
        self.is_in_flight = false;
        self.failing_since.get_or_insert(now);
        self.request_now();
        self.failures
            .record(now, BACKOFF, retry_after.unwrap_or_default());
    }

    /// How much of the time since `since` counts towards a timeout: nothing of an outage, in which a
    /// change could not have been observed, and nothing of the time before it.
    pub fn observable_time(&self, since: Timestamp, now: Timestamp) -> Duration {
        match self.is_outage(now) {
            true => Duration::ZERO,
            false => now.since(since.max(self.recovered_at)),
        }
    }

    fn is_outage(&self, now: Timestamp) -> bool {
        let failing_since = self.failing_since;
        failing_since.is_some_and(|since| now.since(since) >= OUTAGE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn polled_at(seconds: u64) -> PollSchedule {
        let mut schedule = PollSchedule::default();
        schedule.start(at(seconds));
        schedule.succeed(at(seconds));
        schedule
    }

    #[test]
    fn the_first_poll_is_due_at_once_and_the_next_an_interval_later() {
        assert_eq!(PollSchedule::default().due_at(INTERVAL), Some(at(0)));
        assert_eq!(polled_at(100).due_at(INTERVAL), Some(at(110)));
    }

    #[test]
    fn one_poll_is_in_flight_at_a_time() {
        let mut schedule = polled_at(100);
        schedule.start(at(110));
        schedule.request_now();
        assert_eq!(schedule.due_at(INTERVAL), None);
    }

    #[test]
    fn a_known_change_makes_the_next_poll_due_at_once_even_if_it_happens_during_a_poll() {
        let mut schedule = polled_at(100);
        schedule.request_now();
        assert_eq!(schedule.due_at(INTERVAL), Some(at(0)));
        schedule.start(at(101));
        schedule.request_now();
        schedule.succeed(at(101));
        assert_eq!(schedule.due_at(INTERVAL), Some(at(0)));
    }

    #[test]
    fn external_events_cause_a_poll_every_two_seconds_at_most() {
        let mut schedule = polled_at(100);
        schedule.request_soon();
        schedule.request_soon();
        assert_eq!(schedule.due_at(INTERVAL), Some(at(102)));
        schedule.start(at(102));
        schedule.request_soon();
        schedule.succeed(at(102));
        assert_eq!(schedule.due_at(INTERVAL), Some(at(104)));
        // A change that the monitor itself knows of does not wait for that.
        schedule.request_now();
        schedule.request_soon();
        assert_eq!(schedule.due_at(INTERVAL), Some(at(0)));
        assert_eq!(PollSchedule::default().due_at(INTERVAL), Some(at(0)));
    }

    #[test]
    fn a_failed_poll_is_repeated_with_a_growing_pause_whatever_is_requested() {
        let mut schedule = polled_at(100);
        for (failed_at, pause) in [(110, 1), (112, 2), (115, 4)] {
            schedule.start(at(failed_at));
            schedule.fail(at(failed_at), None);
            schedule.request_now();
            let due_at = schedule.due_at(INTERVAL).unwrap();
            let earliest = at(failed_at + pause);
            let latest = earliest + Duration::from_secs(pause) / 2;
            assert!((earliest..latest).contains(&due_at), "{due_at:?}");
        }
        schedule.start(at(121));
        schedule.succeed(at(121));
        assert_eq!(schedule.due_at(INTERVAL), Some(at(131)));
    }

    #[test]
    fn an_outage_does_not_count_towards_timeouts_and_a_short_failure_does() {
        let mut schedule = polled_at(100);
        let counted =
            |schedule: &PollSchedule, now| schedule.observable_time(at(90), at(now)).as_secs();
        assert_eq!(counted(&schedule, 110), 20);
        schedule.start(at(110));
        schedule.fail(at(110), None);
        assert_eq!(counted(&schedule, 169), 79);
        schedule.succeed(at(169));
        assert_eq!(counted(&schedule, 200), 110);
        for failed_at in [200, 240, 4000] {
            schedule.fail(at(failed_at), None);
        }
        assert_eq!((counted(&schedule, 259), counted(&schedule, 260)), (169, 0));
        schedule.succeed(at(4010));
        assert_eq!(
            (counted(&schedule, 4010), counted(&schedule, 4030)),
            (0, 20)
        );
        // What began after the outage counts from its own beginning.
        assert_eq!(schedule.observable_time(at(4020), at(4030)).as_secs(), 10);
    }

    #[test]
    fn a_requested_retry_after_is_respected() {
        let mut schedule = polled_at(100);
        schedule.start(at(110));
        schedule.fail(at(110), Some(Duration::from_secs(3600)));
        let due_at = schedule.due_at(INTERVAL).unwrap();
        assert!((at(3710)..at(3740)).contains(&due_at), "{due_at:?}");
    }
}

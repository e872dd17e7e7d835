//! Rate limits over windows of fixed length: GitHub's primary limit, and that on registrations.

use std::time::Duration;

use shared::clock::Timestamp;

/// The state of a rate limit, as in the `x-ratelimit-*` headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests per window.
    pub limit: u64,
    /// Requests in the current window.
    pub used_count: u64,
    /// When the current window ends.
    pub reset_at: Timestamp,
}

impl RateLimit {
    /// Requests that are left in the current window.
    pub fn remaining_count(&self) -> u64 {
        self.limit.saturating_sub(self.used_count)
    }
}

/// A rate limit over windows of fixed length. As at GitHub, a window begins with the first request
/// after the end of the one before.
#[derive(Clone, Debug)]
pub(super) struct Window {
    limit: u64,
    length: Duration,
    started_at: Timestamp,
    used_count: u64,
}

impl Window {
    pub(super) fn new(limit: u64, length: Duration, now: Timestamp) -> Self {
        Self {
            limit,
            length,
            started_at: now,
            used_count: 0,
        }
    }

    pub(super) fn state(&mut self, now: Timestamp) -> RateLimit {
        if now >= self.started_at + self.length {
            self.started_at = now;
            self.used_count = 0;
        }
        RateLimit {
            limit: self.limit,
            used_count: self.used_count,
            reset_at: self.started_at + self.length,
        }
    }

    /// Counts a request.
    ///
    /// # Errors
    /// When none is left: the time at which the next one is allowed.
    pub(super) fn count(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let state = self.state(now);
        if state.remaining_count() == 0 {
            return Err(state.reset_at);
        }
        self.used_count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_limit_is_reset_at_the_end_of_its_window() {
        let start = Timestamp::from_seconds(1_000);
        let end = start + Duration::from_secs(60);
        let mut window = Window::new(2, Duration::from_secs(60), start);
        assert_eq!(window.count(start), Ok(()));
        assert_eq!(window.state(start).remaining_count(), 1);
        assert_eq!(window.count(start), Ok(()));
        assert_eq!(window.count(end - Duration::from_micros(1)), Err(end));
        let full = window.state(start);
        assert_eq!((full.limit, full.used_count, full.reset_at), (2, 2, end));
        assert_eq!(window.count(end), Ok(()));
        assert_eq!(window.state(end).reset_at, end + Duration::from_secs(60));
    }
}

//! How many requests fit a stretch of time: GitHub's primary limit, and that on registrations.

use std::time::Duration;

use shared::clock::Timestamp;

/// What is left of a limit, as the `x-ratelimit-*` headers tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Requests per stretch.
    pub limit: u64,
    /// Requests made in this one.
    pub used_count: u64,
    /// When the next one begins.
    pub reset_at: Timestamp,
}

impl Allowance {
    /// Requests that still fit this stretch.
    pub fn remaining_count(&self) -> u64 {
        self.limit.saturating_sub(self.used_count)
    }
}

/// A limit over stretches of fixed length. The first begins with the first request, the next with
/// the first request after its end, as GitHub's do.
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

    /// What is left at `now`.
    pub(super) fn allowance(&mut self, now: Timestamp) -> Allowance {
        if now >= self.started_at + self.length {
            self.started_at = now;
            self.used_count = 0;
        }
        Allowance {
            limit: self.limit,
            used_count: self.used_count,
            reset_at: self.started_at + self.length,
        }
    }

    /// Counts one request, if it still fits; otherwise says when the next one will.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), Timestamp> {
        let allowance = self.allowance(now);
        if allowance.remaining_count() == 0 {
            return Err(allowance.reset_at);
        }
        self.used_count += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_holds_until_its_stretch_is_over() {
        let start = Timestamp::from_seconds(1_000);
        let end = start + Duration::from_secs(60);
        let mut window = Window::new(2, Duration::from_secs(60), start);
        assert_eq!(window.take(start), Ok(()));
        assert_eq!(window.allowance(start).remaining_count(), 1);
        assert_eq!(window.take(start), Ok(()));
        assert_eq!(window.take(end - Duration::from_micros(1)), Err(end));
        let full = window.allowance(start);
        assert_eq!((full.limit, full.used_count, full.reset_at), (2, 2, end));
        assert_eq!(window.take(end), Ok(()));
        assert_eq!(
            window.allowance(end).reset_at,
            end + Duration::from_secs(60)
        );
    }
}

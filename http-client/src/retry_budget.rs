//! Repeats a request within a deadline, with growing pauses.
//!
//! Responsible for the pauses and for ending before the deadline. Not responsible for deciding
//! whether a request may be repeated.

use std::time::Duration;

use shared::backoff::Backoff;
use tokio::time::{Instant, sleep};

/// How many times longer than the first the longest pause is.
const PAUSE_GROWTH_MAX: u32 = 10;
/// The most that jitter adds to a pause.
const JITTER_PERCENT: u32 = 50;

/// The time within which a request may be repeated.
#[derive(Debug)]
pub struct RetryBudget {
    deadline: Instant,
    backoff: Backoff,
    failures: u32,
}

impl RetryBudget {
    /// A budget of `timeout` from now on, with a first pause of `pause`; later pauses grow to ten
    /// times that.
    pub fn new(timeout: Duration, pause: Duration) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            backoff: Backoff {
                first: pause,
                max: pause * PAUSE_GROWTH_MAX,
                jitter_percent: JITTER_PERCENT,
            },
            failures: 0,
        }
    }

    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits before the next try, at least for the `Retry-After` that the other side sent.
    /// Returns `false`, without waiting, if the wait would end after the deadline.
    pub async fn wait_for_retry(&mut self, retry_after: Option<Duration>) -> bool {
        self.failures = self.failures.saturating_add(1);
        let at_least = retry_after.unwrap_or_default();
        let wait = self.backoff.pause(self.failures, at_least, rand::random());
        if wait >= self.remaining() {
            return false;
        }
        sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many seconds the budget waited; none if it did not allow another try.
    async fn wait(budget: &mut RetryBudget, retry_after: Option<u64>) -> Option<f64> {
        let before = Instant::now();
        let retry_after = retry_after.map(Duration::from_secs);
        let may_retry = budget.wait_for_retry(retry_after).await;
        may_retry.then(|| before.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_maximum_and_end_before_the_deadline() {
        let start = Instant::now();
        let mut budget = RetryBudget::new(Duration::from_secs(60), Duration::from_secs(1));
        let mut pauses = Vec::new();
        while let Some(pause) = wait(&mut budget, None).await {
            pauses.push(pause);
        }
        assert!(pauses.len() >= 6, "{pauses:?}");
        for (pause, shortest) in pauses
            .into_iter()
            .zip([1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0])
        {
            assert!(
                (shortest..shortest * 1.5 + 0.01).contains(&pause),
                "{pause}"
            );
        }
        assert!(start.elapsed() < Duration::from_secs(60));
        // The pause that would have been too long was not begun.
        assert!(budget.remaining() > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_at_least_retry_after_and_one_beyond_the_deadline_ends_the_tries() {
        let mut budget = RetryBudget::new(Duration::from_secs(20), Duration::from_secs(1));
        let pause = wait(&mut budget, Some(5)).await.unwrap();
        assert!((5.0..7.51).contains(&pause), "{pause}");
        let before = budget.remaining();
        assert_eq!(wait(&mut budget, Some(60)).await, None);
        assert_eq!(budget.remaining(), before);
    }
}

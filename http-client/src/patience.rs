//! Asking again what may be asked again: with growing pauses, within somebody's deadline.
//!
//! Owns the length of the pauses. Chance makes each a little longer, so that many who failed in the
//! same moment do not come back in the same moment.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How many times longer than the first the longest pause is.
const PAUSE_GROWTH_MAX: u32 = 10;

/// What is left of somebody's patience.
#[derive(Debug)]
pub struct Patience {
    deadline: Instant,
    pause: Duration,
    pause_max: Duration,
}

impl Patience {
    /// Lasts for `timeout`, and pauses for `pause` at first.
    pub fn new(timeout: Duration, pause: Duration) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            pause,
            pause_max: pause * PAUSE_GROWTH_MAX,
        }
    }

    /// What is left of the time.
    pub fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits before the next try, and at least for as long as the other side `asked`. False, at
    /// once, when the time would be over by then.
    pub async fn another_try(&mut self, asked: Option<Duration>) -> bool {
        let wait = asked.unwrap_or_default().max(self.pause);
        let wait = wait + self.pause.mul_f64(rand::random_range(0.0..0.5));
        self.pause = (self.pause * 2).min(self.pause_max);
        if wait >= self.left() {
            return false;
        }
        sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn wait(patience: &mut Patience, asked: Option<u64>) -> Option<f64> {
        let before = Instant::now();
        let may_go_on = patience.another_try(asked.map(Duration::from_secs)).await;
        may_go_on.then(|| before.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit_and_end_before_the_deadline() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(60), Duration::from_secs(1));
        let mut pauses = Vec::new();
        while let Some(pause) = wait(&mut patience, None).await {
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
        assert!(patience.left() > Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_other_side_asks_for_is_the_least_and_too_much_ends_it_at_once() {
        let mut patience = Patience::new(Duration::from_secs(20), Duration::from_secs(1));
        let pause = wait(&mut patience, Some(5)).await.unwrap();
        assert!((5.0..5.51).contains(&pause), "{pause}");
        let before = patience.left();
        assert_eq!(wait(&mut patience, Some(60)).await, None);
        assert_eq!(patience.left(), before);
    }
}

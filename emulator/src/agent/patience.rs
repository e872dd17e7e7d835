//! Trying again: with growing pauses, for a limited time.

use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How many times longer than the first the longest pause is.
const PAUSE_GROWTH_MAX: u32 = 10;

/// What is left of somebody's patience.
#[derive(Debug)]
pub(super) struct Patience {
    deadline: Instant,
    pause: Duration,
    pause_max: Duration,
}

impl Patience {
    /// Lasts for `timeout`, and pauses for `pause` at first.
    pub(super) fn new(timeout: Duration, pause: Duration) -> Self {
        Self {
            deadline: Instant::now() + timeout,
            pause,
            pause_max: pause * PAUSE_GROWTH_MAX,
        }
    }

    /// Waits before the next try, for as long as was asked for if that is reasonable. False, at
    /// once, when patience would be over by then.
    pub(super) async fn another_try(&mut self, asked: Option<Duration>) -> bool {
        let wait = asked
            .unwrap_or_default()
            .max(self.pause)
            .min(self.pause_max);
        self.pause = (self.pause * 2).min(self.pause_max);
        if Instant::now() + wait >= self.deadline {
            return false;
        }
        sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_a_limit_and_end_before_the_deadline() {
        let start = Instant::now();
        let mut patience = Patience::new(Duration::from_secs(30), Duration::from_secs(1));
        let mut pauses = Vec::new();
        let mut last = start;
        while patience.another_try(None).await {
            pauses.push((Instant::now() - last).as_secs());
            last = Instant::now();
        }
        assert_eq!(pauses, [1, 2, 4, 8, 10]);
        let mut patience = Patience::new(Duration::from_secs(1_000), Duration::from_secs(1));
        for (asked, expected) in [
            (None, 1),
            (Some(5), 5),
            (Some(999), 10),
            (Some(0), 8),
            (None, 10),
        ] {
            let before = Instant::now();
            assert!(patience.another_try(asked.map(Duration::from_secs)).await);
            assert_eq!((Instant::now() - before).as_secs(), expected, "{asked:?}");
        }
    }
}

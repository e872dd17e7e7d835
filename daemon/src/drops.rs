//! Whether anything was dropped lately, such as lines of the log: that is a problem for some time.

use std::time::Duration;

use shared::clock::Timestamp;

/// How long it is a problem after the last one.
const SHOWN_FOR: Duration = Duration::from_secs(600);

/// How many have been dropped, and when that was noticed last.
#[derive(Debug, Default)]
pub(crate) struct Drops {
    count: u64,
    noticed_at: Timestamp,
}

impl Drops {
    /// Whether any was dropped lately; `count` is how many there have been in all.
    pub(crate) fn are_recent(&mut self, count: u64, now: Timestamp) -> bool {
        if count > self.count {
            *self = Self {
                count,
                noticed_at: now,
            };
        }
        count > 0 && now.since(self.noticed_at) < SHOWN_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_drop_is_a_problem_for_ten_minutes() {
        let mut drops = Drops::default();
        for (seconds, count, expected) in [
            (1000, 0, false),
            (1001, 1, true),
            (1600, 1, true),
            (1601, 1, false),
            (1602, 3, true),
            (2202, 3, false),
        ] {
            let now = Timestamp::from_seconds(seconds);
            assert_eq!(drops.are_recent(count, now), expected, "{seconds}");
        }
    }
}

//! The last actions and their reasons, for the dashboard.
//!
//! Responsible for how many are kept. No decision depends on them.

use std::collections::VecDeque;

use shared::clock::Timestamp;

/// How many actions are kept.
const ACTIONS_MAX: usize = 50;

/// The last actions, newest first, and what could not be done.
#[derive(Clone, Debug, Default)]
pub struct ActionLog {
    /// When an action was begun, and its description with its reason.
    pub actions: VecDeque<(Timestamp, String)>,
    /// The runners that the last plan could not create, and why.
    pub shortfalls: Vec<String>,
}

impl ActionLog {
    /// Adds an action, and drops the oldest one if there are too many.
    pub fn record(&mut self, now: Timestamp, action: String) {
        self.actions.truncate(ACTIONS_MAX - 1);
        self.actions.push_front((now, action));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_actions_are_kept_newest_first() {
        let mut log = ActionLog::default();
        for number in 0..2 * ACTIONS_MAX {
            log.record(Timestamp::default(), number.to_string());
        }
        assert_eq!(log.actions.len(), ACTIONS_MAX);
        assert_eq!(log.actions[0].1, "99");
        assert_eq!(log.actions[ACTIONS_MAX - 1].1, "50");
    }
}

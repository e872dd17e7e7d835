//! What was done lately, and why, for people who look at the dashboard.
//!
//! Owns the length of that memory. Nothing is decided by it.

use std::collections::VecDeque;

use shared::clock::Timestamp;

/// How many steps are remembered.
const STEPS_MAX: usize = 50;

/// The last steps, newest first, and what could not be done.
#[derive(Clone, Debug, Default)]
pub struct ActionLog {
    /// When a step was begun, and its description with its reason.
    pub steps: VecDeque<(Timestamp, String)>,
    /// What the last plan would have liked to do, and why it did not.
    pub shortfalls: Vec<String>,
}

impl ActionLog {
    /// Remembers a step.
    pub fn note(&mut self, now: Timestamp, step: String) {
        self.steps.truncate(STEPS_MAX - 1);
        self.steps.push_front((now, step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_steps_are_remembered_newest_first() {
        let mut action_log = ActionLog::default();
        for number in 0..2 * STEPS_MAX {
            action_log.note(Timestamp::default(), number.to_string());
        }
        assert_eq!(action_log.steps.len(), STEPS_MAX);
        assert_eq!(action_log.steps[0].1, "99");
        assert_eq!(action_log.steps[STEPS_MAX - 1].1, "50");
    }
}

//! Fencing tokens that have been seen, so that outdated takes and releases can be ignored.
//!
//! Tokens of the same queue instance are ordered by their sequence. Tokens of different instances
//! are not comparable, and none is comparable with a time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::{clock::Timestamp, values::FencingToken};

/// Maximum number of queue instances that are distinguished for one `unique_id`. There is one, or
/// two for a moment.
const INSTANCES_MAX: usize = 16;

/// The latest fencing token of each queue instance: its sequence, by instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LatestTokens(BTreeMap<u64, u64>);

impl LatestTokens {
    /// Whether the token is the latest one of its instance, or an earlier one.
    pub fn covers(&self, token: FencingToken) -> bool {
        let latest = self.0.get(&token.instance);
        latest.is_some_and(|&latest| token.sequence <= latest)
    }

    /// Whether a later token of the same instance is known.
    pub fn has_later_than(&self, token: FencingToken) -> bool {
        let latest = self.0.get(&token.instance);
        latest.is_some_and(|&latest| token.sequence < latest)
    }

    /// Records a token unless it is covered. Returns whether it was not.
    pub fn record(&mut self, token: FencingToken) -> bool {
        let is_covered = self.covers(token);
        let has_room = self.0.len() < INSTANCES_MAX || self.0.contains_key(&token.instance);
        if !is_covered && has_room {
            self.0.insert(token.instance, token.sequence);
        }
        !is_covered
    }

    /// Forgets the token of one instance.
    pub fn remove(&mut self, instance: u64) {
        self.0.remove(&instance);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The latest token of each instance.
    pub fn iter(&self) -> impl Iterator<Item = FencingToken> {
        let tokens = self.0.iter();
        tokens.map(|(&instance, &sequence)| FencingToken { instance, sequence })
    }
}

/// Tokens that have been released: takes with them, or with earlier ones, are refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Fence {
    // The name in the state file is that of format version 1.
    #[serde(rename = "attempts")]
    pub released: LatestTokens,
    /// When a token was last added.
    pub set_at: Timestamp,
}

impl Fence {
    /// Adds a token. Harmless if it is covered already.
    pub fn raise(&mut self, token: FencingToken, now: Timestamp) {
        self.released.record(token);
        self.set_at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(instance: u64, sequence: u64) -> FencingToken {
        FencingToken { instance, sequence }
    }

    #[test]
    fn a_token_covers_itself_and_earlier_ones_of_its_instance_only() {
        let mut latest = LatestTokens::default();
        assert!(latest.record(token(1, 5)));
        for (other, is_covered, is_overtaken) in [
            (token(1, 4), true, true),
            (token(1, 5), true, false),
            (token(1, 6), false, false),
            (token(2, 4), false, false),
        ] {
            assert_eq!(latest.covers(other), is_covered, "{other:?}");
            assert_eq!(latest.has_later_than(other), is_overtaken, "{other:?}");
        }
        assert!(!latest.record(token(1, 4)));
        assert_eq!(latest.iter().collect::<Vec<_>>(), [token(1, 5)]);
    }

    #[test]
    fn instances_beyond_the_limit_are_not_recorded_and_known_ones_still_are() {
        let mut latest = LatestTokens::default();
        for instance in 0..20 {
            assert!(latest.record(token(instance, 1)), "new, recorded or not");
        }
        assert_eq!(latest.iter().count(), INSTANCES_MAX);
        assert!(latest.record(token(0, 2)));
        assert!(latest.covers(token(0, 2)));
        latest.remove(0);
        assert!(latest.record(token(19, 1)), "there is room again");
        assert!(latest.covers(token(19, 1)));
    }
}

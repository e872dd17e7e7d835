//! The rules in force, how often each has struck, and who waits to be released.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;
use shared::clock::Timestamp;
use tokio::sync::watch;

use super::{Fault, FaultId, FaultRule};
use crate::{bell::Bell, model::Refusal};

/// The most rules at once, spent ones included.
const RULE_COUNT_MAX: usize = 1_000;

/// The faults of one emulator.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Rules>,
    bell: Bell,
}

#[derive(Debug, Default)]
struct Rules {
    last_id: u64,
    armed: BTreeMap<FaultId, Armed>,
    clock_skew_seconds: i64,
}

#[derive(Debug)]
struct Armed {
    rule: FaultRule,
    hit_count: u32,
    /// Becomes true when the rule is released. Dropped with the rule, which also releases.
    released: watch::Sender<bool>,
}

impl Armed {
    fn is_spent(&self) -> bool {
        *self.released.borrow() || self.rule.times.is_some_and(|times| self.hit_count >= times)
    }
}

/// A rule as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultView {
    /// Its number.
    pub id: FaultId,
    /// What was asked for.
    pub rule: FaultRule,
    /// How many requests it has struck.
    pub hit_count: u32,
}

/// What happens to one request.
#[derive(Debug)]
pub(crate) struct Strike {
    pub(crate) fault: Fault,
    pub(crate) release: Release,
}

/// Where a held request waits.
#[derive(Debug)]
pub(crate) struct Release(watch::Receiver<bool>);

impl Release {
    /// Ends when the rule is released or cleared.
    pub(crate) async fn wait(mut self) {
        let _ = self.0.wait_for(|&is_released| is_released).await;
    }
}

impl Faults {
    pub(crate) fn new(bell: Bell) -> Self {
        Self {
            rules: Mutex::default(),
            bell,
        }
    }

    /// Puts a rule in force. Of several that fit a request, the oldest that is not spent strikes.
    pub fn add(&self, rule: FaultRule) -> Result<FaultId, Refusal> {
        rule.check()?;
        let mut rules = self.rules.lock();
        if rules.armed.len() >= RULE_COUNT_MAX {
            return Err(Refusal::Full { what: "faults" });
        }
        rules.last_id += 1;
        let id = FaultId(rules.last_id);
        let armed = Armed {
            rule,
            hit_count: 0,
            released: watch::Sender::new(false),
        };
        rules.armed.insert(id, armed);
        Ok(id)
    }

    /// All rules, spent ones included, oldest first.
    pub fn all(&self) -> Vec<FaultView> {
        let view = |(&id, armed): (&FaultId, &Armed)| FaultView {
            id,
            rule: armed.rule.clone(),
            hit_count: armed.hit_count,
        };
        self.rules.lock().armed.iter().map(view).collect()
    }

    /// How many requests a rule has struck; 0 once it is cleared.
    pub fn hit_count(&self, id: FaultId) -> u32 {
        self.rules
            .lock()
            .armed
            .get(&id)
            .map_or(0, |armed| armed.hit_count)
    }

    /// Lets go whatever a rule holds, and ends it. Says whether there is such a rule.
    pub fn release(&self, id: FaultId) -> bool {
        let rules = self.rules.lock();
        let armed = rules.armed.get(&id);
        armed
            .map(|armed| armed.released.send_replace(true))
            .is_some()
    }

    /// Removes a rule, and lets go whatever it holds. Says whether there was such a rule.
    pub fn clear(&self, id: FaultId) -> bool {
        self.rules.lock().armed.remove(&id).is_some()
    }

    /// Removes all rules, lets go whatever they hold, and sets the clock right.
    pub fn clear_all(&self) {
        let mut rules = self.rules.lock();
        rules.armed.clear();
        rules.clock_skew_seconds = 0;
    }

    /// How far GitHub's clock, as its answers show it, is ahead of ours; negative if behind.
    pub fn set_clock_skew(&self, seconds: i64) {
        self.rules.lock().clock_skew_seconds = seconds;
    }

    /// `moment` as answers show it.
    pub(crate) fn shown(&self, moment: Timestamp) -> Timestamp {
        let seconds = self.rules.lock().clock_skew_seconds;
        let skew = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 {
            moment - skew
        } else {
            moment + skew
        }
    }

    /// What happens to a request that has just arrived.
    pub(crate) fn strike(&self, method: &str, path: &str) -> Option<Strike> {
        let mut rules = self.rules.lock();
        let is_meant = |armed: &&mut Armed| !armed.is_spent() && armed.rule.strikes(method, path);
        let armed = rules.armed.values_mut().find(is_meant)?;
        armed.hit_count += 1;
        let strike = Strike {
            fault: armed.rule.fault.clone(),
            release: Release(armed.released.subscribe()),
        };
        drop(rules);
        self.bell.ring();
        Some(strike)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::PathMatch;

    fn faults() -> Faults {
        Faults::new(Bell::new())
    }

    fn rule(fault: Fault) -> FaultRule {
        FaultRule::on("GET", PathMatch::Prefix("/".into()), fault)
    }

    fn struck(faults: &Faults) -> Option<Fault> {
        faults.strike("GET", "/a").map(|strike| strike.fault)
    }

    #[test]
    fn a_rule_strikes_as_often_as_it_says_and_then_the_next_one() {
        let faults = faults();
        let once = faults.add(rule(Fault::DropRequest).next(1)).unwrap();
        let always = faults.add(rule(Fault::DropAnswer)).unwrap();
        assert_eq!(faults.strike("POST", "/a").map(|strike| strike.fault), None);
        assert_eq!(struck(&faults), Some(Fault::DropRequest));
        for _ in 0..3 {
            assert_eq!(struck(&faults), Some(Fault::DropAnswer));
        }
        assert_eq!((faults.hit_count(once), faults.hit_count(always)), (1, 3));
        let seen: Vec<_> = faults
            .all()
            .iter()
            .map(|view| (view.id, view.hit_count))
            .collect();
        assert_eq!(seen, [(once, 1), (always, 3)]);
        assert!(faults.clear(always) && !faults.clear(always));
        assert_eq!(struck(&faults), None);
    }

    #[test]
    fn what_is_held_is_let_go_by_release_and_by_clearing() {
        for release in [
            (|faults, id| assert!(Faults::release(faults, id))) as fn(&Faults, FaultId),
            |faults, id| assert!(faults.clear(id)),
            |faults, _| faults.clear_all(),
        ] {
            let faults = faults();
            let id = faults.add(rule(Fault::HoldAnswer)).unwrap();
            let mut held = faults.strike("GET", "/a").unwrap().release.0;
            assert!(matches!(held.has_changed(), Ok(false)));
            release(&faults, id);
            assert!(!matches!(held.has_changed(), Ok(false)));
            assert_eq!(struck(&faults), None);
            let _ = held.borrow_and_update();
        }
        assert!(!faults().release(FaultId(1)));
    }

    #[test]
    fn the_clock_can_be_wrong_either_way_until_all_is_cleared() {
        let faults = faults();
        let moment = Timestamp::from_seconds(1_000);
        for (skew, shown) in [(0, 1_000), (30, 1_030), (-30, 970), (i64::MIN, 0)] {
            faults.set_clock_skew(skew);
            assert_eq!(
                faults.shown(moment),
                Timestamp::from_seconds(shown),
                "{skew}"
            );
        }
        faults.clear_all();
        assert_eq!(faults.shown(moment), moment);
    }

    #[test]
    fn rules_are_bounded_and_checked() {
        let faults = faults();
        assert!(matches!(
            faults.add(rule(Fault::status(99))),
            Err(Refusal::Invalid(_))
        ));
        for _ in 0..RULE_COUNT_MAX {
            faults.add(rule(Fault::DropAnswer)).unwrap();
        }
        let refusal = faults.add(rule(Fault::DropAnswer));
        assert_eq!(refusal, Err(Refusal::Full { what: "faults" }));
    }
}

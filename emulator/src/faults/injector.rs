//! Decides which fault is injected into a request: the rules, how often each was applied, and what
//! they hold.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;
use shared::clock::Timestamp;
use tokio::sync::watch;

use super::{Fault, FaultId, FaultRule};
use crate::{model::ModelError, notify::Notifier};

/// Maximum number of rules, including those that are used up.
const RULE_COUNT_MAX: usize = 1_000;

/// The fault rules of one emulator, and its clock skew.
#[derive(Debug)]
pub struct Faults {
    rules: Mutex<Rules>,
    notifier: Notifier,
}

#[derive(Debug, Default)]
struct Rules {
    last_id: u64,
    active: BTreeMap<FaultId, ActiveRule>,
    clock_skew_seconds: i64,
}

#[derive(Debug)]
struct ActiveRule {
    rule: FaultRule,
    hit_count: u32,
    /// Becomes true when the rule is released. Dropping it with the rule has the same effect.
    released: watch::Sender<bool>,
}

impl ActiveRule {
    fn is_used_up(&self) -> bool {
        *self.released.borrow() || self.rule.times.is_some_and(|times| self.hit_count >= times)
    }
}

/// A rule and how often it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultView {
    pub id: FaultId,
    pub rule: FaultRule,
    /// The number of requests it was applied to.
    pub hit_count: u32,
}

/// A fault to inject into one request.
#[derive(Debug)]
pub(crate) struct Injection {
    pub(crate) fault: Fault,
    pub(crate) release: Release,
}

/// Waits for the release of a held request.
#[derive(Debug)]
pub(crate) struct Release(watch::Receiver<bool>);

impl Release {
    /// Returns when the rule is released or cleared.
    pub(crate) async fn wait(mut self) {
        let _ = self.0.wait_for(|&is_released| is_released).await;
    }
}

impl Faults {
    pub(crate) fn new(notifier: Notifier) -> Self {
        Self {
            rules: Mutex::default(),
            notifier,
        }
    }

    /// Adds a rule. If several match a request, the oldest that is not used up is applied.
    pub fn add(&self, rule: FaultRule) -> Result<FaultId, ModelError> {
        rule.check()?;
        let mut rules = self.rules.lock();
        if rules.active.len() >= RULE_COUNT_MAX {
            return Err(ModelError::Full { what: "faults" });
        }
        rules.last_id += 1;
        let id = FaultId(rules.last_id);
        let active = ActiveRule {
            rule,
            hit_count: 0,
            released: watch::Sender::new(false),
        };
        rules.active.insert(id, active);
        Ok(id)
    }

    /// All rules, including those that are used up, oldest first.
    pub fn all(&self) -> Vec<FaultView> {
        let view = |(&id, active): (&FaultId, &ActiveRule)| FaultView {
            id,
            rule: active.rule.clone(),
            hit_count: active.hit_count,
        };
        self.rules.lock().active.iter().map(view).collect()
    }

    /// The number of requests a rule was applied to; 0 after it was cleared.
    pub fn hit_count(&self, id: FaultId) -> u32 {
        self.rules
            .lock()
            .active
            .get(&id)
            .map_or(0, |active| active.hit_count)
    }

    /// Releases all requests that a rule holds, and ends the rule. Returns whether the rule exists.
    pub fn release(&self, id: FaultId) -> bool {
        let rules = self.rules.lock();
        let active = rules.active.get(&id);
        active
            .map(|active| active.released.send_replace(true))
            .is_some()
    }

    /// Removes a rule, and releases all requests that it holds. Returns whether the rule existed.
    pub fn clear(&self, id: FaultId) -> bool {
        self.rules.lock().active.remove(&id).is_some()
    }

    /// Removes all rules, releases all held requests, and resets the clock skew.
    pub fn clear_all(&self) {
        let mut rules = self.rules.lock();
        rules.active.clear();
        rules.clock_skew_seconds = 0;
    }

    /// Sets how far GitHub's clock, as shown in responses, is ahead of ours; negative if behind.
    pub fn set_clock_skew(&self, seconds: i64) {
        self.rules.lock().clock_skew_seconds = seconds;
    }

    /// Converts a time to the time that responses show.
    pub(crate) fn with_clock_skew(&self, moment: Timestamp) -> Timestamp {
        let seconds = self.rules.lock().clock_skew_seconds;
        let skew = Duration::from_secs(seconds.unsigned_abs());
        if seconds < 0 {
            moment - skew
        } else {
            moment + skew
        }
    }

    /// The fault to inject into a request that has arrived, if any.
    pub(crate) fn next_injection(&self, method: &str, path: &str) -> Option<Injection> {
        let mut rules = self.rules.lock();
        let applies =
            |active: &&mut ActiveRule| !active.is_used_up() && active.rule.matches(method, path);
        let active = rules.active.values_mut().find(applies)?;
        active.hit_count += 1;
        let injection = Injection {
            fault: active.rule.fault.clone(),
            release: Release(active.released.subscribe()),
        };
        drop(rules);
        self.notifier.notify();
        Some(injection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::PathMatch;

    fn faults() -> Faults {
        Faults::new(Notifier::new())
    }

    fn rule(fault: Fault) -> FaultRule {
        FaultRule::on("GET", PathMatch::Prefix("/".into()), fault)
    }

    fn injected(faults: &Faults) -> Option<Fault> {
        faults
            .next_injection("GET", "/a")
            .map(|injection| injection.fault)
    }

    #[test]
    fn a_rule_is_applied_as_often_as_it_says_then_the_next_one() {
        let faults = faults();
        let once = faults.add(rule(Fault::DropRequest).next(1)).unwrap();
        let always = faults.add(rule(Fault::DropAnswer)).unwrap();
        assert_eq!(
            faults
                .next_injection("POST", "/a")
                .map(|injection| injection.fault),
            None
        );
        assert_eq!(injected(&faults), Some(Fault::DropRequest));
        for _ in 0..3 {
            assert_eq!(injected(&faults), Some(Fault::DropAnswer));
        }
        assert_eq!((faults.hit_count(once), faults.hit_count(always)), (1, 3));
        let seen: Vec<_> = faults
            .all()
            .iter()
            .map(|view| (view.id, view.hit_count))
            .collect();
        assert_eq!(seen, [(once, 1), (always, 3)]);
        assert!(faults.clear(always) && !faults.clear(always));
        assert_eq!(injected(&faults), None);
    }

    #[test]
    fn held_requests_are_released_by_release_and_by_clearing() {
        for release in [
            (|faults, id| assert!(Faults::release(faults, id))) as fn(&Faults, FaultId),
            |faults, id| assert!(faults.clear(id)),
            |faults, _| faults.clear_all(),
        ] {
            let faults = faults();
            let id = faults.add(rule(Fault::HoldAnswer)).unwrap();
            let mut held = faults.next_injection("GET", "/a").unwrap().release.0;
            assert!(matches!(held.has_changed(), Ok(false)));
            release(&faults, id);
            assert!(!matches!(held.has_changed(), Ok(false)));
            assert_eq!(injected(&faults), None);
            let _ = held.borrow_and_update();
        }
        assert!(!faults().release(FaultId(1)));
    }

    #[test]
    fn the_clock_skew_lasts_until_all_is_cleared() {
        let faults = faults();
        let moment = Timestamp::from_seconds(1_000);
        for (skew, shown) in [(0, 1_000), (30, 1_030), (-30, 970), (i64::MIN, 0)] {
            faults.set_clock_skew(skew);
            assert_eq!(
                faults.with_clock_skew(moment),
                Timestamp::from_seconds(shown),
                "{skew}"
            );
        }
        faults.clear_all();
        assert_eq!(faults.with_clock_skew(moment), moment);
    }

    #[test]
    fn rules_are_validated_and_limited_in_number() {
        let faults = faults();
        assert!(matches!(
            faults.add(rule(Fault::status(99))),
            Err(ModelError::Invalid(_))
        ));
        for _ in 0..RULE_COUNT_MAX {
            faults.add(rule(Fault::DropAnswer)).unwrap();
        }
        let refusal = faults.add(rule(Fault::DropAnswer));
        assert_eq!(refusal, Err(ModelError::Full { what: "faults" }));
    }
}

//! Invariant 11: targets that follow demand do not go back and forth.
//!
//! Responsible for noticing it from outside: by the targets that a server shows, and by what it plans.

use std::{collections::BTreeMap, time::Duration};

use monitor_core::{Action, Monitor, Plan, Reason};
use shared::{
    clock::Timestamp,
    values::ProfileKey,
    wire::{RunnerCounts, TargetReason},
};

/// How long runners that were made because jobs waited are not given up again.
const RAISED_FOR: Duration = Duration::from_secs(120);

/// The profiles of a server whose targets were raised because jobs waited.
#[derive(Default)]
pub struct Raised {
    /// The last target that was shown, and when one was last raised.
    profiles: BTreeMap<ProfileKey, (usize, Option<Timestamp>)>,
}

impl Raised {
    /// Observes a plan and the targets that it follows. Returns what must not be.
    pub fn observe(&mut self, core: &Monitor, plan: &Plan, now: Timestamp) -> Vec<String> {
        let Some(view) = core.view() else {
            return Vec::new();
        };
        let all = view.dashboard.profile_runner_counts;
        let follows_demand = all.values().any(|counts| counts.target_reason.is_some());
        if !follows_demand {
            // What waits is not known any more, or nothing follows from it.
            self.profiles.clear();
        }
        for (profile_key, counts) in &all {
            self.see(profile_key, counts, now);
        }
        let steps = plan.steps.iter().filter(|_| follows_demand);
        let given_up = steps.filter_map(|step| match (&step.action, &step.reason) {
            (Action::Destroy(id, profile_key), Reason::BeyondTarget) => Some((id, profile_key)),
            _ => None,
        });
        let too_early = given_up.filter_map(|(id, profile_key)| {
            let raised_at = self.profiles.get(profile_key)?.1?;
            (now.since(raised_at) < RAISED_FOR).then(|| {
                format!("the idle runner {id} ({profile_key}) is given up soon after jobs waited for more")
            })
        });
        too_early.collect()
    }

    fn see(&mut self, profile_key: &ProfileKey, counts: &RunnerCounts, now: Timestamp) {
        let known = self.profiles.entry(profile_key.clone());
        let (target, raised_at) = known.or_insert((counts.target, None));
        if counts.target > *target && counts.target_reason == Some(TargetReason::Demand) {
            *raised_at = Some(now);
        }
        *target = counts.target;
    }
}

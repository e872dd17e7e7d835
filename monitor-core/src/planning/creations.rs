//! Which runners are created, and what prevents it.

use std::collections::BTreeMap;

use shared::{clock::Timestamp, values::ProfileKey, wire::RunnerCounts};

use super::{
    plan::{Action, Plan, Shortfall},
    reason::{Obstacle, Reason},
};
use crate::{Monitor, Resources, state::runner::InFlight};

/// Maximum number of runners that are being created at a time: guests that boot together slow each
/// other down.
const CREATIONS_MAX: usize = 8;

impl Monitor {
    /// Adds creations until all targets are reached or nothing more can be created. `in_use` is what
    /// is in use when they begin; none if that is unknown.
    pub(super) fn plan_creations(
        &self,
        now: Timestamp,
        may_create: bool,
        mut in_use: Option<Resources>,
        plan: &mut Plan,
    ) {
        let mut counts = self.counts();
        let mut in_flight = self.runners_in_flight(InFlight::Creating).count();
        let mut next_id = self.durable.next_id;
        while let Some(profile_key) = furthest_below_target(&counts) {
            let profile = self.policy.profiles.get(&profile_key);
            let needs = profile.map(|it| it.needs).unwrap_or_default();
            let after = in_use.map(|in_use| in_use + needs);
            let fits = after.is_some_and(|after| after.fits_in(self.capacity()));
            let failures = self.creation_failures.get(&profile_key);
            let failures = failures.copied().unwrap_or_default();
            let obstacle = if !may_create {
                Obstacle::Destructions
            } else if self.lacks_image(&profile_key) {
                Obstacle::NoImage
            } else if failures.retry_at() > now {
                Obstacle::BackOff {
                    failure_count: failures.count(),
                    retry_in: failures.retry_at().since(now),
                }
            } else if in_flight >= CREATIONS_MAX {
                Obstacle::Creations
            } else if !fits {
                Obstacle::Capacity { needs, in_use }
            } else {
                let action = Action::Create(next_id, profile_key.clone());
                plan.add(action, Reason::BelowTarget);
                next_id = next_id.next();
                in_use = after;
                in_flight += 1;
                if let Some(counts) = counts.get_mut(&profile_key) {
                    counts.healthy += 1;
                    counts.wanted -= 1;
                }
                continue;
            };
            let wanted = counts.remove(&profile_key).map(|counts| counts.wanted);
            plan.shortfalls.push(Shortfall {
                profile_key,
                count: wanted.unwrap_or_default(),
                obstacle,
            });
        }
    }
}

/// The profile that has the smallest share of its target; of several such, the first by name. So
/// no profile gets everything where there is too little for all.
fn furthest_below_target(counts: &BTreeMap<ProfileKey, RunnerCounts>) -> Option<ProfileKey> {
    let wanting = counts.iter().filter(|(_, counts)| counts.wanted > 0);
    let first = wanting.min_by(|(_, one), (_, other)| {
        // one.healthy / one.target against other.healthy / other.target, without division
        (one.healthy * other.target).cmp(&(other.healthy * one.target))
    });
    first.map(|(profile_key, _)| profile_key.clone())
}

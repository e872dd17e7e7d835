//! Eviction: destroying idle runners so that an image rebuild fits, or a runner of a profile that has less than
//! its share while another has more.
//!
//! As few as the rebuild needs, those of its own profile first, because they run on the old image.
//! Reserved and busy runners are never evicted; if the idle ones are not enough, none is, and the
//! rebuild waits for jobs to end.
//!
//! Nothing else gets the room: while a runner is still to be destroyed nothing is created, and after
//! that the rebuild is planned before any new runner.

use std::{cmp::Reverse, collections::BTreeMap};

use shared::{clock::Timestamp, values::ProfileKey, wire::RunnerStatus};

use super::reason::Reason;
use crate::{
    Monitor, Resources, RunnerId,
    state::runner::{InFlight, RunnerRecord},
};

impl Monitor {
    /// Adds to `to_destroy` the runners that make room for the first rebuild that can get any.
    pub(super) fn evict_for_rebuild(
        &self,
        now: Timestamp,
        to_destroy: &mut BTreeMap<RunnerId, Reason>,
    ) {
        let Some(remaining) = self.resources_after(to_destroy) else {
            return;
        };
        for (profile_key, _) in self.due_rebuilds(now) {
            let Some(profile) = self.policy.profiles.get(profile_key) else {
                continue;
            };
            let needed = remaining + profile.needs;
            if let Some(evicted) = self.evictions_for(profile_key, needed, to_destroy) {
                let reason = Reason::Evicted(profile_key.clone());
                to_destroy.extend(evicted.into_iter().map(|id| (id, reason.clone())));
                return;
            }
        }
    }

    /// Adds to `to_destroy` idle runners beyond the shares of their profiles, as many as make room for the runners
    /// that other profiles lack to theirs. Such runners were created when the shares were others, as before a
    /// profile had an image. They are not replaced: none is created beyond its share.
    pub(super) fn evict_for_shares(
        &self,
        now: Timestamp,
        to_destroy: &mut BTreeMap<RunnerId, Reason>,
    ) {
        let Some(mut in_use) = self.resources_in_use() else {
            return;
        };
        let (shares, counts, capacity) = (self.shares(), self.counts(), self.capacity());
        let share = |profile_key: &ProfileKey| shares.get(profile_key).copied().unwrap_or_default();
        let beyond = counts.iter().map(|(profile_key, counts)| {
            let count = counts.healthy.saturating_sub(share(profile_key));
            (profile_key, count)
        });
        let mut beyond: BTreeMap<&ProfileKey, usize> = beyond.collect();
        for (profile_key, counts) in &counts {
            let lacking = share(profile_key).saturating_sub(counts.healthy);
            let Some(profile) = self.policy.profiles.get(profile_key) else {
                continue;
            };
            if self.creation_obstacle(profile_key, now).is_some() {
                continue;
            }
            for _ in 0..lacking {
                let (mut needed, mut left) = (in_use + profile.needs, beyond.clone());
                let mut evicted = Vec::new();
                for (id, record) in self.eviction_candidates(profile_key, to_destroy) {
                    if needed.fits_in(capacity) {
                        break;
                    }
                    let needs = record.needs.unwrap_or_default();
                    let count = left
                        .get_mut(&record.profile_key)
                        .filter(|count| **count > 0);
                    if let Some(count) = count
                        && needed.fits_better_without(needs, capacity)
                    {
                        *count -= 1;
                        needed = needed - needs;
                        evicted.push(id);
                    }
                }
                if !needed.fits_in(capacity) {
                    break;
                }
                (in_use, beyond) = (needed, left);
                let reason = Reason::BeyondShare(profile_key.clone());
                to_destroy.extend(evicted.into_iter().map(|id| (id, reason.clone())));
            }
        }
    }

    /// What will be in use once all runners are gone that can be expected to go.
    fn resources_after(&self, to_destroy: &BTreeMap<RunnerId, Reason>) -> Option<Resources> {
        self.resources_of(|id, record| {
            let is_going =
                to_destroy.contains_key(&id) || record.in_flight == Some(InFlight::Destroying);
            !is_going || record.is_stuck()
        })
    }

    /// The runners to evict so that `needed` fits; none if even all idle runners are not enough.
    fn evictions_for(
        &self,
        profile_key: &ProfileKey,
        mut needed: Resources,
        to_destroy: &BTreeMap<RunnerId, Reason>,
    ) -> Option<Vec<RunnerId>> {
        let capacity = self.capacity();
        let mut evicted = Vec::new();
        for (id, record) in self.eviction_candidates(profile_key, to_destroy) {
            if needed.fits_in(capacity) {
                break;
            }
            let needs = record.needs.unwrap_or_default();
            // A runner that uses nothing of the scarce resource would be destroyed in vain.
            if needed.fits_better_without(needs, capacity) {
                needed = needed - needs;
                evicted.push(id);
            }
        }
        needed.fits_in(capacity).then_some(evicted)
    }

    /// The idle runners that can be destroyed, in the order in which they are evicted: those of the
    /// profile first, then the newest, as for runners beyond the target.
    fn eviction_candidates(
        &self,
        profile_key: &ProfileKey,
        to_destroy: &BTreeMap<RunnerId, Reason>,
    ) -> Vec<(RunnerId, &RunnerRecord)> {
        let idle = self
            .statuses()
            .into_iter()
            .filter(|(_, status)| *status == RunnerStatus::Idle)
            .map(|(id, _)| (id, &self.durable.runners[&id]));
        let mut candidates: Vec<_> = idle
            .filter(|(id, record)| {
                record.in_flight.is_none() && !to_destroy.contains_key(id) && !record.is_stuck()
            })
            .collect();
        candidates.sort_by_key(|(id, record)| (record.profile_key != *profile_key, Reverse(*id)));
        candidates
    }
}

#[cfg(test)]
mod tests;

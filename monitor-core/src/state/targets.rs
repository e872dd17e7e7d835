//! How many runners of each profile there should be, and how many there are.

use std::collections::BTreeMap;

use shared::{
    values::ProfileKey,
    wire::{RunnerCounts, RunnerStatus, TargetReason},
};

use super::monitor::Monitor;
use crate::Resources;

impl Monitor {
    /// How many runners of each profile there should be now.
    pub(crate) fn targets(&self) -> BTreeMap<ProfileKey, usize> {
        let mut targets = self.base_targets();
        if self.follows_demand() {
            let adjusted = self.demand.adjusted().iter();
            targets.extend(adjusted.map(|(key, it)| (key.clone(), it.target)));
        }
        targets
    }

    /// Whether targets may follow what jobs wait for.
    pub(crate) fn follows_demand(&self) -> bool {
        self.policy.makes_runners && self.drained().is_none() && self.target_override().is_none()
    }

    /// Why the target of a profile is another one than that of the settings.
    pub(crate) fn target_reason(&self, profile_key: &ProfileKey) -> Option<TargetReason> {
        if self.target_override().is_some() {
            return Some(TargetReason::Override);
        }
        let adjusted = self.demand.adjusted().get(profile_key);
        let adjusted = adjusted.filter(|_| self.follows_demand())?;
        Some(adjusted.reason)
    }

    /// How many runners of each profile there should be, whatever jobs wait for.
    pub(crate) fn base_targets(&self) -> BTreeMap<ProfileKey, usize> {
        let profiles = self.policy.profiles.iter();
        if self.drained().is_some() || !self.policy.makes_runners {
            return profiles.map(|(key, _)| (key.clone(), 0)).collect();
        }
        let mut targets = self.overridden_targets();
        let is_overridden = !targets.is_empty();
        let mut needs = self.needs_of(&targets);
        for (key, profile) in profiles {
            if targets.contains_key(key) {
                continue;
            }
            let fits =
                |count: &usize| (needs + profile.needs.times(*count)).fits_in(self.capacity());
            // The targets of the settings may exceed the capacity; then there are simply fewer
            // runners. Those of an override must be reached, so the other profiles make room.
            let target = match is_overridden {
                true => (0..=profile.target_count).rev().find(fits).unwrap_or(0),
                false => profile.target_count,
            };
            needs = needs + profile.needs.times(target);
            targets.insert(key.clone(), target);
        }
        targets
    }

    fn overridden_targets(&self) -> BTreeMap<ProfileKey, usize> {
        let target_override = self.durable.target_override.iter();
        target_override
            .flat_map(|it| it.remaining(&self.durable.runners))
            .filter(|(key, _)| self.policy.profiles.contains_key(*key))
            .map(|(key, count)| (key.clone(), count))
            .collect()
    }

    /// What so many runners of these profiles use of the server.
    pub(crate) fn needs_of(&self, counts: &BTreeMap<ProfileKey, usize>) -> Resources {
        let each = counts.iter().filter_map(|(key, count)| {
            let profile = self.policy.profiles.get(key)?;
            Some(profile.needs.times(*count))
        });
        each.sum()
    }

    /// Runners and target of each profile, including profiles that have left the settings while
    /// they still have runners.
    pub(crate) fn counts(&self) -> BTreeMap<ProfileKey, RunnerCounts> {
        let mut all: BTreeMap<ProfileKey, RunnerCounts> = BTreeMap::new();
        for (id, status) in self.statuses() {
            let record = &self.durable.runners[&id];
            let counts = all.entry(record.profile_key.clone()).or_default();
            let is_useless = matches!(status, RunnerStatus::Starting | RunnerStatus::Busy);
            if is_useless && record.is_stuck() {
                // GitHub refuses to delete it: others take its place, where there is room for them.
                continue;
            }
            match status {
                RunnerStatus::Starting => counts.started_or_crashed += 1,
                RunnerStatus::Idle => counts.idle += 1,
                RunnerStatus::Reserved => counts.reserved += 1,
                RunnerStatus::Busy => counts.busy += 1,
                RunnerStatus::Invalid | RunnerStatus::Done => {}
            }
        }
        for (profile_key, target) in self.targets() {
            all.entry(profile_key).or_default().target = target;
        }
        for counts in all.values_mut() {
            counts.healthy =
                counts.started_or_crashed + counts.idle + counts.reserved + counts.busy;
            counts.wanted = counts.target.saturating_sub(counts.healthy);
            let excess = counts.healthy.saturating_sub(counts.target);
            counts.excess_healthy = excess.min(counts.idle);
        }
        all
    }
}

//! Which runners are created, and what prevents it.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    format,
    operator::Intervention,
    values::ProfileKey,
    wire::{DelayedRunners, MissingRunners, RunnerCounts},
};

use super::{
    plan::{Action, Plan, Shortfall},
    reason::{Obstacle, Reason},
};
use crate::{
    Monitor, Policy, ProfilePolicy, Resources, RunnerId,
    state::{
        monitor::CreationFailures,
        observed::Presence,
        runner::{InFlight, RunnerRecord},
    },
};

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
        let shares = self.shares();
        let mut in_flight = self.runners_in_flight(InFlight::Creating).count();
        let mut next_id = self.durable.next_id;
        while let Some(profile_key) = furthest_below_target(&counts) {
            let profile = self.policy.profiles.get(&profile_key);
            let needs = profile.map(|it| it.needs).unwrap_or_default();
            let after = in_use.map(|in_use| in_use + needs);
            let fits = after.is_some_and(|after| after.fits_in(self.capacity()));
            let existing = counts.get(&profile_key).map_or(0, |counts| counts.healthy);
            let share = shares.get(&profile_key).copied().unwrap_or_default();
            let obstacle = if !may_create {
                Obstacle::Destructions
            } else if let Some(obstacle) = self.creation_obstacle(&profile_key, now) {
                obstacle
            } else if in_flight >= CREATIONS_MAX {
                Obstacle::Creations
            } else if !fits {
                Obstacle::Capacity { needs, in_use }
            } else if existing >= share {
                Obstacle::Share
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

    /// Why no runner of a profile can be created now, whatever room there is.
    pub(super) fn creation_obstacle(
        &self,
        profile_key: &ProfileKey,
        now: Timestamp,
    ) -> Option<Obstacle> {
        let profile = self.policy.profiles.get(profile_key);
        let is_virtual = profile.is_some_and(ProfilePolicy::is_virtual);
        let failures = self.creation_failures.get(profile_key);
        let failures = failures.map(|it| it.failures).unwrap_or_default();
        if is_virtual && self.observed.are_machines_unlisted {
            Some(Obstacle::NoHypervisor)
        } else if self.lacks_image(profile_key) {
            Some(Obstacle::NoImage {
                is_built_here: profile.is_some_and(|profile| profile.builds_image),
            })
        } else if failures.retry_at() > now {
            Some(Obstacle::BackOff {
                failure_count: failures.count(),
                retry_in: failures.retry_at().since(now),
            })
        } else {
            None
        }
    }
}

impl Monitor {
    /// The counts that a queue hears: with the targets that this host can reach. A queue gathers runners
    /// for a job as long as the targets suffice, so a target that is never reached would keep it, and all
    /// jobs behind it, waiting for ever.
    pub(crate) fn offered_counts(&self) -> BTreeMap<ProfileKey, RunnerCounts> {
        let reachable = self.reachable_targets(self.targets(), true);
        let mut counts = self.counts();
        for (profile_key, counts) in &mut counts {
            let reachable = reachable.get(profile_key).copied().unwrap_or_default();
            counts.target = counts.target.min(reachable);
            counts.wanted = counts.target.saturating_sub(counts.healthy);
            counts.max = self.most_on_demand(profile_key);
            counts.target_reason = self.target_reason(profile_key);
        }
        counts
    }

    /// The runners that the settings ask for and this host can hold, and that queues do not hear of, with the
    /// reason. They are no part of the targets, so that no job waits for them, but of what there could be.
    pub(crate) fn missing_runners(
        &self,
        offered: &BTreeMap<ProfileKey, RunnerCounts>,
    ) -> BTreeMap<ProfileKey, MissingRunners> {
        let possible = self.fitting_targets(self.policy.targets(), Resources::default());
        // Runners that make room for others, which jobs wait for, are not missing.
        let base = self.reachable_targets(self.base_targets(), true);
        let missing = possible.into_iter().filter_map(|(profile_key, possible)| {
            let target = offered.get(&profile_key).map_or(0, |counts| counts.target);
            let target = target.max(base.get(&profile_key).copied().unwrap_or_default());
            let count = possible.checked_sub(target).filter(|count| *count > 0)?;
            let reason = self.why_missing(&profile_key);
            Some((profile_key, MissingRunners { count, reason }))
        });
        missing.collect()
    }

    /// The runners within these targets that cannot be created for now, with the reason. Queues are offered them,
    /// because it may end at any moment, so that jobs wait for them. The texts do not change with the time.
    pub(crate) fn delayed_runners(
        &self,
        offered: &BTreeMap<ProfileKey, RunnerCounts>,
    ) -> BTreeMap<ProfileKey, DelayedRunners> {
        let now = self.now;
        let has_room = |profile_key: &ProfileKey| {
            let profile = self.policy.profiles.get(profile_key);
            let needs = profile.map(|it| it.needs).unwrap_or_default();
            let in_use = self.resources_in_use();
            in_use.is_some_and(|in_use| (in_use + needs).fits_in(self.capacity()))
                || self.has_pending_destructions(&self.runners_to_destroy(now))
        };
        let wanting = offered.iter().filter(|(_, counts)| counts.wanted > 0);
        let delayed = wanting.filter_map(|(profile_key, counts)| {
            let reason = match self.creation_obstacle(profile_key, now) {
                Some(Obstacle::BackOff { failure_count, .. }) => {
                    let known = self.creation_failures.get(profile_key);
                    let cause = known.map(CreationFailures::last_failure).unwrap_or_default();
                    let runners = format::count(
                        usize::try_from(failure_count).unwrap_or(usize::MAX),
                        "runner of it in a row has failed",
                        "runners of it in a row have failed",
                    );
                    match cause.is_empty() {
                        true => runners,
                        false => format!("{runners} (the last: {cause})"),
                    }
                }
                Some(obstacle) => obstacle.to_string(),
                None if has_room(profile_key) => return None,
                None => "there is no room for it until a runner of another profile or the build of an image ends"
                    .to_owned(),
            };
            let count = counts.wanted;
            Some((profile_key.clone(), DelayedRunners { count, reason }))
        });
        delayed.collect()
    }

    /// Why queues do not hear of runners that there could be: a clause.
    fn why_missing(&self, profile_key: &ProfileKey) -> String {
        match self.drained() {
            Some(drain) => ordered(drain, "drained it"),
            None if !self.policy.makes_runners => "its settings let it make none".to_owned(),
            None if self.lacks_image(profile_key) => "the profile has no image yet".to_owned(),
            None => match self.target_override() {
                Some(set) => ordered(&set.order, "set temporary targets"),
                None => "runners that cannot be destroyed occupy its capacity".to_owned(),
            },
        }
    }

    /// How many runners of each profile there can be at once with these targets: as creations would share
    /// the capacity among all profiles; if `counts_blocking`, without that of runners which are kept for
    /// long although they do nothing.
    pub(crate) fn reachable_targets(
        &self,
        targets: BTreeMap<ProfileKey, usize>,
        counts_blocking: bool,
    ) -> BTreeMap<ProfileKey, usize> {
        let (blocked_counts, in_use) = match counts_blocking {
            true => self.blocked(),
            false => (BTreeMap::new(), Resources::default()),
        };
        let targets = targets.into_iter().map(|(profile_key, target)| {
            let blocked = blocked_counts.get(&profile_key).copied();
            let target = match self.lacks_image(&profile_key) {
                true => 0,
                false => target.saturating_sub(blocked.unwrap_or_default()),
            };
            (profile_key, target)
        });
        self.fitting_targets(targets.collect(), in_use)
    }

    /// The share of each profile: how many healthy runners of it there can be at once with the current targets
    /// while every other profile has its share, too. None is created beyond it, even if the others do not use
    /// theirs for the moment: an idle runner might keep it from them for ever.
    pub(super) fn shares(&self) -> BTreeMap<ProfileKey, usize> {
        let mut shares = self.reachable_targets(self.targets(), true);
        for (profile_key, count) in self.blocked().0 {
            *shares.entry(profile_key.clone()).or_default() += count;
        }
        shares
    }

    /// The runners that are kept for long although they do nothing: how many of each profile count as
    /// healthy, and what all of them use.
    pub(super) fn blocked(&self) -> (BTreeMap<&ProfileKey, usize>, Resources) {
        let mut counts: BTreeMap<&ProfileKey, usize> = BTreeMap::new();
        let mut in_use = Resources::default();
        let records = self.durable.runners.iter();
        for (_, record) in records.filter(|(id, record)| self.blocks_capacity(**id, record)) {
            in_use = in_use + record.needs.unwrap_or_default();
            if !record.is_stuck() {
                *counts.entry(&record.profile_key).or_default() += 1;
            }
        }
        (counts, in_use)
    }

    /// How many runners of each profile fit on this host beside what is in use, up to these targets.
    fn fitting_targets(
        &self,
        targets: BTreeMap<ProfileKey, usize>,
        in_use: Resources,
    ) -> BTreeMap<ProfileKey, usize> {
        self.policy
            .fitting_targets(targets, in_use, self.capacity())
    }

    /// Whether a runner has occupied its capacity for long without being of use: it cannot be destroyed,
    /// or its job may have ended long ago without evidence of that. A moment does not count, such as an
    /// outage of GitHub: queues refuse jobs that need more than the targets.
    fn blocks_capacity(&self, id: RunnerId, record: &RunnerRecord) -> bool {
        let has_guest = self.observed.guest(id, record) != Presence::Absent;
        let stuck_since = record.destroy_failures.since();
        let stuck_since = stuck_since.filter(|_| record.is_stuck());
        let is_stuck_for_long = stuck_since.is_some_and(|since| self.is_long_ago(since));
        has_guest && (is_stuck_for_long || self.lacks_evidence_since(id, record).is_some())
    }
}

impl Policy {
    /// The targets of the settings.
    fn targets(&self) -> BTreeMap<ProfileKey, usize> {
        let profiles = self.profiles.iter();
        let targets = profiles.map(|(key, profile)| (key.clone(), profile.target_count));
        targets.collect()
    }

    /// The targets that exceed what the settings allow runners to use: the profile, its target, and how many
    /// runners of it there can be beside those of the other profiles.
    pub fn unreachable_targets(&self) -> Vec<(ProfileKey, usize, usize)> {
        let targets = self.targets();
        let reachable = self.fitting_targets(targets.clone(), Resources::default(), self.capacity);
        let unreachable = targets.into_iter().filter_map(|(key, target)| {
            let reachable = reachable.get(&key).copied().unwrap_or_default();
            (self.makes_runners && reachable < target).then_some((key, target, reachable))
        });
        unreachable.collect()
    }

    /// How many runners of each profile fit into a capacity beside what is in use, up to these targets: as
    /// creations would share the capacity.
    fn fitting_targets(
        &self,
        targets: BTreeMap<ProfileKey, usize>,
        mut in_use: Resources,
        capacity: Resources,
    ) -> BTreeMap<ProfileKey, usize> {
        let counts = targets.into_iter().map(|(profile_key, target)| {
            let counts = RunnerCounts {
                target,
                wanted: target,
                ..RunnerCounts::default()
            };
            (profile_key, counts)
        });
        let mut counts: BTreeMap<ProfileKey, RunnerCounts> = counts.collect();
        let mut reachable = BTreeMap::new();
        while let Some(profile_key) = furthest_below_target(&counts) {
            let profile = self.profiles.get(&profile_key);
            let after = in_use + profile.map(|it| it.needs).unwrap_or_default();
            match counts.get_mut(&profile_key) {
                Some(counts) if after.fits_in(capacity) => {
                    counts.healthy += 1;
                    counts.wanted -= 1;
                    in_use = after;
                    reachable.insert(profile_key, counts.healthy);
                }
                _ => {
                    counts.remove(&profile_key);
                }
            }
        }
        reachable
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

/// `alice@laptop drained it at 2026-12-24T10:00:05Z (new memory)`
fn ordered(order: &Intervention, what: &str) -> String {
    let (author, at) = (order.author_or_operator(), order.since.date_and_time());
    match order.note.as_str() {
        "" => format!("{author} {what} at {at}"),
        note => format!("{author} {what} at {at} ({note})"),
    }
}

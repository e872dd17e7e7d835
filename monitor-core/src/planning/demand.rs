//! Targets that follow demand: idle capacity of other profiles becomes what jobs wait for.
//!
//! Responsible for the targets only. The plan reaches them like any others: idle runners beyond the target of
//! their profile are destroyed, then those below the target of theirs are created.
//!
//! The capacity is shared out in this order, and within each step equally:
//!
//! 1. runners that are in use or start: they are never given up;
//! 2. the fewest that the settings let each profile keep, `min_count`;
//! 3. what jobs wait for, first up to `target_count`, then up to `max_count`: what jobs of one profile wait for never
//!    takes from others what these would have without it. It counts once it has been asked for during [`SETTLES_AFTER`], and
//!    only of profiles whose runners can be created now. A waiting job is certain to use its runner, an idle
//!    runner of a profile without waiting jobs may be used later: so the first comes before the second;
//! 4. runners that exist: nothing is destroyed without need. What a profile has beyond `target_count` is kept for
//!    [`KEPT_FOR`], then makes room;
//! 5. what the settings ask for, `target_count`. So after a burst the successors of its runners are of the
//!    profiles that made room.
//!
//! A profile that was given more runners keeps them for [`RAISED_FOR`] even if jobs wait for others, so that its
//! target does not go up and down.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::{
    clock::Timestamp,
    values::ProfileKey,
    wire::{RunnerCounts, TargetReason},
};

use crate::{
    Monitor, ProfilePolicy, Resources,
    state::demand::{AdjustedTarget, ProfileDemand},
};

/// How long jobs must have waited for more runners before these are made: what is idle is assigned at once, and
/// reports and statements pass each other on their way.
const SETTLES_AFTER: Duration = Duration::from_secs(3);
/// How long a profile keeps runners that were made for waiting jobs, even if jobs wait for other profiles.
const RAISED_FOR: Duration = Duration::from_secs(120);
/// How long idle runners beyond `target_count` are kept after jobs have waited for them, if no job waits for
/// another profile.
const KEPT_FOR: Duration = Duration::from_secs(30 * 60);

/// What is shared out to one profile, and between which limits.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    needs: Resources,
    /// What it has in any case: in use, starting, or made for waiting jobs a short time ago.
    fixed: usize,
    min: usize,
    /// In use, and what jobs wait for.
    demand: usize,
    /// Existing ones, as far as they are kept.
    kept: usize,
    base: usize,
    /// What it is given.
    share: usize,
}

impl Monitor {
    /// Records what a queue states in its poll: of each profile, how many runners besides those in use it could give
    /// jobs to at once. It counts for half a minute, or until the queue states something else.
    pub fn handle_demand(
        &mut self,
        queue: u64,
        counts: BTreeMap<ProfileKey, usize>,
        now: Timestamp,
    ) {
        if self.has_elastic_profiles() {
            self.demand.record(queue, counts, now);
            self.review_targets(now);
        }
    }

    /// How many runners of a profile, besides those in use, queues could give jobs to, as they have stated.
    pub fn demand_for(&self, profile_key: &ProfileKey) -> usize {
        self.demand.of(profile_key)
    }

    /// Lets the targets follow what jobs wait for. To be called before each plan.
    pub fn review_targets(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        let is_known = self.demand.expire(self.now);
        if !is_known || !self.is_ready() || !self.follows_demand() {
            return self.demand.reset();
        }
        let counts = self.counts();
        for profile_key in self.policy.profiles.keys() {
            let counts = counts.get(profile_key).cloned().unwrap_or_default();
            let accepted = self.accept_demand(profile_key, &counts);
            self.demand.set_profile(profile_key, accepted);
        }
        let pools = self.shared_out(&counts);
        let base = self.base_targets();
        let mut adjusted = BTreeMap::new();
        for (profile_key, pool) in pools {
            let profile = self.policy.profiles.get(&profile_key);
            let Some(profile) = profile.filter(|it| it.is_elastic()) else {
                continue;
            };
            let base = base.get(&profile_key).copied().unwrap_or_default();
            let target = pool.share.min(profile.max_count);
            let before = self.demand.adjusted().get(&profile_key);
            let mut known = self.demand.profile(&profile_key);
            if target > base && target <= pool.demand {
                known.exceeded_at = Some(self.now);
                if target > before.map_or(base, |it| it.target) {
                    known.raised_at = Some(self.now);
                }
            }
            self.demand.set_profile(&profile_key, known);
            let reason = match target {
                _ if target == base => continue,
                _ if target < base => TargetReason::Yielded,
                _ if target <= pool.demand => TargetReason::Demand,
                _ => TargetReason::Kept,
            };
            adjusted.insert(profile_key, AdjustedTarget { target, reason });
        }
        self.demand.set_adjusted(adjusted);
    }

    /// How many runners of a profile there could be at once if jobs waited for them; none if no target of this server
    /// follows demand now.
    pub(super) fn most_on_demand(&self, profile_key: &ProfileKey) -> Option<usize> {
        if !self.has_elastic_profiles() || !self.follows_demand() {
            return None;
        }
        let profile = self.policy.profiles.get(profile_key)?;
        if self.lacks_image(profile_key) {
            return Some(0);
        }
        let others = self.policy.profiles.iter();
        let others = others.filter(|(key, _)| *key != profile_key);
        let others: Resources = others.map(|(_, it)| it.needs.times(it.min_count)).sum();
        let (_, blocked) = self.blocked();
        let fits = |count: &usize| {
            (others + blocked + profile.needs.times(*count)).fits_in(self.capacity())
        };
        Some((0..=profile.max_count).rev().find(fits).unwrap_or(0))
    }

    fn has_elastic_profiles(&self) -> bool {
        let mut profiles = self.policy.profiles.values();
        profiles.any(|profile| profile.is_elastic())
    }

    /// What of the demand for a profile is granted from now on.
    fn accept_demand(&self, profile_key: &ProfileKey, counts: &RunnerCounts) -> ProfileDemand {
        let mut known = self.demand.profile(profile_key);
        let waiting = self.demand.of(profile_key);
        let asked = match waiting {
            0 => 0,
            waiting => counts.busy + counts.reserved + waiting,
        };
        // What exists already costs nothing.
        known.accepted = known.accepted.max(counts.healthy).min(asked);
        known.pending = match known.pending {
            _ if asked <= known.accepted => None,
            None => Some((asked, self.now)),
            Some((least, since)) => Some((least.min(asked), since)),
        };
        if let Some((least, since)) = known.pending
            && self.now.since(since) >= SETTLES_AFTER
        {
            known.accepted = known.accepted.max(least);
            known.pending = (asked > least).then_some((asked, self.now));
        }
        known
    }

    /// Shares the capacity out to all profiles.
    fn shared_out(
        &self,
        counts: &BTreeMap<ProfileKey, RunnerCounts>,
    ) -> BTreeMap<ProfileKey, Pool> {
        let base = self.base_targets();
        let profiles = self.policy.profiles.iter();
        let pools = profiles.map(|(profile_key, profile)| {
            let counts = counts.get(profile_key).cloned().unwrap_or_default();
            let base = base.get(profile_key).copied().unwrap_or_default();
            (
                profile_key.clone(),
                self.pool(profile_key, profile, &counts, base),
            )
        });
        let mut pools: BTreeMap<ProfileKey, Pool> = pools.collect();
        let (blocked_counts, blocked) = self.blocked();
        let fixed = pools.iter().map(|(profile_key, pool)| {
            let blocked = blocked_counts.get(profile_key).copied();
            pool.needs
                .times(pool.fixed - blocked.unwrap_or_default().min(pool.fixed))
        });
        let mut in_use = blocked + self.images.resources_in_use() + fixed.sum();
        for goal in [
            |pool: &Pool| pool.min,
            |pool: &Pool| pool.demand.min(pool.base),
            |pool: &Pool| pool.demand,
            |pool: &Pool| pool.kept,
            |pool: &Pool| pool.base,
        ] {
            in_use = raise_shares(&mut pools, goal, in_use, self.capacity());
        }
        pools
    }

    fn pool(
        &self,
        profile_key: &ProfileKey,
        profile: &ProfilePolicy,
        counts: &RunnerCounts,
        base: usize,
    ) -> Pool {
        let known = self.demand.profile(profile_key);
        let adjusted = self.demand.adjusted().get(profile_key);
        let is_since =
            |at: Option<Timestamp>, limit| at.is_some_and(|at| self.now.since(at) < limit);
        let may_be_created = self.creation_obstacle(profile_key, self.now).is_none();
        let demand = known.accepted.min(profile.max_count);
        // Those that are reserved or busy, or start, whatever the targets are.
        let in_use = counts.healthy - counts.idle;
        let fixed = match is_since(known.raised_at, RAISED_FOR) {
            true => counts.healthy,
            false => in_use,
        };
        let kept = match adjusted {
            Some(adjusted) if is_since(known.exceeded_at, KEPT_FOR) => adjusted.target.max(base),
            _ => base,
        };
        Pool {
            needs: profile.needs,
            fixed,
            min: profile.min_count.min(base),
            demand: match may_be_created {
                true => demand,
                false => demand.min(counts.healthy),
            },
            kept: kept.min(counts.healthy),
            base,
            share: fixed,
        }
    }
}

/// Gives each pool runners up to its goal, one after the other to the one that has the smallest share of its goal; of
/// several such, the first by name. Returns what is in use then.
fn raise_shares(
    pools: &mut BTreeMap<ProfileKey, Pool>,
    goal: impl Fn(&Pool) -> usize,
    mut in_use: Resources,
    capacity: Resources,
) -> Resources {
    let mut is_full: BTreeSet<ProfileKey> = BTreeSet::new();
    loop {
        let below = pools
            .iter()
            .filter(|(key, pool)| pool.share < goal(pool) && !is_full.contains(*key));
        let next = below.min_by(|(_, one), (_, other)| {
            (one.share * goal(other)).cmp(&(other.share * goal(one)))
        });
        let Some(profile_key) = next.map(|(key, _)| key.clone()) else {
            return in_use;
        };
        let after = in_use + pools[&profile_key].needs;
        match pools.get_mut(&profile_key) {
            Some(pool) if after.fits_in(capacity) => {
                pool.share += 1;
                in_use = after;
            }
            _ => drop(is_full.insert(profile_key)),
        }
    }
}

#[cfg(test)]
mod tests;

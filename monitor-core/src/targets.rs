//! Temporary targets: so many runners of some profiles, once, whatever the settings say.
//!
//! Owns how such an override begins, what it means for the targets of the other profiles, and its
//! end: when all its runners have come and gone. Runners that are gone are not replaced.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::{clock::Timestamp, values::ProfileKey, wire::RunnerStatus};

use crate::{Monitor, Resources, RunnerId};

/// The most runners of one profile that can be asked for.
const COUNT_MAX: usize = 1000;

/// Temporary targets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Override {
    /// When it was set.
    pub since: Timestamp,
    /// How many runners of each profile are wanted.
    pub counts: BTreeMap<ProfileKey, usize>,
    /// The runners that have come for it, of each profile, those that are gone again included.
    pub come: BTreeMap<ProfileKey, BTreeSet<RunnerId>>,
}

/// Why an override cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverrideRefusal {
    /// There is no such profile.
    UnknownProfile(ProfileKey),
    /// It wants no runner at all, so it would be over at once.
    Empty,
    /// All of it together would never fit on this host.
    BeyondCapacity {
        /// What it would take.
        needs: Resources,
        /// What there is.
        capacity: Resources,
    },
}

impl Monitor {
    /// The temporary targets, if there are any.
    pub fn target_override(&self) -> Option<&BTreeMap<ProfileKey, usize>> {
        self.durable.target_override.as_ref().map(|it| &it.counts)
    }

    /// Sets temporary targets, in place of any there were.
    ///
    /// # Errors
    /// See [`OverrideRefusal`]; then nothing is changed.
    pub fn set_override(
        &mut self,
        counts: BTreeMap<ProfileKey, usize>,
        now: Timestamp,
    ) -> Result<u64, OverrideRefusal> {
        if let Some(unknown) = counts
            .keys()
            .find(|it| !self.policy.profiles.contains_key(*it))
        {
            return Err(OverrideRefusal::UnknownProfile(unknown.clone()));
        }
        if counts.values().all(|count| *count == 0) {
            return Err(OverrideRefusal::Empty);
        }
        let needs = self.needs_of(&counts);
        let capacity = self.capacity();
        if !needs.fits_in(capacity) || counts.values().any(|count| *count > COUNT_MAX) {
            return Err(OverrideRefusal::BeyondCapacity { needs, capacity });
        }
        let come = BTreeMap::new();
        self.durable.target_override = Some(Override {
            since: now,
            counts,
            come,
        });
        self.note_override_progress();
        self.mark_dirty();
        Ok(self.revision)
    }

    /// Ends temporary targets. Gives those that were in force, and the revision to be saved.
    pub fn cancel_override(&mut self) -> (Option<BTreeMap<ProfileKey, usize>>, u64) {
        let cancelled = self.durable.target_override.take();
        if cancelled.is_some() {
            self.mark_dirty();
        }
        (cancelled.map(|it| it.counts), self.revision)
    }

    /// How many runners of each profile there should be now.
    pub(crate) fn targets(&self) -> BTreeMap<ProfileKey, usize> {
        let profiles = self.policy.profiles.iter();
        if !self.policy.makes_runners {
            return profiles.map(|(key, _)| (key.clone(), 0)).collect();
        }
        let mut targets: BTreeMap<ProfileKey, usize> = match &self.durable.target_override {
            Some(target_override) => self.remaining_of(target_override),
            None => BTreeMap::new(),
        };
        let is_overridden = !targets.is_empty();
        let mut needs = self.needs_of(&targets);
        for (key, profile) in profiles {
            if targets.contains_key(key) {
                continue;
            }
            let fits =
                |count: &usize| (needs + profile.needs.times(*count)).fits_in(self.capacity());
            // The settings may want more than fits, and then simply get less. An override has to
            // find room, which is made by the targets of the other profiles.
            let target = match is_overridden {
                true => (0..=profile.target_count).rev().find(fits).unwrap_or(0),
                false => profile.target_count,
            };
            needs = needs + profile.needs.times(target);
            targets.insert(key.clone(), target);
        }
        targets
    }

    /// What an override still wants: those that have come and gone are not replaced.
    fn remaining_of(&self, target_override: &Override) -> BTreeMap<ProfileKey, usize> {
        let counts = target_override.counts.iter();
        counts
            .filter(|(key, _)| self.policy.profiles.contains_key(*key))
            .map(|(key, count)| {
                let come = target_override.come.get(key).into_iter().flatten();
                let gone = come
                    .filter(|id| !self.durable.runners.contains_key(id))
                    .count();
                (key.clone(), count.saturating_sub(gone))
            })
            .collect()
    }

    fn needs_of(&self, counts: &BTreeMap<ProfileKey, usize>) -> Resources {
        let each = counts.iter().filter_map(|(key, count)| {
            let profile = self.policy.profiles.get(key)?;
            Some(profile.needs.times(*count))
        });
        each.sum()
    }

    /// Counts the runners that have come for the override, and ends it after the last has gone.
    pub(crate) fn note_override_progress(&mut self) {
        let statuses = self.statuses();
        let Some(target_override) = &mut self.durable.target_override else {
            return;
        };
        let mut has_news = false;
        for (id, record) in &self.durable.runners {
            // A runner that had its job before the override is not one that it asked for.
            let has_come = match statuses.get(id) {
                Some(RunnerStatus::Idle) => true,
                Some(RunnerStatus::Reserved | RunnerStatus::Busy) => {
                    record.created_at >= target_override.since
                }
                _ => false,
            };
            let count = target_override
                .counts
                .get(&record.profile_key)
                .filter(|_| has_come);
            let Some(count) = count else {
                continue;
            };
            let come = target_override
                .come
                .entry(record.profile_key.clone())
                .or_default();
            if come.len() < *count {
                has_news |= come.insert(*id);
            }
        }
        let is_over = target_override.counts.iter().all(|(key, count)| {
            let come = target_override.come.get(key).map_or(0, BTreeSet::len);
            let mut ids = target_override.come.get(key).into_iter().flatten();
            come >= *count && !ids.any(|id| self.durable.runners.contains_key(id))
        });
        if is_over {
            self.durable.target_override = None;
        }
        if has_news || is_over {
            self.mark_dirty();
        }
    }
}

#[cfg(test)]
mod tests;

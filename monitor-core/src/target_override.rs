//! Overrides: temporary targets, whatever the settings want.
//!
//! Responsible for setting, cancelling and ending them. What they mean for the targets of the other
//! profiles is in `state::targets`.

use std::collections::BTreeMap;

use shared::{
    clock::Timestamp,
    operator::{Intervention, Order},
    values::ProfileKey,
    wire::{self, RunnerStatus},
};

use crate::{Monitor, Resources, state::target_override::TargetOverride};

/// Maximum number of runners of one profile in an override.
pub(crate) const COUNT_MAX: usize = 1000;

/// Why an override is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverrideRefusal {
    UnknownProfile(ProfileKey),
    /// It wants no runner at all, so it would end at once.
    Empty,
    /// Its runners would never fit on this server together.
    BeyondCapacity {
        /// What they would use.
        needs: Resources,
        /// What all runners together may use.
        capacity: Resources,
    },
}

impl Monitor {
    /// The temporary targets and their order, if an override is set.
    pub fn target_override(&self) -> Option<wire::TargetOverride> {
        let set = self.durable.target_override.as_ref()?;
        Some(wire::TargetOverride {
            targets: set.counts.clone(),
            order: set.order.clone(),
        })
    }

    /// Whether the settings have a profile of this name.
    pub fn has_profile(&self, name: &str) -> bool {
        self.policy.profiles.keys().any(|key| key.as_str() == name)
    }

    /// Sets temporary targets, replacing those of an earlier override. Returns the revision that has to
    /// be on disk before the override may be confirmed.
    ///
    /// # Errors
    /// See [`OverrideRefusal`]; then nothing has changed.
    pub fn set_override(
        &mut self,
        counts: BTreeMap<ProfileKey, usize>,
        order: Order,
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
        self.durable.target_override = Some(TargetOverride {
            order: Intervention::order(None, order, now),
            counts,
            arrived: BTreeMap::new(),
        });
        self.note_override_progress();
        self.mark_dirty();
        Ok(self.revision())
    }

    /// Ends an override. Returns its targets, if one was set, and the revision that has to be on disk
    /// before that may be confirmed.
    pub fn cancel_override(&mut self) -> (Option<BTreeMap<ProfileKey, usize>>, u64) {
        let cancelled = self.durable.target_override.take();
        if cancelled.is_some() {
            self.mark_dirty();
        }
        (cancelled.map(|it| it.counts), self.revision())
    }

    /// Records the runners that have come online for the override, and ends it once the last of
    /// them has gone.
    pub(crate) fn note_override_progress(&mut self) {
        let statuses = self.statuses();
        let runners = &self.durable.runners;
        let Some(target_override) = &mut self.durable.target_override else {
            return;
        };
        let mut has_changed = false;
        for (id, record) in runners {
            let has_arrived = match statuses.get(id) {
                Some(RunnerStatus::Idle) => true,
                // A runner that already had a job when the override was set does not count.
                Some(RunnerStatus::Reserved | RunnerStatus::Busy) => {
                    record.created_at >= target_override.order.since
                }
                _ => false,
            };
            if has_arrived {
                has_changed |= target_override.record_arrival(&record.profile_key, *id);
            }
        }
        if target_override.is_over(runners) {
            self.durable.target_override = None;
            has_changed = true;
        }
        if has_changed {
            self.mark_dirty();
        }
    }
}

#[cfg(test)]
mod tests;

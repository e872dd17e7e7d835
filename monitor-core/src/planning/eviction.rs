//! Room for a rebuild on a host that idle runners fill.
//!
//! Owns whom it is made from: idle runners, as many as the rebuild needs and no more, those of its
//! own profile first, because they begin with the old image. Reserved and busy ones are never given
//! up; where idle ones are not enough, none is, and the rebuild waits for jobs to end.
//!
//! Nothing else takes that room: while a runner is still to be destroyed nothing is created, and
//! after that the rebuild is planned before any new runner.

use std::{cmp::Reverse, collections::BTreeMap};

use shared::{clock::Timestamp, values::ProfileKey, wire::RunnerStatus};

use crate::{Monitor, Reason, Resources, RunnerId, RunnerRecord, state::runner::InFlight};

impl Monitor {
    /// Adds those to the `to_destroy` who have to go so that the next rebuild fits.
    pub(crate) fn plan_room(&self, now: Timestamp, to_destroy: &mut BTreeMap<RunnerId, Reason>) {
        let Some(staying) = self.resources_staying(to_destroy) else {
            return;
        };
        for (profile_key, _) in self.due_rebuilds(now) {
            let Some(profile) = self.policy.profiles.get(profile_key) else {
                continue;
            };
            let needed = staying + profile.needs;
            if let Some(given_up) = self.given_up_for(profile_key, needed, to_destroy) {
                let reason = Reason::RoomForRebuild(profile_key.clone());
                to_destroy.extend(given_up.into_iter().map(|id| (id, reason.clone())));
                return;
            }
        }
    }

    /// What will be in use once all are gone of whom that can be expected.
    fn resources_staying(&self, to_destroy: &BTreeMap<RunnerId, Reason>) -> Option<Resources> {
        self.resources_of(|id, record| {
            let is_going =
                to_destroy.contains_key(&id) || record.flight == Some(InFlight::Destroying);
            !is_going || record.is_stuck()
        })
    }

    /// Who has to go so that no more than there is of what is `needed`; none if not even all idle
    /// ones are enough.
    fn given_up_for(
        &self,
        profile_key: &ProfileKey,
        mut needed: Resources,
        to_destroy: &BTreeMap<RunnerId, Reason>,
    ) -> Option<Vec<RunnerId>> {
        let capacity = self.capacity();
        let mut given_up = Vec::new();
        for (id, record) in self.dispensable(profile_key, to_destroy) {
            if needed.fits_in(capacity) {
                break;
            }
            let needs = record.needs.unwrap_or_default();
            let is_of_use = needed.fits_better_without(needs, capacity);
            if is_of_use {
                needed = needed - needs;
                given_up.push(id);
            }
        }
        needed.fits_in(capacity).then_some(given_up)
    }

    /// The idle runners that can be destroyed: those of a profile first, and the newest first, like
    /// those that are too many.
    fn dispensable(
        &self,
        profile_key: &ProfileKey,
        to_destroy: &BTreeMap<RunnerId, Reason>,
    ) -> Vec<(RunnerId, &RunnerRecord)> {
        let idle = self
            .statuses()
            .into_iter()
            .filter(|(_, status)| *status == RunnerStatus::Idle)
            .map(|(id, _)| (id, &self.durable.runners[&id]));
        let mut dispensable: Vec<_> = idle
            .filter(|(id, record)| {
                record.flight.is_none() && !to_destroy.contains_key(id) && !record.is_stuck()
            })
            .collect();
        dispensable.sort_by_key(|(id, record)| (record.profile_key != *profile_key, Reverse(*id)));
        dispensable
    }
}

#[cfg(test)]
mod tests;

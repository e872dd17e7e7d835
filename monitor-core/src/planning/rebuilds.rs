//! When an image is rebuilt.
//!
//! Runners keep the image that they were created from, and a failed rebuild changes nothing. A
//! rebuild uses what a runner of its profile uses, and counts against the capacity like one. It comes
//! before new runners: what the next runner leaves free goes to the rebuild. Which idle runners make
//! room for it is decided in `eviction`.

use shared::{clock::Timestamp, values::ProfileKey};

use super::{
    plan::{Action, Plan},
    reason::Reason,
};
use crate::{Monitor, Resources};

/// Maximum number of rebuilds at a time: each of them saturates the disk.
const REBUILDS_MAX: usize = 1;

impl Monitor {
    /// Whether runners of this profile cannot be created because it has no image: its first one has not
    /// been built yet, or has to be imported.
    pub(crate) fn lacks_image(&self, profile_key: &ProfileKey) -> bool {
        let profile = self.policy.profiles.get(profile_key);
        let needs_image = profile.is_some_and(|it| it.builds_image || it.is_virtual());
        needs_image && self.images.built_at(profile_key).is_none()
    }

    /// Adds the rebuilds that are due and fit. Returns what is in use once they have begun.
    pub(super) fn plan_rebuilds(&self, now: Timestamp, plan: &mut Plan) -> Option<Resources> {
        let mut in_use = self.resources_in_use();
        let mut in_flight = self.images.in_flight_count();
        for (profile_key, reason) in self.due_rebuilds(now) {
            let needs = self.policy.profiles.get(profile_key).map(|it| it.needs);
            let after = in_use.zip(needs).map(|(in_use, needs)| in_use + needs);
            let fits = after.is_some_and(|after| after.fits_in(self.capacity()));
            if fits && in_flight < REBUILDS_MAX {
                in_flight += 1;
                in_use = after;
                plan.add(Action::Rebuild(profile_key.clone()), reason);
            }
        }
        in_use
    }

    /// The rebuilds that there is a reason for; none while enough are in flight.
    pub(super) fn due_rebuilds(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&ProfileKey, Reason)> {
        let may_start = self.images.in_flight_count() < REBUILDS_MAX;
        let profiles = self.policy.profiles.keys().filter(move |_| may_start);
        profiles.filter_map(move |profile_key| {
            let reason = self.reason_to_rebuild(profile_key, now)?;
            Some((profile_key, reason))
        })
    }

    fn reason_to_rebuild(&self, profile_key: &ProfileKey, now: Timestamp) -> Option<Reason> {
        let builds_image = self.policy.profiles.get(profile_key)?.builds_image;
        if !builds_image
            || !self.policy.makes_runners
            || self.drained().is_some()
            || self.observed.are_machines_unlisted
            || !self.images.is_known()
            || !self.images.may_build(profile_key, now)
        {
            return None;
        }
        match self.images.built_at(profile_key) {
            None => Some(Reason::NoImage),
            Some(built_at) if now.since(built_at) > self.policy.image_max_age => {
                Some(Reason::ImageTooOld)
            }
            Some(_) => {
                let order = self.rebuild_orders().get(profile_key);
                order.map(|_| Reason::Ordered)
            }
        }
    }
}

#[cfg(test)]
mod tests;

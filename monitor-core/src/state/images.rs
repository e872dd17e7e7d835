//! Images, and when one is rebuilt.
//!
//! Owns what is known about the images of the profiles, and the decision to rebuild one that is
//! built here. Runners go on working on the image that they were made from, and a rebuild that
//! fails leaves everything as it is.
//!
//! A rebuild takes what a runner of its profile takes, and counts against capacity like one. It
//! comes before new runners: what the next runner that ends leaves free goes to the rebuild first.
//! Which idle runners are given up for it stands in `room`.

use std::{collections::BTreeMap, time::Duration};

use shared::{clock::Timestamp, secret::Secret, values::ProfileKey};

use crate::{
    BackOff, Monitor, Reason, Resources,
    planning::plan::{Action, Plan, Step},
    state::back_off::Pauses,
};

/// The most rebuilds at a time: each fills the disk's bandwidth.
const REBUILDS_MAX: usize = 1;
/// The pauses after rebuilds that came to nothing.
const REBUILD_PAUSES: Pauses = Pauses {
    first: Duration::from_secs(60),
    longest: Duration::from_secs(3600),
};

/// What is known of images, and what is being done to them. All of it is found again by looking.
#[derive(Default)]
pub struct Images {
    /// When the current image of each profile was built. None before the first look.
    built_at: Option<BTreeMap<ProfileKey, Timestamp>>,
    under_way: BTreeMap<ProfileKey, UnderWay>,
    back_offs: BTreeMap<ProfileKey, BackOff>,
    failures: BTreeMap<ProfileKey, String>,
}

struct UnderWay {
    since: Timestamp,
    needs: Resources,
    guest_secret: Secret,
}

/// A rebuild to be carried out.
#[derive(Clone, Debug)]
pub struct Rebuild {
    /// Of which profile.
    pub profile_key: ProfileKey,
    /// The name at the hypervisor.
    pub guest_name: String,
    /// By which the guest proves that it is this one.
    pub guest_secret: Secret,
}

/// The image of a profile, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageView {
    /// When it was built; none if there is none.
    pub built_at: Option<Timestamp>,
    /// Since when a new one is being built.
    pub rebuilt_since: Option<Timestamp>,
    /// How often in a row a rebuild came to nothing.
    pub failure_count: u32,
    /// Why the last one did.
    pub failure: Option<String>,
}

impl Images {
    /// What the rebuilds that are under way take of the host.
    pub fn resources_in_use(&self) -> Resources {
        self.under_way.values().map(|it| it.needs).sum()
    }

    /// The profile whose image is being built by the guest with this secret.
    pub fn builder_with(&self, guest_secret: &str) -> Option<&ProfileKey> {
        // Every secret is compared, so that time tells nothing about which one was close.
        self.under_way.iter().fold(None, |found, (key, it)| {
            match it.guest_secret.matches(guest_secret) {
                true => Some(key),
                false => found,
            }
        })
    }
}

impl Monitor {
    /// The images that there are, and when each was built.
    pub fn handle_images(&mut self, built_at: BTreeMap<ProfileKey, Timestamp>) {
        self.images.built_at = Some(built_at);
    }

    /// The name of the guest that builds the image of a profile, be it there or not; none if the
    /// image is not built here.
    pub fn builder_name(&self, profile_key: &ProfileKey) -> Option<String> {
        let profile = self.policy.profiles.get(profile_key)?;
        let name = self.policy.builder_name(profile_key);
        profile.builds_image.then_some(name)
    }

    /// Whether runners of this profile wait for its first image.
    pub(crate) fn lacks_image(&self, profile_key: &ProfileKey) -> bool {
        let profile = self.policy.profiles.get(profile_key);
        let built_at = self.images.built_at.as_ref();
        profile.is_some_and(|it| it.builds_image)
            && built_at.is_none_or(|built_at| !built_at.contains_key(profile_key))
    }

    /// Adds the rebuilds that are due and fit, and says what is in use with them.
    pub(crate) fn plan_rebuilds(
        &self,
        now: Timestamp,
        mut in_use: Option<Resources>,
        plan: &mut Plan,
    ) -> Option<Resources> {
        let mut under_way = self.images.under_way.len();
        for (profile_key, reason) in self.due_rebuilds(now) {
            let needs = self.policy.profiles.get(profile_key).map(|it| it.needs);
            let after = in_use.zip(needs).map(|(in_use, needs)| in_use + needs);
            let fits = after.is_some_and(|after| after.fits_in(self.capacity()));
            if fits && under_way < REBUILDS_MAX {
                under_way += 1;
                in_use = after;
                plan.steps.push(Step {
                    action: Action::Rebuild(profile_key.clone()),
                    reason,
                });
            }
        }
        in_use
    }

    /// The rebuilds that there is a reason for now; none while enough are under way.
    pub(crate) fn due_rebuilds(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&ProfileKey, Reason)> {
        let has_place = self.images.under_way.len() < REBUILDS_MAX;
        let profiles = self.policy.profiles.keys().filter(move |_| has_place);
        profiles.filter_map(move |profile_key| {
            let reason = self.reason_to_rebuild(profile_key, now)?;
            Some((profile_key, reason))
        })
    }

    fn reason_to_rebuild(&self, profile_key: &ProfileKey, now: Timestamp) -> Option<Reason> {
        let profile = self.policy.profiles.get(profile_key)?;
        let built_at = self.images.built_at.as_ref()?.get(profile_key);
        let back_off = self.images.back_offs.get(profile_key);
        let has_to_wait = back_off.is_some_and(|it| it.until() > now)
            || self.images.under_way.contains_key(profile_key);
        if !profile.builds_image || !self.policy.makes_runners || has_to_wait {
            return None;
        }
        match built_at {
            None => Some(Reason::NoImage),
            Some(built_at) if now.since(*built_at) > self.policy.image_max_age => {
                Some(Reason::ImageTooOld)
            }
            Some(_) => None,
        }
    }

    /// Begins a rebuild. Its guest proves itself by `guest_secret`.
    pub(crate) fn begin_rebuild(
        &mut self,
        profile_key: ProfileKey,
        guest_secret: Secret,
        now: Timestamp,
    ) -> Option<Rebuild> {
        let needs = self.policy.profiles.get(&profile_key)?.needs;
        let under_way = UnderWay {
            since: now,
            needs,
            guest_secret: guest_secret.clone(),
        };
        self.images.under_way.insert(profile_key.clone(), under_way);
        Some(Rebuild {
            guest_name: self.policy.builder_name(&profile_key),
            profile_key,
            guest_secret,
        })
    }

    /// A rebuild has ended, and nothing of its guest is left: with an image that was complete at
    /// `built_at`, or with the reason why there is none.
    pub fn handle_rebuilt(
        &mut self,
        profile_key: &ProfileKey,
        outcome: Result<Timestamp, String>,
        now: Timestamp,
    ) {
        self.images.under_way.remove(profile_key);
        match outcome {
            Ok(built_at) => {
                self.images.back_offs.remove(profile_key);
                self.images.failures.remove(profile_key);
                let all = self.images.built_at.get_or_insert_default();
                all.insert(profile_key.clone(), built_at);
            }
            Err(failure) => {
                let back_off = self.images.back_offs.entry(profile_key.clone());
                back_off
                    .or_default()
                    .fail(now, REBUILD_PAUSES, Duration::ZERO);
                self.images.failures.insert(profile_key.clone(), failure);
            }
        }
    }

    /// The images that there are, and those that are still to be built here, as they are shown.
    pub(crate) fn image_views(&self) -> BTreeMap<ProfileKey, ImageView> {
        let profiles = self.policy.profiles.iter();
        let shown = profiles.filter(|(profile_key, profile)| {
            profile.builds_image || self.built_at(profile_key).is_some()
        });
        let view = |profile_key: &ProfileKey| ImageView {
            built_at: self.built_at(profile_key),
            rebuilt_since: self.images.under_way.get(profile_key).map(|it| it.since),
            failure_count: self
                .images
                .back_offs
                .get(profile_key)
                .map_or(0, |it| it.failure_count()),
            failure: self.images.failures.get(profile_key).cloned(),
        };
        shown
            .map(|(profile_key, _)| (profile_key.clone(), view(profile_key)))
            .collect()
    }

    fn built_at(&self, profile_key: &ProfileKey) -> Option<Timestamp> {
        self.images.built_at.as_ref()?.get(profile_key).copied()
    }
}

#[cfg(test)]
mod tests;

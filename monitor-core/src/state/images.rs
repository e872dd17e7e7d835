//! The images of the profiles, and the builds that are under way.
//!
//! Responsible for what is known of images and for the back-off after failed builds. Not
//! responsible for when an image is rebuilt, which `planning::rebuilds` decides. Nothing here
//! survives a restart: the next poll shows which images there are.

use std::{collections::BTreeMap, time::Duration};

use shared::{
    backoff::{Backoff, Failures},
    clock::Timestamp,
    secret::Secret,
    values::ProfileKey,
};

use crate::Resources;

/// The pauses after failed builds.
const BACKOFF: Backoff = Backoff {
    first: Duration::from_secs(60),
    max: Duration::from_secs(3600),
    jitter_percent: 50,
};

/// What is known of images.
#[derive(Default)]
pub struct Images {
    /// When the current image of each profile was built. None before the first poll.
    built_at: Option<BTreeMap<ProfileKey, Timestamp>>,
    in_flight: BTreeMap<ProfileKey, Build>,
    failures: BTreeMap<ProfileKey, BuildFailures>,
}

/// A build that is under way.
struct Build {
    since: Timestamp,
    needs: Resources,
    guest_secret: Secret,
}

#[derive(Default)]
struct BuildFailures {
    failures: Failures,
    /// Why the last one failed.
    cause: String,
}

/// The image of a profile, as the dashboard shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageView {
    /// None if there is no image yet.
    pub built_at: Option<Timestamp>,
    /// When the build that is under way began.
    pub rebuilt_since: Option<Timestamp>,
    /// Failed builds in a row.
    pub failure_count: u32,
    /// Why the last build failed.
    pub failure: Option<String>,
}

impl Images {
    /// Replaces what is known by what a poll found: when the image of each profile was built.
    pub fn observe(&mut self, built_at: BTreeMap<ProfileKey, Timestamp>) {
        self.built_at = Some(built_at);
    }

    /// Whether a poll has shown which images there are.
    pub fn is_known(&self) -> bool {
        self.built_at.is_some()
    }

    /// When the current image of a profile was built.
    pub fn built_at(&self, profile_key: &ProfileKey) -> Option<Timestamp> {
        self.built_at.as_ref()?.get(profile_key).copied()
    }

    /// What the builds that are under way use of the server.
    pub fn resources_in_use(&self) -> Resources {
        self.in_flight.values().map(|it| it.needs).sum()
    }

    /// The builds that are under way, and what each uses of the server.
    pub fn builds(&self) -> impl Iterator<Item = (&ProfileKey, Resources)> {
        self.in_flight.iter().map(|(key, build)| (key, build.needs))
    }

    /// The profiles whose images are being built.
    pub fn in_flight(&self) -> impl Iterator<Item = &ProfileKey> {
        self.in_flight.keys()
    }

    /// Number of builds that are under way.
    pub fn in_flight_count(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether a build of this image may start: none is under way and no back-off lasts.
    pub fn may_build(&self, profile_key: &ProfileKey, now: Timestamp) -> bool {
        let failures = self.failures.get(profile_key);
        !self.in_flight.contains_key(profile_key)
            && failures.is_none_or(|it| it.failures.retry_at() <= now)
    }

    /// A build begins. Its guest authenticates by `guest_secret`.
    pub fn start(
        &mut self,
        profile_key: ProfileKey,
        needs: Resources,
        guest_secret: Secret,
        now: Timestamp,
    ) {
        let build = Build {
            since: now,
            needs,
            guest_secret,
        };
        self.in_flight.insert(profile_key, build);
    }

    /// When the build that is under way began.
    pub fn build_since(&self, profile_key: &ProfileKey) -> Option<Timestamp> {
        self.in_flight.get(profile_key).map(|it| it.since)
    }

    /// Lets the next build start at once, whatever failed before. The failures still count.
    pub fn end_backoff(&mut self, profile_key: &ProfileKey) {
        if let Some(failed) = self.failures.get_mut(profile_key) {
            failed.failures.end_pause();
        }
    }

    /// A build has ended: with an image that was complete at the given moment, or with the reason
    /// why there is none.
    pub fn finish(
        &mut self,
        profile_key: &ProfileKey,
        outcome: Result<Timestamp, String>,
        now: Timestamp,
    ) {
        self.in_flight.remove(profile_key);
        match outcome {
            Ok(built_at) => {
                self.failures.remove(profile_key);
                let all = self.built_at.get_or_insert_default();
                all.insert(profile_key.clone(), built_at);
            }
            Err(cause) => {
                let failed = self.failures.entry(profile_key.clone()).or_default();
                failed.failures.record(now, BACKOFF, Duration::ZERO);
                failed.cause = cause;
            }
        }
    }

    /// The profile whose image is being built by the guest with this secret.
    pub fn builder_with_secret(&self, guest_secret: &str) -> Option<&ProfileKey> {
        // Compares all secrets, so that the time taken does not depend on which one matches.
        self.in_flight.iter().fold(None, |found, (key, build)| {
            match build.guest_secret.matches(guest_secret) {
                true => Some(key),
                false => found,
            }
        })
    }

    /// The profiles whose last builds failed: the failures in a row, and why the last one failed.
    pub fn failures(&self) -> impl Iterator<Item = (&ProfileKey, &Failures, &str)> {
        let failed = self.failures.iter();
        failed.map(|(profile_key, it)| (profile_key, &it.failures, it.cause.as_str()))
    }

    /// The image of a profile, for the dashboard.
    pub fn view(&self, profile_key: &ProfileKey) -> ImageView {
        let failed = self.failures.get(profile_key);
        ImageView {
            built_at: self.built_at(profile_key),
            rebuilt_since: self.in_flight.get(profile_key).map(|it| it.since),
            failure_count: failed.map_or(0, |it| it.failures.count()),
            failure: failed.map(|it| it.cause.clone()),
        }
    }
}

//! The whole state behind the API, and the numbers that govern it.
//!
//! Owns the counter for ids and the count of changes. What each part of the state means and how
//! it moves stands in the modules beside this one.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::clock::Timestamp;

use super::{
    Allowance, ArtifactId, JobId, RunnerId, artifacts::Artifact, jobs::Job, limits::Window,
    listing::Listing, runner::Runner, software::Software,
};

/// The limits and waits that GitHub documents or is reported to have.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// Requests an hour for each token (default 5,000, as for personal tokens).
    pub request_count_max: u64,
    /// Registrations in five minutes (default 1,500).
    pub registration_count_max: u64,
    /// Runners in one scope (default 10,000, as in one runner group).
    pub runner_count_max: usize,
    /// Jobs, completed ones included (default 10,000). Above it the oldest completed is forgotten.
    pub job_count_max: usize,
    /// Artifacts in all (default 2,000).
    pub artifact_count_max: usize,
    /// A session that was not heard of for so long is offline (default 5 s; GitHub's own is longer,
    /// and undocumented).
    pub silence_timeout: Duration,
    /// An assigned job that was not started for so long is queued again (default 60 s).
    pub pickup_timeout: Duration,
    /// A running job whose runner was offline for so long has failed (default 10 min, reported).
    pub lost_timeout: Duration,
    /// A job that was queued for so long is cancelled (default 24 h).
    pub queue_timeout: Duration,
    /// A runner that was offline for so long is removed (default 24 h).
    pub offline_timeout: Duration,
    /// A JIT configuration can open the first session for so long (default 1 h, reported).
    pub credential_timeout: Duration,
    /// An artifact is kept for so long (default 90 days).
    pub artifact_timeout: Duration,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            request_count_max: 5_000,
            registration_count_max: 1_500,
            runner_count_max: 10_000,
            job_count_max: 10_000,
            artifact_count_max: 2_000,
            silence_timeout: Duration::from_secs(5),
            pickup_timeout: Duration::from_secs(60),
            lost_timeout: Duration::from_mins(10),
            queue_timeout: Duration::from_hours(24),
            offline_timeout: Duration::from_hours(24),
            credential_timeout: Duration::from_hours(1),
            artifact_timeout: Duration::from_hours(90 * 24),
        }
    }
}

/// GitHub, as far as runners see it. Changed only by its methods; each is one moment.
#[derive(Debug)]
pub struct Model {
    pub(super) settings: ModelSettings,
    pub(super) runners: BTreeMap<RunnerId, Runner>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// The jobs that are not completed. Ids grow, so this is also the order they came in.
    pub(super) open_jobs: BTreeSet<JobId>,
    pub(super) artifacts: BTreeMap<ArtifactId, Artifact>,
    pub(super) listing: Listing,
    pub(super) software: Software,
    pub(super) is_assignment_blocked: bool,
    pub(super) registrations: Window,
    requests: BTreeMap<usize, Window>,
    last_id: u64,
    pub(super) change_count: u64,
}

impl Model {
    /// An empty GitHub.
    pub fn new(settings: ModelSettings, now: Timestamp) -> Self {
        Self {
            runners: BTreeMap::new(),
            jobs: BTreeMap::new(),
            open_jobs: BTreeSet::new(),
            artifacts: BTreeMap::new(),
            listing: Listing::default(),
            software: Software::default(),
            is_assignment_blocked: false,
            registrations: Window::new(
                settings.registration_count_max,
                Duration::from_mins(5),
                now,
            ),
            requests: BTreeMap::new(),
            last_id: 0,
            change_count: 0,
            settings,
        }
    }

    /// The limits and waits of this GitHub.
    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// How often anything changed that somebody may wait for. Only grows.
    pub fn change_count(&self) -> u64 {
        self.change_count
    }

    /// While true, no queued job is given to a runner. Those given already go on.
    pub fn block_assignment(&mut self, now: Timestamp, is_blocked: bool) {
        self.advance(now);
        self.is_assignment_blocked = is_blocked;
        self.assign_jobs(now);
        self.changed();
    }

    /// What is left at `now` of the hourly limit of the holder of token number `caller`.
    pub fn allowance(&mut self, now: Timestamp, caller: usize) -> Allowance {
        self.requests_of(now, caller).allowance(now)
    }

    /// Counts one request of `caller` against its hourly limit; one too many is not counted.
    pub fn charge(&mut self, now: Timestamp, caller: usize) -> Allowance {
        let window = self.requests_of(now, caller);
        // A refusal shows in the allowance, which has nothing left then.
        let _ = window.take(now);
        window.allowance(now)
    }

    fn requests_of(&mut self, now: Timestamp, caller: usize) -> &mut Window {
        let limit = self.settings.request_count_max;
        self.requests
            .entry(caller)
            .or_insert_with(|| Window::new(limit, Duration::from_hours(1), now))
    }

    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Notes that something changed that is not a runner.
    pub(super) fn changed(&mut self) {
        self.change_count += 1;
    }

    /// Notes that the list of runners changed, for those who see it late.
    pub(super) fn runners_changed(&mut self) {
        self.change_count += 1;
        self.listing.runners_changed(&self.runners);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_an_hourly_limit_of_its_own() {
        let now = Timestamp::from_seconds(1_000);
        let settings = ModelSettings {
            request_count_max: 2,
            ..ModelSettings::default()
        };
        let mut model = Model::new(settings, now);
        assert_eq!(model.allowance(now, 0).remaining_count(), 2);
        assert_eq!(model.charge(now, 0).remaining_count(), 1);
        assert_eq!(model.charge(now, 0).remaining_count(), 0);
        let spent = model.charge(now, 0);
        assert_eq!((spent.used_count, spent.limit), (2, 2));
        assert_eq!(spent.reset_at, now + Duration::from_hours(1));
        assert_eq!(model.allowance(now, 1).remaining_count(), 2);
        assert_eq!(model.allowance(spent.reset_at, 0).remaining_count(), 2);
    }
}

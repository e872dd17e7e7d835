//! [`Model`]: all state, its settings, the counter of ids and the counter of changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shared::clock::Timestamp;

use super::{
    ArtifactId, JobId, RateLimit, RunnerId, artifacts::Artifact, jobs::Job, listing::Listing,
    misreports::Misreports, names::Names, rate_limit::Window, runner::Runner, software::Software,
};

/// Limits and timeouts, by default those that GitHub documents or is reported to have.
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// Requests per hour for each token (default 5,000, as for personal tokens).
    pub request_count_max: u64,
    /// Registrations per five minutes (default 1,500).
    pub registration_count_max: u64,
    /// Runners in one scope (default 10,000, as in one runner group).
    pub runner_count_max: usize,
    /// Jobs, including completed ones (default 10,000). Beyond it the oldest completed job is dropped.
    pub job_count_max: usize,
    /// Artifacts (default 2,000).
    pub artifact_count_max: usize,
    /// A session without a request for so long is offline (default 5 s; GitHub's own timeout is
    /// longer, and undocumented).
    pub silence_timeout: Duration,
    /// An assigned job that is not started within this time is queued again (default 60 s).
    pub pickup_timeout: Duration,
    /// A running job fails if its runner is offline for so long (default 10 min, reported).
    pub lost_timeout: Duration,
    /// A job that is queued for so long is cancelled (default 24 h).
    pub queue_timeout: Duration,
    /// A runner that is offline for so long is removed (default 24 h).
    pub offline_timeout: Duration,
    /// A JIT configuration must be used first within this time (default 1 h, reported).
    pub jit_config_timeout: Duration,
    /// How long an artifact is kept (default 90 days).
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
            jit_config_timeout: Duration::from_hours(1),
            artifact_timeout: Duration::from_hours(90 * 24),
        }
    }
}

/// The state of the emulated GitHub.
#[derive(Debug)]
pub struct Model {
    pub(super) settings: ModelSettings,
    pub(super) runners: BTreeMap<RunnerId, Runner>,
    pub(super) jobs: BTreeMap<JobId, Job>,
    /// The jobs that are not completed, in the order of their ids and therefore of their queueing.
    pub(super) open_jobs: BTreeSet<JobId>,
    pub(super) artifacts: BTreeMap<ArtifactId, Artifact>,
    /// How long after its upload an artifact is listed.
    pub(super) artifact_lag: Duration,
    pub(super) listing: Listing,
    pub(super) misreports: Misreports,
    pub(super) names: Names,
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
            artifact_lag: Duration::ZERO,
            listing: Listing::default(),
            misreports: Misreports::default(),
            names: Names::default(),
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

    pub fn settings(&self) -> &ModelSettings {
        &self.settings
    }

    /// The number of changes that a client could wait for.
    pub fn change_count(&self) -> u64 {
        self.change_count
    }

    /// While true, queued jobs are not assigned. Assigned ones are not affected.
    pub fn block_assignment(&mut self, now: Timestamp, is_blocked: bool) {
        self.advance(now);
        self.is_assignment_blocked = is_blocked;
        self.assign_jobs(now);
        self.changed();
    }

    /// The hourly rate limit of `caller`, which is the number of a token or an App.
    pub fn rate_limit(&mut self, now: Timestamp, caller: usize) -> RateLimit {
        self.requests_of(now, caller).state(now)
    }

    /// Counts a request of `caller` against its hourly rate limit, unless none is left.
    pub fn count_request(&mut self, now: Timestamp, caller: usize) -> RateLimit {
        let window = self.requests_of(now, caller);
        // After an error, the returned state has no request left.
        let _ = window.count(now);
        window.state(now)
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

    /// Records a change of something else than a runner.
    pub(super) fn changed(&mut self) {
        self.change_count += 1;
    }

    /// Records a change of the list of runners.
    pub(super) fn runners_changed(&mut self) {
        self.change_count += 1;
        self.listing.runners_changed(&self.runners);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_its_own_hourly_rate_limit() {
        let now = Timestamp::from_seconds(1_000);
        let settings = ModelSettings {
            request_count_max: 2,
            ..ModelSettings::default()
        };
        let mut model = Model::new(settings, now);
        assert_eq!(model.rate_limit(now, 0).remaining_count(), 2);
        assert_eq!(model.count_request(now, 0).remaining_count(), 1);
        assert_eq!(model.count_request(now, 0).remaining_count(), 0);
        let spent = model.count_request(now, 0);
        assert_eq!((spent.used_count, spent.limit), (2, 2));
        assert_eq!(spent.reset_at, now + Duration::from_hours(1));
        assert_eq!(model.rate_limit(now, 1).remaining_count(), 2);
        assert_eq!(model.rate_limit(spent.reset_at, 0).remaining_count(), 2);
    }
}

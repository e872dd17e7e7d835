//! Counters and histograms of what happens to runners, images and the state file.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use daemon::metrics::{Counters, Histograms, Metric, Metrics};
use monitor_core::{FailedStep, RunnerEvent, RunnerId, RunnerStep};
use shared::{clock::Timestamp, values::ProfileKey};

/// The metrics of events of the monitor.
pub static EVENT_METRICS: [&Metric; 9] = [
    &CREATED,
    &DESTROYED,
    &FAILED,
    &START,
    &IDLE,
    &JOB_DURATION,
    &IMAGE_BUILD,
    &LONG_POLL_LAG,
    &STATE_WRITE_ERRORS,
];

static CREATED: Metric = Metric::counter(
    "runners_created",
    &["profile", "reason"],
    "Runners whose creation began, by reason",
);
static DESTROYED: Metric = Metric::counter(
    "runners_destroyed",
    &["profile", "reason"],
    "Runners of which nothing is left, by the reason of their end",
);
static FAILED: Metric = Metric::counter(
    "runner_failures",
    &["profile", "what"],
    "What failed with runners: creation, destruction",
);
static START: Metric = Metric::histogram(
    "runner_start_seconds",
    &["profile"],
    "The time from the beginning of the creation of a runner to its first time online, in seconds",
);
static IDLE: Metric = Metric::histogram(
    "runner_idle_seconds",
    &["profile"],
    "The time for which runners were idle before they were reserved, in seconds",
);
static JOB_DURATION: Metric = Metric::histogram(
    "job_duration_seconds",
    &["profile"],
    "The time from the moment at which GitHub showed a runner busy to the end of its guest, in seconds",
);
static IMAGE_BUILD: Metric = Metric::histogram(
    "image_build_seconds",
    &["profile", "outcome"],
    "How long builds of images took, in seconds, by outcome: built, failed",
);
static LONG_POLL_LAG: Metric = Metric::histogram(
    "long_poll_lag_seconds",
    &[],
    "The time from a change of the dashboard to the response of a held poll, in seconds",
);
static STATE_WRITE_ERRORS: Metric = Metric::counter(
    "state_write_errors",
    &[],
    "Attempts to write the state file that failed",
);

static RUNNERS_CREATED: LazyLock<Counters> = LazyLock::new(|| Counters::new(&CREATED));
static RUNNERS_DESTROYED: LazyLock<Counters> = LazyLock::new(|| Counters::new(&DESTROYED));
static RUNNER_FAILURES: LazyLock<Counters> = LazyLock::new(|| Counters::new(&FAILED));
static STARTS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&START));
static IDLE_TIMES: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&IDLE));
static JOB_DURATIONS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&JOB_DURATION));
static IMAGE_BUILDS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&IMAGE_BUILD));
static LONG_POLL_LAGS: LazyLock<Histograms> =
    LazyLock::new(|| Histograms::of_requests(&LONG_POLL_LAG));
static WRITE_ERRORS: LazyLock<Counters> = LazyLock::new(|| {
    let counters = Counters::new(&STATE_WRITE_ERRORS);
    counters.start([]);
    counters
});

/// When the runners of a monitor that exist reached their steps. A runner is forgotten when nothing is left
/// of it.
#[derive(Debug, Default)]
pub struct Steps(BTreeMap<RunnerId, Reached>);

/// When a runner reached its steps; `None` also for what was before the start of this process.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    created_at: Option<Timestamp>,
    idle_since: Option<Timestamp>,
    busy_since: Option<Timestamp>,
}

impl Steps {
    /// Counts a step of a runner, and measures the time since the step before.
    pub fn observe(&mut self, event: &RunnerEvent) {
        let profile = event.profile_key.as_str();
        let reached = self.0.entry(event.runner).or_default();
        let since = |from: Option<Timestamp>| from.map(|from| event.at.since(from));
        match &event.step {
            RunnerStep::Created { reason } => {
                RUNNERS_CREATED.count([profile, reason.code]);
                // So that the first failure is an increase.
                RUNNER_FAILURES.start([profile, FailedStep::Creation.name()]);
                IMAGE_BUILDS.start([profile, "failed"]);
                IMAGE_BUILDS.start([profile, "built"]);
                reached.created_at = Some(event.at);
            }
            RunnerStep::Online => {
                if let Some(duration) = since(reached.created_at) {
                    STARTS.observe([profile], duration);
                }
                reached.idle_since = Some(event.at);
            }
            RunnerStep::Reserved => {
                if let Some(duration) = since(reached.idle_since.take()) {
                    IDLE_TIMES.observe([profile], duration);
                }
            }
            RunnerStep::Released => reached.idle_since = Some(event.at),
            RunnerStep::Busy => reached.busy_since = Some(event.at),
            RunnerStep::Ended { .. } => {
                if let Some(duration) = since(reached.busy_since.take()) {
                    JOB_DURATIONS.observe([profile], duration);
                }
            }
            RunnerStep::Failed { what, .. } => RUNNER_FAILURES.count([profile, what.name()]),
            RunnerStep::Destroyed { reason } => {
                RUNNERS_DESTROYED.count([profile, reason.code]);
                if let Some(duration) = since(reached.busy_since) {
                    JOB_DURATIONS.observe([profile], duration);
                }
                self.0.remove(&event.runner);
            }
            RunnerStep::Found
            | RunnerStep::GuestStarted
            | RunnerStep::CredentialFetched
            | RunnerStep::GuestMissing => {}
        }
    }
}

/// Records a build of an image.
pub fn observe_image_build(profile_key: &ProfileKey, is_built: bool, duration: Duration) {
    let outcome = if is_built { "built" } else { "failed" };
    IMAGE_BUILDS.observe([profile_key.as_str(), outcome], duration);
}

/// Records how long after a change a held poll was answered.
pub fn observe_long_poll(lag: Duration) {
    LONG_POLL_LAGS.observe([], lag);
}

/// Counts an attempt to write the state file that failed.
pub fn count_write_error() {
    WRITE_ERRORS.count([]);
}

/// Adds the counters and histograms.
pub fn add(metrics: &mut Metrics) {
    let counters = [
        &RUNNERS_CREATED,
        &RUNNERS_DESTROYED,
        &RUNNER_FAILURES,
        &WRITE_ERRORS,
    ];
    for counters in counters {
        metrics.add_counters(counters);
    }
    let histograms = [
        &STARTS,
        &IDLE_TIMES,
        &JOB_DURATIONS,
        &IMAGE_BUILDS,
        &LONG_POLL_LAGS,
    ];
    for histograms in histograms {
        metrics.add_histograms(histograms);
    }
}

#[cfg(test)]
mod tests {
    use monitor_core::{Cause, GuestEnd};

    use super::*;

    #[test]
    fn the_times_between_the_steps_of_a_runner_are_measured() {
        let mut steps = Steps::default();
        let cause = |code| Cause {
            code,
            text: String::new(),
        };
        let mut happened = |seconds: u64, step| {
            steps.observe(&RunnerEvent {
                at: Timestamp::from_seconds(1_000_000 + seconds),
                runner: RunnerId(3),
                // No other test has this profile: the metrics are of the process.
                profile_key: "measured".parse().unwrap(),
                job: None,
                step,
            });
        };
        let reason = cause("below_target");
        happened(0, RunnerStep::Created { reason });
        happened(30, RunnerStep::Online);
        happened(100, RunnerStep::Reserved);
        happened(105, RunnerStep::Released);
        happened(125, RunnerStep::Reserved);
        happened(130, RunnerStep::Busy);
        let end = GuestEnd::default();
        happened(430, RunnerStep::Ended { end });
        let reason = cause("done");
        happened(440, RunnerStep::Destroyed { reason });
        assert!(steps.0.is_empty(), "{steps:?}");
        observe_image_build(&"measured".parse().unwrap(), false, Duration::from_secs(9));
        let mut metrics = Metrics::of("monitor");
        add(&mut metrics);
        let text = metrics.text();
        for line in [
            "runners_created_total{profile=\"measured\",reason=\"below_target\"} 1",
            "runners_destroyed_total{profile=\"measured\",reason=\"done\"} 1",
            "runner_failures_total{profile=\"measured\",what=\"creation\"} 0",
            "runner_start_seconds_sum{profile=\"measured\"} 30.0",
            "runner_idle_seconds_sum{profile=\"measured\"} 90.0",
            "job_duration_seconds_sum{profile=\"measured\"} 300.0",
            "job_duration_seconds_count{profile=\"measured\"} 1",
            "image_build_seconds_sum{profile=\"measured\",outcome=\"failed\"} 9.0",
        ] {
            let line = format!("ci_runners_monitor_{line}");
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}

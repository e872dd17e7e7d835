//! Counters and histograms of what happens to runners, images and the state file: the core says what a step of
//! a runner adds to them.

use std::{sync::LazyLock, time::Duration};

use daemon::metrics::{Counters, Histograms, Metric, Metrics};
use monitor_core::{FailedStep, Measurement, RunnerEvent, StepTimes};
use shared::values::ProfileKey;

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
    "What failed with runners: creation, guest (it ended without having had a job), destruction",
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

/// Counts a step of a runner, and measures the time since the step before.
pub fn observe(times: &mut StepTimes, event: &RunnerEvent) {
    let profile = event.profile_key.as_str();
    for measurement in times.measure(event) {
        match measurement {
            Measurement::Created { reason } => {
                RUNNERS_CREATED.count([profile, reason]);
                // So that the first failure is an increase.
                RUNNER_FAILURES.start([profile, FailedStep::Creation.name()]);
                RUNNER_FAILURES.start([profile, FailedStep::Guest.name()]);
                IMAGE_BUILDS.start([profile, "failed"]);
                IMAGE_BUILDS.start([profile, "built"]);
            }
            Measurement::Destroyed { reason } => RUNNERS_DESTROYED.count([profile, reason]),
            Measurement::Failed { what } => RUNNER_FAILURES.count([profile, what]),
            Measurement::StartDuration(duration) => STARTS.observe([profile], duration),
            Measurement::IdleDuration(duration) => IDLE_TIMES.observe([profile], duration),
            Measurement::JobDuration(duration) => JOB_DURATIONS.observe([profile], duration),
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
    use monitor_core::{Cause, GuestEnd, RunnerId, RunnerStep};
    use shared::clock::Timestamp;

    use super::*;

    #[test]
    fn the_times_between_the_steps_of_a_runner_are_measured() {
        let mut times = StepTimes::default();
        let cause = |code| Cause {
            code,
            text: String::new(),
        };
        let mut happened = |seconds: u64, step| {
            let event = RunnerEvent {
                at: Timestamp::from_seconds(1_000_000 + seconds),
                runner: RunnerId(3),
                // No other test has this profile: the metrics are of the process.
                profile_key: "measured".parse().unwrap(),
                job: None,
                step,
            };
            observe(&mut times, &event);
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
        assert_eq!(times.runner_count(), 0, "{times:?}");
        observe_image_build(&"measured".parse().unwrap(), false, Duration::from_secs(9));
        let mut metrics = Metrics::of("monitor");
        add(&mut metrics);
        let text = metrics.text();
        for line in [
            "runners_created_total{profile=\"measured\",reason=\"below_target\"} 1",
            "runners_destroyed_total{profile=\"measured\",reason=\"done\"} 1",
            "runner_failures_total{profile=\"measured\",what=\"creation\"} 0",
            "runner_failures_total{profile=\"measured\",what=\"guest\"} 0",
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

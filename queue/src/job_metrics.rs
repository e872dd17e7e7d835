//! Counters and histograms of what happens to jobs: the core says what an event adds to them.

use std::sync::LazyLock;

use daemon::metrics::{Counters, Histograms, Metric, Metrics};
use queue_core::{JobEvent, Measurement};

/// The metrics of events of jobs.
pub static EVENT_METRICS: [&Metric; 8] = [
    &ENQUEUED,
    &ASSIGNED,
    &ENDED,
    &WAIT,
    &START_WAIT,
    &DURATION,
    &ESTIMATE_RATIO,
    &TAKES,
];

static ENQUEUED: Metric = Metric::counter(
    "jobs_enqueued",
    &["profile", "by"],
    "Jobs that were enqueued, by what authorised that: api_token, artifact",
);
static ASSIGNED: Metric = Metric::counter(
    "jobs_assigned",
    &["profile"],
    "Jobs that got all their runners",
);
static ENDED: Metric = Metric::counter(
    "jobs_ended",
    &["profile", "outcome"],
    "Jobs that are over, by outcome: finished, expired, withdrawn, abandoned",
);
static WAIT: Metric = Metric::histogram(
    "job_wait_seconds",
    &["profile", "outcome"],
    "How long jobs waited, in seconds, until they were assigned, withdrawn or abandoned",
);
static START_WAIT: Metric = Metric::histogram(
    "job_start_wait_seconds",
    &["profile"],
    "The time from the enqueue of a job to the start of a workflow job on its runners, in seconds",
);
static DURATION: Metric = Metric::histogram(
    "job_duration_seconds",
    &["profile"],
    "The time from the start of a workflow job to the end of all runners of its job, in seconds",
);
static ESTIMATE_RATIO: Metric = Metric::histogram(
    "job_wait_estimate_ratio",
    &["profile"],
    "How long jobs waited until they were assigned, divided by the median that was estimated at their enqueue; without jobs that were assigned at once, as estimated",
);
static TAKES: Metric = Metric::counter(
    "takes",
    &["server", "outcome"],
    "Takes at servers by outcome: granted (where a job got all its runners), refused, refused_this_job, token_refused, ambiguous",
);

static JOBS_ENQUEUED: LazyLock<Counters> = LazyLock::new(|| Counters::new(&ENQUEUED));
static JOBS_ASSIGNED: LazyLock<Counters> = LazyLock::new(|| Counters::new(&ASSIGNED));
static JOBS_ENDED: LazyLock<Counters> = LazyLock::new(|| Counters::new(&ENDED));
static WAITS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&WAIT));
static START_WAITS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&START_WAIT));
static DURATIONS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_jobs(&DURATION));
static RATIOS: LazyLock<Histograms> = LazyLock::new(|| Histograms::of_ratios(&ESTIMATE_RATIO));
static SERVER_TAKES: LazyLock<Counters> = LazyLock::new(|| Counters::new(&TAKES));

/// Counts an event. `servers` are the URLs of the servers, by `ServerId`.
pub fn observe(event: &JobEvent, servers: &[String]) {
    let profile = event.job.profile_key.as_str();
    for measurement in event.measurements() {
        match measurement {
            Measurement::Enqueued { by } => {
                JOBS_ENQUEUED.count([profile, by]);
                RATIOS.start([profile]);
            }
            Measurement::Assigned => JOBS_ASSIGNED.count([profile]),
            Measurement::Ended { outcome } => JOBS_ENDED.count([profile, outcome]),
            Measurement::Wait { outcome, waited } => WAITS.observe([profile, outcome], waited),
            Measurement::WaitUntilStart(waited) => START_WAITS.observe([profile], waited),
            Measurement::JobDuration(duration) => DURATIONS.observe([profile], duration),
            Measurement::EstimateRatio(ratio) => RATIOS.observe_value([profile], ratio),
            Measurement::Take { server, outcome } => {
                SERVER_TAKES.count([&*servers[server], outcome]);
            }
        }
    }
}

/// Adds the counters and histograms.
pub fn add(metrics: &mut Metrics) {
    for counters in [&JOBS_ENQUEUED, &JOBS_ASSIGNED, &JOBS_ENDED, &SERVER_TAKES] {
        metrics.add_counters(counters);
    }
    for histograms in [&WAITS, &START_WAITS, &DURATIONS, &RATIOS] {
        metrics.add_histograms(histograms);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use queue_core::{
        Assignment, EnqueuedBy, ForwardFailure, GrantEnd, JobStep, Retirement, ServerRunners,
        WithdrawnBy,
    };
    use shared::{
        clock::Timestamp,
        job_spec::JobSpec,
        values::{Count, RunId},
        wire::Estimate,
    };

    use super::*;

    /// Adds what happened so many seconds after the enqueue of a job to the metrics. No other test has this
    /// profile: the metrics are of the process.
    fn happened(profile: &str, steps: Vec<(u64, JobStep)>) -> String {
        let enqueued_at = Timestamp::from_seconds(1_000_000);
        let job = JobSpec {
            unique_id: "job".parse().unwrap(),
            qualified_repo: "servo/servo".parse().unwrap(),
            run_id: RunId(7),
            profile_key: profile.parse().unwrap(),
            count: Count::ONE,
        };
        for (seconds, step) in steps {
            let event = JobEvent {
                queued_at: Timestamp::default(),
                lane: None,
                at: enqueued_at + Duration::from_secs(seconds),
                job: job.clone(),
                enqueued_at,
                step,
            };
            observe(&event, &[format!("http://{profile}/")]);
        }
        let mut metrics = Metrics::of("queue");
        add(&mut metrics);
        metrics.text()
    }

    fn assert_has(text: &str, lines: &[&str]) {
        for line in lines {
            let line = format!("ci_runners_queue_{line}");
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_job_is_counted_and_measured_from_its_enqueue_to_its_end() {
        let runners = vec![ServerRunners {
            server: 0,
            runners: vec![1],
        }];
        let estimate = Estimate {
            p50_seconds: 10,
            p90_seconds: 20,
        };
        let by = EnqueuedBy::Artifact;
        let refused = JobStep::Refused {
            server: 0,
            reason: ForwardFailure::Ambiguous,
            answer: String::new(),
        };
        let assigned = JobStep::Assigned {
            runners: runners.clone(),
            estimated: Some(estimate),
        };
        let finished = JobStep::Retired {
            retirement: Retirement::Ended(GrantEnd::Finished),
            assignment: Assignment {
                started_at: Some(Timestamp::from_seconds(1_000_050)),
                runners,
                ..Assignment::default()
            },
        };
        let text = happened(
            "whole",
            vec![
                (0, JobStep::Enqueued { by }),
                (5, refused),
                (40, assigned),
                (50, JobStep::Started),
                (650, finished),
            ],
        );
        assert_has(
            &text,
            &[
                "jobs_enqueued_total{profile=\"whole\",by=\"artifact\"} 1",
                "jobs_assigned_total{profile=\"whole\"} 1",
                "jobs_ended_total{profile=\"whole\",outcome=\"finished\"} 1",
                "job_wait_seconds_sum{profile=\"whole\",outcome=\"assigned\"} 40.0",
                "job_start_wait_seconds_sum{profile=\"whole\"} 50.0",
                "job_duration_seconds_sum{profile=\"whole\"} 600.0",
                "job_wait_estimate_ratio_sum{profile=\"whole\"} 4.0",
                "takes_total{server=\"http://whole/\",outcome=\"ambiguous\"} 1",
                "takes_total{server=\"http://whole/\",outcome=\"granted\"} 1",
            ],
        );
    }

    #[test]
    fn a_job_that_is_assigned_at_once_says_nothing_of_estimates() {
        let assigned = |p50_seconds| JobStep::Assigned {
            runners: Vec::new(),
            estimated: Some(Estimate {
                p50_seconds,
                p90_seconds: 100,
            }),
        };
        let text = happened(
            "at-once",
            vec![(0, assigned(0)), (60, assigned(0)), (0, assigned(50))],
        );
        assert_has(
            &text,
            &[
                "job_wait_estimate_ratio_count{profile=\"at-once\"} 2",
                "job_wait_estimate_ratio_sum{profile=\"at-once\"} 60.02",
            ],
        );
    }

    #[test]
    fn a_wait_that_ends_otherwise_is_measured_by_its_outcome() {
        let retired = |retirement| JobStep::Retired {
            retirement,
            assignment: Assignment::default(),
        };
        let silent_since = Timestamp::from_seconds(1_000_001);
        let text = happened(
            "given-up",
            vec![
                (7, retired(Retirement::Withdrawn(WithdrawnBy::Ticket))),
                (31, retired(Retirement::Abandoned { silent_since })),
                // Another queue had assigned its runners.
                (90, retired(Retirement::Ended(GrantEnd::Finished))),
            ],
        );
        assert_has(
            &text,
            &[
                "job_wait_seconds_sum{profile=\"given-up\",outcome=\"withdrawn\"} 7.0",
                "job_wait_seconds_sum{profile=\"given-up\",outcome=\"abandoned\"} 31.0",
                "jobs_ended_total{profile=\"given-up\",outcome=\"finished\"} 1",
            ],
        );
        let is_wait = |line: &str| line.contains("job_wait_seconds_sum{profile=\"given-up\"");
        assert_eq!(text.lines().filter(|line| is_wait(line)).count(), 2);
    }
}

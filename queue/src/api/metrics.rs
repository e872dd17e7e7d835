//! `GET /metrics`: the queue's metrics for Prometheus. Needs no token, because they contain no secret.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    metrics::{Metric, Metrics, response},
    problems, repeated,
};
use shared::clock::Timestamp;

use queue_core::{ProfileView, View};

use super::{
    AppState,
    health::unready,
    snapshot::{Snapshot, Snapshots},
};
use crate::job_metrics;

/// The metrics of the queue that show its state.
pub static STATE_METRICS: [&Metric; 8] = [
    &JOBS_WAITING,
    &OLDEST_JOB,
    &JOBS_WITH_RUNNERS,
    &RUNNERS,
    &RUNNERS_TARGET,
    &RUNNERS_MISSING,
    &SERVER_UP,
    &SERVER_LAST_REPORT,
];

static JOBS_WAITING: Metric =
    Metric::gauge("jobs_waiting", &["profile"], "Jobs that wait for runners");
static OLDEST_JOB: Metric = Metric::gauge(
    "oldest_job_enqueued_timestamp_seconds",
    &["profile"],
    "When the job at the head of the queue was enqueued, in seconds since 1970; absent if none waits",
);
static JOBS_WITH_RUNNERS: Metric =
    Metric::gauge("jobs_with_runners", &[], "Jobs that hold runners");
static RUNNERS: Metric = Metric::gauge(
    "runners",
    &["profile", "state"],
    "Runners of the servers that answer, by state: starting, idle, reserved, busy",
);
static RUNNERS_TARGET: Metric = Metric::gauge(
    "runners_target",
    &["profile"],
    "Runners that all servers have or could have, also those that do not answer",
);
static RUNNERS_MISSING: Metric = Metric::gauge(
    "runners_missing",
    &["profile"],
    "Those of runners_target that no server offers, because it is down or keeps them back",
);
static SERVER_UP: Metric = Metric::gauge(
    "server_up",
    &["server"],
    "1 if the server's last report is recent enough to be used",
);
static SERVER_LAST_REPORT: Metric = Metric::gauge(
    "server_last_report_timestamp_seconds",
    &["server"],
    "When the poll was sent that the server answered last, in seconds since 1970",
);

/// `GET /metrics`
pub async fn metrics(state: Data<AppState>, snapshots: Data<Snapshots>) -> HttpResponse {
    let snapshot = Snapshot::latest(&snapshots, &state);
    let render = || {
        let mut metrics = Metrics::of("queue");
        describe(&snapshot.view, snapshot.captured_at, &mut metrics);
        job_metrics::add(&mut metrics);
        if let Some(github) = &state.github_status {
            metrics.github(&github.read());
        }
        repeated::add_metrics(&mut metrics, &repeated::totals());
        metrics.text().into()
    };
    response(snapshot.metrics.get_or_init(render).clone())
}

fn describe(view: &View, now: Timestamp, metrics: &mut Metrics) {
    metrics.ready(unready(view).is_none());
    problems::add_metrics(metrics, &view.problems);
    let by_profile = |value: fn(&ProfileView) -> usize| {
        let profiles = view.profiles.iter();
        profiles.map(move |profile| ([profile.profile_key.to_string()], value(profile) as f64))
    };
    metrics.add(&JOBS_WAITING, by_profile(|profile| profile.waiting_count));
    let oldest = view.profiles.iter().filter_map(|profile| {
        let waited_seconds = profile.jobs.first()?.waited_seconds;
        let enqueued_at = now.as_seconds().saturating_sub(waited_seconds);
        Some(([profile.profile_key.to_string()], enqueued_at as f64))
    });
    metrics.add(&OLDEST_JOB, oldest);
    metrics.add_one(&JOBS_WITH_RUNNERS, view.assigned_count as f64);
    let runners = view.profiles.iter().flat_map(|profile| {
        let states = [
            ("starting", profile.starting),
            ("idle", profile.idle),
            ("reserved", profile.reserved),
            ("busy", profile.busy),
        ];
        states.map(|(state, count)| {
            let labels = [profile.profile_key.to_string(), state.to_owned()];
            (labels, count as f64)
        })
    });
    metrics.add(&RUNNERS, runners);
    metrics.add(&RUNNERS_TARGET, by_profile(|profile| profile.target));
    metrics.add(&RUNNERS_MISSING, by_profile(|profile| profile.missing));
    let up = view.servers.iter().map(|server| {
        let is_up = server.health == "fresh";
        ([server.name.clone()], f64::from(u8::from(is_up)))
    });
    metrics.add(&SERVER_UP, up);
    let reports = view.servers.iter().filter_map(|server| {
        let seen_at = now.as_seconds().saturating_sub(server.age_seconds?);
        Some(([server.name.clone()], seen_at as f64))
    });
    metrics.add(&SERVER_LAST_REPORT, reports);
}

#[cfg(test)]
mod tests;

//! The metrics of the monitor, for Prometheus. Public: they contain no secret.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    metrics::{Metrics, response},
    problems, repeated,
};
use shared::{software::Support, wire::RunnerCounts};

use super::{AppState, snapshot::Snapshot};
use crate::shared_core::PublishedView;

/// A metric with a value for each profile: name, help text, value.
type Count = (&'static str, &'static str, fn(&RunnerCounts) -> usize);

const COUNTS: [Count; 6] = [
    ("runners_target", "Target number of runners", |counts| {
        counts.target
    }),
    (
        "runners_healthy",
        "Runners that start, are idle, reserved or busy",
        |counts| counts.healthy,
    ),
    (
        "runners_starting",
        "Runners that start, or have crashed",
        |counts| counts.started_or_crashed,
    ),
    ("runners_idle", "Runners that wait for a job", |counts| {
        counts.idle
    }),
    (
        "runners_reserved",
        "Runners that are reserved for a job",
        |counts| counts.reserved,
    ),
    ("runners_busy", "Runners that run a job", |counts| {
        counts.busy
    }),
];

/// `GET /metrics`
pub async fn metrics(state: Data<AppState>) -> HttpResponse {
    let snapshot = state.snapshot();
    response(snapshot.metrics.get_or(|| render(&snapshot)))
}

pub fn render(snapshot: &Snapshot) -> String {
    let mut metrics = Metrics::of("monitor");
    metrics.gauge(
        "ready",
        "1 once the first poll of the host and of GitHub has succeeded",
        f64::from(u8::from(snapshot.published.is_some())),
    );
    problems::add_metrics(&mut metrics, &snapshot.problems);
    if let Some(published) = &snapshot.published {
        render_profiles(&mut metrics, published, snapshot);
    }
    metrics.github(&snapshot.github);
    repeated::add_metrics(&mut metrics, &snapshot.refused);
    metrics.text()
}

fn render_profiles(metrics: &mut Metrics, published: &PublishedView, snapshot: &Snapshot) {
    let dashboard = published.view.dashboard_at(snapshot.now);
    let profiles = &dashboard.profile_runner_counts;
    for (name, help, count) in COUNTS {
        let values = profiles.iter().map(|(profile_key, counts)| {
            let labels = vec![("profile", profile_key.to_string())];
            (labels, count(counts) as f64)
        });
        metrics.gauges(name, help, values);
    }
    let ages = profiles.iter().filter_map(|(profile_key, counts)| {
        let seconds = counts.image_age?.as_secs_f64();
        Some((vec![("profile", profile_key.to_string())], seconds))
    });
    metrics.gauges("image_age_seconds", "Age of the image of a profile", ages);
    let software = published.view.software.iter();
    let ends = software.filter_map(|(profile_key, software)| {
        let Some(Support::Until(ends_at)) = software.support else {
            return None;
        };
        let labels = vec![
            ("profile", profile_key.to_string()),
            ("version", software.version.clone()),
        ];
        Some((labels, ends_at.as_seconds() as f64))
    });
    metrics.gauges(
        "runner_software_support_end_timestamp_seconds",
        "When GitHub ends its support of the runner software, in seconds since 1970, if that is planned",
        ends,
    );
}

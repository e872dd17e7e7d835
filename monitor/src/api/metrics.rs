//! What the monitor measures, for Prometheus. Open to all: nothing secret is in it.

use actix_web::{HttpResponse, web::Data};
use daemon::metrics::Metrics;
use shared::{software::Support, wire::RunnerCounts};

use super::Desk;

/// The numbers of a profile: name, meaning, where they come from.
type Count = (&'static str, &'static str, fn(&RunnerCounts) -> usize);

const COUNTS: [Count; 6] = [
    ("runners_target", "Runners that are wanted", |counts| {
        counts.target
    }),
    (
        "runners_healthy",
        "Runners that are as they should be",
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
        "Runners that are held for a job",
        |counts| counts.reserved,
    ),
    ("runners_busy", "Runners that run a job", |counts| {
        counts.busy
    }),
];

/// `GET /metrics`
pub async fn metrics(desk: Data<Desk>) -> HttpResponse {
    let mut metrics = Metrics::of("monitor");
    let shown = desk.pool.listen().borrow().clone();
    metrics.gauge(
        "has_looked",
        "1 once the world has been looked at",
        f64::from(u8::from(shown.is_some())),
    );
    if let Some(shown) = &shown {
        let now = desk.pool.now();
        let dashboard = shown.view.dashboard_at(now);
        let profiles = &dashboard.profile_runner_counts;
        for (name, help, count) in COUNTS {
            let values = profiles.iter().map(|(profile_key, counts)| {
                (
                    vec![("profile", profile_key.to_string())],
                    count(counts) as f64,
                )
            });
            metrics.gauges(name, help, values);
        }
        let ages = profiles.iter().filter_map(|(profile_key, counts)| {
            let seconds = counts.image_age?.as_secs_f64();
            Some((vec![("profile", profile_key.to_string())], seconds))
        });
        metrics.gauges("image_age_seconds", "Age of the image of a profile", ages);
        let ends = shown.view.software.iter().filter_map(|(profile_key, it)| {
            let Some(Support::Until(ends_at)) = it.support else {
                return None;
            };
            let labels = vec![
                ("profile", profile_key.to_string()),
                ("version", it.version.clone()),
            ];
            let seconds = ends_at.since(now).as_secs_f64() - now.since(ends_at).as_secs_f64();
            Some((labels, seconds))
        });
        metrics.gauges(
            "runner_software_seconds",
            "Time until GitHub ends its support of the runner software, if an end is planned",
            ends,
        );
    }
    metrics.github(&desk.github.read(), desk.pool.now());
    metrics.answer()
}

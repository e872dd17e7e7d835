//! `GET /metrics`: the queue's metrics for Prometheus. Needs no token, because they contain no secret.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    metrics::{Labels, Metrics, response},
    problems, repeated,
};

use queue_core::{ProfileView, View};

use super::{
    AppState,
    snapshot::{Snapshot, Snapshots},
};

/// `GET /metrics`
pub async fn metrics(state: Data<AppState>, snapshots: Data<Snapshots>) -> HttpResponse {
    let snapshot = Snapshot::latest(&snapshots, &state);
    let render = || {
        let mut metrics = Metrics::of("queue");
        describe(&snapshot.view, &mut metrics);
        if let Some(github) = &state.github_status {
            metrics.github(&github.read());
        }
        repeated::add_metrics(&mut metrics, &repeated::totals());
        metrics.text().into()
    };
    response(snapshot.metrics.get_or_init(render).clone())
}

fn describe(view: &View, metrics: &mut Metrics) {
    metrics.gauge(
        "ready",
        "1 once the startup grace period is over and runners are assigned",
        f64::from(u8::from(view.is_dispatching)),
    );
    metrics.gauge(
        "jobs_assigned",
        "Jobs that hold runners",
        view.assigned_count as f64,
    );
    problems::add_metrics(metrics, &view.problems);
    let by_profile = |value: fn(&ProfileView) -> f64| {
        let profiles = view.profiles.iter();
        profiles.map(move |profile| (label("profile", &profile.profile_key), value(profile)))
    };
    metrics.gauges(
        "jobs_waiting",
        "Jobs that wait for runners",
        by_profile(|profile| profile.waiting_count as f64),
    );
    metrics.gauges(
        "longest_wait_seconds",
        "How long the job at the head of the queue has waited",
        by_profile(|profile| {
            let first = profile.jobs.first();
            first.map_or(0.0, |job| job.waited_seconds as f64)
        }),
    );
    metrics.gauges(
        "runners_idle",
        "Idle runners of the servers whose health is OK",
        by_profile(|profile| profile.idle as f64),
    );
    metrics.gauges(
        "runners_target",
        "Runners that all servers have or could have, also those that do not answer",
        by_profile(|profile| profile.target as f64),
    );
    metrics.gauges(
        "runners_missing",
        "Those of runners_target that no server offers, because it is down or keeps them back",
        by_profile(|profile| profile.missing as f64),
    );
    let servers = || view.servers.iter();
    metrics.gauges(
        "server_up",
        "1 if the server's last report is recent enough to be used",
        servers().map(|server| {
            let is_up = server.health == "fresh";
            (label("server", &server.name), f64::from(u8::from(is_up)))
        }),
    );
    metrics.gauges(
        "server_report_age_seconds",
        "Age of the server's last report",
        servers()
            .filter_map(|server| Some((label("server", &server.name), server.age_seconds? as f64))),
    );
}

fn label(name: &'static str, value: &impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

#[cfg(test)]
mod tests;

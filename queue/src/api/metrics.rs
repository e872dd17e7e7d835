//! What the queue measures, for Prometheus. Open to all: nothing secret is in it.

use actix_web::{HttpResponse, web::Data};
use daemon::metrics::{Labels, Metrics};

use super::Desk;
use queue_core::view::View;

/// `GET /metrics`
pub async fn metrics(desk: Data<Desk>) -> HttpResponse {
    let (view, now) = desk.driver.look(|queue, now| (queue.view(now), now));
    let mut metrics = Metrics::of("queue");
    describe(&view, &mut metrics);
    if let Some(github) = &desk.github {
        metrics.github(&github.read(), now);
    }
    metrics.answer()
}

fn describe(view: &View, metrics: &mut Metrics) {
    metrics.gauge(
        "is_settled",
        "1 once runners are given out after a start",
        f64::from(u8::from(view.is_settled)),
    );
    metrics.gauge(
        "jobs_served",
        "Jobs that have their runners",
        view.served_count as f64,
    );
    let by_profile = |count: fn(&queue_core::view::ProfileView) -> f64| {
        let profiles = view.profiles.iter();
        profiles.map(move |profile| (label("profile", &profile.profile_key), count(profile)))
    };
    metrics.gauges(
        "jobs_waiting",
        "Jobs that wait for runners",
        by_profile(|profile| profile.waiting_count as f64),
    );
    metrics.gauges(
        "longest_wait_seconds",
        "How long the first job in line has waited",
        by_profile(|profile| {
            profile
                .jobs
                .first()
                .map_or(0.0, |job| job.waited_seconds as f64)
        }),
    );
    metrics.gauges(
        "runners_idle",
        "Idle runners of the servers that answer",
        by_profile(|profile| profile.idle as f64),
    );
    metrics.gauges(
        "runners_target",
        "Runners that the servers that answer are set up to have",
        by_profile(|profile| profile.target as f64),
    );
    let servers = view.servers.iter();
    metrics.gauges(
        "server_is_fresh",
        "1 if what a server said last may be relied on",
        servers.clone().map(|server| {
            let is_fresh = server.health == "fresh";
            (label("server", &server.name), f64::from(u8::from(is_fresh)))
        }),
    );
    metrics.gauges(
        "server_age_seconds",
        "How old the last word of a server is",
        servers
            .filter_map(|server| Some((label("server", &server.name), server.age_seconds? as f64))),
    );
}

fn label(name: &'static str, value: &impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

//! The metrics of the monitor, for Prometheus. Public: they contain no secret.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    metrics::{Metric, Metrics, response},
    problems, repeated,
};
use shared::{software::Support, wire::RunnerCounts};

use super::{AppState, snapshot::Snapshot};
use crate::{runner_metrics, shared_core::PublishedView};

/// The metrics of the monitor that show its state.
pub static STATE_METRICS: [&Metric; 5] = [
    &RUNNERS,
    &RUNNERS_TARGET,
    &RUNNERS_MISSING,
    &IMAGE_BUILT,
    &SUPPORT_END,
];

static RUNNERS: Metric = Metric::gauge(
    "runners",
    &["profile", "state"],
    "Runners by state: starting (or crashed), idle, reserved, busy",
);
static RUNNERS_TARGET: Metric = Metric::gauge(
    "runners_target",
    &["profile"],
    "How many runners the monitor keeps, as far as the host can hold them",
);
static RUNNERS_MISSING: Metric = Metric::gauge(
    "runners_missing",
    &["profile"],
    "How many more runners there could be by the settings, which are kept back",
);
static IMAGE_BUILT: Metric = Metric::gauge(
    "image_built_timestamp_seconds",
    &["profile"],
    "When the image of a profile was built, in seconds since 1970",
);
static SUPPORT_END: Metric = Metric::gauge(
    "runner_software_support_end_timestamp_seconds",
    &["profile", "version"],
    "When GitHub ends its support of the runner software, in seconds since 1970, if that is planned",
);

/// The states of runners: label and number.
type State = (&'static str, fn(&RunnerCounts) -> usize);

const STATES: [State; 4] = [
    ("starting", |counts| counts.started_or_crashed),
    ("idle", |counts| counts.idle),
    ("reserved", |counts| counts.reserved),
    ("busy", |counts| counts.busy),
];

/// `GET /metrics`
pub async fn metrics(state: Data<AppState>) -> HttpResponse {
    let snapshot = state.snapshot();
    response(snapshot.metrics.get_or(|| render(&snapshot)))
}

pub fn render(snapshot: &Snapshot) -> String {
    let mut metrics = Metrics::of("monitor");
    metrics.ready(snapshot.unready.is_none());
    problems::add_metrics(&mut metrics, &snapshot.problems);
    if let Some(published) = &snapshot.published {
        render_profiles(&mut metrics, published);
    }
    runner_metrics::add(&mut metrics);
    metrics.github(&snapshot.github);
    repeated::add_metrics(&mut metrics, &snapshot.refused);
    metrics.text()
}

fn render_profiles(metrics: &mut Metrics, published: &PublishedView) {
    let view = &published.view;
    let profiles = &view.dashboard.profile_runner_counts;
    let runners = profiles.iter().flat_map(|(profile_key, counts)| {
        STATES.map(|(state, count)| {
            let labels = [profile_key.to_string(), state.to_owned()];
            (labels, count(counts) as f64)
        })
    });
    metrics.add(&RUNNERS, runners);
    let targets = profiles
        .iter()
        .map(|(profile_key, counts)| ([profile_key.to_string()], counts.target as f64));
    metrics.add(&RUNNERS_TARGET, targets);
    let missing = profiles.keys().map(|profile_key| {
        let missing = view.dashboard.missing.get(profile_key);
        let count = missing.map_or(0, |missing| missing.count);
        ([profile_key.to_string()], count as f64)
    });
    metrics.add(&RUNNERS_MISSING, missing);
    let images = view.images.iter().filter_map(|(profile_key, image)| {
        let built_at = image.built_at?.as_seconds() as f64;
        Some(([profile_key.to_string()], built_at))
    });
    metrics.add(&IMAGE_BUILT, images);
    let ends = view.software.iter().filter_map(|(profile_key, software)| {
        let Some(Support::Until(ends_at)) = software.support else {
            return None;
        };
        let labels = [profile_key.to_string(), software.version.clone()];
        Some((labels, ends_at.as_seconds() as f64))
    });
    metrics.add(&SUPPORT_END, ends);
}

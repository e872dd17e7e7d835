//! What both daemons measure, in the text that Prometheus reads (OpenMetrics 1.0).
//!
//! Owns the form. The numbers are read when they are asked for, from where they are kept anyway:
//! nothing is counted twice, and no secret can be among them.

use std::sync::atomic::AtomicU64;

use actix_web::{HttpResponse, body::MessageBody};
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::Gauge,
    },
    registry::Registry,
};

use github::ApiStatus;
use shared::clock::Timestamp;

/// What this is, for whoever reads it.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Names and values that tell apart what has the same name.
pub type Labels = Vec<(&'static str, String)>;

/// All that is measured, at one moment. Every name gets the daemon's in front.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Nothing yet. `daemon` is `queue` or `monitor`.
    pub fn of(daemon: &str) -> Self {
        Self(Registry::with_prefix(format!("ci_runners_{daemon}")))
    }

    /// A number of the moment.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    /// Numbers of the moment that belong together.
    pub fn gauges(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).set(value);
        }
        self.0.register(name, help, family);
    }

    /// How often something has happened since the start.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstCounter::new(value));
    }

    /// How we stand with GitHub.
    pub fn github(&mut self, standing: &ApiStatus, now: Timestamp) {
        let asks_as = vec![("asks_as", standing.authenticated_with.clone())];
        self.gauges(
            "github_credential",
            "1 for what GitHub is asked as",
            [(asks_as, 1.0)],
        );
        let permissions = standing.permissions.iter();
        let permissions = permissions.map(|(name, level)| {
            let labels = vec![("permission", name.clone()), ("level", level.clone())];
            (labels, 1.0)
        });
        let help = "1 for each thing that GitHub lets us do, as far as it says";
        self.gauges("github_permission", help, permissions);
        if let Some(limit) = &standing.rate_limit {
            let (remaining, all) = (limit.remaining as f64, limit.limit as f64);
            self.gauge(
                "github_requests_remaining",
                "Requests left of the hourly limit",
                remaining,
            );
            self.gauge(
                "github_requests_limit",
                "Requests that GitHub allows an hour",
                all,
            );
        }
        if let Some(expires_at) = standing.token_expires_at {
            let seconds = expires_at.since(now).as_secs() as f64;
            let help = "Time until the token ends, by GitHub's clock; an App's is renewed";
            self.gauge("github_token_seconds", help, seconds);
        }
        let answers = Family::<Labels, Counter>::default();
        for (status, count) in &standing.responses {
            let labels = vec![("status", status.to_string())];
            answers.get_or_create(&labels).inc_by(*count);
        }
        let help = "Answers of GitHub since the start, by status";
        self.0.register("github_answers", help, answers);
        self.counter(
            "github_unanswered",
            "Requests to GitHub without an answer",
            standing.failed_request_count,
        );
        self.counter(
            "github_held_back",
            "Requests that were not sent because little was left of the limit",
            standing.deferred_request_count,
        );
    }

    /// All of it in the OpenMetrics text format; [`response`] is the HTTP response around it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0).expect("a String takes all that is written to it");
        text
    }

    /// All of it as an HTTP response.
    pub fn answer(&self) -> HttpResponse {
        response(self.text())
    }
}

/// The HTTP response with a text that [`Metrics::text`] has rendered.
pub fn response(text: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::Ok().content_type(CONTENT_TYPE).body(text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use github::RateLimit;

    #[test]
    fn numbers_stand_under_their_names_and_labels() {
        let mut metrics = Metrics::of("queue");
        metrics.gauge("jobs", "How many", 3.0);
        let labels = |profile: &str| vec![("profile", profile.to_owned())];
        let values = [(labels("a"), 1.0), (labels("b\"\n"), 2.5)];
        metrics.gauges("idle", "How many idle", values);
        metrics.counter("asked", "How often", 7);
        let text = metrics.text();
        for line in [
            "ci_runners_queue_jobs 3.0",
            "ci_runners_queue_idle{profile=\"a\"} 1.0",
            r#"ci_runners_queue_idle{profile="b\"\n"} 2.5"#,
            "ci_runners_queue_asked_total 7",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn how_we_stand_with_github_is_among_them() {
        let standing = ApiStatus {
            authenticated_with: "a token".into(),
            renews_automatically: false,
            permissions: BTreeMap::from([("administration".into(), "write".into())]),
            token_expires_at: Some(Timestamp::from_seconds(1060)),
            rate_limit: Some(RateLimit {
                limit: 5000,
                remaining: 4990,
                reset_at: Timestamp::from_seconds(2000),
                resource: "core".into(),
            }),
            responses: BTreeMap::from([(200, 9), (304, 40)]),
            failed_request_count: 2,
            deferred_request_count: 1,
        };
        let mut metrics = Metrics::of("monitor");
        metrics.github(&standing, Timestamp::from_seconds(1000));
        let text = metrics.text();
        for line in [
            "ci_runners_monitor_github_credential{asks_as=\"a token\"} 1.0",
            "ci_runners_monitor_github_permission{permission=\"administration\",level=\"write\"} 1.0",
            "ci_runners_monitor_github_requests_remaining 4990.0",
            "ci_runners_monitor_github_requests_limit 5000.0",
            "ci_runners_monitor_github_token_seconds 60.0",
            "ci_runners_monitor_github_answers_total{status=\"304\"} 40",
            "ci_runners_monitor_github_unanswered_total 2",
            "ci_runners_monitor_github_held_back_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}

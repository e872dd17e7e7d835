//! Metrics of both daemons in the text format of OpenMetrics 1.0, for Prometheus.
//!
//! Responsible for the format and for the metrics about GitHub. The values are collected for each
//! request from the state that exists anyway; nothing is counted twice. They contain no secret.

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

use crate::log_output;

/// The header `Content-Type`.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels of one value: pairs of name and value.
pub type Labels = Vec<(&'static str, String)>;

/// All metrics at one moment.
#[derive(Debug)]
pub struct Metrics(Registry);

impl Metrics {
    /// Those about the process. `daemon` is `queue` or `monitor`; all names begin with `ci_runners_<daemon>_`.
    pub fn of(daemon: &str) -> Self {
        let mut metrics = Self(Registry::with_prefix(format!("ci_runners_{daemon}")));
        metrics.counter(
            "log_lines_dropped",
            "Lines of the log that could not be written to standard error since the start",
            log_output::status().dropped_count,
        );
        metrics
    }

    /// Adds a gauge.
    pub fn gauge(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.0.register(name, help, gauge);
    }

    /// Adds a gauge with one value for each set of labels.
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

    /// Adds a counter of events since the start. `_total` is appended to its name.
    pub fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.register(name, help, ConstCounter::new(value));
    }

    /// Adds a counter of events since the start with one value for each set of labels. `_total` is
    /// appended to its name.
    pub fn counters(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in values {
            family.get_or_create(&labels).inc_by(value);
        }
        self.0.register(name, help, family);
    }

    /// The status of our access to GitHub's API.
    pub fn github(&mut self, status: &ApiStatus) {
        let credentials = vec![("authenticated_with", status.authenticated_with.clone())];
        self.gauges(
            "github_credentials",
            "1 for the credentials in use",
            [(credentials, 1.0)],
        );
        let permissions = status.permissions.iter();
        let permissions = permissions.map(|(name, level)| {
            let labels = vec![("permission", name.clone()), ("level", level.clone())];
            (labels, 1.0)
        });
        let help = "1 for each permission that GitHub reports";
        self.gauges("github_permission", help, permissions);
        if let Some(limit) = &status.rate_limit {
            self.gauge(
                "github_requests_remaining",
                "Requests that are left of the hourly rate limit",
                limit.remaining as f64,
            );
            self.gauge(
                "github_requests_limit",
                "The hourly rate limit, in requests",
                limit.limit as f64,
            );
        }
        if let Some(expires_at) = status.token_expires_at {
            self.gauge(
                "github_token_expiry_timestamp_seconds",
                "When the token expires, by GitHub's clock; the token of an App is renewed before",
                expires_at.as_seconds() as f64,
            );
        }
        let responses = status.responses.iter().map(|(status, count)| {
            let labels = vec![("status", status.to_string())];
            (labels, *count)
        });
        let help = "Responses of GitHub since the start, by status";
        self.counters("github_responses", help, responses);
        self.counter(
            "github_request_failures",
            "Requests to GitHub without a response since the start",
            status.failed_request_count,
        );
        self.counter(
            "github_requests_deferred",
            "Requests that were not sent since the start, because little was left of the rate limit",
            status.deferred_request_count,
        );
    }

    /// The metrics as text; [`response`] turns it into an HTTP response.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0).expect("writing to a String does not fail");
        text
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
    use shared::clock::Timestamp;

    #[test]
    fn values_have_names_and_labels() {
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
    fn the_api_status_of_github_is_included() {
        let status = ApiStatus {
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
        metrics.github(&status);
        let text = metrics.text();
        for line in [
            "ci_runners_monitor_github_credentials{authenticated_with=\"a token\"} 1.0",
            "ci_runners_monitor_github_permission{permission=\"administration\",level=\"write\"} 1.0",
            "ci_runners_monitor_github_requests_remaining 4990.0",
            "ci_runners_monitor_github_requests_limit 5000.0",
            "ci_runners_monitor_github_token_expiry_timestamp_seconds 1060.0",
            "ci_runners_monitor_github_responses_total{status=\"304\"} 40",
            "ci_runners_monitor_github_request_failures_total 2",
            "ci_runners_monitor_github_requests_deferred_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}

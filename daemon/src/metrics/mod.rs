//! Metrics of both daemons in the text format of OpenMetrics 1.0, for Prometheus.
//!
//! Responsible for the format and for the metrics about the process, HTTP and GitHub. Gauges are collected
//! for each request from the state that exists anyway; counters and histograms of events are kept in
//! [`Counters`] and [`Histograms`]. They contain no secret. Every metric is a [`Metric`], from which
//! the book's page on metrics is written.
//!
//! | module | contents |
//! | --- | --- |
//! | `instruments` | counters and histograms of events |
//! | `common` | the metrics of both daemons, and the adding of their values |
//! | `process` | what the process uses, as Linux reports it |

mod common;
mod instruments;
mod process;

use std::sync::atomic::AtomicU64;

use actix_web::{HttpResponse, body::MessageBody};
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

pub(crate) use common::watch_github;
pub use common::{COMMON, count_request};
pub use instruments::{Counters, Histograms};

/// The header `Content-Type`.
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Labels of one value: pairs of name and value.
type Labels = Vec<(String, String)>;

/// One metric: its name and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name without the prefix `ci_runners_<daemon>_`, and without the `_total` of a counter.
    pub name: &'static str,
    /// What kind of metric it is.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts or measures, without a full stop.
    pub help: &'static str,
}

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows, since the start of the process.
    Counter,
    /// How often values in ranges occurred since the start of the process.
    Histogram,
}

impl Metric {
    /// A gauge.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricKind::Gauge, name, labels, help)
    }

    /// A counter.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricKind::Counter, name, labels, help)
    }

    /// A histogram.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self::new(MetricKind::Histogram, name, labels, help)
    }

    const fn new(
        kind: MetricKind,
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind,
            labels,
            help,
        }
    }

    /// Whether its name begins with that of the daemon. The names that Prometheus' own libraries use do not.
    fn has_prefix(&self) -> bool {
        !self.name.starts_with("process_")
    }

    /// The name with the prefix of a daemon, as Prometheus stores it; that of a histogram is continued by
    /// `_bucket`, `_sum` and `_count`.
    pub fn full_name(&self, daemon: &str) -> String {
        let prefix = match self.has_prefix() {
            true => format!("ci_runners_{daemon}_"),
            false => String::new(),
        };
        let suffix = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        format!("{prefix}{}{suffix}", self.name)
    }

    fn labels<const N: usize>(&self, values: [&str; N]) -> Labels {
        debug_assert_eq!(self.labels.len(), N, "{}", self.name);
        let names = self.labels.iter().map(|name| (*name).to_owned());
        names.zip(values.map(str::to_owned)).collect()
    }
}

/// All metrics at one moment.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Those whose names have no prefix.
    process: Registry,
}

impl Metrics {
    /// Those about the process and its HTTP server. `daemon` is `queue` or `monitor`; all names begin with
    /// `ci_runners_<daemon>_`, except those that begin with `process_`.
    pub fn of(daemon: &str) -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix(format!("ci_runners_{daemon}")),
            process: Registry::default(),
        };
        metrics.add_common();
        metrics
    }

    /// Adds a metric with one value for each set of labels; their values are in the order of the names.
    /// Those of a counter are whole numbers.
    pub fn add<const N: usize>(
        &mut self,
        metric: &'static Metric,
        values: impl IntoIterator<Item = ([String; N], f64)>,
    ) {
        let values = values.into_iter().map(|(labels, value)| {
            let labels = metric.labels(labels.each_ref().map(String::as_str));
            (labels, value)
        });
        let registry = self.registry_of(metric);
        match metric.kind {
            MetricKind::Counter => {
                let family = Family::<Labels, Counter>::default();
                for (labels, value) in values {
                    family.get_or_create(&labels).inc_by(value as u64);
                }
                registry.register(metric.name, metric.help, family);
            }
            MetricKind::Gauge | MetricKind::Histogram => {
                let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
                for (labels, value) in values {
                    family.get_or_create(&labels).set(value);
                }
                registry.register(metric.name, metric.help, family);
            }
        }
    }

    /// Adds a metric without labels.
    pub fn add_one(&mut self, metric: &'static Metric, value: f64) {
        let registry = self.registry_of(metric);
        match metric.kind {
            MetricKind::Counter if value.fract() == 0.0 => {
                let counter = Counter::<u64, AtomicU64>::default();
                counter.inc_by(value as u64);
                registry.register(metric.name, metric.help, counter);
            }
            MetricKind::Counter => {
                let counter = Counter::<f64, AtomicU64>::default();
                counter.inc_by(value);
                registry.register(metric.name, metric.help, counter);
            }
            MetricKind::Gauge | MetricKind::Histogram => {
                let gauge = Gauge::<f64, AtomicU64>::default();
                gauge.set(value);
                registry.register(metric.name, metric.help, gauge);
            }
        }
    }

    fn registry_of(&mut self, metric: &Metric) -> &mut Registry {
        match metric.has_prefix() {
            true => &mut self.registry,
            false => &mut self.process,
        }
    }

    /// Adds counters of events.
    pub fn add_counters(&mut self, counters: &Counters) {
        let metric = counters.metric();
        self.registry
            .register(metric.name, metric.help, counters.family());
    }

    /// Adds histograms of events.
    pub fn add_histograms(&mut self, histograms: &Histograms) {
        let metric = histograms.metric();
        self.registry
            .register(metric.name, metric.help, histograms.family());
    }

    /// The metrics as text; [`response`] turns it into an HTTP response.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)
            .and_then(|()| encode_registry(&mut text, &self.process))
            .and_then(|()| encode_eof(&mut text))
            .expect("writing to a String does not fail");
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
    use github::{ApiStatus, RateLimit};
    use shared::clock::Timestamp;

    static JOBS: Metric = Metric::gauge("jobs", &[], "How many");
    static IDLE: Metric = Metric::gauge("idle", &["profile"], "How many idle");
    static ASKED: Metric = Metric::counter("asked", &[], "How often");

    #[test]
    fn values_have_names_and_labels() {
        let mut metrics = Metrics::of("queue");
        metrics.add_one(&JOBS, 3.0);
        let labels = |profile: &str| [profile.to_owned()];
        metrics.add(&IDLE, [(labels("a"), 1.0), (labels("b\"\n"), 2.5)]);
        metrics.add_one(&ASKED, 7.0);
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
    fn the_use_of_the_process_is_included_without_a_prefix() {
        let text = Metrics::of("queue").text();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_start_time_seconds",
        ] {
            let mut lines = text.lines();
            assert!(
                lines.any(|line| line.starts_with(&format!("{name} "))),
                "{name}"
            );
        }
        let version = env!("CARGO_PKG_VERSION");
        let build = format!("ci_runners_queue_build_info{{version=\"{version}\"}} 1.0");
        assert!(text.contains(&build), "{text}");
    }

    #[test]
    fn names_are_those_that_prometheus_stores() {
        assert_eq!(JOBS.full_name("queue"), "ci_runners_queue_jobs");
        assert_eq!(ASKED.full_name("monitor"), "ci_runners_monitor_asked_total");
        let process = COMMON.iter().find(|it| it.name == "process_cpu_seconds");
        assert_eq!(
            process.unwrap().full_name("queue"),
            "process_cpu_seconds_total"
        );
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
            "ci_runners_monitor_github_requests_deferred_total 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}

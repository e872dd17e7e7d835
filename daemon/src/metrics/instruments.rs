//! Counters and histograms of events, kept for the life of the process.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use prometheus_client::metrics::{
    counter::Counter,
    family::{Family, MetricConstructor},
    histogram::Histogram,
};

use super::{Labels, Metric, MetricKind};

/// Most combinations of labels of one metric; further ones are counted together, with `other` for every label.
/// Labels are profiles, servers and constants, so only a mistake or hostile neighbours reach it.
const SERIES_MAX: usize = 2000;

/// A counter for each combination of labels. Cheap to clone; all clones share the values.
#[derive(Clone, Debug)]
pub struct Counters {
    metric: &'static Metric,
    family: Family<Labels, Counter>,
    series_count: Arc<AtomicUsize>,
}

/// A histogram for each combination of labels. Cheap to clone; all clones share the values.
#[derive(Clone, Debug)]
pub struct Histograms {
    metric: &'static Metric,
    family: Family<Labels, Histogram, Buckets>,
    series_count: Arc<AtomicUsize>,
}

/// Makes histograms with these upper limits of buckets, in the unit of the metric.
#[derive(Clone, Debug)]
pub struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Buckets for what takes from milliseconds to a minute: requests.
const OF_REQUESTS: &[f64] = &[
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0,
];
/// Buckets for what takes from a second to half a day: waits, guests, jobs.
const OF_JOBS: &[f64] = &[
    1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0,
    43200.0,
];
/// Buckets for the ratio of what was measured to what was estimated.
const OF_RATIOS: &[f64] = &[0.1, 0.25, 0.5, 0.8, 1.25, 2.0, 4.0, 10.0];

impl Counters {
    /// Counters of this metric, all zero.
    pub fn new(metric: &'static Metric) -> Self {
        debug_assert_eq!(metric.kind, MetricKind::Counter);
        Self {
            metric,
            family: Family::default(),
            series_count: Arc::default(),
        }
    }

    /// Makes the combination of labels exist, with zero: so that the first event is an increase.
    pub fn start<const N: usize>(&self, labels: [&str; N]) {
        self.count_by(labels, 0);
    }

    /// Counts one event.
    pub fn count<const N: usize>(&self, labels: [&str; N]) {
        self.count_by(labels, 1);
    }

    fn count_by<const N: usize>(&self, labels: [&str; N], count: u64) {
        let labels = self.bounded(labels);
        self.family.get_or_create(&labels).inc_by(count);
    }

    pub(super) fn metric(&self) -> &'static Metric {
        self.metric
    }

    fn bounded<const N: usize>(&self, labels: [&str; N]) -> Labels {
        bounded(&self.family, &self.series_count, self.metric.labels(labels))
    }

    pub(super) fn family(&self) -> Family<Labels, Counter> {
        self.family.clone()
    }
}

impl Histograms {
    /// Durations of requests, in seconds: buckets from a millisecond to a minute.
    pub fn of_requests(metric: &'static Metric) -> Self {
        Self::with_buckets(metric, OF_REQUESTS)
    }

    /// Durations of waits and jobs, in seconds: buckets from a second to half a day.
    pub fn of_jobs(metric: &'static Metric) -> Self {
        Self::with_buckets(metric, OF_JOBS)
    }

    /// Ratios of a measured value to an estimated one: buckets from a tenth to ten times.
    pub fn of_ratios(metric: &'static Metric) -> Self {
        Self::with_buckets(metric, OF_RATIOS)
    }

    fn with_buckets(metric: &'static Metric, limits: &'static [f64]) -> Self {
        debug_assert_eq!(metric.kind, MetricKind::Histogram);
        Self {
            metric,
            family: Family::new_with_constructor(Buckets(limits)),
            series_count: Arc::default(),
        }
    }

    /// Makes the combination of labels exist, without any values.
    pub fn start<const N: usize>(&self, labels: [&str; N]) {
        let labels = self.bounded(labels);
        drop(self.family.get_or_create(&labels));
    }

    /// Records a duration.
    pub fn observe<const N: usize>(&self, labels: [&str; N], duration: Duration) {
        self.observe_value(labels, duration.as_secs_f64());
    }

    /// Records a value in the unit of the metric.
    pub fn observe_value<const N: usize>(&self, labels: [&str; N], value: f64) {
        let labels = self.bounded(labels);
        self.family.get_or_create(&labels).observe(value);
    }

    pub(super) fn metric(&self) -> &'static Metric {
        self.metric
    }

    fn bounded<const N: usize>(&self, labels: [&str; N]) -> Labels {
        bounded(&self.family, &self.series_count, self.metric.labels(labels))
    }

    pub(super) fn family(&self) -> Family<Labels, Histogram, Buckets> {
        self.family.clone()
    }
}

/// These labels, or `other` for each of them if the family has too many combinations already. `count` is how
/// many there have been; one that several threads add at the same time counts more than once.
fn bounded<M, C>(family: &Family<Labels, M, C>, count: &AtomicUsize, labels: Labels) -> Labels
where
    C: MetricConstructor<M>,
{
    if family.get(&labels).is_some() || count.fetch_add(1, Ordering::Relaxed) < SERIES_MAX {
        return labels;
    }
    let other = |(name, _)| (name, "other".to_owned());
    labels.into_iter().map(other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    static EVENTS: Metric = Metric::counter("events", &["kind"], "Events");
    static WAITS: Metric = Metric::histogram("wait_seconds", &["kind"], "Waits");

    #[test]
    fn events_are_counted_and_measured_by_their_labels() {
        let (counters, waits) = (Counters::new(&EVENTS), Histograms::of_jobs(&WAITS));
        counters.start(["none"]);
        counters.count(["some"]);
        counters.count(["some"]);
        waits.observe(["a"], Duration::from_secs(20));
        let mut metrics = Metrics::of("queue");
        metrics.add_counters(&counters);
        metrics.add_histograms(&waits);
        let text = metrics.text();
        for line in [
            "ci_runners_queue_events_total{kind=\"none\"} 0",
            "ci_runners_queue_events_total{kind=\"some\"} 2",
            "ci_runners_queue_wait_seconds_sum{kind=\"a\"} 20.0",
            "ci_runners_queue_wait_seconds_bucket{le=\"15.0\",kind=\"a\"} 0",
            "ci_runners_queue_wait_seconds_bucket{le=\"30.0\",kind=\"a\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn the_number_of_series_is_limited() {
        let counters = Counters::new(&EVENTS);
        for number in 0..SERIES_MAX + 5 {
            counters.count([&number.to_string()]);
        }
        counters.count(["0"]);
        let mut metrics = Metrics::of("queue");
        metrics.add_counters(&counters);
        let text = metrics.text();
        let series = text
            .lines()
            .filter(|line| line.starts_with("ci_runners_queue_events"));
        assert_eq!(series.count(), SERIES_MAX + 1);
        for line in [
            "ci_runners_queue_events_total{kind=\"other\"} 5",
            "ci_runners_queue_events_total{kind=\"0\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}");
        }
    }
}

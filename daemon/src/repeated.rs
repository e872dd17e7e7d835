//! Events that clients without credentials can cause as often as they like: counted, shown as a metric,
//! and summarised in one line of the log a minute, whatever their number.
//!
//! Responsible for the counters and for the texts. Not responsible for what is refused.

use std::{collections::BTreeMap, sync::LazyLock, time::Duration};

use parking_lot::Mutex;

use crate::metrics::{self, Metric, Metrics};
use shared::text::printable;

/// Pause between two summaries in the log.
const INTERVAL: Duration = Duration::from_secs(60);
/// The longest example in a summary, in characters.
const EXAMPLE_LENGTH_MAX: usize = 160;
/// Most causes that are counted separately. Causes are constants, so this is never reached unless one
/// is made from a request by mistake.
const CAUSES_MAX: usize = 100;

/// The counters of this process.
static PROCESS: Counters = Counters(Mutex::new(BTreeMap::new()));

/// Counts an event. `cause` is a constant in snake case: the label of the metric and its name in the log.
/// `example` describes the event; it is called for the first event of each summary only. It must not
/// contain a secret.
pub fn count(cause: &'static str, example: impl FnOnce() -> String) {
    PROCESS.count(cause, example);
}

/// Like [`count`], for an event that an operator should know of at once: the first one since the last
/// summary is also logged by itself, as an error.
pub fn count_alarm(cause: &'static str, alarm: impl FnOnce() -> String) {
    ALARM_COUNTERS.count([cause]);
    if let Some(example) = PROCESS.count(cause, alarm) {
        log::error!("{example}");
    }
}

/// Like [`count_alarm`], but the line is a warning.
pub fn count_warning(cause: &'static str, warning: impl FnOnce() -> String) {
    if let Some(example) = PROCESS.count(cause, warning) {
        log::warn!("{example}");
    }
}

/// The number of events since the start, by cause.
pub fn totals() -> Totals {
    PROCESS.totals()
}

/// Numbers of events by cause.
pub type Totals = BTreeMap<&'static str, u64>;

/// The metric of events.
pub(crate) static REFUSED: Metric = Metric::counter(
    "refused",
    &["cause"],
    "Requests and connections that were refused, and similar events that any client can cause",
);

/// The metric of those that are logged at once as errors.
pub(crate) static ALARMS: Metric = Metric::counter(
    "alarms",
    &["cause"],
    "Events that an operator should know of, such as a guest that requests another guest's credential",
);

/// The causes of alarms that there are from the start, with zero, so that the first one is an increase.
const ALARM_CAUSES: [&str; 3] = [
    "artifact_claim_not_saved",
    "credential_requested_again",
    "guest_secret_from_elsewhere",
];

static ALARM_COUNTERS: LazyLock<metrics::Counters> = LazyLock::new(|| {
    let counters = metrics::Counters::new(&ALARMS);
    for cause in ALARM_CAUSES {
        counters.start([cause]);
    }
    counters
});

/// Adds the numbers of events to the metrics of a daemon.
pub fn add_metrics(metrics: &mut Metrics, totals: &Totals) {
    let values = totals
        .iter()
        .map(|(cause, count)| ([(*cause).to_owned()], *count as f64));
    metrics.add(&REFUSED, values);
    metrics.add_counters(&ALARM_COUNTERS);
}

/// Logs a summary once a minute, if there were events. Never returns.
pub(crate) async fn log_summaries() {
    loop {
        tokio::time::sleep(INTERVAL).await;
        log_summary();
    }
}

/// Logs what has been counted since the last summary, if anything. Also for the end of the daemon.
pub(crate) fn log_summary() {
    if let Some(summary) = PROCESS.summary() {
        log::info!("{summary}");
    }
}

struct Counters(Mutex<BTreeMap<&'static str, Counter>>);

#[derive(Default)]
struct Counter {
    total: u64,
    /// How many of `total` have been in a summary.
    summarised: u64,
    /// The first event since the last summary.
    example: Option<String>,
}

impl Counters {
    /// Returns the example if this is the first event since the last summary.
    fn count(&self, cause: &'static str, example: impl FnOnce() -> String) -> Option<String> {
        let mut counters = self.0.lock();
        if counters.len() >= CAUSES_MAX && !counters.contains_key(cause) {
            return None;
        }
        let counter = counters.entry(cause).or_default();
        counter.total = counter.total.saturating_add(1);
        if counter.example.is_some() {
            return None;
        }
        let example = example();
        let mut shown: String = example.chars().take(EXAMPLE_LENGTH_MAX).collect();
        if shown.len() < example.len() {
            shown.push('…');
        }
        counter.example = Some(printable(&shown).into_owned());
        Some(example)
    }

    fn totals(&self) -> Totals {
        let counters = self.0.lock();
        let totals = counters
            .iter()
            .map(|(cause, counter)| (*cause, counter.total));
        totals.collect()
    }

    /// One line about the events since the last summary; `None` if there were none.
    fn summary(&self) -> Option<String> {
        let mut counters = self.0.lock();
        let mut sum = 0_u64;
        let mut causes = Vec::new();
        for (cause, counter) in &mut *counters {
            let count = counter.total - counter.summarised;
            let example = counter.example.take();
            counter.summarised = counter.total;
            if let Some(example) = example {
                sum = sum.saturating_add(count);
                causes.push(format!("{count} {cause}, such as {example}"));
            }
        }
        let events = if sum == 1 { "event" } else { "events" };
        (sum > 0).then(|| {
            let causes = causes.join("; ");
            format!("{sum} {events} since the last such line: {causes}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counters() -> Counters {
        Counters(Mutex::default())
    }

    #[test]
    fn however_many_events_there_are_the_summary_is_one_line_with_an_example() {
        let counters = counters();
        assert_eq!(counters.summary(), None);
        for number in 0..100_000 {
            counters.count("wrong_token", || {
                format!("POST /take/{number} from 192.0.2.1")
            });
        }
        counters.count("not_found", || {
            "GET /x\n2026 ERROR forged \u{202e}".to_owned()
        });
        assert_eq!(
            counters.summary().unwrap(),
            "100001 events since the last such line: 1 not_found, such as GET /x\\n2026 ERROR forged \
             \\u{202e}; 100000 wrong_token, such as POST /take/0 from 192.0.2.1"
        );
        assert_eq!(counters.summary(), None);
        counters.count("wrong_token", || "POST /take/a from 192.0.2.2".to_owned());
        assert_eq!(
            counters.summary().unwrap(),
            "1 event since the last such line: 1 wrong_token, such as POST /take/a from 192.0.2.2"
        );
        let totals = Totals::from([("not_found", 1), ("wrong_token", 100_001)]);
        assert_eq!(counters.totals(), totals);
    }

    #[test]
    fn only_the_first_event_since_a_summary_is_described() {
        let counters = counters();
        assert_eq!(counters.count("a", || "x".to_owned()), Some("x".to_owned()));
        assert_eq!(
            counters.count("a", || panic!("it is described already")),
            None
        );
        counters.summary();
        assert_eq!(counters.count("a", || "y".to_owned()), Some("y".to_owned()));
    }

    #[test]
    fn examples_and_causes_are_limited() {
        let counters = counters();
        counters.count("a", || "é".repeat(1 << 20));
        assert!(counters.summary().unwrap().chars().count() < 300);
        let names: Vec<String> = (0..2 * CAUSES_MAX)
            .map(|number| number.to_string())
            .collect();
        for name in names {
            counters.count(name.leak(), String::new);
        }
        assert_eq!(counters.totals().len(), CAUSES_MAX);
    }

    #[test]
    fn the_metrics_have_the_numbers_by_cause() {
        let mut metrics = Metrics::of("queue");
        add_metrics(&mut metrics, &Totals::from([("wrong_token", 7)]));
        let text = metrics.text();
        assert!(
            text.contains("ci_runners_queue_refused_total{cause=\"wrong_token\"} 7"),
            "{text}"
        );
    }
}

//! Long-polls the dashboard of one monitor and hands its reports to the core.
//!
//! Responsible for the pace of the polls. The requests themselves are in `monitor_client`.

use std::{collections::BTreeMap, time::Duration};

use parking_lot::Mutex;
use shared::clock::Timestamp;

use queue_core::{Input, Report};

use crate::{
    event_loop::EventLoop,
    monitor_client::{HOLD, MonitorClient, PollError, PollResponse},
};

/// Pause before the next poll of a monitor that fails, or that does not hold its answers.
const POLL_PAUSE: Duration = Duration::from_secs(1);
/// Time between two reports of one server in a sustained burst.
const REPORT_INTERVAL: Duration = Duration::from_millis(2);
/// How many reports of one server may follow each other without a pause.
const REPORT_BURST: u32 = 100;

/// Reports that take longer than that to parse and to process are followed by a pause. Those of a server
/// with some hundred runners take a millisecond.
const PROCESSING_WITHOUT_PAUSE: Duration = Duration::from_millis(5);
/// How long that pause is, as a multiple of the time beyond it.
const PAUSE_FOR_PROCESSING: u32 = 9;

/// Time between two statements of what jobs wait for, besides those in polls.
const DEMAND_INTERVAL: Duration = Duration::from_secs(1);

/// Polls a monitor, reports what it has to the core, and tells it of the jobs that wait. Never returns.
pub async fn poll_forever(client: MonitorClient, event_loop: EventLoop) {
    let known_etag = Mutex::default();
    tokio::join!(
        request_reports(&client, &event_loop, &known_etag),
        state_demand(&client, &event_loop, &known_etag),
    );
}

/// Tells the monitor when jobs wait for more or fewer of its runners, while its answer to a poll is held: once a
/// second at most. A statement that is lost is repeated with the next poll.
async fn state_demand(
    client: &MonitorClient,
    event_loop: &EventLoop,
    known_etag: &Mutex<Option<String>>,
) {
    let mut stated = BTreeMap::new();
    loop {
        tokio::time::sleep(DEMAND_INTERVAL).await;
        let demand = event_loop.read(|queue, now| queue.demand(now, client.server));
        let Some(demand) = demand.filter(|demand| demand.counts != stated) else {
            continue;
        };
        let etag = known_etag.lock().clone();
        // Without one a poll is under way that is not held.
        let Some(etag) = etag else { continue };
        match client.state_demand(&etag, &demand).await {
            Ok(()) => stated = demand.counts,
            Err(error) => {
                let url = &client.base_url;
                log::debug!("failed to tell monitor {url} of the jobs that wait: {error}");
            }
        }
    }
}

/// Polls a monitor and reports what it has to the core. Never returns.
async fn request_reports(
    client: &MonitorClient,
    event_loop: &EventLoop,
    known_etag: &Mutex<Option<String>>,
) {
    let server = client.server;
    let mut etag: Option<String> = None;
    let mut was_reached = true;
    let mut rate_limit = RateLimit::default();
    loop {
        known_etag.lock().clone_from(&etag);
        let demand = event_loop.read(|queue, now| queue.demand(now, server));
        let asked_at = event_loop.now();
        let response = client.poll(etag.as_deref(), demand.as_ref()).await;
        let responded_at = event_loop.now();
        let response = match response {
            Ok(PollResponse::Dashboard(dashboard)) => {
                let etag = dashboard.etag.clone();
                let report = dashboard.parse(client, asked_at).await;
                report.map(|report| Polled::Report {
                    report: Box::new(report),
                    etag,
                })
            }
            Ok(PollResponse::Unchanged) => Ok(Polled::Unchanged),
            Err(error) => Err(error),
        };
        log_change(client, was_reached, &response);
        was_reached = response.is_ok();
        let (input, pause) = match response {
            Ok(Polled::Unchanged) => {
                let was_held = responded_at.since(asked_at) >= HOLD / 2;
                let pause = if was_held { Duration::ZERO } else { POLL_PAUSE };
                (Input::Unchanged { server, asked_at }, pause)
            }
            Ok(Polled::Report {
                report,
                etag: new_etag,
            }) => {
                // The same `ETag` again, or none at all: this monitor does not hold its answers.
                let is_long_polled = new_etag != etag;
                etag = new_etag;
                let pause = if is_long_polled {
                    rate_limit.pause_after_report(responded_at)
                } else {
                    POLL_PAUSE
                };
                let report = *report;
                (Input::Reported { server, report }, pause)
            }
            Err(error) => {
                // After a failure the whole dashboard is requested, not only changes: the state of
                // the monitor may have changed without a new `ETag`, by a restart for example.
                etag = None;
                let input = match error.failure() {
                    Some(failure) => Input::Unreachable { server, failure },
                    None => Input::TokenRefused {
                        server,
                        by_poll: true,
                    },
                };
                (input, POLL_PAUSE)
            }
        };
        match input {
            Input::Reported { server, report } => event_loop.handle_report(server, report),
            input => event_loop.handle(input),
        }
        let processing = event_loop.now().since(responded_at);
        let pause = pause.max(pause_after_processing(processing));
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// The pause after a report that took so long to parse and to process: a server with enormous reports uses
/// about a tenth of a processor, however often they change.
fn pause_after_processing(processing: Duration) -> Duration {
    processing.saturating_sub(PROCESSING_WITHOUT_PAUSE) * PAUSE_FOR_PROCESSING
}

/// What a poll has brought.
enum Polled {
    Report {
        report: Box<Report>,
        etag: Option<String>,
    },
    Unchanged,
}

/// Limits the reports of one server to one each [`REPORT_INTERVAL`], after a burst of
/// [`REPORT_BURST`] (the generic cell rate algorithm).
#[derive(Default)]
struct RateLimit {
    /// When the last report would have arrived at exactly the permitted rate.
    theoretical_arrival_at: Timestamp,
}

impl RateLimit {
    /// How long to wait after a report that arrived `now`.
    fn pause_after_report(&mut self, now: Timestamp) -> Duration {
        self.theoretical_arrival_at = self.theoretical_arrival_at.max(now) + REPORT_INTERVAL;
        let burst = REPORT_INTERVAL * REPORT_BURST;
        self.theoretical_arrival_at.since(now + burst)
    }
}

fn log_change(client: &MonitorClient, was_reached: bool, response: &Result<Polled, PollError>) {
    let url = &client.base_url;
    match response {
        // That it lasts is a problem, which is logged as such; a monitor that starts is not ready for seconds.
        Err(PollError::NotReady(_, reason)) if was_reached => {
            log::info!("monitor {url} is not ready: {reason}");
        }
        Err(error) if was_reached => log::warn!(
            "failed to poll monitor {url}: {error}; its runners are not assigned until it answers, polling every {} s",
            POLL_PAUSE.as_secs()
        ),
        Ok(_) if !was_reached => log::info!("monitor {url} answers again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_of_reports_is_not_delayed_and_a_sustained_one_is_limited() {
        let mut limit = RateLimit::default();
        let mut now = Timestamp::from_seconds(1);
        for report in 0..REPORT_BURST {
            assert_eq!(limit.pause_after_report(now), Duration::ZERO, "{report}");
        }
        for _ in 0..3 {
            let pause = limit.pause_after_report(now);
            assert_eq!(pause, REPORT_INTERVAL);
            now = now + pause;
        }
        // After a quiet time a burst is allowed again.
        now = now + REPORT_INTERVAL * REPORT_BURST;
        assert_eq!(limit.pause_after_report(now), Duration::ZERO);
    }

    #[test]
    fn only_reports_that_take_long_are_followed_by_a_pause() {
        for (processing, pause) in [(0, 0), (1, 0), (5, 0), (6, 9), (105, 900)] {
            let expected = Duration::from_millis(pause);
            assert_eq!(
                pause_after_processing(Duration::from_millis(processing)),
                expected
            );
        }
    }

    #[test]
    fn reports_below_the_permitted_rate_are_never_delayed() {
        let mut limit = RateLimit::default();
        let mut now = Timestamp::from_seconds(1);
        for _ in 0..10_000 {
            assert_eq!(limit.pause_after_report(now), Duration::ZERO);
            now = now + REPORT_INTERVAL;
        }
    }
}

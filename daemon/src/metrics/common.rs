//! The metrics of both daemons: build, HTTP requests, refused requests, problems, GitHub.

use std::sync::LazyLock;

use github::{ApiStatus, ApiStatusCell, Call};

use super::{Counters, Histograms, Metric, Metrics, process};
use crate::{log_output, problems, repeated};

/// The metrics of both daemons, in the order of the book.
pub static COMMON: LazyLock<Vec<&'static Metric>> = LazyLock::new(|| {
    let mut all = vec![
        &BUILD_INFO,
        &READY,
        &problems::PROBLEM,
        &LOG_LINES_DROPPED,
        &HTTP_REQUESTS,
        &repeated::REFUSED,
        &repeated::ALARMS,
        &GITHUB_CREDENTIALS,
        &GITHUB_PERMISSION,
        &GITHUB_REMAINING,
        &GITHUB_LIMIT,
        &GITHUB_TOKEN_EXPIRY,
        &GITHUB_REQUESTS,
        &GITHUB_REQUEST_SECONDS,
        &GITHUB_DEFERRED,
    ];
    all.extend(process::ALL);
    all
});

static BUILD_INFO: Metric =
    Metric::gauge("build_info", &["version"], "1 for the release that runs");
/// Whether the daemon can do its work; each daemon says in its own way when.
pub(super) static READY: Metric = Metric::gauge("ready", &[], "1 if `/readyz` answers with 200");
static LOG_LINES_DROPPED: Metric = Metric::counter(
    "log_lines_dropped",
    &[],
    "Lines of the log that could not be written to standard error",
);
static HTTP_REQUESTS: Metric = Metric::counter(
    "http_requests",
    &["method", "route", "status"],
    "Responses by method, path pattern and status",
);
static GITHUB_CREDENTIALS: Metric = Metric::gauge(
    "github_credentials",
    &["authenticated_with"],
    "1 for the credentials in use",
);
static GITHUB_PERMISSION: Metric = Metric::gauge(
    "github_permission",
    &["permission", "level"],
    "1 for each permission that GitHub reports",
);
static GITHUB_REMAINING: Metric = Metric::gauge(
    "github_requests_remaining",
    &[],
    "Requests that are left of the hourly rate limit",
);
static GITHUB_LIMIT: Metric = Metric::gauge(
    "github_requests_limit",
    &[],
    "The hourly rate limit, in requests",
);
static GITHUB_TOKEN_EXPIRY: Metric = Metric::gauge(
    "github_token_expiry_timestamp_seconds",
    &[],
    "When the token expires, by GitHub's clock; the token of an App is renewed before",
);
static GITHUB_REQUESTS: Metric = Metric::counter(
    "github_requests",
    &["endpoint", "status"],
    "Requests to GitHub by endpoint and status; the status is `none` if there was no response",
);
static GITHUB_REQUEST_SECONDS: Metric = Metric::histogram(
    "github_request_seconds",
    &["endpoint"],
    "How long requests to GitHub took, in seconds, also those without a response",
);
static GITHUB_DEFERRED: Metric = Metric::counter(
    "github_requests_deferred",
    &[],
    "Requests that were not sent, because little was left of the rate limit",
);

static REQUESTS: LazyLock<Counters> = LazyLock::new(|| Counters::new(&HTTP_REQUESTS));
static GITHUB_CALLS: LazyLock<Counters> = LazyLock::new(|| Counters::new(&GITHUB_REQUESTS));
static GITHUB_DURATIONS: LazyLock<Histograms> =
    LazyLock::new(|| Histograms::of_requests(&GITHUB_REQUEST_SECONDS));

/// Counts a request that was answered. `route` is the pattern of its path, or `None` if there is none.
pub fn count_request(method: &str, route: Option<&str>, status: u16) {
    let method = match method {
        "GET" | "HEAD" | "POST" | "DELETE" => method,
        _ => "other",
    };
    let route = route.unwrap_or("none");
    REQUESTS.count([method, route, &status.to_string()]);
}

/// Counts and measures the requests to GitHub of this client from now on.
pub(crate) fn watch_github(status: &ApiStatusCell) {
    status.observe_calls(|call: &Call| {
        let code = call.status.map_or("none".to_owned(), |it| it.to_string());
        GITHUB_CALLS.count([&*call.endpoint, &*code]);
        GITHUB_DURATIONS.observe([&*call.endpoint], call.duration);
    });
}

impl Metrics {
    pub(super) fn add_common(&mut self) {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.add(&BUILD_INFO, [([version], 1.0)]);
        let dropped = log_output::status().dropped_count;
        self.add_one(&LOG_LINES_DROPPED, dropped as f64);
        self.add_counters(&REQUESTS);
        process::add(self);
    }

    /// Adds whether the daemon can do its work.
    pub fn ready(&mut self, is_ready: bool) {
        self.add_one(&READY, f64::from(u8::from(is_ready)));
    }

    /// Adds the status of our access to GitHub's API.
    pub fn github(&mut self, status: &ApiStatus) {
        let credentials = [status.authenticated_with.clone()];
        self.add(&GITHUB_CREDENTIALS, [(credentials, 1.0)]);
        let permissions = status.permissions.iter();
        let permissions = permissions.map(|(name, level)| ([name.clone(), level.clone()], 1.0));
        self.add(&GITHUB_PERMISSION, permissions);
        if let Some(limit) = &status.rate_limit {
            self.add_one(&GITHUB_REMAINING, limit.remaining as f64);
            self.add_one(&GITHUB_LIMIT, limit.limit as f64);
        }
        if let Some(expires_at) = status.token_expires_at {
            self.add_one(&GITHUB_TOKEN_EXPIRY, expires_at.as_seconds() as f64);
        }
        self.add_counters(&GITHUB_CALLS);
        self.add_histograms(&GITHUB_DURATIONS);
        self.add_one(&GITHUB_DEFERRED, status.deferred_request_count as f64);
    }
}

//! GitHub's rate limits, as its responses report them.
//!
//! Responsible for reading the headers. Waits for nothing itself. Points in time of GitHub are only compared
//! with the date of the same response; what follows from them is by our own clock and an hour away at
//! most, so that no response can stop requests for longer.
//! Source: GitHub's documentation, "Rate limits for the REST API".

use std::time::Duration;

use http_client::{Response, StatusCode};
use shared::clock::Timestamp;

/// The pause after a response that reports a limit but no time; GitHub asks for at least that.
const DEFAULT_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause that is accepted: the primary limit is reset every hour.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// A rate limit as the last response that contained it reported it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests that are allowed in an hour.
    pub limit: u64,
    /// Requests that are left.
    pub remaining: u64,
    /// When `remaining` becomes `limit` again, by our clock.
    pub reset_at: Timestamp,
    /// Which of GitHub's limits it is; mostly `core`.
    pub resource: String,
}

impl RateLimit {
    /// The limit against which nearly all requests count.
    pub(super) const CORE: &str = "core";
    /// Reads the `x-ratelimit-*` headers, if all of them are present and valid. `now` is by our clock. A
    /// reset that is further away than GitHub's limits allow counts as an hour, one in the past as now.
    pub fn of(response: &Response, now: Timestamp) -> Option<Self> {
        let number = |name| response.header(name)?.trim().parse().ok();
        let until_reset = reset(response)?.since(response.date().unwrap_or(now));
        Some(Self {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
            reset_at: now + until_reset.min(RETRY_AFTER_MAX),
            resource: response.header("x-ratelimit-resource")?.into(),
        })
    }
}

/// When the primary limit is reset, by GitHub's clock.
fn reset(response: &Response) -> Option<Timestamp> {
    let seconds = response.header("x-ratelimit-reset")?.trim().parse();
    seconds.ok().map(Timestamp::from_seconds)
}

/// How long to send nothing after `response`, an error with that message; `None` if it does not
/// report a limit.
///
/// A 403 means either a limit or a missing permission. The messages of all limits contain "rate
/// limit".
pub fn retry_after(response: &Response, message: &str) -> Option<Duration> {
    let retry_after = response.retry_after();
    let is_limit = match response.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            is_used_up(response) || message.to_ascii_lowercase().contains("rate limit")
        }
        _ => false,
    };
    let until_reset = || until_reset(response).unwrap_or(DEFAULT_PAUSE);
    retry_after
        .or_else(|| is_limit.then(until_reset))
        .map(|wait| wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX))
}

/// Whether nothing is left of the primary limit. Every response contains the time of the reset, so
/// without this it means nothing.
fn is_used_up(response: &Response) -> bool {
    let remaining = response.header("x-ratelimit-remaining");
    remaining.is_some_and(|remaining| remaining.trim() == "0")
}

/// The time until the primary limit is reset, if it is used up and the response says when.
fn until_reset(response: &Response) -> Option<Duration> {
    let (reset, date) = (reset(response)?, response.date()?);
    is_used_up(response).then(|| reset.since(date))
}

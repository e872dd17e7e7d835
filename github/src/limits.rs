//! GitHub's rate limits, as its responses report them.
//!
//! Responsible for reading the headers. Waits for nothing itself.
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
    /// When `remaining` becomes `limit` again, by GitHub's clock.
    pub reset_at: Timestamp,
    /// Which of GitHub's limits it is; mostly `core`.
    pub resource: String,
}

impl RateLimit {
    /// The limit against which nearly all requests count.
    pub(super) const CORE: &str = "core";
    /// How long a limit lasts until it is reset.
    pub(super) const LENGTH: Duration = RETRY_AFTER_MAX;

    /// Reads the `x-ratelimit-*` headers, if all of them are present and valid. A reset that is further
    /// away than GitHub's limits allow counts as an hour.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let number = |name| response.header(name)?.trim().parse().ok();
        let reset_at = Timestamp::from_seconds(number("x-ratelimit-reset")?);
        let latest = response.date().map(|date| date + RETRY_AFTER_MAX);
        Some(Self {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
            reset_at: latest.map_or(reset_at, |latest| reset_at.min(latest)),
            resource: response.header("x-ratelimit-resource")?.into(),
        })
    }
}

/// How long to send nothing after `response`, an error with that message; `None` if it does not
/// report a limit.
///
/// A 403 means either a limit or a missing permission. The messages of all limits contain "rate
/// limit".
pub(super) fn retry_after(response: &Response, message: &str) -> Option<Duration> {
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

/// The time until the primary limit is reset, if it is used up.
fn until_reset(response: &Response) -> Option<Duration> {
    let limit = RateLimit::of(response).filter(|limit| limit.remaining == 0)?;
    Some(limit.reset_at.since(response.date()?))
}

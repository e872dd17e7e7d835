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

    /// Reads the `x-ratelimit-*` headers, if all of them are present.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let number = |name| response.header(name)?.parse().ok();
        Some(Self {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
            reset_at: Timestamp::from_seconds(number("x-ratelimit-reset")?),
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
    let until_reset = until_reset(response);
    let is_limit = match response.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            until_reset.is_some() || message.to_ascii_lowercase().contains("rate limit")
        }
        _ => false,
    };
    retry_after
        .or_else(|| is_limit.then(|| until_reset.unwrap_or(DEFAULT_PAUSE)))
        .map(|wait| wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX))
}

/// The time until the primary limit is reset, if it is used up. Every response contains the time
/// of the reset, so without `remaining: 0` it means nothing.
fn until_reset(response: &Response) -> Option<Duration> {
    let limit = RateLimit::of(response).filter(|limit| limit.remaining == 0)?;
    Some(limit.reset_at.since(response.date()?))
}

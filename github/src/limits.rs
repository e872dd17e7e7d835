//! What GitHub says about how much it may still be asked, and when.
//!
//! Owns the reading of those headers. Waits for nothing itself.
//! Source: GitHub's documentation, "Rate limits for the REST API".

use std::time::Duration;

use http_client::{Answer, StatusCode};
use shared::clock::Timestamp;

/// How long to keep quiet after a refusal that does not say; GitHub asks for at least that.
const QUIET: Duration = Duration::from_secs(60);
/// The longest wait we let ourselves be told: the primary limit starts afresh every hour.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);

/// The primary limit, as the last answer that spoke of it told it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// How many requests an hour are allowed.
    pub limit: u64,
    /// How many of them are left.
    pub remaining: u64,
    /// When all of them are there again, by GitHub's clock.
    pub reset_at: Timestamp,
    /// Which of GitHub's budgets it is; mostly `core`, the only one that is remembered.
    pub resource: String,
}

impl RateLimit {
    /// The budget that nearly everything is charged to.
    pub(super) const CORE: &str = "core";

    /// Reads the `x-ratelimit-*` headers, if all of them are there.
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        let number = |name| answer.header(name)?.parse().ok();
        Some(Self {
            limit: number("x-ratelimit-limit")?,
            remaining: number("x-ratelimit-remaining")?,
            reset_at: Timestamp::from_seconds(number("x-ratelimit-reset")?),
            resource: answer.header("x-ratelimit-resource")?.into(),
        })
    }
}

/// How long to keep quiet after `answer`, a refusal with that message; none if GitHub does not mind
/// being asked.
///
/// A 403 means a limit, or a permission that is missing. GitHub's words for each of its limits
/// contain the same two.
pub(super) fn retry_after(answer: &Answer, message: &str) -> Option<Duration> {
    let said = answer.retry_after();
    let until_reset = until_reset(answer);
    let is_limit = match answer.status {
        StatusCode::TOO_MANY_REQUESTS => true,
        StatusCode::FORBIDDEN => {
            until_reset.is_some() || message.to_ascii_lowercase().contains("rate limit")
        }
        _ => false,
    };
    said.or_else(|| is_limit.then(|| until_reset.unwrap_or(QUIET)))
        .map(|wait| wait.clamp(Duration::from_secs(1), RETRY_AFTER_MAX))
}

/// The time until the primary limit starts afresh, if it is the one that is used up. Every
/// answer tells when that will be, so on its own this moment means nothing.
fn until_reset(answer: &Answer) -> Option<Duration> {
    let limit = RateLimit::of(answer).filter(|limit| limit.remaining == 0)?;
    Some(limit.reset_at.since(answer.date()?))
}

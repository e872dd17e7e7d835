//! Status of our access to GitHub's API: authentication, permissions, token expiry, rate limit and
//! request counts, for dashboards and metrics.
//!
//! Responsible for when to warn of a token's expiry. Sends nothing, and contains no secret.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{Credentials, GithubError, RateLimit, problems::Problems};
use http_client::{Response, StatusCode, timestamp};
use shared::{clock::Timestamp, problem::Problem};

/// How long before its expiry a token that does not renew itself is warned of.
const WARNED_BEFORE: Duration = Duration::from_secs(14 * DAY_SECONDS);

const DAY_SECONDS: u64 = 24 * 3600;

/// The current [`ApiStatus`], updated with every response. Cheap to clone; all clones share it.
#[derive(Clone, Debug)]
pub struct ApiStatusCell(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    status: ApiStatus,
    /// Nothing is sent before this moment, by our clock.
    rate_limited_until: Timestamp,
    problems: Problems,
    /// The day, counted from 1970, of the last warning in the log about the token's expiry.
    warned_on: Option<u64>,
    observer: Observer,
}

/// One request to GitHub that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Method and path without the parts that differ, such as `GET /orgs/{org}/actions/runners`.
    pub endpoint: String,
    /// The status of the response; `None` if there was none.
    pub status: Option<u16>,
    /// How long it took.
    pub duration: Duration,
}

/// What is called for each request that has ended.
#[derive(Clone, Default)]
struct Observer(Option<Arc<ObserveCall>>);

type ObserveCall = dyn Fn(&Call) + Send + Sync;

impl std::fmt::Debug for Observer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Observer")
    }
}

/// Status of our access to GitHub's API at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiStatus {
    /// `a token`, or `GitHub App 123, installation 456`.
    pub authenticated_with: String,
    /// Whether the token is renewed without an operator: true for a GitHub App.
    pub renews_automatically: bool,
    /// Permissions as far as GitHub reports them: names and levels of an App's permissions, or the
    /// scopes of a classic token, each with the level `granted`.
    pub permissions: BTreeMap<String, String>,
    /// When the token expires, by GitHub's clock; `None` if it does not, or is not yet known.
    pub token_expires_at: Option<Timestamp>,
    /// The primary rate limit (`core`) of the last response that reported it.
    pub rate_limit: Option<RateLimit>,
    /// Number of responses since the start, by status.
    pub responses: BTreeMap<u16, u64>,
    /// Number of requests without a response since the start.
    pub failed_request_count: u64,
    /// Number of requests that were not sent since the start, to save the rate limit.
    pub deferred_request_count: u64,
}

impl ApiStatusCell {
    /// The status before the first response.
    pub fn new(credentials: &Credentials) -> Self {
        let (authenticated_with, renews_automatically) = match credentials {
            Credentials::Token(_) | Credentials::TokenFile(_) => ("a token".to_owned(), false),
            Credentials::App(key) => (
                format!(
                    "GitHub App {}, installation {}",
                    key.app_id(),
                    key.installation_id()
                ),
                true,
            ),
        };
        let status = ApiStatus {
            authenticated_with,
            renews_automatically,
            permissions: BTreeMap::new(),
            token_expires_at: None,
            rate_limit: None,
            responses: BTreeMap::new(),
            failed_request_count: 0,
            deferred_request_count: 0,
        };
        Self(Arc::new(Mutex::new(Inner {
            status,
            rate_limited_until: Timestamp::default(),
            problems: Problems::default(),
            warned_on: None,
            observer: Observer::default(),
        })))
    }

    /// Calls `observer` for each request that ends from now on; it must be quick.
    pub fn observe_calls(&self, observer: impl Fn(&Call) + Send + Sync + 'static) {
        self.0.lock().observer = Observer(Some(Arc::new(observer)));
    }

    pub(super) fn observe_call(&self, call: &Call) {
        let observer = self.0.lock().observer.clone();
        if let Some(observer) = observer.0 {
            observer(call);
        }
    }

    /// A snapshot of the current status.
    pub fn read(&self) -> ApiStatus {
        self.0.lock().status.clone()
    }

    pub(super) fn record_installation(
        &self,
        permissions: BTreeMap<String, String>,
        expires_at: Timestamp,
    ) {
        let status = &mut self.0.lock().status;
        status.permissions = permissions;
        status.token_expires_at = Some(expires_at);
    }

    /// What an operator has to mend: a GitHub that does not answer, rejected credentials, missing
    /// permissions, a rate limit that is reached or nearly so, a moved repository, an expiring token. `now` is
    /// by our clock.
    pub fn problems(&self, now: Timestamp) -> Vec<Problem> {
        let inner = self.0.lock();
        inner.problems.list(&inner.status, now)
    }

    /// No requests are to be sent until `until`.
    pub(super) fn record_rate_limit(&self, until: Timestamp) {
        let inner = &mut self.0.lock();
        inner.rate_limited_until = inner.rate_limited_until.max(until);
    }

    /// How long no requests are to be sent, from `now` on; `None` if they may be.
    pub(super) fn rate_limited_for(&self, now: Timestamp) -> Option<Duration> {
        let until = self.0.lock().rate_limited_until;
        (now < until).then(|| until.since(now))
    }

    pub(super) fn record_deferral(&self) {
        self.0.lock().status.deferred_request_count += 1;
    }

    /// A request is about to be sent. Until what it returns is dropped, its response is missing.
    pub(super) fn record_sent(&self, now: Timestamp) -> MissingResponse {
        let number = self.0.lock().problems.record_sent(now);
        MissingResponse {
            cell: self.clone(),
            number,
        }
    }

    pub(super) fn record_failed_request(
        &self,
        operation: &str,
        error: &GithubError,
        now: Timestamp,
    ) {
        let inner = &mut *self.0.lock();
        inner.status.failed_request_count += 1;
        inner.problems.record_failed_request(operation, error, now);
    }

    /// GitHub's time, as far as its dates are believed, when ours is `ours`.
    pub(super) fn record_clock(&self, theirs: Timestamp, ours: Timestamp) {
        self.0.lock().problems.record_clock(theirs, ours);
    }

    /// A response with an unexpected status.
    pub(super) fn record_refusal(&self, error: &GithubError, now: Timestamp) {
        self.0.lock().problems.record_refusal(error, now);
    }

    /// GitHub refuses to give the App a token.
    pub(super) fn record_no_token(&self, error: &GithubError, now: Timestamp) {
        self.0.lock().problems.record_no_token(error, now);
    }

    /// A response to a request below `scope_path`, and where it redirects to, if it does.
    pub(super) fn record_scope(
        &self,
        scope_path: &str,
        status: StatusCode,
        moved_to: Option<String>,
        now: Timestamp,
    ) {
        let problems = &mut self.0.lock().problems;
        problems.record_scope(scope_path, status, moved_to, now);
    }

    /// There is no list of runners below `scope_path`.
    pub(super) fn record_not_found(&self, scope_path: &str, now: Timestamp) {
        self.0.lock().problems.record_not_found(scope_path, now);
    }

    pub(super) fn record_response(&self, operation: &str, response: &Response, now: Timestamp) {
        let inner = &mut *self.0.lock();
        inner
            .problems
            .record_response(operation, response.status, now);
        let status = &mut inner.status;
        *status
            .responses
            .entry(response.status.as_u16())
            .or_default() += 1;
        // GitHub has other limits too; nearly all of our requests count against this one.
        let rate_limit = RateLimit::of(response, now);
        let rate_limit = rate_limit.filter(|limit| limit.resource == RateLimit::CORE);
        if let Some(rate_limit) = rate_limit {
            inner.problems.record_rate_limit(&rate_limit, now);
            status.rate_limit = Some(rate_limit);
        }
        if status.renews_automatically {
            return;
        }
        if let Some(expires_at) = token_expiry(response) {
            status.token_expires_at = Some(expires_at);
        }
        if let Some(scopes) = response.header("x-oauth-scopes") {
            let scopes = scopes.split(',').map(str::trim);
            let scopes = scopes.filter(|scope| !scope.is_empty());
            status.permissions = scopes
                .map(|scope| (scope.to_owned(), "granted".to_owned()))
                .collect();
        }
        // By our clock: a response with a wrong date must not cause a line of the log.
        inner.log_warning(now);
    }
}

/// A request that has no response yet.
pub(super) struct MissingResponse {
    cell: ApiStatusCell,
    number: u64,
}

impl Drop for MissingResponse {
    fn drop(&mut self) {
        self.cell.0.lock().problems.record_answered(self.number);
    }
}

impl Inner {
    /// Logs the warning, if there is one, at most once a day.
    fn log_warning(&mut self, now: Timestamp) {
        let day = now.as_seconds() / DAY_SECONDS;
        if self.warned_on != Some(day)
            && let Some(warning) = self.status.warning(now)
        {
            log::warn!("{warning}");
            self.warned_on = Some(day);
        }
    }
}

impl ApiStatus {
    /// What an operator has to act on, in one sentence: a token that expires within 14 days.
    pub fn warning(&self, now: Timestamp) -> Option<String> {
        let (_, when) = self.expiry(now)?;
        Some(format!(
            "the GitHub token {when}: create a new one, set GITHUB_TOKEN and restart"
        ))
    }

    /// Since when the token is warned of, and when it expires, if that is within 14 days.
    pub(super) fn expiry(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        let expires_at = self
            .token_expires_at
            .filter(|_| !self.renews_automatically)?;
        if now + WARNED_BEFORE < expires_at {
            return None;
        }
        let days = expires_at.since(now).as_secs() / DAY_SECONDS;
        let when = match days {
            _ if expires_at <= now => "has expired".to_owned(),
            0 => "expires within a day".to_owned(),
            1 => "expires in 1 day".to_owned(),
            days => format!("expires in {days} days"),
        };
        Some((expires_at - WARNED_BEFORE, when))
    }
}

/// When a personal token expires, from `GitHub-Authentication-Token-Expiration`. GitHub writes
/// `2026-12-24 10:00:00 UTC`, or an offset instead of the name, of which only `+0000` is known.
fn token_expiry(response: &Response) -> Option<Timestamp> {
    let text = response.header("github-authentication-token-expiration")?;
    let text = text.get(..19)?;
    timestamp(humantime::parse_rfc3339_weak(text).ok()?)
}

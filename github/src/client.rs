//! How a request is sent to GitHub: URL, headers, token, limits.
//!
//! Responsible for the one path that all requests take. Never sends the token to another host than
//! the API's.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{
    ApiStatusCell, Call, Credentials, GithubError,
    credentials::Renewals,
    endpoint::endpoint,
    github_time::GithubTime,
    priority::Priority,
    redirects::{self, Redirect},
    runner_list::{KnownRunners, Pages},
};
use http_client::{Client, Method, Request, Response, Retry, RetryBudget, StatusCode};
use shared::{
    clock::{Clock, Timestamp},
    secret::Secret,
};

/// How long one request may take, and how long one is retried while a client waits.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The first pause before a retry is short: GitHub's label requests fail one moment and work the
/// next.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Longest response that is read, in bytes; a full page of runners has about 100 kB.
const BODY_MAX: usize = 4 << 20;
/// The most redirects of one request that are followed.
const REDIRECTS_MAX: usize = 5;
/// The largest page that GitHub offers, in entries.
pub(super) const PER_PAGE: usize = 100;
/// All characters but those that are never escaped in a URL (RFC 3986, section 2.3).
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Configuration of a [`Github`] client.
#[derive(Clone, Debug)]
pub struct GithubConfig {
    /// Base URL of the API, such as `https://api.github.com`.
    pub api_url: String,
    /// Where runners are registered: `/orgs/<owner>` or `/repos/<owner>/<repo>`.
    pub scope_path: String,
    /// Credentials with the right to manage runners there.
    pub credentials: Credentials,
    /// How long requests for which a client waits are retried.
    pub retry_timeout: Duration,
}

impl GithubConfig {
    /// The configuration that follows from the settings of a daemon.
    pub fn of(settings: &shared::settings::GithubSettings, credentials: Credentials) -> Self {
        Self {
            api_url: settings.github_api_url.to_string(),
            scope_path: settings.github_api_scope.to_string(),
            credentials,
            retry_timeout: TIMEOUT,
        }
    }
}

/// Client for GitHub's API. Not `Send`: create it in the thread that uses it.
pub struct Github {
    pub(super) client: Client,
    pub(super) config: GithubConfig,
    pub(super) seen_pages: RefCell<Pages>,
    pub(super) known_runners: RefCell<KnownRunners>,
    /// The installation token, if the credentials are an App's.
    pub(super) renewals: tokio::sync::Mutex<Renewals>,
    pub(super) api_status: ApiStatusCell,
    clock: Clock,
    github_time: Cell<GithubTime>,
    /// When the runners were last listed, by our clock.
    listed_at: Cell<Option<Timestamp>>,
}

impl Github {
    /// A client that has not sent anything yet.
    pub fn new(client: Client, config: GithubConfig) -> Self {
        let api_url = config.api_url.trim_end_matches('/').to_owned();
        Self {
            client,
            api_status: ApiStatusCell::new(&config.credentials),
            config: GithubConfig { api_url, ..config },
            seen_pages: RefCell::new(Pages::new()),
            known_runners: RefCell::default(),
            renewals: tokio::sync::Mutex::default(),
            clock: Clock::start(),
            github_time: Cell::default(),
            listed_at: Cell::new(None),
        }
    }

    /// Makes several clients with the same credentials update one `api_status`.
    pub fn with_api_status(self, api_status: &ApiStatusCell) -> Self {
        let api_status = api_status.clone();
        Self { api_status, ..self }
    }

    /// The status that this client updates.
    pub fn api_status(&self) -> &ApiStatusCell {
        &self.api_status
    }

    /// Our time. Pauses are measured by it: GitHub's, as its responses report it, can be wrong in one
    /// of them, and a pause until a wrong moment might never end.
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// GitHub's time, or ours before GitHub's first response. Only for what GitHub itself compares with its
    /// clock: pauses and lifetimes are measured by [`now`](Self::now).
    pub(super) fn now_at_github(&self) -> Timestamp {
        self.github_time.get().at(self.clock.now())
    }

    /// The URL of `path` in the API.
    pub(super) fn api_url(&self, path: &str) -> String {
        format!("{}{path}", self.config.api_url)
    }

    /// The URL of `path` below the organisation or repository of the runners.
    pub(super) fn scope_url(&self, path: &str) -> String {
        self.api_url(&format!("{}{path}", self.config.scope_path))
    }

    /// A request with all headers that GitHub expects, but without the token. It is retried once if
    /// the connection breaks, so it has to be idempotent unless `retry` is changed.
    pub(super) fn request<'a>(&self, method: Method, url: &'a str) -> Request<'a> {
        Request {
            timeout: TIMEOUT,
            body_max: BODY_MAX,
            retry: Retry::Once,
            ..Request::new(method, url)
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
        }
    }

    /// Defers a request that can wait when little is left of GitHub's rate limit.
    pub(super) fn admit(&self, operation: &str, priority: Priority) -> Result<(), GithubError> {
        let now = self.now();
        let status = self.api_status.read();
        let listed_for = self.listed_at.get().map(|listed_at| now.since(listed_at));
        let admitted = priority.admit(&status, listed_for, now);
        if let Err(retry_after) = admitted {
            self.api_status.record_deferral();
            return Err(GithubError::Deferred {
                operation: operation.to_owned(),
                retry_after,
            });
        }
        if priority == Priority::ListRunners {
            self.listed_at.set(Some(now));
        }
        Ok(())
    }

    /// Sends `request` with our token. A status that is not `expected` is an error.
    ///
    /// A token that GitHub rejects is replaced once, if possible, and the request is sent again:
    /// GitHub checks the token before it does anything.
    pub(super) async fn send(
        &self,
        operation: &str,
        request: Request<'_>,
        expected: &[StatusCode],
    ) -> Result<Response, GithubError> {
        let mut may_replace_token = true;
        let deadline = Instant::now() + request.timeout;
        let remaining = || deadline.saturating_duration_since(Instant::now());
        loop {
            if let Some(retry_after) = self.api_status.rate_limited_for(self.now()) {
                let operation = operation.to_owned();
                return Err(GithubError::RateLimited {
                    operation,
                    retry_after,
                });
            }
            let token = self.token(remaining()).await?;
            let request = Request {
                bearer: Some(&token),
                timeout: remaining(),
                ..request.clone()
            };
            let response = self.send_as_is(operation, request, expected).await?;
            if expected.contains(&response.status) {
                return Ok(response);
            }
            let is_token_rejected = response.status == StatusCode::UNAUTHORIZED;
            if !is_token_rejected || !may_replace_token || !self.discard(&token).await {
                return Err(self.refused(operation, &response, &token));
            }
            may_replace_token = false;
        }
    }

    /// The error for an unexpected response. If it reports a rate limit, no further requests are
    /// sent for a while.
    pub(super) fn refused(
        &self,
        operation: &str,
        response: &Response,
        token: &Secret,
    ) -> GithubError {
        let error = GithubError::of_response(operation, response, Some(token));
        if let Some(pause) = error.rate_limited_for() {
            self.api_status.record_rate_limit(self.now() + pause);
        }
        self.api_status.record_refusal(&error, self.now());
        error
    }

    /// Like [`send`](Self::send), while a client waits for the outcome: transient errors are
    /// retried within `retry_timeout`. Only for idempotent requests.
    pub(super) async fn send_with_retries(
        &self,
        operation: &str,
        request: Request<'_>,
        expected: &[StatusCode],
    ) -> Result<Response, GithubError> {
        let mut retry_budget = RetryBudget::new(self.config.retry_timeout, FIRST_PAUSE);
        let mut timeout = TIMEOUT;
        loop {
            let request = Request {
                timeout,
                ..request.clone()
            };
            match self.send(operation, request, expected).await {
                Err(error)
                    if error.is_transient()
                        && retry_budget.wait_for_retry(error.retry_after()).await =>
                {
                    log::debug!("retrying: failed to {error}");
                    timeout = retry_budget.remaining();
                }
                outcome => return outcome,
            }
        }
    }

    /// Sends `request` without adding a token. Redirects to the same server are followed, unless their
    /// status is `expected`: GitHub redirects requests for a repository by its former name. Method,
    /// body and token stay the same, as GitHub's documentation demands.
    pub(super) async fn send_as_is(
        &self,
        operation: &str,
        request: Request<'_>,
        expected: &[StatusCode],
    ) -> Result<Response, GithubError> {
        let deadline = Instant::now() + request.timeout;
        let mut url = request.url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            let request = Request {
                url: &url,
                timeout: deadline.saturating_duration_since(Instant::now()),
                ..request.clone()
            };
            let response = self.send_once(operation, request).await?;
            if expected.contains(&response.status) {
                return Ok(response);
            }
            match redirects::of(&response, &url) {
                Redirect::None => return Ok(response),
                Redirect::Same(location) => url = location,
                Redirect::Elsewhere => {
                    return Err(GithubError::Unexpected {
                        operation: operation.to_owned(),
                        what: "it redirects to another server, which does not get the token; check \
                               github_api_url",
                    });
                }
            }
        }
        Err(GithubError::Unexpected {
            operation: operation.to_owned(),
            what: "it redirects too often",
        })
    }

    /// Sends `request`, and records what the response reports about limits and time.
    async fn send_once(
        &self,
        operation: &str,
        request: Request<'_>,
    ) -> Result<Response, GithubError> {
        let is_in_scope = request.url.starts_with(&self.scope_url("/"));
        let endpoint = endpoint(&request.method, request.url, &self.config.api_url);
        let missing = self.api_status.record_sent(self.now());
        let sent_at = Instant::now();
        let sent = self.client.send(request).await;
        drop(missing);
        self.api_status.observe_call(&Call {
            endpoint,
            status: sent.as_ref().ok().map(|it| it.status.as_u16()),
            duration: sent_at.elapsed(),
        });
        let response = match sent {
            Ok(response) => response,
            Err(cause) => {
                let error = GithubError::of_request(operation, cause);
                let now = self.now();
                self.api_status
                    .record_failed_request(operation, &error, now);
                return Err(error);
            }
        };
        if let Some(date) = response.date() {
            let time = self.github_time.get();
            self.github_time.set(time.with(date, self.clock.now()));
            self.api_status
                .record_clock(self.now_at_github(), self.now());
        }
        self.api_status
            .record_response(operation, &response, self.now());
        if is_in_scope {
            let moved = redirects::target(&response);
            self.api_status.record_scope(
                &self.config.scope_path,
                response.status,
                moved,
                self.now(),
            );
        }
        Ok(response)
    }
}

/// The body of an expected response.
pub(super) fn body<T: DeserializeOwned>(
    operation: &str,
    response: &Response,
) -> Result<T, GithubError> {
    let parsed = response.json();
    parsed.map_err(|cause| GithubError::of_request(operation, cause))
}

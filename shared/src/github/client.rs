//! How a question is put to GitHub: address, headers, token, limits.
//!
//! Owns the one place through which all of them go. Never sends the token anywhere but to the
//! API's own address.

use std::{cell::RefCell, time::Duration};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use serde::de::DeserializeOwned;

use super::{GithubError, RateLimit, runner_list::Pages};
use crate::{
    http::{Answer, Call, Client, Method, Retry, StatusCode},
    secret::Secret,
};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Longest answer that is read, in bytes; a full page of runners has some 100 kB.
const BODY_MAX: usize = 4 << 20;
/// The most entries that GitHub puts on one page.
pub(super) const PER_PAGE: usize = 100;
/// What stands for itself in a path or query (RFC 3986, section 2.3).
pub(super) const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Where GitHub is, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct GithubSettings {
    /// Base address of the API, such as `https://api.github.com`.
    pub api_url: String,
    /// Where the runners belong: `/orgs/<owner>` or `/repos/<owner>/<repo>`.
    pub scope_path: String,
    /// A token with the right to manage runners there.
    pub token: Secret,
}

/// GitHub, as far as it concerns us. Not `Send`: make it where it is used, as its client.
pub struct Github {
    pub(super) client: Client,
    settings: GithubSettings,
    pub(super) seen_pages: RefCell<Pages>,
    rate_limit: RefCell<Option<RateLimit>>,
}

impl Github {
    /// Asks nothing yet.
    pub fn new(client: Client, settings: GithubSettings) -> Self {
        let api_url = settings.api_url.trim_end_matches('/').to_owned();
        Self {
            client,
            settings: GithubSettings {
                api_url,
                ..settings
            },
            seen_pages: RefCell::new(Pages::new()),
            rate_limit: RefCell::new(None),
        }
    }

    /// What the last answer that spoke of it said about the primary limit.
    pub fn rate_limit(&self) -> Option<RateLimit> {
        self.rate_limit.borrow().clone()
    }

    /// The address of something in the API.
    pub(super) fn api_url(&self, path: &str) -> String {
        format!("{}{path}", self.settings.api_url)
    }

    /// The address of something that belongs to the scope of our runners.
    pub(super) fn scope_url(&self, path: &str) -> String {
        self.api_url(&format!("{}{path}", self.settings.scope_path))
    }

    /// A question with all that GitHub wants to see on it. Asked a second time if a connection
    /// breaks, unless that would do more than asking once.
    pub(super) fn call<'a>(&'a self, method: Method, url: &'a str) -> Call<'a> {
        Call {
            bearer: Some(&self.settings.token),
            timeout: TIMEOUT,
            body_max: BODY_MAX,
            retry: Retry::Once,
            ..Call::new(method, url)
                .header("accept", "application/vnd.github+json")
                .header("x-github-api-version", "2022-11-28")
        }
    }

    /// Asks; any status that is not `expected` is an error.
    pub(super) async fn ask(
        &self,
        attempt: &str,
        call: Call<'_>,
        expected: &[StatusCode],
    ) -> Result<Answer, GithubError> {
        let answered = self.client.call(call).await;
        let answer = answered.map_err(|cause| GithubError::of_call(attempt, cause))?;
        if let Some(rate_limit) = RateLimit::of(&answer) {
            self.rate_limit.replace(Some(rate_limit));
        }
        if expected.contains(&answer.status) {
            Ok(answer)
        } else {
            Err(self.refusal(attempt, &answer))
        }
    }

    /// Makes an error of an answer that was not expected.
    pub(super) fn refusal(&self, attempt: &str, answer: &Answer) -> GithubError {
        GithubError::of_answer(attempt, answer, &self.settings.token)
    }
}

/// The body of an answer that was expected.
pub(super) fn body<T: DeserializeOwned>(attempt: &str, answer: &Answer) -> Result<T, GithubError> {
    let read = answer.json();
    read.map_err(|cause| GithubError::of_call(attempt, cause))
}

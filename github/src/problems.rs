//! What an operator has to mend so that GitHub does what is requested.
//!
//! Responsible for when something is a problem, and for its texts. A single failed request is none: it
//! is logged where it was made, and tried again.

use std::{borrow::Cow, collections::BTreeMap, time::Duration};

use super::{ApiStatus, GithubError};
use http_client::StatusCode;
use shared::{clock::Timestamp, problem::Problem};

/// How long GitHub has to be unreachable before that is a problem.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(60);

/// How long after the last refusal a permission counts as missing.
const REFUSAL_CURRENT: Duration = Duration::from_secs(900);

const CREDENTIALS_REJECTED: &str = "github_credentials_rejected";
const PERMISSION_MISSING: &str = "github_permission_missing";
const MOVED: &str = "github_moved";
const NOT_FOUND: &str = "github_not_found";
const UNREACHABLE: &str = "github_unreachable";
const TOKEN_EXPIRES: &str = "github_token_expires";

/// The problems so far, by their codes.
#[derive(Debug, Default)]
pub(super) struct Problems(BTreeMap<&'static str, Found>);

#[derive(Debug)]
struct Found {
    /// What it concerns; the credentials if it is empty.
    subject: String,
    cause: String,
    remedy: &'static str,
    since: Timestamp,
    /// When it was found last.
    last_at: Timestamp,
}

impl Problems {
    pub(super) fn record_failed_request(&mut self, error: &GithubError, now: Timestamp) {
        let remedy = "check the network of this machine, and HTTPS_PROXY if there is a proxy";
        self.add(UNREACHABLE, "GitHub", error.to_string(), remedy, now);
    }

    /// Any response, expected or not.
    pub(super) fn record_response(&mut self, status: StatusCode, now: Timestamp) {
        if status.is_server_error() {
            let cause = format!("GitHub responds with {status}");
            let remedy = "wait, and see https://www.githubstatus.com";
            self.add(UNREACHABLE, "GitHub", cause, remedy, now);
        } else {
            self.0.remove(UNREACHABLE);
        }
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            self.0.remove(CREDENTIALS_REJECTED);
        }
    }

    /// A response with an unexpected status.
    pub(super) fn record_refusal(&mut self, error: &GithubError, now: Timestamp) {
        match error {
            GithubError::Refused {
                status: StatusCode::UNAUTHORIZED,
                message,
                ..
            } => {
                let cause = format!("GitHub rejects it: {message}");
                let remedy = "replace it: a new token in .env, or a new key file of the App, is read \
                              without a restart; a token in the environment needs one";
                self.add(CREDENTIALS_REJECTED, "", cause, remedy, now);
            }
            GithubError::Refused {
                operation,
                status: StatusCode::FORBIDDEN,
                message,
                retry_after: None,
            } => {
                let cause = format!("GitHub refuses to {operation}: {message}");
                let remedy = "grant the token or the App the permission that it requires";
                self.add(PERMISSION_MISSING, "", cause, remedy, now);
            }
            _ => {}
        }
    }

    /// A response to a request below `scope_path`, which may redirect to `moved_to`.
    pub(super) fn record_scope(
        &mut self,
        scope_path: &str,
        status: StatusCode,
        moved_to: Option<String>,
        now: Timestamp,
    ) {
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            for code in [MOVED, NOT_FOUND] {
                let found = self.0.get(code);
                if found.is_some_and(|found| found.subject == scope_path) {
                    self.0.remove(code);
                }
            }
        } else if let Some(target) = moved_to {
            let cause = format!("GitHub has moved it, and redirects every request to {target}");
            let remedy = "set github_api_scope to its new name, and restart";
            self.add(MOVED, scope_path, cause, remedy, now);
        }
    }

    /// The list of runners below `scope_path` does not exist.
    pub(super) fn record_not_found(&mut self, scope_path: &str, now: Timestamp) {
        let cause =
            "GitHub responds with 404: it does not exist, or the credentials may not see it";
        let remedy = "check github_api_scope, and that the token or the App has access to it";
        self.add(NOT_FOUND, scope_path, cause.to_owned(), remedy, now);
    }

    fn add(
        &mut self,
        code: &'static str,
        subject: &str,
        cause: String,
        remedy: &'static str,
        now: Timestamp,
    ) {
        let since = self.0.get(code).map_or(now, |earlier| earlier.since);
        let subject = subject.to_owned();
        let found = Found {
            subject,
            cause,
            remedy,
            since,
            last_at: now,
        };
        self.0.insert(code, found);
    }

    /// The current problems. `now` is by our clock.
    pub(super) fn list(&self, status: &ApiStatus, now: Timestamp) -> Vec<Problem> {
        let is_current = |code, found: &Found| match code {
            UNREACHABLE => found.since + UNREACHABLE_AFTER <= now,
            // Other requests may succeed all the time.
            PERMISSION_MISSING => now < found.last_at + REFUSAL_CURRENT,
            _ => true,
        };
        let found = self.0.iter();
        let found = found.filter(|(code, found)| is_current(**code, found));
        let mut problems: Vec<Problem> = found
            .map(|(&code, found)| Problem {
                code: Cow::Borrowed(code),
                subject: match found.subject.as_str() {
                    "" => format!("access to GitHub with {}", status.authenticated_with),
                    subject => subject.to_owned(),
                },
                cause: found.cause.clone(),
                remedy: found.remedy.to_owned(),
                since: found.since,
            })
            .collect();
        if let Some((since, when)) = status.expiry(now) {
            problems.push(Problem {
                code: Cow::Borrowed(TOKEN_EXPIRES),
                subject: "the GitHub token".to_owned(),
                cause: format!("it {when}"),
                remedy: "create a new one and set GITHUB_TOKEN".to_owned(),
                since,
            });
        }
        problems
    }
}

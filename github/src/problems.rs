//! What an operator has to mend so that GitHub does what is requested.
//!
//! Responsible for when something is a problem, and for its texts. A single failed request is none: it
//! is logged where it was made, and tried again.

use std::{collections::BTreeMap, time::Duration};

use super::{ApiStatus, GithubError, RateLimit};
use http_client::StatusCode;
use shared::{
    clock::Timestamp,
    problem::{
        Problem,
        catalogue::{
            CLOCK_SKEWED, GITHUB_CREDENTIALS_REJECTED, GITHUB_MOVED, GITHUB_NOT_FOUND,
            GITHUB_PERMISSION_MISSING, GITHUB_RATE_LIMIT_LOW, GITHUB_RATE_LIMIT_REACHED,
            GITHUB_TOKEN_EXPIRED, GITHUB_TOKEN_EXPIRES, GITHUB_UNREACHABLE, ProblemKind,
        },
    },
};

/// How long requests of one kind have to fail before that is a problem: a repeat may succeed at once.
const UNREACHABLE_AFTER: Duration = Duration::from_secs(5);
/// How long a request may lack its response before that is a problem.
const RESPONSE_WITHIN: Duration = Duration::from_secs(8);
/// How long after the last failure or refusal something counts as wrong that only another request could
/// show to be right.
const FAILURE_CURRENT: Duration = Duration::from_secs(900);
/// How long after the end of a pause the rate limit still counts as reached: the next request shows it.
const RATE_LIMIT_GRACE: Duration = Duration::from_secs(60);
/// The share of the rate limit, in percent, below which little is left. Then requests are deferred.
const LITTLE_LEFT: u128 = 20;
/// How far our clock may differ from GitHub's: the dates of its responses may differ as much among themselves.
const SKEW_MAX: Duration = Duration::from_secs(120);
/// The most kinds of requests whose failures are told apart.
const REQUEST_KINDS_MAX: usize = 32;

/// The problems so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    /// By their codes.
    found: BTreeMap<&'static str, Found>,
    /// Requests that fail without an answer of GitHub, or with a server error, by their kind: GitHub may
    /// answer some of them and not others.
    failing: BTreeMap<String, Failing>,
    /// Requests that are refused because a permission is missing, by their kind: others succeed meanwhile.
    refused: BTreeMap<String, Failing>,
    /// Requests without a response yet: when they were sent.
    sent: BTreeMap<u64, Timestamp>,
    /// The number of requests that were sent.
    sent_count: u64,
    /// When the last request succeeded.
    succeeded_at: Option<Timestamp>,
}

/// What is wrong.
#[derive(Debug)]
struct Found {
    kind: &'static ProblemKind,
    /// What it concerns; the credentials if it is empty.
    subject: String,
    cause: String,
    remedy: &'static str,
    since: Timestamp,
    last_healthy: Option<Timestamp>,
    /// It counts as over from this moment on, whatever is requested until then.
    ends_at: Option<Timestamp>,
}

/// Requests of one kind that fail.
#[derive(Debug)]
struct Failing {
    cause: String,
    remedy: &'static str,
    since: Timestamp,
    last_at: Timestamp,
    last_healthy: Option<Timestamp>,
}

/// The kind of a request: the first two words of its operation, such as `register runner`.
fn kind_of(operation: &str) -> String {
    let words: Vec<&str> = operation.split(' ').take(2).collect();
    words.join(" ")
}

impl Problems {
    /// A request is about to be sent. Returns its number for [`record_answered`](Self::record_answered).
    pub(super) fn record_sent(&mut self, now: Timestamp) -> u64 {
        self.sent_count += 1;
        self.sent.insert(self.sent_count, now);
        self.sent_count
    }

    /// A request has its response, has failed, or is given up.
    pub(super) fn record_answered(&mut self, number: u64) {
        self.sent.remove(&number);
    }

    pub(super) fn record_failed_request(
        &mut self,
        operation: &str,
        error: &GithubError,
        now: Timestamp,
    ) {
        let remedy = "check the network of this machine, and HTTPS_PROXY if there is a proxy";
        let cause = format!("failed to {error}");
        add_failing(
            &mut self.failing,
            operation,
            cause,
            remedy,
            self.succeeded_at,
            now,
        );
    }

    /// Any response, expected or not.
    pub(super) fn record_response(&mut self, operation: &str, status: StatusCode, now: Timestamp) {
        if status.is_server_error() {
            let cause = format!("GitHub responds with {status} to: {operation}");
            let remedy = "wait, and see https://www.githubstatus.com";
            add_failing(
                &mut self.failing,
                operation,
                cause,
                remedy,
                self.succeeded_at,
                now,
            );
        } else {
            self.failing.remove(&kind_of(operation));
        }
        // GitHub checks permissions before it finds that a runner is busy.
        if status.is_success()
            || status == StatusCode::NOT_MODIFIED
            || status == StatusCode::UNPROCESSABLE_ENTITY
        {
            self.refused.remove(&kind_of(operation));
        }
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            self.found.remove(GITHUB_CREDENTIALS_REJECTED.code);
            let limited = self.found.get(GITHUB_RATE_LIMIT_REACHED.code);
            // Another request may have been on its way when the limit was reached.
            if limited
                .and_then(|found| found.ends_at)
                .is_some_and(|ends_at| ends_at <= now + RATE_LIMIT_GRACE)
            {
                self.found.remove(GITHUB_RATE_LIMIT_REACHED.code);
            }
            self.succeeded_at = Some(now);
        }
    }

    /// What a response reports of the rate limit.
    pub(super) fn record_rate_limit(&mut self, limit: &RateLimit, now: Timestamp) {
        if u128::from(limit.remaining) * 100 > u128::from(limit.limit) * LITTLE_LEFT {
            self.found.remove(GITHUB_RATE_LIMIT_LOW.code);
            return;
        }
        let until = time(limit.reset_at);
        let cause = format!(
            "less than {LITTLE_LEFT} % of the {} requests that GitHub allows in an hour are left, so those \
             that can wait are deferred until {until} at most",
            limit.limit
        );
        let remedy = "see what else uses the same token; a GitHub App has a rate limit of its own";
        self.add(&GITHUB_RATE_LIMIT_LOW, "", cause, remedy, now);
        self.end_at(&GITHUB_RATE_LIMIT_LOW, limit.reset_at);
    }

    /// GitHub's time, as far as its dates are believed, when ours is `ours`.
    pub(super) fn record_clock(&mut self, theirs: Timestamp, ours: Timestamp) {
        let (behind, ahead) = (theirs.since(ours), ours.since(theirs));
        if behind.max(ahead) <= SKEW_MAX {
            self.found.remove(CLOCK_SKEWED.code);
            return;
        }
        // In minutes, so that the text does not change with each response.
        let (minutes, direction) = match behind > ahead {
            true => (behind.as_secs() / 60, "behind"),
            false => (ahead.as_secs() / 60, "ahead of"),
        };
        let cause = format!("it is {minutes} min {direction} the dates in GitHub's responses");
        let remedy = "set the clock, as with `timedatectl set-ntp true`, and restart this daemon";
        self.add(&CLOCK_SKEWED, "clock of this host", cause, remedy, ours);
    }

    /// A response with an unexpected status.
    pub(super) fn record_refusal(&mut self, error: &GithubError, now: Timestamp) {
        if let Some(pause) = error.rate_limited_for() {
            let cause = format!(
                "its rate limit is reached, so no requests are sent until {}",
                time(now + pause)
            );
            let remedy =
                "see what else uses the same token; a GitHub App has a rate limit of its own";
            self.add(&GITHUB_RATE_LIMIT_REACHED, "", cause, remedy, now);
            self.end_at(&GITHUB_RATE_LIMIT_REACHED, now + pause + RATE_LIMIT_GRACE);
            return;
        }
        match error {
            GithubError::Refused {
                status: StatusCode::UNAUTHORIZED,
                message,
                ..
            } => self.add_rejected(message, now),
            GithubError::Refused {
                operation,
                status: StatusCode::FORBIDDEN,
                message,
                retry_after: None,
            } => {
                let cause = format!("GitHub refuses to {operation}: {message}");
                let remedy = "grant the token or the App the permission that it requires";
                add_failing(
                    &mut self.refused,
                    operation,
                    cause,
                    remedy,
                    self.succeeded_at,
                    now,
                );
            }
            _ => {}
        }
    }

    /// GitHub gives no token to the App: it does not know the installation, or has suspended it.
    pub(super) fn record_no_token(&mut self, error: &GithubError, now: Timestamp) {
        if let GithubError::Refused {
            operation,
            status: StatusCode::FORBIDDEN | StatusCode::NOT_FOUND,
            message,
            retry_after: None,
        } = error
        {
            self.refused.remove(&kind_of(operation));
            self.add_rejected(message, now);
        }
    }

    fn add_rejected(&mut self, message: &str, now: Timestamp) {
        let cause = format!("GitHub rejects it: {message}");
        let remedy = "replace it: a new token in .env, or a new key file of the App, is read \
                      without a restart; a token in the environment needs one";
        self.add(&GITHUB_CREDENTIALS_REJECTED, "", cause, remedy, now);
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
            for kind in [&GITHUB_MOVED, &GITHUB_NOT_FOUND] {
                let found = self.found.get(kind.code);
                if found.is_some_and(|found| found.subject == scope_path) {
                    self.found.remove(kind.code);
                }
            }
        } else if let Some(target) = moved_to {
            let cause = format!("GitHub has moved it, and redirects every request to {target}");
            let remedy = "set github_api_scope to its new name, and restart";
            self.add(&GITHUB_MOVED, scope_path, cause, remedy, now);
        }
    }

    /// The list of runners below `scope_path` does not exist.
    pub(super) fn record_not_found(&mut self, scope_path: &str, now: Timestamp) {
        let cause =
            "GitHub responds with 404: it does not exist, or the credentials may not see it";
        let remedy = "check github_api_scope, and that the token or the App has access to it";
        self.add(&GITHUB_NOT_FOUND, scope_path, cause.to_owned(), remedy, now);
    }

    fn add(
        &mut self,
        kind: &'static ProblemKind,
        subject: &str,
        cause: String,
        remedy: &'static str,
        now: Timestamp,
    ) {
        let earlier = self.found.get(kind.code);
        let earlier = earlier.filter(|earlier| earlier.is_current(now));
        let (since, last_healthy) = match earlier {
            Some(earlier) => (earlier.since, earlier.last_healthy),
            None => (now, self.succeeded_at),
        };
        let found = Found {
            kind,
            subject: subject.to_owned(),
            cause,
            remedy,
            since,
            last_healthy,
            ends_at: None,
        };
        self.found.insert(kind.code, found);
    }

    fn end_at(&mut self, kind: &'static ProblemKind, ends_at: Timestamp) {
        if let Some(found) = self.found.get_mut(kind.code) {
            found.ends_at = Some(ends_at);
        }
    }

    /// The current problems. `now` is by our clock.
    pub(super) fn list(&self, status: &ApiStatus, now: Timestamp) -> Vec<Problem> {
        let subject = |subject: &str| match subject {
            "" => format!("access to GitHub with {}", status.authenticated_with),
            subject => subject.to_owned(),
        };
        let mut problems: Vec<Problem> = self.unreachable(now).into_iter().collect();
        let refused = self.refused.values().filter(|it| it.is_current(now));
        let first = refused.min_by_key(|it| it.since);
        problems.extend(first.map(|it| it.problem(&GITHUB_PERMISSION_MISSING, subject(""))));
        let found = self.found.values().filter(|found| found.is_current(now));
        problems.extend(found.map(|found| {
            let subject = subject(&found.subject);
            let problem = found
                .kind
                .problem(subject, &found.cause, found.remedy, found.since);
            problem.with_last_healthy(found.last_healthy)
        }));
        problems.extend(expiring_token(status, now));
        problems
    }

    /// GitHub does not answer requests of some kind, or only with server errors.
    fn unreachable(&self, now: Timestamp) -> Option<Problem> {
        let failing = self.failing.values();
        let lasting = failing
            .filter(|it| it.is_current(now) && it.since + UNREACHABLE_AFTER <= now)
            .min_by_key(|it| it.since);
        if let Some(failing) = lasting {
            return Some(failing.problem(&GITHUB_UNREACHABLE, "GitHub".to_owned()));
        }
        let since = *self.sent.values().min()?;
        (since + RESPONSE_WITHIN <= now).then(|| {
            let cause = format!(
                "a request has had no response for more than {} s",
                RESPONSE_WITHIN.as_secs()
            );
            let remedy = "check the network of this machine, and see https://www.githubstatus.com";
            let problem = GITHUB_UNREACHABLE.problem("GitHub", cause, remedy, since);
            problem.with_last_healthy(self.succeeded_at)
        })
    }
}

impl Found {
    fn is_current(&self, now: Timestamp) -> bool {
        self.ends_at.is_none_or(|ends_at| now < ends_at)
    }
}

impl Failing {
    fn is_current(&self, now: Timestamp) -> bool {
        now < self.last_at + FAILURE_CURRENT
    }

    fn problem(&self, kind: &ProblemKind, subject: String) -> Problem {
        let problem = kind.problem(subject, &self.cause, self.remedy, self.since);
        problem.with_last_healthy(self.last_healthy)
    }
}

/// Adds a failure of a request to those of its kind.
fn add_failing(
    all: &mut BTreeMap<String, Failing>,
    operation: &str,
    cause: String,
    remedy: &'static str,
    succeeded_at: Option<Timestamp>,
    now: Timestamp,
) {
    let kind = kind_of(operation);
    all.retain(|_, failing| failing.is_current(now));
    let earlier = all.get(&kind);
    if earlier.is_none() && all.len() >= REQUEST_KINDS_MAX {
        return;
    }
    let (since, last_healthy) = match earlier {
        Some(earlier) => (earlier.since, earlier.last_healthy),
        None => (now, succeeded_at),
    };
    let failing = Failing {
        cause,
        remedy,
        since,
        last_at: now,
        last_healthy,
    };
    all.insert(kind, failing);
}

/// A token that expires soon, or has expired.
fn expiring_token(status: &ApiStatus, now: Timestamp) -> Option<Problem> {
    let (since, when) = status.expiry(now)?;
    let has_expired = status.token_expires_at.is_some_and(|at| at <= now);
    let kind = if has_expired {
        &GITHUB_TOKEN_EXPIRED
    } else {
        &GITHUB_TOKEN_EXPIRES
    };
    let remedy = "create a new one and set GITHUB_TOKEN";
    Some(kind.problem("the GitHub token", format!("it {when}"), remedy, since))
}

/// The time of day in UTC, such as `14:02:30 UTC`.
fn time(at: Timestamp) -> String {
    let text = humantime::format_rfc3339_seconds(at.to_system_time()).to_string();
    let time = text.get(11..19).unwrap_or_default();
    format!("{time} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ApiStatusCell, Credentials};
    use http_client::HttpError;
    use shared::secret::Secret;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    fn codes(problems: &Problems, now: Timestamp) -> Vec<String> {
        let status = ApiStatusCell::new(&Credentials::Token(Secret::new("token"))).read();
        let listed = problems.list(&status, now).into_iter();
        listed.map(|problem| problem.code.into_owned()).collect()
    }

    #[test]
    fn requests_of_one_kind_that_fail_are_a_problem_though_others_succeed() {
        let mut problems = Problems::default();
        let (register, list) = ("register runner a", "list runners");
        problems.record_response(list, StatusCode::OK, at(0));
        problems.record_response(register, StatusCode::SERVICE_UNAVAILABLE, at(1));
        problems.record_response(list, StatusCode::OK, at(2));
        assert_eq!(codes(&problems, at(5)), [""; 0]);
        assert_eq!(codes(&problems, at(6)), ["github_unreachable"]);
        let found = problems.unreachable(at(6)).unwrap();
        assert_eq!((found.since, found.last_healthy), (at(1), Some(at(0))));
        assert!(found.cause.contains("register runner a"), "{found}");
        problems.record_response("register runner b", StatusCode::CREATED, at(7));
        assert_eq!(codes(&problems, at(8)), [""; 0]);
        // Without further requests it is not known to go on.
        problems.record_response(register, StatusCode::BAD_GATEWAY, at(10));
        assert_eq!(codes(&problems, at(909)), ["github_unreachable"]);
        assert_eq!(codes(&problems, at(910)), [""; 0]);
    }

    #[test]
    fn a_missing_permission_is_a_problem_until_a_request_of_the_same_kind_succeeds() {
        let mut problems = Problems::default();
        let refused = |operation: &str| GithubError::Refused {
            operation: operation.into(),
            status: StatusCode::FORBIDDEN,
            message: "Resource not accessible by integration".into(),
            retry_after: None,
        };
        problems.record_refusal(&refused("register runner a"), at(0));
        problems.record_refusal(&refused("list runners"), at(1));
        let missing = ["github_permission_missing"];
        problems.record_response("delete registration 7", StatusCode::NO_CONTENT, at(2));
        assert_eq!(codes(&problems, at(2)), missing, "another kind");
        problems.record_response("register runner b", StatusCode::CREATED, at(3));
        assert_eq!(codes(&problems, at(3)), missing, "lists are still refused");
        problems.record_response("list runners", StatusCode::NOT_MODIFIED, at(4));
        assert_eq!(codes(&problems, at(4)), [""; 0]);
        problems.record_refusal(&refused("delete registration 7"), at(5));
        problems.record_response(
            "delete registration 7",
            StatusCode::UNPROCESSABLE_ENTITY,
            at(6),
        );
        assert_eq!(codes(&problems, at(6)), [""; 0], "it is busy");
        // Without further requests it is not known to go on.
        problems.record_refusal(&refused("list runners"), at(10));
        assert_eq!(codes(&problems, at(909)), missing);
        assert_eq!(codes(&problems, at(910)), [""; 0]);
    }

    #[test]
    fn a_clock_that_differs_from_githubs_is_a_problem_until_it_does_not() {
        let mut problems = Problems::default();
        problems.record_clock(at(1000), at(1000));
        for (theirs, ours, expected) in [
            (1120, 1000, None),
            (
                1121,
                1000,
                Some("it is 2 min behind the dates in GitHub's responses"),
            ),
            (
                4601,
                1001,
                Some("it is 60 min behind the dates in GitHub's responses"),
            ),
            (880, 1000, None),
            (
                700,
                1000,
                Some("it is 5 min ahead of the dates in GitHub's responses"),
            ),
            (1000, 1002, None),
        ] {
            problems.record_clock(at(theirs), at(ours));
            let found = problems.found.get(CLOCK_SKEWED.code);
            assert_eq!(found.map(|it| &*it.cause), expected, "{theirs} {ours}");
        }
    }

    #[test]
    fn a_request_without_a_response_is_a_problem_until_it_has_one_or_is_given_up() {
        let mut problems = Problems::default();
        let first = problems.record_sent(at(0));
        let second = problems.record_sent(at(1));
        assert_eq!(codes(&problems, at(7)), [""; 0]);
        assert_eq!(codes(&problems, at(8)), ["github_unreachable"]);
        problems.record_answered(first);
        assert_eq!(codes(&problems, at(8)), [""; 0]);
        problems.record_answered(second);
        assert_eq!(codes(&problems, at(99)), [""; 0]);
        let error =
            GithubError::of_request("list runners", HttpError::BadUrl { target: "x".into() });
        problems.record_failed_request("list runners", &error, at(100));
        assert_eq!(codes(&problems, at(105)), ["github_unreachable"]);
    }

    #[test]
    fn a_rate_limit_is_a_problem_until_a_request_succeeds_after_the_pause() {
        let mut problems = Problems::default();
        let refused = GithubError::Refused {
            operation: "list runners".into(),
            status: StatusCode::FORBIDDEN,
            message: "You have exceeded a secondary rate limit.".into(),
            retry_after: Some(Duration::from_secs(120)),
        };
        problems.record_refusal(&refused, at(0));
        let reached = ["github_rate_limit_reached"];
        // Of a request that was sent before.
        problems.record_response("delete registration", StatusCode::OK, at(1));
        assert_eq!(codes(&problems, at(2)), reached);
        // It is refused again: the same problem goes on.
        problems.record_refusal(&refused, at(121));
        assert_eq!(problems.found[reached[0]].since, at(0));
        problems.record_response("list runners", StatusCode::OK, at(241));
        assert_eq!(codes(&problems, at(241)), [""; 0]);
        // Nothing is requested after the pause.
        problems.record_refusal(&refused, at(300));
        assert_eq!(codes(&problems, at(479)), reached);
        assert_eq!(codes(&problems, at(480)), [""; 0]);
    }

    #[test]
    fn a_rate_limit_of_which_little_is_left_is_a_problem_until_it_is_reset() {
        let mut problems = Problems::default();
        let limit = |remaining| RateLimit {
            limit: 5000,
            remaining,
            reset_at: at(3600),
            resource: "core".into(),
        };
        for (remaining, expected) in [
            (1001, &[][..]),
            (1000, &["github_rate_limit_low"]),
            (1001, &[]),
        ] {
            problems.record_rate_limit(&limit(remaining), at(0));
            assert_eq!(codes(&problems, at(0)), expected, "{remaining}");
        }
        problems.record_rate_limit(&limit(0), at(0));
        assert_eq!(codes(&problems, at(3599)), ["github_rate_limit_low"]);
        assert_eq!(codes(&problems, at(3600)), [""; 0]);
    }

    #[test]
    fn an_app_that_gets_no_token_has_rejected_credentials() {
        for (status, code) in [
            (StatusCode::NOT_FOUND, "github_credentials_rejected"),
            (StatusCode::FORBIDDEN, "github_credentials_rejected"),
        ] {
            let mut problems = Problems::default();
            let error = GithubError::Refused {
                operation: "get a token for GitHub App 7".into(),
                status,
                message: "This installation has been suspended".into(),
                retry_after: None,
            };
            problems.record_refusal(&error, at(0));
            problems.record_no_token(&error, at(0));
            assert_eq!(codes(&problems, at(0)), [code], "{status}");
        }
    }

    #[test]
    fn a_token_that_has_expired_is_another_problem_than_one_that_expires() {
        let mut status = ApiStatusCell::new(&Credentials::Token(Secret::new("token"))).read();
        status.token_expires_at = Some(at(100));
        for (now, code) in [(0, "github_token_expires"), (100, "github_token_expired")] {
            let problem = expiring_token(&status, at(now)).unwrap();
            assert_eq!(problem.code, code);
        }
    }
}

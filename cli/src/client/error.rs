//! Why a call did not succeed, and whether it is worth making again.
//!
//! Owns how a refusal is read. What is repeated of it is fit for a terminal and not long.

use std::time::Duration;

use http_client::{Answer, HttpError, StatusCode};
use serde::Deserialize;

use crate::output::printable;

/// Longest sentence of a daemon that is repeated, in characters.
const MESSAGE_MAX: usize = 400;
/// Longest code of a daemon that is repeated, in characters.
const CODE_MAX: usize = 40;

/// Why a call did not succeed. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There was no answer, or it was not one of a queue or monitor.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The answer was no.
    #[error("{0}")]
    Refused(Refusal),
}

/// A no, with its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {message}{}", Self::in_brackets(.code))]
pub struct Refusal {
    /// What was asked for, as a fragment that follows "failed to".
    pub call: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code, as `shared::error::Code` lists them; empty if something else than a queue
    /// or monitor answered.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// When it is worth asking again, if that was said.
    pub retry_after: Option<Duration>,
}

impl CallError {
    /// Whether the same call may well succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Refused(refusal) => {
                refusal.status.is_server_error()
                    || matches!(
                        refusal.status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
        }
    }

    /// The refusal, if that is what it is.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::Http(_) => None,
        }
    }

    /// The code of the refusal; empty if it is none.
    pub fn code(&self) -> &str {
        self.refusal().map_or("", |refusal| &refusal.code)
    }
}

impl Refusal {
    /// Reads the refusal in an answer that is not a success.
    pub fn of(call: &'static str, answer: &Answer) -> Self {
        #[derive(Deserialize)]
        struct Body {
            code: String,
            message: String,
        }
        // A proxy in front of the daemon knows nothing of codes.
        let body = answer.json::<Body>().unwrap_or_else(|_| Body {
            code: String::new(),
            message: format!("the answer was {}", answer.status),
        });
        Self {
            call,
            status: answer.status,
            code: printable(&body.code, CODE_MAX),
            message: printable(&body.message, MESSAGE_MAX),
            retry_after: answer.retry_after(),
        }
    }

    fn in_brackets(code: &str) -> String {
        match code {
            "" => String::new(),
            code => format!(" ({code})"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A refusal with this status and code.
    pub(crate) fn refused(status: u16, code: &str, retry_after: Option<u64>) -> CallError {
        CallError::Refused(Refusal {
            call: "take a runner",
            status: StatusCode::from_u16(status).unwrap(),
            code: code.into(),
            message: "because".into(),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    /// A queue that is not there.
    pub(crate) fn unreachable() -> CallError {
        CallError::Http(HttpError::Unreachable {
            target: "http://queue/".into(),
            cause: "Connection refused".into(),
        })
    }

    #[test]
    fn a_refusal_says_what_was_asked_for_and_why_not() {
        assert_eq!(
            refused(404, "unknown_job", None).to_string(),
            "take a runner: because (unknown_job)"
        );
        assert_eq!(refused(502, "", None).to_string(), "take a runner: because");
    }

    #[test]
    fn what_may_pass_is_worth_another_call() {
        for (error, expected) in [
            (unreachable(), true),
            (refused(503, "not_ready", Some(1)), true),
            (refused(503, "", None), true),
            (refused(500, "internal", None), true),
            (refused(408, "", None), true),
            (refused(429, "too_many_jobs", Some(5)), true),
            (refused(400, "bad_request", None), false),
            (refused(401, "unauthorised", None), false),
            (refused(403, "wrong_token", None), false),
            (refused(404, "unknown_job", None), false),
            (refused(409, "already_enqueued", None), false),
            (refused(422, "unsatisfiable", None), false),
            (refused(301, "", None), false),
        ] {
            assert_eq!(error.is_transient(), expected, "{error:?}");
        }
        let malformed = HttpError::Malformed {
            target: String::new(),
            cause: String::new(),
        };
        assert!(!CallError::from(malformed).is_transient());
    }
}

//! Why a request failed, and whether it may succeed later.
//!
//! Responsible for parsing error responses. Their texts are shortened and stripped of control
//! characters, because they are printed on terminals.

use std::time::Duration;

use http_client::{HttpError, Response, StatusCode};
use serde::Deserialize;
use shared::error::Code;

use crate::output::printable;

/// The longest message of a daemon that is printed, in characters.
const MESSAGE_MAX: usize = 400;
/// The longest code of a daemon that is printed, in characters.
const CODE_MAX: usize = 40;

/// Why a request failed. Each text is a fragment that follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There was no response, or it was not one of a queue or monitor.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// The response has a status other than success.
    #[error("{0}")]
    Refused(ErrorResponse),
}

/// The response, if its status is 200. `operation` is what the request is for, as a fragment that follows
/// "failed to".
///
/// # Errors
/// With what the response says, if it has another status.
pub fn expect_ok(operation: &'static str, response: Response) -> Result<Response, RequestError> {
    match response.status {
        StatusCode::OK => Ok(response),
        _ => Err(RequestError::Refused(ErrorResponse::parse(
            operation, &response,
        ))),
    }
}

/// A response with a status other than success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {message}{}", Self::in_brackets(.code))]
pub struct ErrorResponse {
    /// What the request is for, as a fragment that follows "failed to".
    pub operation: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The stable code, see `shared::error::Code`; empty if the response is not from a queue or
    /// monitor, but from a proxy for example.
    pub code: String,
    /// One sentence for people.
    pub message: String,
    /// The `Retry-After` of the response.
    pub retry_after: Option<Duration>,
}

impl RequestError {
    /// Whether a daemon answered that it is not ready.
    pub fn is_not_ready(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code == Code::NotReady.as_str())
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Refused(response) => {
                response.status.is_server_error()
                    || matches!(
                        response.status,
                        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
                    )
            }
        }
    }

    /// Whether the response is not one of a queue or monitor, but of something in front of it, such as a
    /// proxy. What it says may be over soon, whatever its status.
    pub fn is_foreign(&self) -> bool {
        match self {
            Self::Http(error) => matches!(
                error,
                HttpError::Malformed { .. } | HttpError::TooLarge { .. }
            ),
            Self::Refused(response) => response.code.is_empty(),
        }
    }

    /// The response, if there was one.
    pub fn response(&self) -> Option<&ErrorResponse> {
        match self {
            Self::Refused(response) => Some(response),
            Self::Http(_) => None,
        }
    }

    /// The code of the response; empty if there is none.
    pub fn code(&self) -> &str {
        self.response().map_or("", |response| &response.code)
    }
}

impl ErrorResponse {
    /// Parses a response that is not a success.
    pub fn parse(operation: &'static str, response: &Response) -> Self {
        #[derive(Deserialize)]
        struct Body {
            code: String,
            message: String,
        }
        // The response of a proxy has neither.
        let body = response.json::<Body>().unwrap_or_else(|_| Body {
            code: String::new(),
            message: format!("the response was {}", response.status),
        });
        Self {
            operation,
            status: response.status,
            code: printable(&body.code, CODE_MAX),
            message: printable(&body.message, MESSAGE_MAX),
            retry_after: response.retry_after(),
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

    /// An error response with this status and code.
    pub(crate) fn refused(status: u16, code: &str, retry_after: Option<u64>) -> RequestError {
        RequestError::Refused(ErrorResponse {
            operation: "take a runner",
            status: StatusCode::from_u16(status).unwrap(),
            code: code.into(),
            message: "because".into(),
            retry_after: retry_after.map(Duration::from_secs),
        })
    }

    /// The error when nothing listens at the queue's address.
    pub(crate) fn unreachable() -> RequestError {
        RequestError::Http(HttpError::Unreachable {
            target: "http://queue/".into(),
            cause: "Connection refused".into(),
        })
    }

    #[test]
    fn an_error_response_names_the_operation_and_the_reason() {
        assert_eq!(
            refused(404, "unknown_job", None).to_string(),
            "take a runner: because (unknown_job)"
        );
        assert_eq!(refused(502, "", None).to_string(), "take a runner: because");
    }

    #[test]
    fn transient_are_missing_responses_server_errors_and_rate_limits() {
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
        assert!(!RequestError::from(malformed).is_transient());
    }
}

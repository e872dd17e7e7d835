//! How a request to GitHub can fail.
//!
//! Responsible for what each failure means to the caller. The texts contain neither the token nor
//! any downloaded content.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::limits;
use http_client::{HttpError, Response, StatusCode};
use shared::secret::Secret;

/// Longest part of a message of GitHub that is repeated, in characters.
const MESSAGE_MAX: usize = 200;
/// Stands for the message of a response that has none, as those of proxies and load balancers.
const NO_REASON: &str = "no reason given";
/// The most reasons that are repeated.
const REASONS_MAX: usize = 5;

/// Why GitHub did not do what was requested. Each text is a fragment that follows "failed to".
///
/// `operation` is what was requested, such as `delete registration 7`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "`operation` is explained above")]
pub enum GithubError {
    /// There is no response, or it cannot be understood.
    #[error("{operation}: failed to {cause}")]
    Http { operation: String, cause: HttpError },
    /// GitHub responded with an error.
    #[error("{operation}: GitHub responded with {status}: {message}")]
    Refused {
        operation: String,
        status: StatusCode,
        /// The message of the response, cut, and the missing permission if GitHub names it;
        /// `no reason given` if there is none.
        message: String,
        /// How long GitHub asks us to send nothing.
        retry_after: Option<Duration>,
    },
    /// The request was not sent, because little is left of the rate limit and it can wait.
    #[error("{operation}: deferred, because little is left of GitHub's rate limit")]
    Deferred {
        operation: String,
        retry_after: Duration,
    },
    /// The request was not sent, because the response to an earlier one reported a rate limit.
    #[error("{operation}: GitHub rate limit reached; retrying in {} s", .retry_after.as_secs())]
    RateLimited {
        operation: String,
        retry_after: Duration,
    },
    /// The response is longer than the caller accepts.
    #[error("{operation}: longer than {bytes_max} bytes")]
    TooLarge { operation: String, bytes_max: usize },
    /// The response contradicts GitHub's documentation or another response.
    #[error("{operation}: {what}")]
    Unexpected {
        operation: String,
        /// What is wrong with the response.
        what: &'static str,
    },
}

impl GithubError {
    /// The error for a request that failed with `cause`.
    pub(super) fn of_request(operation: &str, cause: HttpError) -> Self {
        let operation = operation.into();
        match cause {
            HttpError::TooLarge { body_max, .. } => Self::TooLarge {
                operation,
                bytes_max: body_max,
            },
            cause => Self::Http { operation, cause },
        }
    }

    /// The error for a response with an unexpected status. `token` is left out of its message.
    pub(super) fn of_response(
        operation: &str,
        response: &Response,
        token: Option<&Secret>,
    ) -> Self {
        let message = message_of(response, token);
        let retry_after = limits::retry_after(response, &message);
        let is_missing_permission =
            response.status == StatusCode::FORBIDDEN && retry_after.is_none();
        let message = match response.header("x-accepted-github-permissions") {
            Some(permissions) if is_missing_permission => {
                format!("{message} (requires {})", shown(permissions, token))
            }
            _ => message,
        };
        Self::Refused {
            operation: operation.into(),
            status: response.status,
            message,
            retry_after,
        }
    }

    /// The error for a response of the artifact store with an unexpected status. Its message is left out:
    /// stores repeat the signed URL in it, and anyone who has that URL can download the artifact.
    pub(super) fn of_store(operation: &str, response: &Response) -> Self {
        Self::Refused {
            operation: operation.into(),
            status: response.status,
            message: "the artifact store refused the download".to_owned(),
            // The store's limits are not those of GitHub's API.
            retry_after: None,
        }
    }

    /// How long all other requests have to wait, too: GitHub reported a rate limit.
    pub(super) fn rate_limited_for(&self) -> Option<Duration> {
        match self {
            Self::Refused {
                status: StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS,
                retry_after,
                ..
            } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may succeed later, without a change on our side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http { cause, .. } => cause.is_transient(),
            Self::Refused {
                status,
                retry_after,
                ..
            } => {
                status.is_server_error()
                    || *status == StatusCode::REQUEST_TIMEOUT
                    || retry_after.is_some()
            }
            Self::TooLarge { .. } => false,
            Self::Deferred { .. } | Self::RateLimited { .. } | Self::Unexpected { .. } => true,
        }
    }

    /// Whether what fails is the access to GitHub, which [`ApiStatusCell::problems`](super::ApiStatusCell::problems)
    /// shows once for all requests: GitHub does not answer, or only with server errors, it rejects the
    /// credentials or a permission is missing, or a limit is reached. What does not work because of that
    /// is no problem of its own.
    pub fn is_of_access(&self) -> bool {
        match self {
            Self::Http { cause, .. } => cause.is_transient(),
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [
                        StatusCode::UNAUTHORIZED,
                        StatusCode::FORBIDDEN,
                        StatusCode::TOO_MANY_REQUESTS,
                    ]
                    .contains(status)
            }
            Self::Deferred { .. } | Self::RateLimited { .. } => true,
            Self::TooLarge { .. } | Self::Unexpected { .. } => false,
        }
    }

    /// Whether the request may have taken effect nevertheless.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Http { cause, .. } => cause.is_ambiguous(),
            Self::Refused { status, .. } => status.is_server_error(),
            Self::Deferred { .. } | Self::RateLimited { .. } => false,
            Self::TooLarge { .. } | Self::Unexpected { .. } => true,
        }
    }

    /// How long to wait before the next request, if GitHub or a limit demands it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::Deferred { retry_after, .. } | Self::RateLimited { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::Http { .. } | Self::TooLarge { .. } | Self::Unexpected { .. } => None,
        }
    }

    /// The status of GitHub's response, if there is one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Http { .. }
            | Self::Deferred { .. }
            | Self::RateLimited { .. }
            | Self::TooLarge { .. }
            | Self::Unexpected { .. } => None,
        }
    }
}

/// The body of GitHub's error responses, as far as it is read.
#[derive(Deserialize)]
struct ErrorBody {
    message: String,
    /// The reasons, which the message leaves out: texts, or objects with a `message`, or with the name
    /// of a `field` and a `code`.
    #[serde(default)]
    errors: Value,
}

impl ErrorBody {
    /// The message and the reasons.
    fn text(&self) -> String {
        let reasons = match &self.errors {
            Value::Array(reasons) => reasons.as_slice(),
            Value::Null => &[],
            reason => std::slice::from_ref(reason),
        };
        let reasons: Vec<String> = reasons
            .iter()
            .filter_map(reason)
            .take(REASONS_MAX)
            .collect();
        if reasons.is_empty() {
            self.message.clone()
        } else {
            format!("{}: {}", self.message, reasons.join(", "))
        }
    }
}

fn reason(value: &Value) -> Option<String> {
    let part = |key: &str| value.get(key)?.as_str();
    let text = value.as_str().or_else(|| part("message"));
    let of_field = || Some(format!("{} is {}", part("field")?, part("code")?));
    text.map(str::to_owned).or_else(of_field)
}

fn message_of(response: &Response, token: Option<&Secret>) -> String {
    let message = response.json::<ErrorBody>().map(|body| body.text());
    match message {
        Ok(message) if !message.is_empty() => shown(&message, token),
        _ => NO_REASON.to_owned(),
    }
}

/// `text` without the token, control characters and everything beyond [`MESSAGE_MAX`]. A proxy in
/// front of GitHub may repeat what we sent.
fn shown(text: &str, token: Option<&Secret>) -> String {
    let text = match token {
        Some(token) => text.replace(token.expose(), "[secret]"),
        None => text.to_owned(),
    };
    let characters = text.chars().filter(|character| !character.is_control());
    characters.take(MESSAGE_MAX).collect()
}

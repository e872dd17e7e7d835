//! How GitHub, or the way to it, can fail.
//!
//! Owns what each failure means for whoever asked. Its texts contain neither the token nor
//! anything that was downloaded.

use std::time::Duration;

use serde::Deserialize;

use super::limits;
use http_client::{Answer, HttpError, StatusCode};
use shared::secret::Secret;

/// Longest part of GitHub's own words that is repeated, in characters.
const MESSAGE_MAX: usize = 200;

/// Why GitHub did not do it. Each text is a fragment that follows "failed to".
///
/// `attempt` is what was attempted, such as `delete registration 7`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GithubError {
    /// There is no answer, or it cannot be understood.
    #[error("{attempt}: failed to {cause}")]
    Http {
        /// What was attempted.
        attempt: String,
        /// What became of the call.
        cause: HttpError,
    },
    /// GitHub answered, and said no.
    #[error("{attempt}: github answered {status}: {message}")]
    Answered {
        /// What was attempted.
        attempt: String,
        /// GitHub's status.
        status: StatusCode,
        /// GitHub's own words, cut, and the permission that it says is missing; may be empty.
        message: String,
        /// How long GitHub wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// This can wait, so that enough is left of GitHub's limits for what cannot; it was not sent.
    #[error("{attempt}: it has to wait, so that enough is left of github's limits for what cannot")]
    HeldBack {
        /// What was attempted.
        attempt: String,
        /// How long it can wait.
        retry_after: Duration,
    },
    /// GitHub wants to be left alone, as it has said in answer to something else; this was not sent.
    #[error("{attempt}: github wants to be left alone for {} s", .retry_after.as_secs())]
    Quiet {
        /// What was attempted.
        attempt: String,
        /// For how long.
        retry_after: Duration,
    },
    /// What GitHub has is longer than the caller takes.
    #[error("{attempt}: longer than {bytes_max} bytes")]
    TooLarge {
        /// What was attempted.
        attempt: String,
        /// How many bytes were allowed.
        bytes_max: usize,
    },
    /// The answer contradicts GitHub's documentation, or another answer of GitHub's.
    #[error("{attempt}: {what}")]
    Unexpected {
        /// What was attempted.
        attempt: String,
        /// What is wrong with the answer.
        what: &'static str,
    },
}

impl GithubError {
    /// Gives a failed call its purpose.
    pub(super) fn of_call(attempt: &str, cause: HttpError) -> Self {
        let attempt = attempt.into();
        match cause {
            HttpError::TooLarge { body_max, .. } => Self::TooLarge {
                attempt,
                bytes_max: body_max,
            },
            cause => Self::Http { attempt, cause },
        }
    }

    /// Makes an error of an answer that was not hoped for.
    pub(super) fn of_answer(attempt: &str, answer: &Answer, token: Option<&Secret>) -> Self {
        let message = message_of(answer, token);
        let retry_after = limits::retry_after(answer, &message);
        let is_missing_permission = answer.status == StatusCode::FORBIDDEN && retry_after.is_none();
        let message = match answer.header("x-accepted-github-permissions") {
            Some(permissions) if is_missing_permission => {
                format!("{message} (it takes {})", shown(permissions, token))
            }
            _ => message,
        };
        Self::Answered {
            attempt: attempt.into(),
            status: answer.status,
            message,
            retry_after,
        }
    }

    /// How long everything else has to wait, too: GitHub has refused because of a limit.
    pub(super) fn quiet(&self) -> Option<Duration> {
        match self {
            Self::Answered {
                status: StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS,
                retry_after,
                ..
            } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same may well work later, with nothing changed on our side.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http { cause, .. } => cause.is_transient(),
            Self::Answered {
                status,
                retry_after,
                ..
            } => {
                status.is_server_error()
                    || *status == StatusCode::REQUEST_TIMEOUT
                    || retry_after.is_some()
            }
            Self::TooLarge { .. } => false,
            Self::HeldBack { .. } | Self::Quiet { .. } | Self::Unexpected { .. } => true,
        }
    }

    /// Whether GitHub may have done it all the same.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Http { cause, .. } => cause.is_ambiguous(),
            Self::Answered { status, .. } => status.is_server_error(),
            Self::HeldBack { .. } | Self::Quiet { .. } => false,
            Self::TooLarge { .. } | Self::Unexpected { .. } => true,
        }
    }

    /// How long GitHub wants to be left alone, with this and everything else.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            Self::HeldBack { retry_after, .. } | Self::Quiet { retry_after, .. } => {
                Some(*retry_after)
            }
            Self::Http { .. } | Self::TooLarge { .. } | Self::Unexpected { .. } => None,
        }
    }

    /// The status of GitHub's refusal, if it is one.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Answered { status, .. } => Some(*status),
            Self::Http { .. }
            | Self::HeldBack { .. }
            | Self::Quiet { .. }
            | Self::TooLarge { .. }
            | Self::Unexpected { .. } => None,
        }
    }
}

/// The body of GitHub's refusals, as far as it is read.
#[derive(Deserialize)]
struct Refusal {
    message: String,
}

fn message_of(answer: &Answer, token: Option<&Secret>) -> String {
    let said = answer.json::<Refusal>().map(|refusal| refusal.message);
    shown(&said.unwrap_or_default(), token)
}

/// `words` as they may be repeated. Whatever stands between us and GitHub may repeat what we sent.
fn shown(words: &str, token: Option<&Secret>) -> String {
    let words = match token {
        Some(token) => words.replace(token.expose(), "[secret]"),
        None => words.to_owned(),
    };
    let characters = words.chars().filter(|character| !character.is_control());
    characters.take(MESSAGE_MAX).collect()
}

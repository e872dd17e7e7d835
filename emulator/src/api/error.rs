//! Error responses: the only place that maps errors to status codes.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header::RETRY_AFTER},
};
use serde_json::{Value, json};
use shared::{clock::Timestamp, values::InvalidValue};

use crate::{InvalidJwt, model::ModelError};

/// Why a request was rejected.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    #[error("{error}")]
    Model {
        error: ModelError,
        /// How long to wait before a retry.
        retry_after_seconds: Option<u64>,
    },
    #[error("Request forbidden by administrative rules: it has no User-Agent header")]
    NoUserAgent,
    #[error("Requires authentication")]
    NoCredentials,
    #[error("Bad credentials")]
    BadCredentials,
    #[error(transparent)]
    InvalidJwt(#[from] InvalidJwt),
    #[error("API rate limit exceeded")]
    RateLimited,
    #[error("Problems parsing JSON")]
    InvalidJson,
    #[error("Invalid request: {0}")]
    WrongType(String),
    #[error("Server failed to authenticate the request: no Authorization header is allowed here")]
    BlobWithCredentials,
    #[error("Control requests need localhost or an IP address as their host")]
    WrongHost,
}

impl ApiError {
    pub(super) const NOT_FOUND: Self = Self::Model {
        error: ModelError::NotFound,
        retry_after_seconds: None,
    };

    /// The key `errors` of the body: what the message leaves out.
    fn reasons(&self) -> Option<Value> {
        match self {
            Self::Model {
                error: ModelError::NameTooLong { length_max },
                ..
            } => Some(json!([format!(
                "Name is too long (maximum is {length_max} characters)"
            )])),
            _ => None,
        }
    }

    /// An error of the model, with the time to wait from `now` on.
    pub(super) fn with_retry_after(error: ModelError, now: Timestamp) -> Self {
        let retry_after_seconds = match &error {
            // Rounded up, so that a retry after this time succeeds.
            ModelError::TooManyRegistrations { retry_at } => {
                Some(retry_at.since(now).as_micros().div_ceil(1_000_000))
            }
            _ => None,
        };
        Self::Model {
            error,
            retry_after_seconds: retry_after_seconds.and_then(|wait| u64::try_from(wait).ok()),
        }
    }
}

/// 400 for invalid JSON, 422 for JSON of another type, as at GitHub.
impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::WrongType(error.to_string())
        } else {
            Self::InvalidJson
        }
    }
}

impl From<ModelError> for ApiError {
    fn from(error: ModelError) -> Self {
        Self::Model {
            error,
            retry_after_seconds: None,
        }
    }
}

impl From<InvalidValue> for ApiError {
    fn from(invalid: InvalidValue) -> Self {
        ModelError::from(invalid).into()
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Model { error, .. } => status_of(error),
            Self::InvalidJwt(InvalidJwt::UnknownApp) => StatusCode::NOT_FOUND,
            Self::NoCredentials | Self::BadCredentials | Self::InvalidJwt(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::NoUserAgent | Self::RateLimited | Self::WrongHost => StatusCode::FORBIDDEN,
            Self::InvalidJson | Self::BlobWithCredentials => StatusCode::BAD_REQUEST,
            Self::WrongType(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// GitHub's "basic error".
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Self::Model {
            retry_after_seconds: Some(seconds),
            ..
        } = self
        {
            response.insert_header((RETRY_AFTER, *seconds));
        }
        let mut body = json!({
            "message": self.to_string(),
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status_code().as_str(),
        });
        if let Some(reasons) = self.reasons() {
            body["errors"] = reasons;
        }
        response.json(body)
    }
}

fn status_of(error: &ModelError) -> StatusCode {
    match error {
        ModelError::NotFound => StatusCode::NOT_FOUND,
        ModelError::Invalid(_)
        | ModelError::NameTooLong { .. }
        | ModelError::RunnerBusy { .. }
        | ModelError::LabelReadOnly { .. }
        | ModelError::Full { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        ModelError::NameTaken { .. }
        | ModelError::SessionExists
        | ModelError::JobNotAssigned
        | ModelError::ArtifactExists { .. }
        | ModelError::RunCompleted => StatusCode::CONFLICT,
        ModelError::TooManyRegistrations { .. } => StatusCode::FORBIDDEN,
        ModelError::InvalidSecret => StatusCode::UNAUTHORIZED,
        ModelError::ArtifactExpired => StatusCode::GONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        let now = Timestamp::from_seconds(100);
        for (micros, header) in [(1, "1"), (1_000_000, "1"), (1_000_001, "2")] {
            let retry_at = Timestamp::from_micros(now.as_micros() + micros);
            let error =
                ApiError::with_retry_after(ModelError::TooManyRegistrations { retry_at }, now);
            let response = error.error_response();
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), header);
        }
        let other = ApiError::with_retry_after(ModelError::NotFound, now).error_response();
        assert!(other.headers().get(RETRY_AFTER).is_none());
    }
}

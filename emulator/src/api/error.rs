//! Every refusal, its status and its text. The one place that maps one to the other.

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header::RETRY_AFTER},
};
use serde_json::json;
use shared::{clock::Timestamp, values::InvalidValue};

use crate::{BadTicket, model::Refusal};

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The model refused.
    #[error("{refusal}")]
    Refused {
        refusal: Refusal,
        /// How long to wait before the same can be asked again.
        retry_after_seconds: Option<u64>,
    },
    #[error("Request forbidden by administrative rules: it has no User-Agent header")]
    NoUserAgent,
    #[error("Requires authentication")]
    NoCredentials,
    #[error("Bad credentials")]
    BadCredentials,
    #[error(transparent)]
    BadTicket(#[from] BadTicket),
    #[error("API rate limit exceeded")]
    RateLimited,
    #[error("Problems parsing JSON")]
    NotJson,
    #[error("Invalid request: {0}")]
    WrongShape(String),
    #[error("Server failed to authenticate the request: no Authorization header is allowed here")]
    BlobWithCredentials,
    #[error("The control side answers only to localhost and to addresses")]
    ForeignHost,
}

impl ApiError {
    pub(super) const NOT_FOUND: Self = Self::Refused {
        refusal: Refusal::NotFound,
        retry_after_seconds: None,
    };

    /// A refusal of the model, at `now`.
    pub(super) fn refused(refusal: Refusal, now: Timestamp) -> Self {
        let retry_after_seconds = match &refusal {
            // Rounded up, so that whoever obeys is not refused again.
            Refusal::TooManyRegistrations { retry_at } => {
                Some(retry_at.since(now).as_micros().div_ceil(1_000_000))
            }
            _ => None,
        };
        Self::Refused {
            refusal,
            retry_after_seconds: retry_after_seconds.and_then(|wait| u64::try_from(wait).ok()),
        }
    }
}

/// 400 for what is no JSON, 422 for JSON of another shape, as GitHub does.
impl From<serde_json::Error> for ApiError {
    fn from(error: serde_json::Error) -> Self {
        if error.is_data() {
            Self::WrongShape(error.to_string())
        } else {
            Self::NotJson
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            refusal,
            retry_after_seconds: None,
        }
    }
}

impl From<InvalidValue> for ApiError {
    fn from(invalid: InvalidValue) -> Self {
        Refusal::from(invalid).into()
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Refused { refusal, .. } => status_of(refusal),
            Self::BadTicket(BadTicket::UnknownApp) => StatusCode::NOT_FOUND,
            Self::NoCredentials | Self::BadCredentials | Self::BadTicket(_) => {
                StatusCode::UNAUTHORIZED
            }
            Self::NoUserAgent | Self::RateLimited | Self::ForeignHost => StatusCode::FORBIDDEN,
            Self::NotJson | Self::BlobWithCredentials => StatusCode::BAD_REQUEST,
            Self::WrongShape(_) => StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// GitHub's "basic error".
    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Self::Refused {
            retry_after_seconds: Some(seconds),
            ..
        } = self
        {
            response.insert_header((RETRY_AFTER, *seconds));
        }
        response.json(json!({
            "message": self.to_string(),
            "documentation_url": "https://docs.github.com/rest",
            "status": self.status_code().as_str(),
        }))
    }
}

fn status_of(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotFound => StatusCode::NOT_FOUND,
        Refusal::Invalid(_)
        | Refusal::RunnerBusy { .. }
        | Refusal::LabelReadOnly { .. }
        | Refusal::Full { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        Refusal::NameTaken { .. }
        | Refusal::SessionExists
        | Refusal::JobNotYours
        | Refusal::ArtifactExists { .. }
        | Refusal::RunOver => StatusCode::CONFLICT,
        Refusal::TooManyRegistrations { .. } => StatusCode::FORBIDDEN,
        Refusal::BadCredential => StatusCode::UNAUTHORIZED,
        Refusal::ArtifactExpired => StatusCode::GONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_in_whole_seconds_rounded_up() {
        let now = Timestamp::from_seconds(100);
        for (micros, header) in [(1, "1"), (1_000_000, "1"), (1_000_001, "2")] {
            let retry_at = Timestamp::from_micros(now.as_micros() + micros);
            let error = ApiError::refused(Refusal::TooManyRegistrations { retry_at }, now);
            let response = error.error_response();
            assert_eq!(response.status(), StatusCode::FORBIDDEN);
            assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), header);
        }
        let other = ApiError::refused(Refusal::NotFound, now).error_response();
        assert!(other.headers().get(RETRY_AFTER).is_none());
    }
}

//! Error responses: a stable code for scripts, one sentence for people, an HTTP status.
//!
//! Not responsible for the cause of a failure: it is logged where it occurs, and is never part of the
//! response.

use std::{fmt, time::Duration};

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{ContentType, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use github::artifact_auth::VerifyError;
use serde_json::{Map, Value, json};
pub use shared::error::Code;

use crate::repeated;
use shared::{text::printable_json, values::InvalidValue};

/// `Retry-After` when an artifact could not be checked, and its maximum.
const CHECK_RETRY: Duration = Duration::from_secs(5);
const CHECK_RETRY_MAX: Duration = Duration::from_secs(60);

/// An error response: `{"code", "message"}`, and the fields that [`with`](Self::with) added.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    code: Code,
    message: String,
    retry_after_seconds: Option<u64>,
    more: Map<String, Value>,
}

impl ApiError {
    /// An error with one sentence that tells a person what to do.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_seconds: None,
            more: Map::new(),
        }
    }

    /// Sets the header `Retry-After`.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds the fields of `body`, which must be a JSON object. `code` and `message` are not
    /// replaced.
    pub fn with(mut self, body: impl serde::Serialize) -> Self {
        if let Ok(Value::Object(fields)) = serde_json::to_value(body) {
            self.more = fields;
        }
        self
    }

    /// The stable code of the error.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<InvalidValue> for ApiError {
    fn from(invalid: InvalidValue) -> Self {
        Self::new(Code::BadRequest, invalid.to_string())
    }
}

impl From<VerifyError> for ApiError {
    fn from(error: VerifyError) -> Self {
        let retry_after = error.retry_after().unwrap_or(CHECK_RETRY);
        if let VerifyError::Unavailable(cause) = &error {
            repeated::count_warning("artifact_not_checked", || {
                format!("failed to check an artifact: failed to {cause}")
            });
        }
        match error {
            VerifyError::Rejected(rejection) => {
                Self::new(Code::NotAuthorised, rejection.to_string())
            }
            VerifyError::NotYet(_) => Self::new(
                Code::NotReady,
                "GitHub does not list the artifact of this unique_id yet; try again",
            )
            .retry_after(retry_after.as_secs().max(1)),
            VerifyError::Busy => Self::new(
                Code::NotReady,
                "too many artifacts are being checked; try again",
            )
            .retry_after(CHECK_RETRY.as_secs()),
            VerifyError::Unavailable(_) => Self::new(
                Code::NotReady,
                "the artifact could not be checked, because GitHub is unavailable; try again",
            )
            .retry_after(retry_after.as_secs().clamp(1, CHECK_RETRY_MAX.as_secs())),
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if self.code == Code::Unauthorised {
            // Required in every 401 (RFC 9110, section 15.5.2).
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        let mut body = self.more.clone();
        body.insert("code".into(), json!(self.code.as_str()));
        body.insert("message".into(), json!(self.message));
        let body = Value::Object(body).to_string();
        let mut response = response
            .insert_header(ContentType::json())
            .body(printable_json(body));
        // Refused requests are counted by it.
        response.extensions_mut().insert(self.code);
        response
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{MessageBody, to_bytes};

    use super::*;

    #[actix_web::test]
    async fn a_response_has_a_code_and_a_sentence() {
        let error = ApiError::new(Code::Waiting, "wait")
            .retry_after(3)
            .with(json!({"position": 2, "code": "x"}));
        let response = error.error_response();
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers().get("retry-after").unwrap(), "3");
        assert_eq!(
            response.headers().get("content-type").unwrap(),
            "application/json"
        );
        let body = to_bytes(response.into_body().boxed()).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({"code": "waiting", "message": "wait", "position": 2})
        );
    }

    #[test]
    fn a_401_has_a_challenge() {
        let response = ApiError::new(Code::Unauthorised, "no").error_response();
        assert_eq!(
            (
                response.status().as_u16(),
                response
                    .headers()
                    .get("www-authenticate")
                    .unwrap()
                    .as_bytes()
            ),
            (401, &b"Bearer"[..])
        );
    }

    #[test]
    fn an_invalid_value_is_a_bad_request() {
        let invalid = InvalidValue {
            field: "count",
            allowed: "a number",
        };
        assert_eq!(
            ApiError::from(invalid),
            ApiError::new(Code::BadRequest, "count must be a number")
        );
    }
}

//! How a daemon says no: a stable code for scripts, one sentence for people, a status for HTTP.
//!
//! Owns the list of codes and the one place that maps them to a status. The cause of a failure
//! goes to the log of whoever makes the `ApiError`, never into it.

use std::fmt;

use actix_web::{
    HttpResponse, ResponseError,
    http::{
        StatusCode,
        header::{RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use serde_json::{Map, Value, json};

use crate::values::InvalidValue;

/// What went wrong, as a stable name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A parameter is missing or not of its form.
    BadRequest,
    /// The call needs a token or ticket and has none.
    Unauthorised,
    /// The API token is not the right one.
    WrongToken,
    /// The ticket is not one of ours, or of another job.
    WrongTicket,
    /// A webhook that was not signed with our secret.
    WrongSignature,
    /// The artifact that should prove the right to a runner does not.
    NotAuthorised,
    /// A guest asked for something that is not, or no longer, its own.
    NotYours,
    /// This server belongs to a queue: ask there.
    QueueMember,
    /// There is nothing at this path.
    NotFound,
    /// No such job: expired, withdrawn, or its runner is long gone.
    UnknownJob,
    /// No such profile on this server.
    UnknownProfile,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// That `unique_id` is taken by a job with other parameters.
    AlreadyEnqueued,
    /// That `unique_id` holds runners under other parameters.
    AlreadyReserved,
    /// A take or release that has been overtaken by a later one.
    StaleAttempt,
    /// The body is larger than is taken here.
    TooLarge,
    /// Waiting could never help.
    Unsatisfiable,
    /// A limit on jobs or held requests is reached.
    TooManyJobs,
    /// Something is broken on this side; the log says what.
    Internal,
    /// What is needed to answer is not known yet.
    NotReady,
    /// The job waits for a runner.
    Waiting,
    /// No runner of that profile is idle.
    NoCapacity,
}

impl Code {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::Unauthorised => "unauthorised",
            Self::WrongToken => "wrong_token",
            Self::WrongTicket => "wrong_ticket",
            Self::WrongSignature => "wrong_signature",
            Self::NotAuthorised => "not_authorised",
            Self::NotYours => "not_yours",
            Self::QueueMember => "queue_member",
            Self::NotFound => "not_found",
            Self::UnknownJob => "unknown_job",
            Self::UnknownProfile => "unknown_profile",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::AlreadyEnqueued => "already_enqueued",
            Self::AlreadyReserved => "already_reserved",
            Self::StaleAttempt => "stale_attempt",
            Self::TooLarge => "too_large",
            Self::Unsatisfiable => "unsatisfiable",
            Self::TooManyJobs => "too_many_jobs",
            Self::Internal => "internal",
            Self::NotReady => "not_ready",
            Self::Waiting => "waiting",
            Self::NoCapacity => "no_capacity",
        }
    }

    /// The HTTP status it travels with.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::WrongToken
            | Self::WrongTicket
            | Self::WrongSignature
            | Self::NotAuthorised
            | Self::NotYours
            | Self::QueueMember => StatusCode::FORBIDDEN,
            Self::NotFound | Self::UnknownJob | Self::UnknownProfile => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AlreadyEnqueued | Self::AlreadyReserved | Self::StaleAttempt => {
                StatusCode::CONFLICT
            }
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsatisfiable => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyJobs => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotReady | Self::Waiting | Self::NoCapacity => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// A refusal, ready to be sent: `{"code", "message"}` and whatever else `with` added.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    code: Code,
    message: String,
    retry_after_seconds: Option<u64>,
    more: Map<String, Value>,
}

impl ApiError {
    /// A refusal with one sentence a person can act on.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_seconds: None,
            more: Map::new(),
        }
    }

    /// Says when it is worth asking again.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    /// Adds the fields of `body`, which must be a JSON object, to the answer. `code` and
    /// `message` stay what they are.
    pub fn with(mut self, body: impl serde::Serialize) -> Self {
        if let Ok(Value::Object(fields)) = serde_json::to_value(body) {
            self.more = fields;
        }
        self
    }

    /// The stable name of what went wrong.
    pub fn code(&self) -> Code {
        self.code
    }
}

impl From<InvalidValue> for ApiError {
    fn from(invalid: InvalidValue) -> Self {
        Self::new(Code::BadRequest, invalid.to_string())
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.as_str(), self.message)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status_code());
        if let Some(seconds) = self.retry_after_seconds {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if self.code == Code::Unauthorised {
            // RFC 9110, section 15.5.2: a 401 has to name a challenge.
            response.insert_header((WWW_AUTHENTICATE, "Bearer"));
        }
        let mut body = self.more.clone();
        body.insert("code".into(), json!(self.code.as_str()));
        body.insert("message".into(), json!(self.message));
        response.json(body)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{MessageBody, to_bytes};

    use super::*;

    #[actix_web::test]
    async fn a_refusal_is_a_code_and_a_sentence() {
        let refusal = ApiError::new(Code::Waiting, "wait")
            .retry_after(3)
            .with(json!({"position": 2, "code": "x"}));
        let response = refusal.error_response();
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
    fn a_missing_token_is_answered_with_a_challenge() {
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
    fn a_value_of_the_wrong_form_is_a_bad_request() {
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

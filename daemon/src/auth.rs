//! Authentication of requests by a bearer token.
//!
//! Responsible for reading `Authorization`, for the API token, and for the token that a queue uses at a
//! monitor. Not responsible for other tokens, such as tickets: their handlers check them.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web};

use crate::{
    error::{ApiError, Code},
    web::mark_authenticated,
};
use shared::{secret::Secret, settings::Secrets};

/// Content of the `Authorization` header of a request.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// The request has no such header.
    Missing,
    /// The header is not `Bearer <token>`, or there are several.
    Garbled,
    /// A token, not verified.
    Token(Secret),
}

impl Bearer {
    /// The token, if there is one.
    pub fn into_token(self) -> Option<Secret> {
        match self {
            Self::Token(token) => Some(token),
            Self::Missing | Self::Garbled => None,
        }
    }

    /// Reads the header of `request`. The name of the scheme is case-insensitive (RFC 9110, section
    /// 11.1).
    pub fn of(request: &HttpRequest) -> Self {
        let mut headers = request.headers().get_all(AUTHORIZATION);
        let Some(header) = headers.next() else {
            return Self::Missing;
        };
        let token = header
            .to_str()
            .ok()
            .filter(|_| headers.next().is_none())
            .and_then(|header| header.split_once(' '))
            .filter(|(scheme, token)| {
                scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()
            });
        match token {
            Some((_, token)) => Self::Token(Secret::new(token.trim())),
            None => Self::Garbled,
        }
    }
}

impl FromRequest for Bearer {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// The API token of a daemon, as application data; while tokens are rotated, two of them. A monitor may
/// have tokens for its queue in addition.
#[derive(Clone, Debug)]
pub struct ApiToken {
    current: Secret,
    old: Option<OldToken>,
    /// They allow only takes, releases and reports.
    of_queue: Vec<Secret>,
}

/// What the token of a request allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Permission {
    /// It is the API token.
    Everything,
    /// It is a token of the queue.
    QueueRequests,
}

#[derive(Clone, Debug)]
struct OldToken {
    token: Secret,
    /// Whether the log has said that a client still uses it.
    was_logged: Arc<AtomicBool>,
}

impl ApiToken {
    /// Only this token.
    pub fn new(current: Secret) -> Self {
        Self {
            current,
            old: None,
            of_queue: Vec::new(),
        }
    }

    /// This token and, during a rotation, the one before it.
    pub fn with_old(current: Secret, old: Option<Secret>) -> Self {
        let old = old.map(|token| OldToken {
            token,
            was_logged: Arc::default(),
        });
        Self {
            current,
            old,
            of_queue: Vec::new(),
        }
    }

    /// These tokens, and those with which the queue of a monitor takes, releases and reads reports.
    pub fn with_queue_tokens(self, of_queue: Vec<Secret>) -> Self {
        Self { of_queue, ..self }
    }

    /// The API tokens of the settings.
    pub fn of(secrets: &Secrets) -> Self {
        Self::with_old(secrets.api_token.clone(), secrets.api_token_old.clone())
    }

    /// What `token` allows, if it is one of ours. The comparison takes the same time wherever they
    /// differ.
    fn permission_of(&self, token: &str) -> Option<Permission> {
        let is_of_queue = self.of_queue.iter().filter(|it| it.matches(token)).count() > 0;
        if self.is_api_token(token) {
            Some(Permission::Everything)
        } else {
            is_of_queue.then_some(Permission::QueueRequests)
        }
    }

    fn is_api_token(&self, token: &str) -> bool {
        let is_current = self.current.matches(token);
        let old = self.old.as_ref().filter(|old| old.token.matches(token));
        let is_old = old.is_some();
        if let Some(old) = old
            && !is_current
            && !old.was_logged.swap(true, Ordering::Relaxed)
        {
            log::warn!(
                "a client still uses SERVO_CI_MONITOR_API_TOKEN_OLD; remove that variable once all clients \
                 have the new token"
            );
        }
        is_current || is_old
    }

    /// Compares `bearer` with the tokens, in constant time.
    ///
    /// # Errors
    /// 401 without a token, 403 with another one.
    pub fn check(&self, bearer: &Bearer) -> Result<(), ApiError> {
        match self.permission(bearer)? {
            Permission::Everything => Ok(()),
            Permission::QueueRequests => Err(ApiError::new(
                Code::WrongToken,
                "the token of the queue allows only takes, releases and reports; this request requires \
                 SERVO_CI_MONITOR_API_TOKEN",
            )),
        }
    }

    /// What `bearer` allows.
    fn permission(&self, bearer: &Bearer) -> Result<Permission, ApiError> {
        let permission = match bearer {
            Bearer::Token(token) => self.permission_of(token.expose()),
            Bearer::Missing | Bearer::Garbled => None,
        };
        if let Some(permission) = permission {
            return Ok(permission);
        }
        match bearer {
            Bearer::Missing => Err(ApiError::new(
                Code::Unauthorised,
                "this request requires the header `Authorization: Bearer <SERVO_CI_MONITOR_API_TOKEN>`",
            )),
            Bearer::Garbled => Err(ApiError::new(
                Code::WrongToken,
                "the Authorization header must be one `Bearer <SERVO_CI_MONITOR_API_TOKEN>`",
            )),
            Bearer::Token(_) => Err(ApiError::new(
                Code::WrongToken,
                "that is not this daemon's SERVO_CI_MONITOR_API_TOKEN",
            )),
        }
    }
}

/// Extractor for handlers that require the API token; other requests are refused.
#[derive(Clone, Copy, Debug)]
pub struct Authorised(());

impl FromRequest for Authorised {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = request.app_data::<web::Data<ApiToken>>();
        let outcome = match token {
            Some(token) => token.check(&Bearer::of(request)).map(|()| {
                mark_authenticated(request);
                Self(())
            }),
            None => Err(no_token()),
        };
        ready(outcome)
    }
}

/// Extractor for handlers that require the API token or, on a monitor, the token of its queue; other
/// requests are refused.
#[derive(Clone, Copy, Debug)]
pub struct AuthorisedQueue(Permission);

impl AuthorisedQueue {
    /// Which token the request has, for audit events: `api_token` or `queue_token`.
    pub fn authorised_by(self) -> &'static str {
        match self.0 {
            Permission::Everything => "api_token",
            Permission::QueueRequests => "queue_token",
        }
    }
}

impl FromRequest for AuthorisedQueue {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let outcome = match request.app_data::<web::Data<ApiToken>>() {
            Some(token) => token.permission(&Bearer::of(request)).map(|permission| {
                mark_authenticated(request);
                Self(permission)
            }),
            None => Err(no_token()),
        };
        ready(outcome)
    }
}

/// Extractor for handlers that everybody may use, and that show more to a request with the API token or
/// the token of the queue. A wrong token is refused, so that its sender notices.
#[derive(Clone, Copy, Debug)]
pub struct NotWrongToken {
    /// None without a token.
    permission: Option<Permission>,
}

impl NotWrongToken {
    /// Whether the request has a token, and not only no wrong one.
    pub fn is_authorised(self) -> bool {
        self.permission.is_some()
    }

    /// Whether the request has the API token.
    pub fn has_api_token(self) -> bool {
        self.permission == Some(Permission::Everything)
    }
}

impl FromRequest for NotWrongToken {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if matches!(Bearer::of(request), Bearer::Missing) {
            return ready(Ok(Self { permission: None }));
        }
        let authorised = AuthorisedQueue::from_request(request, payload).into_inner();
        ready(authorised.map(|AuthorisedQueue(permission)| Self {
            permission: Some(permission),
        }))
    }
}

fn no_token() -> ApiError {
    ApiError::new(
        Code::Internal,
        "this daemon was started without an API token",
    )
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn status_with(headers: &[&str]) -> u16 {
        let mut request =
            TestRequest::default().app_data(web::Data::new(ApiToken::new(Secret::new("right"))));
        for header in headers {
            request = request.append_header((AUTHORIZATION, *header));
        }
        let request = request.to_http_request();
        let outcome = Authorised::from_request(&request, &mut Payload::None).into_inner();
        outcome.map_or_else(|refusal| refusal.code().status(), |_| 200)
    }

    #[test]
    fn only_the_api_token_is_accepted() {
        for (headers, status) in [
            (&["Bearer right"][..], 200),
            (&["bearer right"], 200),
            (&[], 401),
            (&["Bearer wrong"], 403),
            (&["Bearer right2"], 403),
            (&["Bearer"], 403),
            (&["Bearer "], 403),
            (&["Basic right"], 403),
            (&["right"], 403),
            (&[""], 403),
            (&["Bearer \u{e9}"], 403),
            (&["Bearer right", "Bearer right"], 403),
        ] {
            assert_eq!(status_with(headers), status, "{headers:?}");
        }
    }

    #[test]
    fn during_a_rotation_both_tokens_are_accepted() {
        let tokens = ApiToken::with_old(Secret::new("new"), Some(Secret::new("old")));
        for (token, is_accepted) in [("new", true), ("old", true), ("older", false), ("", false)] {
            let outcome = tokens.check(&Bearer::Token(Secret::new(token)));
            assert_eq!(outcome.is_ok(), is_accepted, "{token}");
        }
        assert!(!format!("{tokens:?}").contains("new"), "{tokens:?}");
    }

    #[test]
    fn where_no_token_is_needed_only_a_wrong_one_is_refused() {
        for (header, is_accepted) in [
            (None, true),
            (Some("Bearer right"), true),
            (Some("Bearer wrong"), false),
            (Some("Basic right"), false),
        ] {
            let mut request = TestRequest::default()
                .app_data(web::Data::new(ApiToken::new(Secret::new("right"))));
            if let Some(header) = header {
                request = request.append_header((AUTHORIZATION, header));
            }
            let request = request.to_http_request();
            let outcome = NotWrongToken::from_request(&request, &mut Payload::None).into_inner();
            assert_eq!(outcome.is_ok(), is_accepted, "{header:?}");
            if let Ok(token) = outcome {
                assert_eq!(token.is_authorised(), header.is_some(), "{header:?}");
            }
        }
    }

    #[test]
    fn the_token_of_the_queue_is_accepted_for_requests_of_the_queue_only() {
        let tokens = ApiToken::with_old(Secret::new("api"), Some(Secret::new("older")))
            .with_queue_tokens(vec![Secret::new("queue"), Secret::new("former")]);
        let data = web::Data::new(tokens);
        for (token, may_all, may_queue) in [
            ("api", true, true),
            ("older", true, true),
            ("queue", false, true),
            ("former", false, true),
            ("queu", false, false),
            ("", false, false),
        ] {
            let header = (AUTHORIZATION, format!("Bearer {token}"));
            let request = TestRequest::default().app_data(data.clone());
            let request = request.append_header(header).to_http_request();
            let none = &mut Payload::None;
            let all = Authorised::from_request(&request, none).into_inner();
            assert_eq!(all.is_ok(), may_all, "{token}");
            let of_queue = AuthorisedQueue::from_request(&request, none).into_inner();
            assert_eq!(of_queue.is_ok(), may_queue, "{token}");
            let read = NotWrongToken::from_request(&request, none).into_inner();
            assert_eq!(
                read.is_ok_and(NotWrongToken::is_authorised),
                may_queue,
                "{token}"
            );
        }
        let request = TestRequest::default().app_data(data).to_http_request();
        let outcome = AuthorisedQueue::from_request(&request, &mut Payload::None).into_inner();
        assert_eq!(outcome.unwrap_err().code(), Code::Unauthorised);
    }

    #[test]
    fn without_a_configured_token_all_requests_are_refused() {
        let request = TestRequest::default()
            .append_header((AUTHORIZATION, "Bearer "))
            .to_http_request();
        let outcome = Authorised::from_request(&request, &mut Payload::None).into_inner();
        assert_eq!(outcome.unwrap_err().code(), Code::Internal);
    }
}

//! Who may call: the bearer token of a request and what it is compared with.
//!
//! Owns the reading of `Authorization`. What a token allows is up to the caller.

use std::{
    convert::Infallible,
    future::{Ready, ready},
};

use actix_web::{FromRequest, HttpRequest, dev::Payload, http::header::AUTHORIZATION, web};

use crate::error::{ApiError, Code};
use shared::secret::Secret;

/// What stands in the `Authorization` header of a request.
#[derive(Clone, Debug)]
pub enum Bearer {
    /// There is no such header.
    Missing,
    /// There is one, but it is not `Bearer <token>`.
    Garbled,
    /// A token, whatever it is worth.
    Token(Secret),
}

impl Bearer {
    /// Reads the header of `request`. The scheme's name may be in any case (RFC 9110, 11.1).
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

/// The token that lets a caller use a daemon's API, as application data.
#[derive(Clone, Debug)]
pub struct ApiToken(pub Secret);

impl ApiToken {
    /// Whether `bearer` carries this token; otherwise why not.
    pub fn check(&self, bearer: &Bearer) -> Result<(), ApiError> {
        match bearer {
            Bearer::Token(token) if self.0.matches(token.expose()) => Ok(()),
            Bearer::Missing => Err(ApiError::new(
                Code::Unauthorised,
                "this call needs the header `Authorization: Bearer <SERVO_CI_MONITOR_API_TOKEN>`",
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

/// Proof that a request carried the API token: a handler that takes one is closed to all others.
#[derive(Clone, Copy, Debug)]
pub struct Authorised(());

impl FromRequest for Authorised {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = request.app_data::<web::Data<ApiToken>>();
        let outcome = match token {
            Some(token) => token.check(&Bearer::of(request)).map(|()| Self(())),
            None => Err(ApiError::new(
                Code::Internal,
                "this daemon was started without an API token",
            )),
        };
        ready(outcome)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn status_with(headers: &[&str]) -> u16 {
        let mut request =
            TestRequest::default().app_data(web::Data::new(ApiToken(Secret::new("right"))));
        for header in headers {
            request = request.append_header((AUTHORIZATION, *header));
        }
        let request = request.to_http_request();
        let outcome = Authorised::from_request(&request, &mut Payload::None).into_inner();
        outcome.map_or_else(|refusal| refusal.code().status(), |_| 200)
    }

    #[test]
    fn only_the_right_token_is_let_in() {
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
    fn a_daemon_without_a_token_lets_nobody_in() {
        let request = TestRequest::default()
            .append_header((AUTHORIZATION, "Bearer "))
            .to_http_request();
        let outcome = Authorised::from_request(&request, &mut Payload::None).into_inner();
        assert_eq!(outcome.unwrap_err().code(), Code::Internal);
    }
}

//! What handlers take out of a request.

use std::{
    future::{Ready, ready},
    str::FromStr,
};

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload, http::header::AUTHORIZATION};
use serde::de::DeserializeOwned;
use shared::values::QualifiedRepo;

use super::{ApiError, access::bearer};
use crate::model::Scope;

/// The number of the token a request was made with; there only behind
/// [`access::github`](super::access).
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) usize);

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let caller = request.extensions().get::<Self>().copied();
        ready(caller.ok_or(ApiError::NoCredentials))
    }
}

/// The pool of runners that the path is below.
#[derive(Clone, Debug)]
pub(super) struct Pool(pub(super) Scope);

impl FromRequest for Pool {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let part = |name| request.match_info().query(name);
        let text = match request.match_info().get("org") {
            Some(owner) => format!("/orgs/{owner}"),
            None => format!("/repos/{}/{}", part("owner"), part("repo")),
        };
        ready(text.parse().map(Self).map_err(|_| ApiError::NOT_FOUND))
    }
}

/// The repository that the path is below.
#[derive(Clone, Debug)]
pub(super) struct Repo(pub(super) QualifiedRepo);

impl FromRequest for Repo {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let part = |name| request.match_info().query(name);
        let text = format!("{}/{}", part("owner"), part("repo"));
        ready(text.parse().map(Self).map_err(|_| ApiError::NOT_FOUND))
    }
}

/// A part of the path, such as an id. What has the wrong form does not exist.
pub(super) fn part<T: FromStr>(request: &HttpRequest, name: &str) -> Result<T, ApiError> {
    let text = request.match_info().query(name);
    text.parse().map_err(|_| ApiError::NOT_FOUND)
}

/// The body as JSON, whatever its content type, as GitHub reads it: 400 for what is no JSON, 422
/// for what has another shape.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    Ok(serde_json::from_slice(body)?)
}

/// The secret a request shows.
pub(super) fn secret(request: &HttpRequest) -> Result<&str, ApiError> {
    let value = request.headers().get(AUTHORIZATION);
    value.and_then(bearer).ok_or(ApiError::NoCredentials)
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[test]
    fn what_is_no_json_and_what_has_another_shape_are_told_apart() {
        assert_eq!(json::<Vec<u8>>(b"[1]").unwrap(), [1]);
        for (body, status) in [("", 400), ("[1", 400), ("{\"a\":1}", 422), ("[-1]", 422)] {
            let error = json::<Vec<u8>>(body.as_bytes()).unwrap_err();
            assert_eq!(error.status_code(), status, "{body}");
        }
    }
}

//! Extractors for handlers.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    http::header::{AUTHORIZATION, HeaderValue},
    web::Data,
};
use serde::de::DeserializeOwned;
use shared::{secret::Secret, values::QualifiedRepo};

use super::ApiError;
use crate::{Emulator, model::Scope};

/// The organisation or repository in the path, as a pool of runners.
#[derive(Clone, Debug)]
pub(super) struct Pool(pub(super) Scope);

impl FromRequest for Pool {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = match request.match_info().get("org") {
            Some(owner) => Some(format!("/orgs/{owner}")),
            None => repo_of(request).map(|repo| format!("/repos/{repo}")),
        };
        let scope = text.and_then(|text| text.parse().ok());
        ready(scope.map(Self).ok_or(ApiError::NOT_FOUND))
    }
}

/// The repository in the path.
#[derive(Clone, Debug)]
pub(super) struct Repo(pub(super) QualifiedRepo);

impl FromRequest for Repo {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(repo_of(request).map(Self).ok_or(ApiError::NOT_FOUND))
    }
}

/// The repository that the path names, or whose id it contains.
fn repo_of(request: &HttpRequest) -> Option<QualifiedRepo> {
    let part = |name| request.match_info().get(name);
    if let Some(id) = part("repository_id") {
        let (id, emulator) = (id.parse().ok()?, request.app_data::<Data<Emulator>>()?);
        return emulator.model(|model, _| model.renamed_repo(id));
    }
    format!("{}/{}", part("owner")?, part("repo")?).parse().ok()
}

/// The token in the `Authorization` header.
#[derive(Clone, Debug)]
pub(super) struct Bearer(pub(super) Secret);

impl FromRequest for Bearer {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let token = request.headers().get(AUTHORIZATION).and_then(bearer);
        ready(
            token
                .map(|token| Self(Secret::new(token)))
                .ok_or(ApiError::NoCredentials),
        )
    }
}

/// The token of an `Authorization` header. GitHub accepts `Bearer` and the older `token`.
pub(super) fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_known = ["bearer", "token"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| token.trim())
}

/// A JSON body of any content type, as GitHub reads it: 400 if it is not JSON, 422 if it does not
/// fit the type.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    Ok(serde_json::from_slice(body)?)
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;

    use super::*;

    #[test]
    fn a_token_is_read_from_both_schemes_in_any_case() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("token abc", Some("abc")),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(bearer(&HeaderValue::from_static(value)), token, "{value}");
        }
    }

    #[test]
    fn invalid_json_and_json_of_another_type_have_different_statuses() {
        assert_eq!(json::<Vec<u8>>(b"[1]").unwrap(), [1]);
        for (body, status) in [("", 400), ("[1", 400), ("{\"a\":1}", 422), ("[-1]", 422)] {
            let error = json::<Vec<u8>>(body.as_bytes()).unwrap_err();
            assert_eq!(error.status_code(), status, "{body}");
        }
    }
}

//! Middleware of GitHub's paths: authentication, rate limit, ETags, and the headers of every
//! response.

use std::future::{Ready, ready};

use actix_web::{
    Error, FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError,
    body::{self, BoxBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{
            AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
            USER_AGENT,
        },
    },
    middleware::Next,
    web::Bytes,
};

use super::{ApiError, redirects::misdirected};
use crate::{
    Emulator,
    api::{emulator_of, extract::bearer},
    model::RateLimit,
};

/// The number of the rate limit that a request counts against. Only available behind
/// [`github_middleware`].
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

/// Wraps every path of GitHub's.
pub(super) async fn github_middleware(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let emulator = emulator_of(&request);
    let caller = match authenticate(&emulator, request.headers()) {
        Ok(caller) => caller,
        Err(error) => return Ok(error_response(request, &error)),
    };
    let rate_limit = emulator.model(|model, now| model.rate_limit(now, caller.0));
    if rate_limit.remaining_count() == 0 && request.path() != "/rate_limit" {
        let mut response = error_response(request, &ApiError::RateLimited);
        add_rate_limit(response.headers_mut(), &emulator, rate_limit);
        return Ok(response);
    }
    request.extensions_mut().insert(caller);
    let mut response = match misdirected(&emulator, &request) {
        Some(response) => request.into_response(response),
        None => with_etag(next.call(request).await?).await?,
    };

    // GitHub does not count responses with status 304, so that clients can poll often.
    let is_free =
        response.status() == StatusCode::NOT_MODIFIED || response.request().path() == "/rate_limit";
    let rate_limit = emulator.model(|model, now| match is_free {
        true => model.rate_limit(now, caller.0),
        false => model.count_request(now, caller.0),
    });
    add_rate_limit(response.headers_mut(), &emulator, rate_limit);
    Ok(response)
}

fn authenticate(emulator: &Emulator, headers: &HeaderMap) -> Result<Caller, ApiError> {
    check_user_agent(headers)?;
    let value = headers.get(AUTHORIZATION).ok_or(ApiError::NoCredentials)?;
    let token = bearer(value).ok_or(ApiError::BadCredentials)?;
    emulator
        .caller(token)
        .map(Caller)
        .ok_or(ApiError::BadCredentials)
}

/// GitHub rejects requests without a `User-Agent`.
pub(super) fn check_user_agent(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(USER_AGENT).is_none_or(HeaderValue::is_empty) {
        true => Err(ApiError::NoUserAgent),
        false => Ok(()),
    }
}

fn error_response(request: ServiceRequest, error: &ApiError) -> ServiceResponse<BoxBody> {
    request.into_response(error.error_response())
}

fn add_rate_limit(headers: &mut HeaderMap, emulator: &Emulator, rate_limit: RateLimit) {
    let reset = emulator
        .faults()
        .with_clock_skew(rate_limit.reset_at)
        .as_seconds();
    for (name, value) in [
        ("x-ratelimit-limit", rate_limit.limit),
        ("x-ratelimit-remaining", rate_limit.remaining_count()),
        ("x-ratelimit-used", rate_limit.used_count),
        ("x-ratelimit-reset", reset),
    ] {
        headers.insert(HeaderName::from_static(name), value.into());
    }
    let core = HeaderValue::from_static("core");
    headers.insert(HeaderName::from_static("x-ratelimit-resource"), core);
}

/// Adds an ETag to the response to a GET, or replaces it by 304 if the client has that ETag.
async fn with_etag(
    response: ServiceResponse<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_tagged =
        response.request().method() == Method::GET && response.status() == StatusCode::OK;
    let (request, response) = response.into_parts();
    if !is_tagged {
        return Ok(ServiceResponse::new(
            request,
            response.map_into_boxed_body(),
        ));
    }
    let (response, body) = response.into_parts();
    let body = body::to_bytes(body).await.map_err(Into::into)?;
    let etag = etag(&body);
    if client_has(request.headers(), &etag) {
        let response = HttpResponse::NotModified()
            .insert_header((ETAG, etag))
            .finish();
        return Ok(ServiceResponse::new(request, response));
    }
    let mut response = response.set_body(body).map_into_boxed_body();
    let headers = response.headers_mut();
    headers.insert(ETAG, etag);
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    Ok(ServiceResponse::new(request, response))
}

/// A weak ETag that depends only on the body, as at GitHub.
fn etag(body: &Bytes) -> HeaderValue {
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    let hex: String = digest.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::try_from(format!("W/\"{hex}\"")).expect("quoted hex digits are a valid header")
}

fn client_has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    // Weak comparison (RFC 9110, section 8.8.3.2), which ignores the prefix.
    let strip = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let ours = etag.to_str().map(strip).unwrap_or_default();
    headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| strip(tag) == ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_matches_one_of_several_weak_or_strong_etags() {
        let etag = HeaderValue::from_static("W/\"a\"");
        for (value, matches) in [
            ("W/\"a\"", true),
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("W/\"b\"", false),
            ("a", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
            assert_eq!(client_has(&headers, &etag), matches, "{value}");
        }
        assert!(!client_has(&HeaderMap::new(), &etag));
    }

    #[test]
    fn different_bodies_have_different_etags() {
        let tag = |text: &'static str| etag(&Bytes::from_static(text.as_bytes()));
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
    }
}

//! What all of GitHub's paths have in common: who may ask, how often, and the headers of every
//! answer.

use actix_web::{
    Error, HttpMessage, HttpResponse, ResponseError,
    body::{self, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{
            AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
            USER_AGENT,
        },
    },
    middleware::Next,
    web::{Bytes, Data},
};

use super::{ApiError, request::Caller};
use crate::{Emulator, model::Allowance};

/// Wraps every path of GitHub's.
pub(super) async fn github(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let emulator = emulator_of(&request);
    let caller = match admit(&emulator, request.headers()) {
        Ok(caller) => caller,
        Err(error) => return Ok(refused(request, &error)),
    };
    let allowance = emulator.model(|model, now| model.allowance(now, caller.0));
    if allowance.remaining_count() == 0 && request.path() != "/rate_limit" {
        let mut response = refused(request, &ApiError::RateLimited);
        add_allowance(response.headers_mut(), &emulator, allowance);
        return Ok(response);
    }
    request.extensions_mut().insert(caller);
    let response = next.call(request).await?;
    let mut response = conditional(response).await?;

    // An answer of 304 is free, which is what makes asking often affordable.
    let is_free =
        response.status() == StatusCode::NOT_MODIFIED || response.request().path() == "/rate_limit";
    let allowance = emulator.model(|model, now| match is_free {
        true => model.allowance(now, caller.0),
        false => model.charge(now, caller.0),
    });
    add_allowance(response.headers_mut(), &emulator, allowance);
    Ok(response)
}

pub(super) fn emulator_of(request: &ServiceRequest) -> Data<Emulator> {
    let emulator = request.app_data::<Data<Emulator>>();
    emulator.expect("the app holds the emulator").clone()
}

fn admit(emulator: &Emulator, headers: &HeaderMap) -> Result<Caller, ApiError> {
    check_user_agent(headers)?;
    let value = headers.get(AUTHORIZATION).ok_or(ApiError::NoCredentials)?;
    let token = bearer(value).ok_or(ApiError::BadCredentials)?;
    emulator
        .caller(token)
        .map(Caller)
        .ok_or(ApiError::BadCredentials)
}

/// Refuses who does not say what it is.
pub(super) fn check_user_agent(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(USER_AGENT).is_none_or(HeaderValue::is_empty) {
        true => Err(ApiError::NoUserAgent),
        false => Ok(()),
    }
}

/// The token of an `Authorization` header; GitHub takes `Bearer` and the older `token`.
pub(super) fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_known = ["bearer", "token"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| token.trim())
}

fn refused(request: ServiceRequest, error: &ApiError) -> ServiceResponse<BoxBody> {
    request.into_response(error.error_response())
}

fn add_allowance(headers: &mut HeaderMap, emulator: &Emulator, allowance: Allowance) {
    let reset = emulator.faults().shown(allowance.reset_at).as_seconds();
    for (name, value) in [
        ("x-ratelimit-limit", allowance.limit),
        ("x-ratelimit-remaining", allowance.remaining_count()),
        ("x-ratelimit-used", allowance.used_count),
        ("x-ratelimit-reset", reset),
    ] {
        headers.insert(HeaderName::from_static(name), value.into());
    }
    let core = HeaderValue::from_static("core");
    headers.insert(HeaderName::from_static("x-ratelimit-resource"), core);
}

/// Gives the answer to a GET its ETag, and answers 304 to whoever has that one already.
async fn conditional(
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
    if has_already(request.headers(), &etag) {
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

/// A weak tag made from the body alone, as GitHub's are.
fn etag(body: &Bytes) -> HeaderValue {
    let digest = ring::digest::digest(&ring::digest::SHA256, body);
    let hex: String = digest.as_ref()[..16]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    HeaderValue::try_from(format!("W/\"{hex}\"")).expect("hex in quotes can stand in a header")
}

fn has_already(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    // Weak comparison (RFC 9110, section 8.8.3.2): the mark of weakness does not count.
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
    fn a_tag_is_known_among_several_weak_or_not() {
        let etag = HeaderValue::from_static("W/\"a\"");
        for (value, known) in [
            ("W/\"a\"", true),
            ("\"a\"", true),
            ("\"b\", W/\"a\"", true),
            ("W/\"b\"", false),
            ("a", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
            assert_eq!(has_already(&headers, &etag), known, "{value}");
        }
        assert!(!has_already(&HeaderMap::new(), &etag));
    }

    #[test]
    fn bodies_that_differ_have_tags_that_differ() {
        let tag = |text: &'static str| etag(&Bytes::from_static(text.as_bytes()));
        assert_eq!(tag("a"), tag("a"));
        assert_ne!(tag("a"), tag("b"));
    }
}

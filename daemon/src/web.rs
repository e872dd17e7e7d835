//! What both daemons do with every HTTP request and answer, whatever it is about.
//!
//! Owns the rules of the wire that hold for all calls: errors as JSON, silence where curl
//! retries, one log line that never shows a query. Knows nothing of jobs and runners.

use std::{str::FromStr, time::Duration};

use actix_web::{
    Error, HttpRequest, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        StatusCode,
        header::{ACCEPT, ALLOW, HeaderMap, HeaderName},
    },
    middleware::Next,
    web,
};
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Code};
use shared::values::InvalidValue;

/// The longest that a request may ask to be held, in seconds.
pub const HOLD_SECONDS_MAX: u64 = 60;

/// How long a client asks to be held: `Prefer: wait=<seconds>` (RFC 7240), at most
/// [`HOLD_SECONDS_MAX`]. A preference that cannot be understood is ignored, as the RFC says.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(HeaderName::from_static("prefer"))
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split([',', ';']))
        .filter_map(|preference| preference.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))
        .and_then(|(_, seconds)| seconds.trim().trim_matches('"').parse::<u64>().ok())
        .map(|seconds| Duration::from_secs(seconds.min(HOLD_SECONDS_MAX)))
}

/// Whether the client says that it can read JSON by name; `*/*` does not count.
pub fn accepts_json(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT)
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        .any(|media| {
            media
                .split(';')
                .next()
                .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
        })
}

/// A query string or path as `T`, with a refusal that says what is wrong.
///
/// # Errors
/// 400 `bad_request` when a parameter is missing, twice or not text.
pub fn query<T: DeserializeOwned>(request: &HttpRequest) -> Result<T, ApiError> {
    web::Query::<T>::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| match error {
            actix_web::error::QueryPayloadError::Deserialize(error) => bad_query(error),
            _ => ApiError::new(Code::BadRequest, "the query string cannot be read"),
        })
}

fn bad_query(error: impl std::fmt::Display) -> ApiError {
    // The text names the field ("missing field `run_id`") and may repeat a value: keep it short.
    let what: String = error.to_string().chars().take(200).collect();
    ApiError::new(
        Code::BadRequest,
        format!("the query string is not right: {what}"),
    )
}

/// One segment of the path, decoded and parsed.
///
/// # Errors
/// 400 `bad_request` naming the field.
pub fn segment<T: FromStr<Err = InvalidValue>>(
    request: &HttpRequest,
    name: &str,
) -> Result<T, ApiError> {
    let raw = request.match_info().get(name).unwrap_or_default();
    // actix leaves some escapes (such as %2F) in what it matched; what is decoded here is only
    // ever compared with the form of a value, so it can become nothing else. Whatever is not
    // UTF-8 becomes a character that no value may have.
    let decoded = percent_decode_str(raw).decode_utf8_lossy();
    Ok(decoded.parse::<T>()?)
}

/// The answer where nothing is served.
pub async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        Code::NotFound,
        "there is nothing at this path; the page \"The wire\" of the documentation lists what there is",
    ))
}

/// The answer to a known path with another method, naming the ones that `allowed` lists.
pub fn method_not_allowed(allowed: &'static str) -> actix_web::Route {
    web::route().to(move || async move {
        let refusal = ApiError::new(
            Code::MethodNotAllowed,
            format!("this path takes {allowed} only"),
        );
        let mut response = HttpResponse::from_error(refusal);
        response.headers_mut().insert(
            ALLOW,
            actix_web::http::header::HeaderValue::from_static(allowed),
        );
        response
    })
}

/// Middleware: writes one log line for each request, without its query, where tickets travel; and
/// leaves the body of an answer empty where `curl --retry` would repeat the request (408, 429 and
/// 5xx), unless the client names `application/json` in `Accept`. curl writes the body of every
/// attempt to its output, and scripts read that output as one answer.
pub async fn rules_of_the_wire(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let accepts_json = accepts_json(request.headers());
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let response = next.call(request).await?.map_into_boxed_body();
    let status = response.status();
    log::debug!("{method} {path:.200}: {}", status.as_u16());
    if is_retried_by_curl(status) && !accepts_json {
        return Ok(response.map_body(|head, _| {
            head.headers_mut()
                .remove(actix_web::http::header::CONTENT_TYPE);
            BoxBody::new(())
        }));
    }
    Ok(response)
}

fn is_retried_by_curl(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
        || status.is_server_error()
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App,
        http::header,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service, read_body},
    };

    use super::*;
    use shared::values::ProfileKey;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        TestRequest::default()
            .insert_header((name, value))
            .to_http_request()
            .headers()
            .clone()
    }

    #[test]
    fn a_wait_is_read_and_bounded() {
        for (header, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=10", Some(10)),
            ("WAIT=\"5\"", Some(5)),
            ("wait=600", Some(60)),
            ("wait=-1", None),
            ("wait", None),
            ("await=10", None),
            ("wait=99999999999999999999", None),
        ] {
            let wait = preferred_wait(&headers(HeaderName::from_static("prefer"), header));
            assert_eq!(wait, seconds.map(Duration::from_secs), "{header}");
        }
    }

    #[test]
    fn only_a_client_that_names_json_accepts_json() {
        for (accept, expected) in [
            ("application/json", true),
            ("text/html, Application/JSON;q=0.5", true),
            ("*/*", false),
            ("application/*", false),
        ] {
            assert_eq!(
                accepts_json(&headers(header::ACCEPT, accept)),
                expected,
                "{accept}"
            );
        }
    }

    #[actix_web::test]
    async fn answers_that_curl_repeats_have_no_body_unless_json_is_accepted() {
        let app = init_service(App::new().wrap(from_fn(rules_of_the_wire)).route(
            "/{code}",
            web::get().to(|request: HttpRequest| async move {
                let code = match request.match_info().get("code") {
                    Some("503") => Code::Waiting,
                    Some("429") => Code::TooManyJobs,
                    Some("500") => Code::Internal,
                    _ => Code::UnknownJob,
                };
                Err::<HttpResponse, _>(ApiError::new(code, "no").retry_after(1))
            }),
        ))
        .await;
        for (path, accept, has_body) in [
            ("/503", "*/*", false),
            ("/429", "*/*", false),
            ("/500", "*/*", false),
            ("/404", "*/*", true),
            ("/503", "application/json", true),
        ] {
            let request = TestRequest::get()
                .uri(path)
                .insert_header((header::ACCEPT, accept))
                .to_request();
            let response = call_service(&app, request).await;
            assert_eq!(
                response.headers().get("retry-after").unwrap(),
                "1",
                "{path}"
            );
            assert_eq!(
                !read_body(response).await.is_empty(),
                has_body,
                "{path} {accept}"
            );
        }
    }

    #[actix_web::test]
    async fn a_segment_cannot_smuggle_a_path() {
        let app = init_service(App::new().route(
            "/profile/{profile_key}",
            web::get().to(|request: HttpRequest| async move {
                segment::<ProfileKey>(&request, "profile_key").map(|key| key.to_string())
            }),
        ))
        .await;
        for (path, status) in [
            ("/profile/linux", 200),
            ("/profile/li%6Eux", 200),
            ("/profile/..%2f", 400),
            ("/profile/..%2Fetc", 400),
            ("/profile/%2e%2e", 400),
            ("/profile/%252e", 400),
            ("/profile/%ff", 400),
            ("/profile/%", 400),
        ] {
            let response = call_service(&app, TestRequest::get().uri(path).to_request()).await;
            assert_eq!(response.status(), status, "{path}");
        }
    }
}

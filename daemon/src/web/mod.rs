//! HTTP rules that hold for every request to either daemon: routes with their methods, typed
//! extractors, errors as JSON, empty bodies where curl retries, one log line for each request.
//!
//! Not responsible for what any path does.

mod browser;
mod client_address;
mod extract;
mod operator;
mod outgoing;
pub(crate) mod pace;
mod route;

use std::time::Duration;

use actix_web::{
    Error, HttpMessage, HttpRequest, HttpResponse,
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{ACCEPT, HeaderMap, HeaderName},
    },
    middleware::Next,
};

use outgoing::Outgoing;

use crate::{
    connections::ConnectionHandle,
    error::{ApiError, Code},
    metrics::count_request,
    readiness::KeepBody,
    repeated,
};

pub use browser::{AllowedHosts, is_cross_site};
pub use client_address::{ClientAddress, TrustedProxies};
pub use extract::{
    NoteParameters, Path, PathParameter, PreferredWait, Query, from_optional_text, from_text,
    labels_from_response, query, segment,
};
pub use operator::Operator;
pub use route::{Route, route};

/// The longest time for which a request is held, in seconds. Proxies such as nginx and HAProxy give up
/// after 60 s, and some clients and networks a little earlier.
pub const HOLD_SECONDS_MAX: u64 = 50;

/// How long a client asks to be held: `Prefer: wait=<seconds>` (RFC 7240), at most
/// [`HOLD_SECONDS_MAX`]. Invalid preferences are ignored, as the RFC requires.
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

/// Whether `Accept` names `application/json`; `*/*` does not count.
pub fn accepts_json(headers: &HeaderMap) -> bool {
    accepts(headers, "application/json")
}

/// Whether `Accept` names `text/html`, as that of browsers does; `*/*` does not count.
pub fn accepts_html(headers: &HeaderMap) -> bool {
    accepts(headers, "text/html")
}

fn accepts(headers: &HeaderMap, name: &str) -> bool {
    headers
        .get_all(ACCEPT)
        .filter_map(|header| header.to_str().ok())
        .flat_map(|header| header.split(','))
        .any(|media| {
            media
                .split(';')
                .next()
                .is_some_and(|media| media.trim().eq_ignore_ascii_case(name))
        })
}

/// The response for a path that does not exist: 404 `not_found`.
pub async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::new(
        Code::NotFound,
        "there is no such path; the page \"HTTP API\" of the documentation lists all paths",
    ))
}

/// Marks a request as one with valid credentials: its response does not wait for those of strangers.
pub fn mark_authenticated(request: &HttpRequest) {
    request.extensions_mut().insert(IsAuthenticated);
}

#[derive(Clone, Copy)]
struct IsAuthenticated;

/// Lets the body of a request arrive. Until a handler calls this, only some kilobytes are read from its
/// connection.
pub fn read_body(request: &HttpRequest) {
    if let Some(connection) = request.conn_data::<ConnectionHandle>() {
        connection.read_body();
    }
}

/// Middleware for all requests.
///
/// Refuses requests that other sites have caused (`browser`). Writes one log line for each request at
/// level debug, without its query string, which may contain a ticket. Counts refused requests by the code
/// of the error (`repeated`), because at the level `info` no request of a stranger writes a line. Leaves
/// out the body of responses to HEAD. Leaves out the body of responses after which `curl --retry` repeats
/// the request (408, 429 and 5xx), unless the client names `application/json` in `Accept`: curl writes the
/// body of every try to its output, and scripts read that output as one response. Responses that strangers
/// can cause wait for their turn when there are many (`pace`).
pub async fn apply_common_rules(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let connection = request.request().conn_data::<ConnectionHandle>().cloned();
    if let Some(connection) = &connection {
        connection.turn().await;
        connection.serve();
    }
    let accepts_json = accepts_json(request.headers());
    let (method, path) = (request.method().clone(), request.path().to_owned());
    let mut response = match browser::check(&request) {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(refusal) => request.into_response(HttpResponse::from_error(refusal)),
    };
    let status = response.status();
    log::debug!("{method} {path:.200}: {}", status.as_u16());
    if status.is_client_error() {
        count_refusal(&response);
    }
    if wait_for_turn(&response).await.is_err() {
        let error = ApiError::new(Code::NotReady, "too many requests for pages; try again");
        let error = HttpResponse::from_error(error.retry_after(PAGE_RETRY_SECONDS));
        response = response.into_response(error);
    }
    let status = response.status();
    let route = response.request().match_pattern();
    count_request(method.as_str(), route.as_deref(), status.as_u16());
    let is_kept = response.response().extensions().contains::<KeepBody>();
    let is_body_left_out = is_retried_by_curl(status) && !accepts_json && !is_kept;
    browser::add_headers(response.response_mut());
    Ok(response.map_body(|head, body| {
        let body = if is_body_left_out {
            head.headers_mut()
                .remove(actix_web::http::header::CONTENT_TYPE);
            BoxBody::new(())
        } else if method == Method::HEAD {
            BoxBody::new(route::HeadBody(body.size()))
        } else {
            body
        };
        BoxBody::new(Outgoing::new(body, connection))
    }))
}

/// `Retry-After` when there are too many requests for pages, in seconds.
const PAGE_RETRY_SECONDS: u64 = 5;

/// Lets a response that strangers can cause wait while there are many of them.
async fn wait_for_turn(response: &ServiceResponse<BoxBody>) -> Result<(), pace::Overload> {
    let request = response.request();
    if request.extensions().contains::<IsAuthenticated>() {
        return Ok(());
    }
    if response.status().is_client_error() {
        pace::wait_for_error().await;
        return Ok(());
    }
    match response.response().body().size() {
        BodySize::Sized(length)
            if length > pace::SMALL as u64 && *request.method() == Method::GET =>
        {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            pace::PAGES.wait(pace::page_cost(length)).await
        }
        _ => Ok(()),
    }
}

fn count_refusal(response: &ServiceResponse<BoxBody>) {
    let code = response.response().extensions().get::<Code>().copied();
    repeated::count(code.map_or("invalid_request", Code::as_str), || {
        let request = response.request();
        let address = request.peer_addr();
        let address = address.map_or_else(String::new, |it| it.ip().to_canonical().to_string());
        let (method, path) = (request.method(), request.path());
        format!("{method:.20} {path:.80} from {address}")
    });
}

fn is_retried_by_curl(status: StatusCode) -> bool {
    status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
        || status.is_server_error()
}

#[cfg(test)]
mod tests {
    use actix_web::{
        App, HttpRequest,
        http::header,
        middleware::from_fn,
        test::{TestRequest, call_service, init_service, read_body},
        web,
    };

    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        TestRequest::default()
            .insert_header((name, value))
            .to_http_request()
            .headers()
            .clone()
    }

    #[test]
    fn a_preferred_wait_is_parsed_and_limited() {
        for (header, seconds) in [
            ("wait=10", Some(10)),
            ("respond-async, wait=10", Some(10)),
            ("WAIT=\"5\"", Some(5)),
            ("wait=60", Some(50)),
            ("wait=600", Some(50)),
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
    fn only_a_client_that_names_json_accepts_it() {
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
    async fn responses_that_curl_retries_have_no_body_unless_json_is_accepted() {
        let app = init_service(App::new().wrap(from_fn(apply_common_rules)).route(
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
}

//! The meaning of GitHub's error responses, and what is remembered of its rate limits.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actix_web::{HttpResponse, http::StatusCode};

use super::*;
use http_client::{
    HttpError,
    testing::{Server, dead_url},
};

/// The date of the responses of the test servers, in seconds since 1970.
const NOW: u64 = 1_767_225_600;
const NOW_DATE: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");

type Headers = &'static [(&'static str, &'static str)];

fn refuse(status: u16, headers: Headers, message: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap();
    let mut response = HttpResponse::build(status);
    for header in headers {
        response.insert_header(*header);
    }
    response.json(json!({ "message": message }))
}

async fn refused(status: u16, headers: Headers) -> GithubError {
    refused_with(status, headers, "no\u{1b}[31m").await
}

async fn refused_with(status: u16, headers: Headers, message: &'static str) -> GithubError {
    let server = Server::start(move |_| refuse(status, headers, message));
    let registered = github(&server.url)
        .generate_jitconfig("r", 1, &[], "_work")
        .await;
    registered.unwrap_err()
}

#[actix_web::test]
async fn every_form_of_rate_limit_is_recognised_with_its_pause() {
    const USED_UP: (&str, &str) = ("x-ratelimit-remaining", "0");
    const LEFT: (&str, &str) = ("x-ratelimit-remaining", "3");
    const LIMIT: (&str, &str) = ("x-ratelimit-limit", "5000");
    const CORE: (&str, &str) = ("x-ratelimit-resource", "core");
    const IN_TWO_MINUTES: (&str, &str) = ("x-ratelimit-reset", "1767225720");
    const IN_A_DAY: (&str, &str) = ("x-ratelimit-reset", "1767312000");
    const PAST: (&str, &str) = ("x-ratelimit-reset", "1");

    const SECONDARY: &str = "You have exceeded a secondary rate limit.";
    for status in [403, 429] {
        for (headers, message, seconds) in [
            (&[][..], SECONDARY, 60),
            (&[], "API rate limit exceeded for installation ID 7.", 60),
            (&[("retry-after", "30")], "no", 30),
            (&[("retry-after", "0")], "no", 1),
            (&[("retry-after", "999999")], "no", 3600),
            (&[("retry-after", "soon")], SECONDARY, 60),
            (&[NOW_DATE, LIMIT, USED_UP, IN_TWO_MINUTES, CORE], "no", 120),
            (&[NOW_DATE, LIMIT, USED_UP, IN_A_DAY, CORE], "no", 3600),
            (&[NOW_DATE, LIMIT, USED_UP, PAST, CORE], "no", 1),
            // A secondary limit: the primary one is not used up, its reset means nothing.
            (
                &[NOW_DATE, LIMIT, LEFT, IN_TWO_MINUTES, CORE],
                SECONDARY,
                60,
            ),
            (
                &[
                    NOW_DATE,
                    LIMIT,
                    USED_UP,
                    IN_TWO_MINUTES,
                    CORE,
                    ("retry-after", "5"),
                ],
                "no",
                5,
            ),
        ] {
            let error = refused_with(status, headers, message).await;
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(error.retry_after(), expected, "{status} {headers:?}");
            assert!(error.is_transient() && !error.is_ambiguous(), "{error}");
        }
    }
    assert_eq!(
        refused(429, &[]).await.retry_after(),
        Some(Duration::from_secs(60))
    );
}

/// The messages are those of GitHub.
#[actix_web::test]
async fn a_missing_permission_is_no_rate_limit_and_is_named() {
    let message = "Resource not accessible by integration";
    let headers = &[("x-accepted-github-permissions", "administration=write")];
    let error = refused_with(403, headers, message).await;
    assert_eq!(error.retry_after(), None);
    assert!(!error.is_transient() && !error.is_ambiguous());
    assert_eq!(
        error.to_string(),
        "register runner r: GitHub responded with 403 Forbidden: Resource not accessible by \
         integration (requires administration=write)"
    );
    let error = refused_with(403, &[], "Must have admin rights to Repository.").await;
    assert_eq!((error.retry_after(), error.is_transient()), (None, false));
}

#[actix_web::test]
async fn only_errors_that_may_disappear_are_transient() {
    for (status, is_transient, is_ambiguous) in [
        (301, false, false),
        (400, false, false),
        (401, false, false),
        (404, false, false),
        (408, true, false),
        (409, false, false),
        (422, false, false),
        (500, true, true),
        (502, true, true),
        (503, true, true),
    ] {
        let error = refused(status, &[]).await;
        assert_eq!(error.status().map(|status| status.as_u16()), Some(status));
        let found = (error.is_transient(), error.is_ambiguous());
        assert_eq!(found, (is_transient, is_ambiguous), "{status}");
        assert_eq!(error.retry_after(), None, "{status}");
    }
    let error = refused(503, &[("retry-after", "9")]).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
}

/// A job never started after the one request that labels its runner had got a 500.
#[actix_web::test]
async fn a_request_for_which_a_client_waits_is_retried_while_there_is_time() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => refuse(500, &[], "no"),
        1 => refuse(429, &[("retry-after", "1")], "no"),
        _ => HttpResponse::Ok().json(json!({"total_count": 0, "labels": []})),
    });
    let retrying = |url: &str| {
        let mut github = github(url);
        github.config.retry_timeout = Duration::from_secs(20);
        github
    };
    retrying(&server.url).add_labels(7, &[]).await.unwrap();
    assert_eq!(server.received().len(), 3);
    // No retry after the deadline, and none of a request that cannot succeed.
    for (status, headers) in [(503, &[("retry-after", "21")][..]), (422, &[]), (403, &[])] {
        let server = Server::start(move |_| refuse(status, headers, "no"));
        let error = retrying(&server.url).add_labels(7, &[]).await.unwrap_err();
        assert_eq!(error.status().map(|it| it.as_u16()), Some(status));
        assert_eq!(server.received().len(), 1, "{status}");
    }
}

#[actix_web::test]
async fn an_error_names_the_operation_and_the_message_of_github() {
    let error = refused(422, &[]).await;
    assert_eq!(
        error.to_string(),
        "register runner r: GitHub responded with 422 Unprocessable Entity: no[31m"
    );
}

#[actix_web::test]
async fn a_long_message_is_cut() {
    let server =
        Server::start(|_| HttpResponse::BadRequest().json(json!({ "message": "é".repeat(9999) })));
    let error = github(&server.url).delete_runner(1).await.unwrap_err();
    let length = error.to_string().chars().filter(|&one| one == 'é').count();
    assert_eq!(length, 200);
}

#[actix_web::test]
async fn an_error_response_that_is_not_json_has_no_message() {
    let server = Server::start(|_| HttpResponse::BadGateway().body("<html>"));
    let error = github(&server.url).delete_runner(1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "delete registration 1: GitHub responded with 502 Bad Gateway: no reason given"
    );
}

#[actix_web::test]
async fn an_http_error_keeps_its_meaning() {
    let error = github(&dead_url()).list_runners().await.unwrap_err();
    let is_unreachable = matches!(
        &error,
        GithubError::Http {
            cause: HttpError::Unreachable { .. },
            ..
        }
    );
    assert!(is_unreachable, "{error}");
    assert!(error.is_transient() && !error.is_ambiguous());
    assert!(
        error
            .to_string()
            .starts_with("list runners: failed to reach http://")
    );

    let server = Server::start(|_| HttpResponse::Ok().body("<html>"));
    let error = github(&server.url).list_runners().await.unwrap_err();
    assert!(!error.is_transient() && error.is_ambiguous(), "{error}");
}

#[actix_web::test]
async fn an_error_never_contains_the_token() {
    let server = Server::start(|request| {
        let echo = request.header("authorization").unwrap();
        HttpResponse::Forbidden()
            .insert_header(("x-accepted-github-permissions", echo))
            .json(json!({ "message": echo }))
    });
    let error = github(&server.url).list_runners().await.unwrap_err();
    let expected = ": Bearer [secret] (requires Bearer [secret])";
    assert!(error.to_string().ends_with(expected), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[actix_web::test]
async fn with_little_left_of_the_limit_requests_that_can_wait_are_deferred() {
    let server = Server::start(|request| {
        let mut response = match request.line.starts_with("GET") {
            true => HttpResponse::Ok(),
            false => HttpResponse::NoContent(),
        };
        response
            .insert_header(NOW_DATE)
            .insert_header(("x-ratelimit-limit", "5000"))
            .insert_header(("x-ratelimit-remaining", "100"))
            .insert_header(("x-ratelimit-reset", (NOW + 1800).to_string()))
            .insert_header(("x-ratelimit-resource", "core"))
            .json(json!({"total_count": 0, "runners": []}))
    });
    let github = github(&server.url);
    // The first response reports how little is left.
    github.list_runners().await.unwrap();
    let error = github.list_runners().await.unwrap_err();
    assert!(matches!(error, GithubError::Deferred { .. }), "{error}");
    assert!(error.is_transient() && !error.is_ambiguous());
    assert!(error.retry_after() <= Some(Duration::from_secs(60)));
    let repo = "o/r".parse().unwrap();
    let artifacts = github.list_run_artifacts(&repo, shared::values::RunId(1), "a");
    let error = artifacts.await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    github.delete_runner(1).await.unwrap();
    assert_eq!(github.api_status().read().deferred_request_count, 2);
    assert_eq!(server.received().len(), 2);
}

#[actix_web::test]
async fn after_a_rate_limit_nothing_is_sent_until_it_is_over() {
    let server = Server::start(|request| match request.line.contains("/labels") {
        true => refuse(429, &[("retry-after", "60")], "no"),
        false => refuse(500, &[], "no"),
    });
    let github = github(&server.url);
    // An error is no reason to stop, a rate limit is.
    for _ in 0..2 {
        let error = github.delete_runner(1).await.unwrap_err();
        assert_eq!(error.status().map(|it| it.as_u16()), Some(500));
    }
    github.add_labels(7, &[]).await.unwrap_err();
    let repo = "o/r".parse().unwrap();
    for error in [
        github.delete_runner(1).await.unwrap_err(),
        github.list_runners().await.unwrap_err(),
        github.add_labels(7, &[]).await.unwrap_err(),
        github
            .generate_jitconfig("r", 1, &[], "_work")
            .await
            .unwrap_err(),
        github
            .list_run_artifacts(&repo, shared::values::RunId(1), "a")
            .await
            .unwrap_err(),
    ] {
        let wait = error.retry_after().unwrap();
        assert!((Duration::from_secs(50)..=Duration::from_secs(60)).contains(&wait));
        assert!(error.is_transient() && !error.is_ambiguous(), "{error}");
        let text = error.to_string();
        assert!(text.contains(": GitHub rate limit reached; "), "{text}");
    }
    assert_eq!(server.received().len(), 3);
}

#[actix_web::test]
async fn the_last_report_of_the_primary_limit_is_remembered() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let mut response = match count.fetch_add(1, Ordering::SeqCst) {
            0 => HttpResponse::NoContent(),
            _ => HttpResponse::Forbidden(),
        };
        if count.load(Ordering::SeqCst) <= 2 {
            let remaining = 2 - count.load(Ordering::SeqCst);
            response
                .insert_header(("x-ratelimit-limit", "5000"))
                .insert_header(("x-ratelimit-remaining", remaining.to_string()))
                .insert_header(("x-ratelimit-reset", NOW.to_string()))
                .insert_header(("x-ratelimit-resource", "core"));
        }
        response.finish()
    });
    let github = github(&server.url);
    assert_eq!(github.api_status().read().rate_limit, None);
    for (is_refused, remaining) in [(false, 1), (true, 0), (true, 0)] {
        assert_eq!(github.delete_runner(1).await.is_err(), is_refused);
        let limit = github.api_status().read().rate_limit.unwrap();
        assert_eq!((limit.limit, limit.remaining), (5000, remaining));
        assert_eq!(limit.resource, "core");
        // That reset is over.
        assert!(limit.reset_at <= github.now());
    }
}

#[actix_web::test]
async fn another_limit_of_github_does_not_replace_the_primary_one() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| {
        let (resource, remaining) = match count.fetch_add(1, Ordering::SeqCst) {
            0 => ("core", "100"),
            _ => ("actions_runner_registration", "4999"),
        };
        HttpResponse::NoContent()
            .insert_header(NOW_DATE)
            .insert_header(("x-ratelimit-limit", "5000"))
            .insert_header(("x-ratelimit-remaining", remaining))
            .insert_header(("x-ratelimit-reset", (NOW + 1800).to_string()))
            .insert_header(("x-ratelimit-resource", resource))
            .finish()
    });
    let github = github(&server.url);
    for _ in 0..2 {
        github.delete_runner(1).await.unwrap();
        let status = github.api_status().read();
        assert_eq!(status.rate_limit.unwrap().remaining, 100);
    }
    let repo = "o/r".parse().unwrap();
    let artifacts = github.list_run_artifacts(&repo, shared::values::RunId(1), "a");
    let error = artifacts.await.unwrap_err();
    assert!(matches!(error, GithubError::Deferred { .. }), "{error}");
}

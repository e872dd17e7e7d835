//! What each way of saying no means, and what is remembered of GitHub's limits.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use actix_web::{HttpResponse, http::StatusCode};

use super::*;
use crate::{
    clock::Timestamp,
    http::{
        HttpError,
        testing::{Server, dead_url},
    },
};

/// The moment at which the stand-in says it answers, in seconds since 1970.
const NOW: u64 = 1_767_225_600;
const NOW_DATE: (&str, &str) = ("date", "Thu, 01 Jan 2026 00:00:00 GMT");

fn refuse(status: u16, headers: &[(&'static str, &'static str)]) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap();
    let mut response = HttpResponse::build(status);
    for header in headers {
        response.insert_header(*header);
    }
    response.json(json!({"message": "no\u{1b}[31m"}))
}

async fn refused(status: u16, headers: &'static [(&'static str, &'static str)]) -> GithubError {
    let server = Server::start(move |_| refuse(status, headers));
    github(&server.url).add_labels(7, &[]).await.unwrap_err()
}

#[actix_web::test]
async fn github_says_how_long_it_wants_to_be_left_alone() {
    const USED_UP: (&str, &str) = ("x-ratelimit-remaining", "0");
    const LEFT: (&str, &str) = ("x-ratelimit-remaining", "3");
    const LIMIT: (&str, &str) = ("x-ratelimit-limit", "5000");
    const CORE: (&str, &str) = ("x-ratelimit-resource", "core");
    const IN_TWO_MINUTES: (&str, &str) = ("x-ratelimit-reset", "1767225720");
    const IN_A_DAY: (&str, &str) = ("x-ratelimit-reset", "1767312000");
    const PAST: (&str, &str) = ("x-ratelimit-reset", "1");

    for status in [403, 429] {
        for (headers, seconds) in [
            (&[][..], 60),
            (&[("retry-after", "30")], 30),
            (&[("retry-after", "0")], 1),
            (&[("retry-after", "999999")], 3600),
            (&[("retry-after", "soon")], 60),
            (&[NOW_DATE, LIMIT, USED_UP, IN_TWO_MINUTES, CORE], 120),
            (&[NOW_DATE, LIMIT, USED_UP, IN_A_DAY, CORE], 3600),
            (&[NOW_DATE, LIMIT, USED_UP, PAST, CORE], 1),
            // A secondary limit: the primary one is not used up, its reset means nothing.
            (&[NOW_DATE, LIMIT, LEFT, IN_TWO_MINUTES, CORE], 60),
            (
                &[
                    NOW_DATE,
                    LIMIT,
                    USED_UP,
                    IN_TWO_MINUTES,
                    CORE,
                    ("retry-after", "5"),
                ],
                5,
            ),
        ] {
            let error = refused(status, headers).await;
            let expected = Some(Duration::from_secs(seconds));
            assert_eq!(error.retry_after(), expected, "{status} {headers:?}");
            assert!(error.is_transient() && !error.is_ambiguous(), "{error}");
        }
    }
}

#[actix_web::test]
async fn only_what_may_pass_is_transient() {
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
        let said = (error.is_transient(), error.is_ambiguous());
        assert_eq!(said, (is_transient, is_ambiguous), "{status}");
        assert_eq!(error.retry_after(), None, "{status}");
    }
    let error = refused(503, &[("retry-after", "9")]).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(9)));
}

#[actix_web::test]
async fn a_refusal_says_what_was_attempted_and_what_github_said() {
    let error = refused(422, &[]).await;
    assert_eq!(
        error.to_string(),
        "add labels to registration 7: github answered 422 Unprocessable Entity: no[31m"
    );
}

#[actix_web::test]
async fn of_a_long_refusal_the_beginning_is_repeated() {
    let server =
        Server::start(|_| HttpResponse::BadRequest().json(json!({ "message": "é".repeat(9999) })));
    let error = github(&server.url).delete_runner(1).await.unwrap_err();
    let said = error.to_string().chars().filter(|&one| one == 'é').count();
    assert_eq!(said, 200);
}

#[actix_web::test]
async fn a_refusal_that_is_not_json_has_no_words() {
    let server = Server::start(|_| HttpResponse::BadGateway().body("<html>"));
    let error = github(&server.url).delete_runner(1).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "delete registration 1: github answered 502 Bad Gateway: "
    );
}

#[actix_web::test]
async fn a_failed_call_keeps_its_meaning() {
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
async fn the_token_is_never_repeated() {
    let server = Server::start(|request| {
        let echo = request.header("authorization").unwrap();
        HttpResponse::BadRequest().json(json!({ "message": echo }))
    });
    let error = github(&server.url).list_runners().await.unwrap_err();
    assert!(error.to_string().ends_with(": Bearer [secret]"), "{error}");
    assert!(!format!("{error:?}").contains("hunter2"));
}

#[actix_web::test]
async fn with_little_left_of_the_limit_only_what_cannot_wait_is_asked() {
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
    // The first answer says how little is left.
    github.list_runners().await.unwrap();
    let error = github.list_runners().await.unwrap_err();
    assert!(matches!(error, GithubError::HeldBack { .. }), "{error}");
    assert!(error.is_transient() && !error.is_ambiguous());
    assert!(error.retry_after() <= Some(Duration::from_secs(60)));
    let repo = "o/r".parse().unwrap();
    let artifacts = github.list_run_artifacts(&repo, crate::values::RunId(1), "a");
    let error = artifacts.await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    github.delete_runner(1).await.unwrap();
    assert_eq!(github.board().standing().held_back_count, 2);
    assert_eq!(server.received().len(), 2);
}

#[actix_web::test]
async fn the_last_word_about_the_primary_limit_is_remembered() {
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
    assert_eq!(github.board().standing().rate_limit, None);
    for (is_refused, remaining) in [(false, 1), (true, 0), (true, 0)] {
        assert_eq!(github.delete_runner(1).await.is_err(), is_refused);
        assert_eq!(
            github.board().standing().rate_limit,
            Some(RateLimit {
                limit: 5000,
                remaining,
                reset_at: Timestamp::from_seconds(NOW),
                resource: "core".into(),
            })
        );
    }
}

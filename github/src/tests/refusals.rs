//! What each way of saying no means, and what is remembered of GitHub's limits.

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
use shared::clock::Timestamp;

/// The moment at which the stand-in says it answers, in seconds since 1970.
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
    refused_saying(status, headers, "no\u{1b}[31m").await
}

async fn refused_saying(status: u16, headers: Headers, message: &'static str) -> GithubError {
    let server = Server::start(move |_| refuse(status, headers, message));
    let registered = github(&server.url)
        .generate_jitconfig("r", 1, &[], "_work")
        .await;
    registered.unwrap_err()
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
            let error = refused_saying(status, headers, message).await;
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

/// What GitHub writes where an App or a token may not do something.
#[actix_web::test]
async fn a_missing_permission_is_not_a_limit_and_is_named() {
    let message = "Resource not accessible by integration";
    let headers = &[("x-accepted-github-permissions", "administration=write")];
    let error = refused_saying(403, headers, message).await;
    assert_eq!(error.retry_after(), None);
    assert!(!error.is_transient() && !error.is_ambiguous());
    assert_eq!(
        error.to_string(),
        "register runner r: github answered 403 Forbidden: Resource not accessible by \
         integration (it takes administration=write)"
    );
    let error = refused_saying(403, &[], "Must have admin rights to Repository.").await;
    assert_eq!((error.retry_after(), error.is_transient()), (None, false));
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

/// A job hung when the one call that labels its runner was answered with 500.
#[actix_web::test]
async fn what_somebody_waits_for_is_tried_again_while_there_is_time() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => refuse(500, &[], "no"),
        1 => refuse(429, &[("retry-after", "1")], "no"),
        _ => HttpResponse::Ok().json(json!({"total_count": 0, "labels": []})),
    });
    let patient = |url: &str| {
        let mut github = github(url);
        github.settings.patience = Duration::from_secs(20);
        github
    };
    patient(&server.url).add_labels(7, &[]).await.unwrap();
    assert_eq!(server.received().len(), 3);
    // Nobody waits for longer than there is patience for; what can never work is not repeated.
    for (status, headers) in [(503, &[("retry-after", "21")][..]), (422, &[]), (403, &[])] {
        let server = Server::start(move |_| refuse(status, headers, "no"));
        let error = patient(&server.url).add_labels(7, &[]).await.unwrap_err();
        assert_eq!(error.status().map(|it| it.as_u16()), Some(status));
        assert_eq!(server.received().len(), 1, "{status}");
    }
}

#[actix_web::test]
async fn a_refusal_says_what_was_attempted_and_what_github_said() {
    let error = refused(422, &[]).await;
    assert_eq!(
        error.to_string(),
        "register runner r: github answered 422 Unprocessable Entity: no[31m"
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
        HttpResponse::Forbidden()
            .insert_header(("x-accepted-github-permissions", echo))
            .json(json!({ "message": echo }))
    });
    let error = github(&server.url).list_runners().await.unwrap_err();
    let expected = ": Bearer [secret] (it takes Bearer [secret])";
    assert!(error.to_string().ends_with(expected), "{error}");
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
    let artifacts = github.list_run_artifacts(&repo, shared::values::RunId(1), "a");
    let error = artifacts.await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
    github.delete_runner(1).await.unwrap();
    assert_eq!(github.board().standing().held_back_count, 2);
    assert_eq!(server.received().len(), 2);
}

#[actix_web::test]
async fn who_is_told_to_wait_asks_nothing_at_all() {
    let server = Server::start(|request| match request.line.contains("/labels") {
        true => refuse(429, &[("retry-after", "60")], "no"),
        false => refuse(500, &[], "no"),
    });
    let github = github(&server.url);
    // A failure is no reason to leave it alone, a limit is.
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
        let said = error.to_string();
        assert!(
            said.contains(": github wants to be left alone for "),
            "{said}"
        );
    }
    assert_eq!(server.received().len(), 3);
}

#[actix_web::test]
async fn claims_are_looked_into_sixty_times_a_minute_and_all_else_goes_on() {
    let server = Server::start(|request| {
        let mut response = match request.line.starts_with("GET") {
            true => HttpResponse::Ok(),
            false => HttpResponse::NoContent(),
        };
        let empty = json!({"total_count": 0, "artifacts": [], "runners": []});
        response.insert_header(NOW_DATE).json(empty)
    });
    let github = github(&server.url);
    let repo = "o/r".parse().unwrap();
    let claim = || github.list_run_artifacts(&repo, shared::values::RunId(1), "a");
    for _ in 0..60 {
        claim().await.unwrap();
    }
    let error = claim().await.unwrap_err();
    assert!(matches!(error, GithubError::HeldBack { .. }), "{error}");
    github.list_runners().await.unwrap();
    github.delete_runner(1).await.unwrap();
    assert_eq!(server.received().len(), 62);
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

#[actix_web::test]
async fn another_of_githubs_budgets_is_not_taken_for_the_one_that_runs_low() {
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
        let standing = github.board().standing();
        assert_eq!(standing.rate_limit.unwrap().remaining, 100);
    }
    let repo = "o/r".parse().unwrap();
    let artifacts = github.list_run_artifacts(&repo, shared::values::RunId(1), "a");
    let error = artifacts.await.unwrap_err();
    assert!(matches!(error, GithubError::HeldBack { .. }), "{error}");
}

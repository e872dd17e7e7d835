//! The support period of a version of the runner software.

use actix_web::HttpResponse;
use shared::software::Support;

use super::*;
use http_client::testing::Server;
use shared::clock::Timestamp;

async fn support(response: Value) -> Result<Support, GithubError> {
    let server = Server::start(move |_| HttpResponse::Ok().json(&response));
    github(&server.url).runner_support("2.336.0").await
}

#[actix_web::test]
async fn the_earlier_of_both_dates_counts() {
    let (early, late) = ("2026-11-05T08:04:55Z", "2026-12-24T10:00:00Z");
    let early_end = Support::Until(Timestamp::from_seconds(1_793_865_895));
    let late_end = Support::Until(Timestamp::from_seconds(1_798_106_400));
    for (runtime, registration, expected) in [
        (Some(early), None, early_end),
        (None, Some(late), late_end),
        (Some(early), Some(late), early_end),
        (Some(late), Some(early), early_end),
        (None, None, Support::Open),
    ] {
        let response = json!({
            "runner_version": "2.336.0",
            "runtime_deprecates_at": runtime,
            "registration_deprecates_at": registration,
        });
        assert_eq!(support(response).await, Ok(expected));
    }
    // GitHub may leave a date out.
    let response = json!({"runner_version": "2.336.0", "runtime_deprecates_at": early});
    assert_eq!(support(response).await, Ok(early_end));
}

#[actix_web::test]
async fn a_version_that_github_does_not_know_is_unknown() {
    let server = Server::start(|_| HttpResponse::NotFound().finish());
    let support = github(&server.url).runner_support("2 1/..").await;
    assert_eq!(support, Ok(Support::Unknown));
    let expected = "GET /orgs/o/actions/runners/deprecations/2%201%2F..";
    assert_eq!(server.lines(), [expected]);
}

#[actix_web::test]
async fn an_invalid_date_is_an_error() {
    let response = json!({"runner_version": "2.336.0", "runtime_deprecates_at": "soon"});
    assert_eq!(
        support(response).await.unwrap_err().to_string(),
        "get the support period of runner software 2.336.0: the response contains an invalid date"
    );
}

//! What is known of a personal access token, and the warning before it expires.

use actix_web::HttpResponse;

use super::*;
use http_client::testing::Server;
use shared::clock::Timestamp;

const DAY: u64 = 24 * 3600;
/// 2026-12-24 10:00:00 UTC
const END: u64 = 1_798_106_400;

#[actix_web::test]
async fn there_is_a_warning_two_weeks_before_a_token_expires() {
    let server = Server::start(|_| {
        HttpResponse::NoContent()
            .insert_header((
                "github-authentication-token-expiration",
                "2026-12-24 10:00:00 UTC",
            ))
            .insert_header(("x-oauth-scopes", "repo, admin:org"))
            .finish()
    });
    let github = github(&server.url);
    assert_eq!(
        github.api_status().read().warning(Timestamp::default()),
        None
    );
    github.delete_runner(1).await.unwrap();
    let status = github.api_status().read();
    assert_eq!(status.authenticated_with, "a token");
    assert_eq!(status.token_expires_at, Some(Timestamp::from_seconds(END)));
    let scopes: Vec<&String> = status.permissions.keys().collect();
    assert_eq!(scopes, ["admin:org", "repo"]);
    assert_eq!(status.responses[&204], 1);
    for (before, expected) in [
        (15 * DAY, None),
        (14 * DAY, Some("expires in 14 days")),
        (DAY + 5, Some("expires in 1 day")),
        (5, Some("expires within a day")),
        (0, Some("has expired")),
    ] {
        let warning = status.warning(Timestamp::from_seconds(END - before));
        match expected {
            None => assert_eq!(warning, None),
            Some(expected) => assert!(warning.unwrap().contains(expected), "{expected}"),
        }
    }
}

#[actix_web::test]
async fn without_a_valid_expiry_there_is_no_warning() {
    for expiry in ["soon", "", "2026", "2026-99-99 10:00:00 UTC"] {
        let server = Server::start(move |_| {
            HttpResponse::NoContent()
                .insert_header(("github-authentication-token-expiration", expiry))
                .finish()
        });
        let github = github(&server.url);
        github.delete_runner(1).await.unwrap();
        assert_eq!(
            github.api_status().read().token_expires_at,
            None,
            "{expiry:?}"
        );
    }
}

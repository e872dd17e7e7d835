//! GitHub Apps, with the client of the daemons: JWTs, installation tokens and their expiry.

use std::{path::Path, sync::Arc, time::Duration};

use emulator::{
    App, EmulatorSettings,
    faults::{Fault, FaultRule, PathMatch},
};
use github::{AppKey, Credentials};
use serde_json::json;
use shared::secret::Secret;

use super::support::*;

const TOKENS: &str = "/app/installations/9/access_tokens";

fn key(app_id: u64, installation_id: u64) -> Arc<AppKey> {
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../github/src/tests/keys");
    Arc::new(AppKey::load(app_id, installation_id, &keys.join("pkcs1.pem")).unwrap())
}

/// An emulator on which the App 7 has the installation 9.
fn fixture() -> Fixture {
    Fixture::of(EmulatorSettings {
        apps: vec![App {
            id: 7,
            installation_id: 9,
            public_key: key(7, 9).public_key(),
        }],
        ..EmulatorSettings::new(Secret::new(TOKEN))
    })
}

fn token_count(fixture: &Fixture) -> usize {
    fixture.emulator().requests().count("POST", TOKENS)
}

#[actix_web::test]
async fn an_app_uses_an_installation_token_for_its_requests() {
    let fixture = fixture();
    let github = fixture.daemon_client(Credentials::App(key(7, 9)));
    let labels = ["x".to_owned()];
    let registered = github.generate_jitconfig("a", 1, &labels, "_work").await;
    assert_eq!(registered.unwrap().registration.name, "a");
    assert_eq!(github.list_runners().await.unwrap().len(), 1);
    assert_eq!(token_count(&fixture), 1);
    let standing = github.api_status().read();
    assert_eq!(
        standing.permissions["organization_self_hosted_runners"],
        "write"
    );
    let ends_in = standing.token_expires_at.unwrap();
    let ends_in = ends_in.since(fixture.emulator().now()).as_secs();
    assert!((3_500..=3_600).contains(&ends_in), "{ends_in}");
    // The App has its own rate limit, and the request for the token counts against none.
    assert_eq!(standing.rate_limit.unwrap().remaining, 4_998);
    let (_, limit) = fixture.get("/rate_limit").await;
    assert_eq!(limit["rate"]["remaining"], 5_000);
}

#[actix_web::test]
async fn a_token_expires_after_an_hour_and_is_replaced() {
    let fixture = fixture();
    let github = fixture.daemon_client(Credentials::App(key(7, 9)));
    github.list_runners().await.unwrap();
    // The client does not know that the clock was advanced, and notices it by a 401. It believes the new
    // date once a second response has confirmed it: that to its first JWT, whose time is the old one.
    fixture.emulator().advance_clock(Duration::from_secs(3_600));
    github.list_runners().await.unwrap();
    assert_eq!(token_count(&fixture), 3);
    let statuses: Vec<_> = fixture
        .emulator()
        .requests()
        .all()
        .iter()
        .map(|entry| entry.status.unwrap())
        .collect();
    assert_eq!(statuses, [201, 200, 401, 401, 201, 304]);
}

#[actix_web::test]
async fn an_app_requests_one_new_token_after_a_401() {
    let fixture = fixture();
    let github = fixture.daemon_client(Credentials::App(key(7, 9)));
    github.list_runners().await.unwrap();
    let list = PathMatch::Exact(RUNNERS.into());
    let rule = FaultRule::on("GET", list, Fault::status(401)).next(1);
    fixture.emulator().faults().add(rule).unwrap();
    github.list_runners().await.unwrap();
    assert_eq!(token_count(&fixture), 2);
}

#[actix_web::test]
async fn the_client_adapts_to_a_clock_that_differs_by_more_than_a_jwt_allows() {
    for skew in [90, -90, 3_600, -3_600] {
        let fixture = fixture();
        fixture.emulator().faults().set_clock_skew(skew);
        let github = fixture.daemon_client(Credentials::App(key(7, 9)));
        github.list_runners().await.unwrap();
        let ends_at = github.api_status().read().token_expires_at.unwrap();
        let now = fixture.emulator().now().as_seconds();
        let ends_in = ends_at.as_seconds().cast_signed() - now.cast_signed();
        let expected = 3_600 + skew;
        assert!((expected - 100..=expected).contains(&ends_in), "{skew}");
        // A JWT tolerates a minute. A larger difference is found by a rejected JWT.
        let refused_count = usize::from(skew != 90);
        assert_eq!(token_count(&fixture), 1 + refused_count, "{skew}");
    }
}

#[actix_web::test]
async fn an_unknown_app_or_installation_gets_no_token() {
    let fixture = fixture();
    for (key, status) in [(key(8, 9), 404), (key(7, 10), 404)] {
        let github = fixture.daemon_client(Credentials::App(key));
        let error = github.list_runners().await.unwrap_err();
        assert_eq!(error.status().unwrap(), status, "{error}");
    }
    let (status, body) = fixture.json("POST", TOKENS, None).await;
    assert_eq!(status, 401);
    assert_eq!(
        body,
        json!({
            "message": "A JSON web token could not be decoded",
            "documentation_url": "https://docs.github.com/rest",
            "status": "401",
        })
    );
    for (header, status) in [("User-Agent: test", 401), ("Authorization: Bearer x", 403)] {
        let request =
            format!("POST {TOKENS} HTTP/1.1\nHost: HOST\n{header}\nConnection: close\n\n");
        let head = fixture.raw(&request).await.head;
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{head}");
    }
}

#[actix_web::test]
async fn a_replaced_key_is_read_anew() {
    let fixture = fixture();
    let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("../github/src/tests/keys");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("key.pem");
    std::fs::copy(keys.join("other.pem"), &file).unwrap();
    let key = Arc::new(AppKey::load(7, 9, &file).unwrap());
    let github = fixture.daemon_client(Credentials::App(key.clone()));
    let error = github.list_runners().await.unwrap_err();
    assert_eq!(error.status().unwrap(), 401);
    // A file that cannot be used changes nothing.
    std::fs::write(&file, "no key").unwrap();
    let github = fixture.daemon_client(Credentials::App(key.clone()));
    assert!(github.list_runners().await.is_err());
    std::fs::copy(keys.join("pkcs1.pem"), &file).unwrap();
    let github = fixture.daemon_client(Credentials::App(key));
    assert!(github.list_runners().await.unwrap().is_empty());
}

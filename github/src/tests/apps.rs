//! Authentication as a GitHub App: tokens are fetched once, renewed before they expire, and replaced
//! when GitHub rejects them; clocks may differ.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use actix_web::{HttpResponse, http::StatusCode};
use jwt::{Algorithm, DecodingKey};
use serde_json::{Value, json};

use super::*;
use http_client::testing::Server;
use shared::clock::{Clock, Timestamp};

const HOUR: u64 = 3600;

/// An emulated GitHub with one App.
#[derive(Clone)]
struct TestGithub {
    key: Arc<AppKey>,
    /// GitHub's clock, in seconds.
    now: Arc<AtomicU64>,
    /// How many tokens were created; only the last one is valid.
    token_count: Arc<AtomicUsize>,
    /// The status with which token requests are answered.
    status: Arc<AtomicUsize>,
}

impl TestGithub {
    fn new() -> Self {
        let keys = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/keys");
        let key = AppKey::load(7, 9, &keys.join("pkcs8.pem")).unwrap();
        Self {
            key: Arc::new(key),
            now: Arc::new(AtomicU64::new(Clock::start().now().as_seconds())),
            token_count: Arc::new(AtomicUsize::new(0)),
            status: Arc::new(AtomicUsize::new(201)),
        }
    }

    fn advance(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    fn respond(&self, request: &Received) -> HttpResponse {
        let now = self.now.load(Ordering::SeqCst);
        let moment = |seconds| Timestamp::from_seconds(seconds).to_system_time();
        let date = actix_web::http::header::HttpDate::from(moment(now)).to_string();
        let bearer = request.header("authorization").unwrap();
        let bearer = bearer.strip_prefix("Bearer ").unwrap();
        let respond = |status: u16, body: Value| {
            HttpResponse::build(StatusCode::from_u16(status).unwrap())
                .insert_header(("date", date.clone()))
                .json(body)
        };
        if request.line.contains("/app/installations/9/access_tokens") {
            if !self.accepts_jwt(bearer, now) {
                return respond(
                    401,
                    json!({"message": "'Expiration time' identity is wrong"}),
                );
            }
            let status = self.status.load(Ordering::SeqCst) as u16;
            if status != 201 {
                return respond(status, json!({"message": "no"}));
            }
            let number = self.token_count.fetch_add(1, Ordering::SeqCst) + 1;
            let expires_at = humantime::format_rfc3339_seconds(moment(now + HOUR)).to_string();
            let permissions = json!({"organization_self_hosted_runners": "write"});
            return respond(
                201,
                json!({"token": format!("ghs_{number}"), "expires_at": expires_at,
                    "permissions": permissions}),
            );
        }
        let good = format!("ghs_{}", self.token_count.load(Ordering::SeqCst));
        match bearer == good {
            true => respond(200, json!({"total_count": 0, "runners": []})),
            false => respond(401, json!({"message": "Bad credentials"})),
        }
    }

    /// Checks what GitHub checks: signature, issuer, not from the future, ten minutes at most.
    fn accepts_jwt(&self, jwt: &str, now: u64) -> bool {
        let key = DecodingKey::from_rsa_der(&self.key.public_key());
        let validation = jwt::signature_only(Algorithm::RS256);
        let claims: Value = jwt::decode(jwt, &key, &validation).unwrap();
        let number = |name: &str| claims[name].as_u64().unwrap();
        assert_eq!(claims["iss"], "7");
        number("iat") <= now && now < number("exp") && number("exp") <= now + 600
    }
}

fn serve(github_server: &TestGithub) -> (Server, Github) {
    let responding = github_server.clone();
    let server = Server::start(move |request| responding.respond(request));
    let settings = GithubConfig {
        api_url: server.url.clone(),
        scope_path: "/orgs/o".into(),
        credentials: Credentials::App(Arc::clone(&github_server.key)),
        retry_timeout: std::time::Duration::ZERO,
    };
    let github = Github::new(Client::new(), settings);
    (server, github)
}

#[actix_web::test]
async fn a_token_is_fetched_once_and_renewed_ten_minutes_before_it_expires() {
    let github_server = TestGithub::new();
    let (_server, github) = serve(&github_server);
    let (first, second) = tokio::join!(github.list_runners(), github.list_runners());
    assert_eq!((first.unwrap().len(), second.unwrap().len()), (0, 0));
    for (seconds, token_count) in [(0, 1), (HOUR - 700, 1), (200, 2), (0, 2)] {
        github_server.advance(seconds);
        // Two responses contain the new time before it is believed; the third request uses it.
        for _ in 0..3 {
            github.list_runners().await.unwrap();
        }
        assert_eq!(
            github_server.token_count.load(Ordering::SeqCst),
            token_count
        );
    }
    let status = github.api_status().read();
    assert_eq!(status.authenticated_with, "GitHub App 7, installation 9");
    assert_eq!(
        status.permissions["organization_self_hosted_runners"],
        "write"
    );
    assert_eq!(
        status.warning(Clock::start().now()),
        None,
        "renewed automatically"
    );
}

#[actix_web::test]
async fn a_rejected_token_is_replaced_at_once() {
    let github_server = TestGithub::new();
    let (_server, github) = serve(&github_server);
    github.list_runners().await.unwrap();
    // The token is revoked.
    github_server.token_count.fetch_add(1, Ordering::SeqCst);
    github.list_runners().await.unwrap();
    assert_eq!(github_server.token_count.load(Ordering::SeqCst), 3);
}

#[actix_web::test]
async fn a_failed_renewal_does_no_harm_until_the_token_expires() {
    let github_server = TestGithub::new();
    let (server, github) = serve(&github_server);
    github.list_runners().await.unwrap();
    github_server.status.store(500, Ordering::SeqCst);
    github_server.advance(HOUR - 300);
    for _ in 0..5 {
        github.list_runners().await.unwrap();
    }
    assert_eq!(token_requests(&server), 2, "one try at a time");
    github_server.advance(301);
    for _ in 0..2 {
        github.list_runners().await.unwrap();
    }
    for _ in 0..5 {
        let error = github.list_runners().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "get a token for GitHub App 7: GitHub responded with 500 Internal Server Error: no"
        );
        assert!(error.is_transient());
    }
    assert_eq!(token_requests(&server), 2, "a failure is shared");
    github_server.status.store(201, Ordering::SeqCst);
    github.renewals.lock().await.failures.reset();
    github.list_runners().await.unwrap();
    assert_eq!(token_requests(&server), 3);
}

/// How often a token was requested.
fn token_requests(server: &Server) -> usize {
    let lines = server.lines();
    let tokens = lines.iter().filter(|line| line.contains("/access_tokens"));
    tokens.count()
}

#[actix_web::test]
async fn clocks_may_differ_by_an_hour() {
    for (ahead, behind) in [(0, HOUR), (HOUR, 0), (90, 0), (0, 90)] {
        let github_server = TestGithub::new();
        github_server.now.fetch_add(ahead, Ordering::SeqCst);
        github_server.now.fetch_sub(behind, Ordering::SeqCst);
        let (_server, github) = serve(&github_server);
        github.list_runners().await.unwrap();
        assert_eq!(github_server.token_count.load(Ordering::SeqCst), 1);
    }
}

#[actix_web::test]
async fn an_app_that_is_not_installed_gets_a_permanent_error() {
    let github_server = TestGithub::new();
    github_server.status.store(404, Ordering::SeqCst);
    let (_server, github) = serve(&github_server);
    let error = github.list_runners().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert!(!error.is_transient());
}

#[actix_web::test]
async fn a_date_in_the_year_9999_does_not_stop_an_app_until_a_restart() {
    const FAR: u64 = 250_000_000_000;
    for odd_responses in 1..=3 {
        let github_server = TestGithub::new();
        let (_server, github) = serve(&github_server);
        github.list_runners().await.unwrap();
        github_server.advance(FAR);
        for _ in 0..odd_responses {
            github.list_runners().await.unwrap();
        }
        github_server.now.fetch_sub(FAR, Ordering::SeqCst);
        // The token is revoked as well, so that a JWT has to be signed with the right time.
        github_server.token_count.fetch_add(1, Ordering::SeqCst);
        for _ in 0..3 {
            let _ = github.list_runners().await;
            github.renewals.lock().await.failures.reset();
        }
        github.list_runners().await.unwrap();
    }
}

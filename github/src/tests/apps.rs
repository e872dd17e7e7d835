//! Being a GitHub App: tokens are fetched once, replaced before they end, and whenever GitHub does
//! not take them; clocks may differ.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use actix_web::{HttpResponse, http::StatusCode};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

use super::*;
use http_client::testing::Server;
use shared::clock::{Clock, Timestamp};

const HOUR: u64 = 3600;

/// A GitHub with one App.
#[derive(Clone)]
struct Stage {
    key: Arc<AppKey>,
    /// GitHub's clock.
    now: Arc<AtomicU64>,
    /// How many tokens it has given out; the last one is good.
    token_count: Arc<AtomicUsize>,
    /// Whether it gives out more.
    status: Arc<AtomicUsize>,
}

impl Stage {
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

    fn pass(&self, seconds: u64) {
        self.now.fetch_add(seconds, Ordering::SeqCst);
    }

    fn answer(&self, request: &Received) -> HttpResponse {
        let now = self.now.load(Ordering::SeqCst);
        let moment = |seconds| Timestamp::from_seconds(seconds).to_system_time();
        let date = actix_web::http::header::HttpDate::from(moment(now)).to_string();
        let bearer = request.header("authorization").unwrap();
        let bearer = bearer.strip_prefix("Bearer ").unwrap();
        let answer = |status: u16, body: Value| {
            HttpResponse::build(StatusCode::from_u16(status).unwrap())
                .insert_header(("date", date.clone()))
                .json(body)
        };
        if request.line.contains("/app/installations/9/access_tokens") {
            if !self.takes_ticket(bearer, now) {
                return answer(401, json!({"message": "'Expiration time' claim is wrong"}));
            }
            let status = self.status.load(Ordering::SeqCst) as u16;
            if status != 201 {
                return answer(status, json!({"message": "no"}));
            }
            let number = self.token_count.fetch_add(1, Ordering::SeqCst) + 1;
            let expires_at = humantime::format_rfc3339_seconds(moment(now + HOUR)).to_string();
            let permissions = json!({"organization_self_hosted_runners": "write"});
            return answer(
                201,
                json!({"token": format!("ghs_{number}"), "expires_at": expires_at,
                    "permissions": permissions}),
            );
        }
        let good = format!("ghs_{}", self.token_count.load(Ordering::SeqCst));
        match bearer == good {
            true => answer(200, json!({"total_count": 0, "runners": []})),
            false => answer(401, json!({"message": "Bad credentials"})),
        }
    }

    /// What GitHub checks: signature, issuer, not from the future, ten minutes at most.
    fn takes_ticket(&self, ticket: &str, now: u64) -> bool {
        let (signed, signature) = ticket.rsplit_once('.').unwrap();
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, self.key.public_key())
            .verify(signed.as_bytes(), &signature)
            .unwrap();
        let payload = URL_SAFE_NO_PAD.decode(signed.split_once('.').unwrap().1);
        let payload: Value = serde_json::from_slice(&payload.unwrap()).unwrap();
        let number = |name: &str| payload[name].as_u64().unwrap();
        assert_eq!(payload["iss"], "7");
        number("iat") <= now && now < number("exp") && number("exp") <= now + 600
    }
}

fn serve(stage: &Stage) -> (Server, Github) {
    let answering = stage.clone();
    let server = Server::start(move |request| answering.answer(request));
    let settings = GithubSettings {
        api_url: server.url.clone(),
        scope_path: "/orgs/o".into(),
        credential: Credential::App(Arc::clone(&stage.key)),
        patience: std::time::Duration::ZERO,
    };
    let github = Github::new(Client::new(), settings);
    (server, github)
}

#[actix_web::test]
async fn a_token_is_fetched_once_and_replaced_ten_minutes_before_its_end() {
    let stage = Stage::new();
    let (_server, github) = serve(&stage);
    let (first, second) = tokio::join!(github.list_runners(), github.list_runners());
    assert_eq!((first.unwrap().len(), second.unwrap().len()), (0, 0));
    for (seconds, token_count) in [(0, 1), (HOUR - 700, 1), (200, 2), (0, 2)] {
        stage.pass(seconds);
        // The first question tells the time, the second goes by it.
        github.list_runners().await.unwrap();
        github.list_runners().await.unwrap();
        assert_eq!(stage.token_count.load(Ordering::SeqCst), token_count);
    }
    let standing = github.board().standing();
    assert_eq!(standing.asks_as, "GitHub App 7, installation 9");
    assert_eq!(
        standing.permissions["organization_self_hosted_runners"],
        "write"
    );
    assert_eq!(
        standing.warning(Clock::start().now()),
        None,
        "it is renewed"
    );
}

#[actix_web::test]
async fn a_token_that_is_no_longer_taken_is_replaced_at_once() {
    let stage = Stage::new();
    let (_server, github) = serve(&stage);
    github.list_runners().await.unwrap();
    // Somebody revokes it: another one is good now.
    stage.token_count.fetch_add(1, Ordering::SeqCst);
    github.list_runners().await.unwrap();
    assert_eq!(stage.token_count.load(Ordering::SeqCst), 3);
}

#[actix_web::test]
async fn while_there_is_time_left_a_failed_renewal_does_no_harm() {
    let stage = Stage::new();
    let (server, github) = serve(&stage);
    github.list_runners().await.unwrap();
    stage.status.store(500, Ordering::SeqCst);
    stage.pass(HOUR - 300);
    for _ in 0..5 {
        github.list_runners().await.unwrap();
    }
    assert_eq!(token_questions(&server), 2, "one try at a time");
    stage.pass(301);
    github.list_runners().await.unwrap();
    for _ in 0..5 {
        let error = github.list_runners().await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "get a token for GitHub App 7: github answered 500 Internal Server Error: no"
        );
        assert!(error.is_transient());
    }
    assert_eq!(token_questions(&server), 3, "a failure is shared");
    stage.status.store(201, Ordering::SeqCst);
    github.renewals.lock().await.failures.reset();
    github.list_runners().await.unwrap();
    assert_eq!(token_questions(&server), 4);
}

/// How often a token was asked for.
fn token_questions(server: &Server) -> usize {
    let lines = server.lines();
    let tokens = lines.iter().filter(|line| line.contains("/access_tokens"));
    tokens.count()
}

#[actix_web::test]
async fn a_clock_that_differs_by_an_hour_does_not_keep_us_out() {
    for (ahead, behind) in [(0, HOUR), (HOUR, 0), (90, 0), (0, 90)] {
        let stage = Stage::new();
        stage.now.fetch_add(ahead, Ordering::SeqCst);
        stage.now.fetch_sub(behind, Ordering::SeqCst);
        let (_server, github) = serve(&stage);
        github.list_runners().await.unwrap();
        assert_eq!(stage.token_count.load(Ordering::SeqCst), 1);
    }
}

#[actix_web::test]
async fn an_app_that_is_not_installed_there_is_told_so() {
    let stage = Stage::new();
    stage.status.store(404, Ordering::SeqCst);
    let (_server, github) = serve(&stage);
    let error = github.list_runners().await.unwrap_err();
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert!(!error.is_transient());
}

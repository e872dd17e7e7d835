//! A queue that sends prepared responses, for cases that a real queue rarely shows.

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Data},
};
use serde_json::Value;
use tokio::sync::watch;

use super::super::support::TIMEOUT;

/// A response: its status, `Retry-After` and body. One with the status 0 is never sent.
pub type Response = (u16, Option<u64>, String);

/// The queue. It runs as long as the runtime of its test.
pub struct ScriptedQueue {
    /// Its base URL.
    pub url: String,
    requests: Arc<watch::Sender<Vec<String>>>,
    targets: Arc<watch::Sender<Vec<String>>>,
}

struct Script {
    responses: watch::Sender<Vec<Response>>,
    requests: Arc<watch::Sender<Vec<String>>>,
    targets: Arc<watch::Sender<Vec<String>>>,
}

impl ScriptedQueue {
    /// Starts a queue that sends these responses one after the other, and then 204 only.
    pub fn start(responses: Vec<Response>) -> Self {
        let requests = Arc::new(watch::Sender::default());
        let targets = Arc::new(watch::Sender::default());
        let script = Data::new(Script {
            responses: watch::Sender::new(responses),
            requests: Arc::clone(&requests),
            targets: Arc::clone(&targets),
        });
        let app = move || {
            App::new()
                .app_data(script.clone())
                .default_service(web::to(respond))
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(app).workers(1).disable_signals();
        actix_web::rt::spawn(server.listen(listener).unwrap().run());
        Self {
            url,
            requests,
            targets,
        }
    }

    /// Waits until a request begins with this: method, and first segment of the path.
    pub async fn expect_request(&self, prefix: &str) {
        let is_so = |requests: &Vec<String>| requests.iter().any(|it| it.starts_with(prefix));
        let mut requests = self.requests.subscribe();
        let received = tokio::time::timeout(TIMEOUT, requests.wait_for(is_so)).await;
        assert!(received.is_ok(), "{prefix}: {:?}", self.requests());
    }

    /// The requests so far: method, first segment of the path, `Prefer`.
    pub fn requests(&self) -> Vec<String> {
        self.requests.borrow().clone()
    }
}

impl ScriptedQueue {
    /// The requests so far: path and query, and the header `Authorization`.
    pub fn targets(&self) -> Vec<String> {
        self.targets.borrow().clone()
    }
}

async fn respond(request: HttpRequest, script: Data<Script>) -> HttpResponse {
    let path = request.path().split('/').nth(1).unwrap_or_default();
    let prefer = request
        .headers()
        .get("prefer")
        .map(|value| value.to_str().unwrap());
    let line = format!("{} {path} {}", request.method(), prefer.unwrap_or_default());
    script
        .requests
        .send_modify(|all| all.push(line.trim_end().to_owned()));
    let authorization = request.headers().get("authorization");
    let authorization = authorization.map_or("", |value| value.to_str().unwrap());
    let length = request.headers().get("content-length");
    // Proxies refuse a POST without it.
    assert!(
        request.method() != "POST" || length.is_some(),
        "{request:?}"
    );
    let target = format!("{} {authorization}", request.uri());
    script
        .targets
        .send_modify(|all| all.push(target.trim_end().to_owned()));
    let mut next = None;
    script
        .responses
        .send_modify(|all| next = (!all.is_empty()).then(|| all.remove(0)));
    let (status, retry_after, body) = next.unwrap_or((204, None, String::new()));
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let mut response = HttpResponse::build(StatusCode::from_u16(status).unwrap());
    if let Some(seconds) = retry_after {
        response.insert_header(("retry-after", seconds.to_string()));
    }
    if serde_json::from_str::<Value>(&body).is_ok() {
        response.content_type("application/json");
    }
    response.body(body)
}

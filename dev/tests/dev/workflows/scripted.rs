//! A queue that answers what a test has written down, for what a real one says too rarely.

use std::{net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    http::StatusCode,
    web::{self, Data},
};
use serde_json::Value;
use tokio::sync::watch;

/// One answer: the status, the `Retry-After` and the body.
pub type Line = (u16, Option<u64>, String);

/// The queue, for as long as the runtime of its test.
pub struct ScriptedQueue {
    /// Its base URL.
    pub url: String,
    /// What it was asked: method, path up to the id, `Prefer`.
    asked: Arc<watch::Sender<Vec<String>>>,
}

struct Script {
    lines: watch::Sender<Vec<Line>>,
    asked: Arc<watch::Sender<Vec<String>>>,
}

impl ScriptedQueue {
    /// A queue that gives these answers, one after the other, and 204 when there are none left.
    pub fn start(lines: Vec<Line>) -> Self {
        let asked = Arc::new(watch::Sender::default());
        let script = Data::new(Script {
            lines: watch::Sender::new(lines),
            asked: Arc::clone(&asked),
        });
        let app = move || {
            App::new()
                .app_data(script.clone())
                .default_service(web::to(answer))
        };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(app).workers(1).disable_signals();
        actix_web::rt::spawn(server.listen(listener).unwrap().run());
        Self { url, asked }
    }

    /// What it was asked so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.borrow().clone()
    }
}

async fn answer(request: HttpRequest, script: Data<Script>) -> HttpResponse {
    let path = request.path().split('/').nth(1).unwrap_or_default();
    let prefer = request
        .headers()
        .get("prefer")
        .map(|value| value.to_str().unwrap());
    let asked = format!("{} {path} {}", request.method(), prefer.unwrap_or_default());
    script
        .asked
        .send_modify(|all| all.push(asked.trim_end().to_owned()));
    let mut next = None;
    script
        .lines
        .send_modify(|lines| next = (!lines.is_empty()).then(|| lines.remove(0)));
    let (status, retry_after, body) = next.unwrap_or((204, None, String::new()));
    let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
    if let Some(seconds) = retry_after {
        answer.insert_header(("retry-after", seconds.to_string()));
    }
    if serde_json::from_str::<Value>(&body).is_ok() {
        answer.content_type("application/json");
    }
    answer.body(body)
}

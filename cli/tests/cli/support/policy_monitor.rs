//! A monitor with nothing but a drain, temporary targets, orders for rebuilds, two busy runners that end while it is drained, and the
//! events of one of them.

use std::{collections::BTreeMap, net::TcpListener, sync::Arc};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{Data, Query, route},
};
use parking_lot::Mutex;
use serde_json::{Value, json};

use shared::operator::AUTHOR_HEADER;

use super::API_TOKEN;

/// A monitor that answers until the test ends.
pub struct PolicyMonitor {
    /// Its base URL, without a slash at the end.
    pub url: String,
}

#[derive(Default)]
struct State {
    drain: Value,
    targets: Value,
    target_override: Value,
    rebuild: Value,
    dashboards_while_drained: usize,
}

type Shared = Data<Mutex<State>>;

impl PolicyMonitor {
    /// Starts it on a free port.
    pub fn start() -> Self {
        let state: Shared = Data::from(Arc::new(Mutex::new(State::default())));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .route("/dashboard.json", route().to(dashboard))
                .route("/runner/7", route().to(story))
                .route("/events", route().to(events))
                .route("/policy/drain", route().to(drain))
                .route("/policy/override", route().to(target_override))
                .route("/image/{profile}/rebuild", route().to(rebuild))
                .route("/runner/8", route().to(destroy))
        });
        let server = server.workers(1).disable_signals();
        actix_web::rt::spawn(server.listen(listener).unwrap().run());
        Self { url }
    }
}

async fn dashboard(state: Shared) -> HttpResponse {
    let mut state = state.lock();
    let mut busy = 2;
    if !state.drain.is_null() {
        state.dashboards_while_drained += 1;
        busy = if state.dashboards_while_drained > 1 {
            0
        } else {
            2
        };
    }
    let counts = json!({"target": 2, "healthy": 2, "started_or_crashed": 0, "idle": 0, "reserved": 0,
        "busy": busy, "excess_healthy": 0, "wanted": 0});
    let mut dashboard = json!({"profile_runner_counts": {"linux": counts}, "runners": []});
    if !state.drain.is_null() {
        dashboard["drain"] = state.drain.clone();
    }
    if !state.target_override.is_null() {
        dashboard["target_override"] = state.target_override.clone();
    }
    HttpResponse::Ok().json(dashboard)
}

async fn story() -> HttpResponse {
    let event = json!({"id": 5, "at": 1_000_000, "event": "runner_created", "runner": 7, "profile_key": "linux",
        "reason": "below_target"});
    HttpResponse::Ok().json(
        json!({"id": 7, "profile_key": "linux", "status": "busy", "runner": {},
        "events": [event], "is_truncated": false}),
    )
}

/// One event for each stream: the one after `Last-Event-ID`.
async fn events(request: HttpRequest) -> HttpResponse {
    let last = request.headers().get("last-event-id");
    let (id, name) = match last.and_then(|last| last.to_str().ok()) {
        Some("5") => (6, "runner_ended"),
        Some("6") => (7, "runner_destroyed"),
        other => panic!("unexpected {other:?}"),
    };
    let other = json!({"id": id, "event": "runner_created", "runner": 70});
    let event = json!({"id": id, "at": 2_000_000, "event": name, "runner": 7});
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .body(format!(
            ": hi\n\ndata: {other}\n\nid: {id}\ndata: {event}\n\n"
        ))
}

async fn rebuild(
    request: HttpRequest,
    state: Shared,
    query: Query<BTreeMap<String, String>>,
) -> HttpResponse {
    if request.match_info().get("profile") != Some("linux") {
        return HttpResponse::NotFound()
            .json(json!({"code": "unknown_profile", "message": "no such profile"}));
    }
    let order = order(&request, &query);
    change(&request, |method| {
        let mut state = state.lock();
        match method {
            "POST" => {
                state.rebuild = order;
                state.rebuild.clone()
            }
            _ => state.rebuild.take(),
        }
    })
}

/// The removal of a runner; nothing else of it is known.
async fn destroy(request: HttpRequest) -> HttpResponse {
    match request.method().as_str() {
        "DELETE" => change(&request, |_| Value::Null),
        _ => HttpResponse::NotFound().json(json!({"code": "not_found", "message": "no"})),
    }
}

async fn drain(
    request: HttpRequest,
    state: Shared,
    query: Query<BTreeMap<String, String>>,
) -> HttpResponse {
    let order = order(&request, &query);
    change(&request, |method| {
        let mut state = state.lock();
        match method {
            "POST" => {
                state.drain = order;
                state.drain.clone()
            }
            _ => state.drain.take(),
        }
    })
}

async fn target_override(
    request: HttpRequest,
    state: Shared,
    query: Query<BTreeMap<String, String>>,
) -> HttpResponse {
    let mut set = order(&request, &query);
    change(&request, |method| {
        let mut state = state.lock();
        match method {
            "GET" => state.targets.clone(),
            "POST" => {
                let mut targets = query.into_inner();
                targets.remove("note");
                let counts = targets
                    .iter()
                    .map(|(key, count)| (key, count.parse::<u64>().unwrap()));
                state.targets = json!(counts.collect::<BTreeMap<_, _>>());
                set["targets"] = state.targets.clone();
                state.target_override = set;
                state.targets.clone()
            }
            _ => {
                state.target_override = Value::Null;
                state.targets.take()
            }
        }
    })
}

/// What a request orders: its note, and its author if it has one.
fn order(request: &HttpRequest, query: &BTreeMap<String, String>) -> Value {
    let note = query.get("note").cloned().unwrap_or_default();
    let mut order = json!({"since": 1_000_000, "note": note});
    if let Some(author) = request.headers().get(AUTHOR_HEADER) {
        order["author"] = author.to_str().unwrap().into();
    }
    order
}

/// What `answer` returns for the method; 401 for a change without the API token.
fn change(request: &HttpRequest, answer: impl FnOnce(&str) -> Value) -> HttpResponse {
    let authorization = request.headers().get("authorization");
    let expected = format!("Bearer {API_TOKEN}");
    let is_authorised = authorization.is_some_and(|value| *value == *expected);
    if request.method() != "GET" && !is_authorised {
        return HttpResponse::Unauthorized().json(json!({"code": "unauthorised", "message": "no"}));
    }
    HttpResponse::Ok().json(answer(request.method().as_str()))
}

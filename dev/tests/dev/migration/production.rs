//! The daemons of servo/ci-runners as far as clients and queues see them: the responses are those of its code,
//! recorded in `recorded/`.

use std::{
    net::TcpListener,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Data, Path},
};
use serde_json::{Value, json};

use super::super::support::API_TOKEN;

const DASHBOARD: &str = include_str!("recorded/dashboard.json");
/// The ticket of its queue: 32 letters and digits.
const TICKET: &str = "Zk3mP0aQw9LxT7rB2nVc5HyJ8dKs1FgU";
/// How many dashboards are unavailable after a take.
const GAP: u64 = 2;

/// The state of a monitor.
struct Monitor {
    idle: AtomicU64,
    /// How many of the next dashboards are unavailable.
    gap: AtomicU64,
}

fn listen(port: u16) -> TcpListener {
    TcpListener::bind(("127.0.0.1", port)).unwrap()
}

/// Serves until the handle is used to stop it.
macro_rules! serve {
    ($port:expr, $app:expr) => {{
        let server = HttpServer::new($app).workers(1).disable_signals();
        let server = server.listen(listen($port)).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        handle
    }};
}

/// Starts a monitor with two idle runners. It serves one request after the other.
pub fn start_monitor(port: u16) -> ServerHandle {
    let monitor = Data::new(Monitor {
        idle: AtomicU64::new(2),
        gap: AtomicU64::new(0),
    });
    let app = move || {
        App::new()
            .app_data(monitor.clone())
            .route("/dashboard.json", web::get().to(dashboard))
            .route("/profile/{profile}/take", web::post().to(take_one))
            .route("/profile/{profile}/take/{count}", web::post().to(take))
    };
    serve!(port, app)
}

/// Starts a queue in which each job waits once and then gets a runner.
pub fn start_queue(port: u16) -> ServerHandle {
    let has_waited = Data::new(AtomicBool::new(false));
    let app = move || {
        App::new()
            .app_data(has_waited.clone())
            .route(
                "/enqueue",
                web::post().to(|| async { HttpResponse::Ok().body(TICKET) }),
            )
            .route("/take/{unique_id}", web::post().to(take_at_queue))
    };
    serve!(port, app)
}

/// It has no dashboard from a take until its next look at its resources.
async fn dashboard(monitor: Data<Monitor>) -> HttpResponse {
    let gap = monitor.gap.load(SeqCst);
    if gap > 0 {
        monitor.gap.store(gap - 1, SeqCst);
        return HttpResponse::ServiceUnavailable().body(
            "Monitor thread is still starting or not responding\n\nLocation:\n    main.rs:1:1",
        );
    }
    let mut dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    dashboard["profile_runner_counts"]["servo-ubuntu2204"]["idle"] =
        monitor.idle.load(SeqCst).into();
    HttpResponse::Ok().json(dashboard)
}

async fn take_one(request: HttpRequest, monitor: Data<Monitor>) -> HttpResponse {
    give(&request, &monitor, 1)
}

async fn take(
    request: HttpRequest,
    path: Path<(String, u64)>,
    monitor: Data<Monitor>,
) -> HttpResponse {
    give(&request, &monitor, path.1)
}

/// An array, also for one runner; `null` if there is none.
fn give(request: &HttpRequest, monitor: &Monitor, count: u64) -> HttpResponse {
    let authorization = request.headers().get("authorization");
    if authorization.is_none_or(|value| value != format!("Bearer {API_TOKEN}").as_str()) {
        return HttpResponse::Forbidden().finish();
    }
    let idle = monitor.idle.load(SeqCst);
    let given = count.min(idle);
    if given == 0 {
        return HttpResponse::Ok().json(Value::Null);
    }
    monitor.idle.store(idle - given, SeqCst);
    monitor.gap.store(GAP, SeqCst);
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let runner = &dashboard["runners"][0]["runner"];
    let runners: Vec<Value> = (0..given)
        .map(|index| json!({"id": 41 + index, "runner": runner}))
        .collect();
    HttpResponse::Ok().json(runners)
}

async fn take_at_queue(request: HttpRequest, has_waited: Data<AtomicBool>) -> HttpResponse {
    if request.query_string() != format!("token={TICKET}") {
        return HttpResponse::UnprocessableEntity().body("<h1>422: Unprocessable Entity</h1>");
    }
    if !has_waited.fetch_not(SeqCst) {
        return HttpResponse::ServiceUnavailable()
            .insert_header(("retry-after", "1"))
            .finish();
    }
    HttpResponse::Ok()
        .content_type("application/json")
        .body("1")
}

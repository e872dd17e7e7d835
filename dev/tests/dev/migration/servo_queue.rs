//! The queue of servo/ci-runners in front of one monitor: its tickets, its responses, and its request to the monitor.
//! Each job waits once.

use std::collections::BTreeMap;

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    dev::ServerHandle,
    web::{self, Data, Path},
};
use http_client::{Client, Method, Request};
use parking_lot::Mutex;
use serde_json::Value;
use shared::secret::Secret;

use super::{super::support::API_TOKEN, servo_monitor::serve};

/// A ticket: 32 letters and digits.
const TICKET: &str = "Zk3mP0aQw9LxT7rB2nVc5HyJ8dKs1FgU";
const TRACE: &str = "\n\nLocation:\n    monitor/src/bin/queue.rs:1:1";

/// A queue.
pub struct ServoQueue {
    pub monitor_url: String,
    /// By `unique_id`: the query of the job that waits, and whether it has been asked for once.
    pub jobs: Mutex<BTreeMap<String, (String, bool)>>,
}

impl ServoQueue {
    pub fn start(self, port: u16) -> ServerHandle {
        let queue = Data::new(self);
        let app = move || {
            let enqueue = || web::post().to(enqueue);
            App::new()
                .app_data(queue.clone())
                .route("/enqueue", enqueue())
                .route("/profile/{profile}/enqueue", enqueue())
                .route("/take/{unique_id}", web::post().to(take))
        };
        serve!(port, app)
    }
}

/// It believes any artifact and any API token here.
async fn enqueue(request: HttpRequest, queue: Data<ServoQueue>) -> HttpResponse {
    let query = request.query_string().to_owned();
    let parts: BTreeMap<String, String> = web::Query::from_query(&query).unwrap().0;
    let unique_id = parts["unique_id"].clone();
    let mut jobs = queue.jobs.lock();
    if jobs.contains_key(&unique_id) {
        let error = format!("Already in queue: UniqueId(\"{unique_id}\"){TRACE}");
        return HttpResponse::InternalServerError().body(error);
    }
    jobs.insert(unique_id, (query, false));
    HttpResponse::Ok().body(TICKET)
}

async fn take(request: HttpRequest, id: Path<String>, queue: Data<ServoQueue>) -> HttpResponse {
    // The form of its route has the ticket in the URL.
    if !request.query_string().starts_with("token=") {
        return HttpResponse::UnprocessableEntity().body("<h1>422: Unprocessable Entity</h1>");
    }
    let query = {
        let mut jobs = queue.jobs.lock();
        let Some((query, has_waited)) = jobs.get_mut(id.as_str()) else {
            let error = format!("Not found: UniqueId(\"{id}\"){TRACE}");
            return HttpResponse::NotFound().body(error);
        };
        if request.query_string() != format!("token={TICKET}") {
            let error = format!("Bad token: UniqueId(\"{id}\"){TRACE}");
            return HttpResponse::Forbidden().body(error);
        }
        if !std::mem::replace(has_waited, true) {
            let retry_after = ("retry-after", "1");
            return HttpResponse::ServiceUnavailable()
                .insert_header(retry_after)
                .finish();
        }
        query.clone()
    };
    let url = format!(
        "{}/profile/servo-ubuntu2204/take/1?{query}",
        queue.monitor_url
    );
    let token = Secret::new(API_TOKEN);
    let mut call = Request::new(Method::POST, &url);
    call.bearer = Some(&token);
    let taken: Value = Client::new().send(call).await.unwrap().json().unwrap();
    queue.jobs.lock().remove(id.as_str());
    match taken.as_array() {
        Some(taken) => HttpResponse::Ok()
            .content_type("application/json")
            .body(taken.len().to_string()),
        None => HttpResponse::InternalServerError().body(format!(
            "Failed to take enough runners: expected 1, actual 0{TRACE}"
        )),
    }
}

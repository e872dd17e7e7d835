//! A test double of a monitor: its runners are numbers, and tests decide which are idle.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpResponse, HttpServer,
    web::{self, Data, Path},
};
use daemon::web::preferred_wait;
use serde_json::{Value, json};
use shared::values::FencingToken;
use tokio::sync::watch;

/// The one profile it has.
const PROFILE: &str = "linux";
/// The target of that profile.
const TARGET: usize = 3;

/// A monitor that runs as long as the runtime of its test.
#[derive(Clone)]
pub struct TestMonitor {
    /// Its base URL, without a slash at the end.
    pub url: String,
    state: Arc<watch::Sender<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    revision: u64,
    idle: BTreeSet<u64>,
    reserved: BTreeMap<String, Reservation>,
}

#[derive(Clone, Debug)]
struct Reservation {
    ids: Vec<u64>,
    /// The sequence of the latest fencing token.
    attempt: u64,
}

impl TestMonitor {
    /// Starts a monitor without runners.
    pub fn start() -> Self {
        let state = Arc::new(watch::Sender::new(State::default()));
        let data = Data::new(Arc::clone(&state));
        let app = move || {
            App::new()
                .app_data(data.clone())
                .route("/dashboard.json", web::get().to(dashboard))
                .route("/profile/{key}/take", web::post().to(take_one))
                .route("/profile/{key}/take/{count}", web::post().to(take_several))
                .route("/reservation/{unique_id}", web::delete().to(release))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self { url, state }
    }

    /// Adds an idle runner.
    pub fn add_idle(&self, id: u64) {
        change(&self.state, |state| state.idle.insert(id));
    }

    /// The jobs that have a reservation.
    pub fn reservations(&self) -> Vec<String> {
        self.state.borrow().reserved.keys().cloned().collect()
    }
}

fn change<R>(state: &watch::Sender<State>, work: impl FnOnce(&mut State) -> R) -> R {
    let mut result = None;
    state.send_modify(|state| {
        state.revision += 1;
        result = Some(work(state));
    });
    result.expect("the change was made")
}

async fn dashboard(request: HttpRequest, state: Data<Arc<watch::Sender<State>>>) -> HttpResponse {
    let mut seen = state.subscribe();
    let known = request.headers().get("if-none-match");
    let known = known.map(|etag| etag.to_str().unwrap().to_owned());
    let is_new = |state: &State| known.as_deref() != Some(&etag(state));
    let hold = preferred_wait(request.headers()).unwrap_or(Duration::ZERO);
    let changed = tokio::time::timeout(hold, seen.wait_for(is_new)).await;
    match changed {
        Ok(state) => {
            let state = state.unwrap().clone();
            HttpResponse::Ok()
                .insert_header(("etag", etag(&state)))
                .json(shown(&state))
        }
        Err(_) => HttpResponse::NotModified().finish(),
    }
}

fn etag(state: &State) -> String {
    format!("\"{}\"", state.revision)
}

fn shown(state: &State) -> Value {
    let runner = |id: u64, status: &str| {
        json!({"id": id, "screenshot_url": null, "profile_key": PROFILE, "status": status, "runner": {
            "id": id, "created_time": {"secs_since_epoch": 1, "nanos_since_epoch": 0},
            "registration": null, "guest_name": null, "ipv4_address": null}})
    };
    let idle = state.idle.iter().map(|&id| runner(id, "idle"));
    let reserved = state.reserved.values().flat_map(|held| &held.ids);
    let reserved = reserved.map(|&id| runner(id, "reserved"));
    let reservations: BTreeMap<_, _> = state
        .reserved
        .iter()
        .map(|(unique_id, held)| {
            (
                unique_id,
                json!({"runners": held.ids, "state": "held", "attempt": held.attempt}),
            )
        })
        .collect();
    let held: usize = state.reserved.values().map(|held| held.ids.len()).sum();
    json!({
        "profile_runner_counts": {PROFILE: {"target": TARGET, "healthy": state.idle.len() + held,
            "started_or_crashed": 0, "idle": state.idle.len(), "reserved": held, "busy": 0,
            "excess_healthy": 0, "wanted": 0, "image_age": null}},
        "runners": idle.chain(reserved).collect::<Vec<_>>(),
        "reservations": reservations,
    })
}

async fn take_one(request: HttpRequest, state: Data<Arc<watch::Sender<State>>>) -> HttpResponse {
    answer(take(&request, &state, 1), |runners| runners[0].clone())
}

async fn take_several(
    request: HttpRequest,
    path: Path<(String, usize)>,
    state: Data<Arc<watch::Sender<State>>>,
) -> HttpResponse {
    answer(take(&request, &state, path.1), Value::Array)
}

fn answer(taken: Option<Reservation>, shape: impl FnOnce(Vec<Value>) -> Value) -> HttpResponse {
    let Some(taken) = taken else {
        return HttpResponse::ServiceUnavailable()
            .json(json!({"code": "no_capacity", "message": "no"}));
    };
    let runner = |id| json!({"id": id, "runner": {"id": id}, "label": format!("runner:{id}")});
    HttpResponse::Ok().json(shape(taken.ids.into_iter().map(runner).collect()))
}

fn take(request: &HttpRequest, state: &watch::Sender<State>, count: usize) -> Option<Reservation> {
    let parameter = |name: &str| {
        let mut parameters = request.query_string().split('&');
        let value = parameters.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        value.expect("the queue sends it").to_owned()
    };
    let (unique_id, attempt) = (parameter("unique_id"), parameter("attempt"));
    let FencingToken {
        sequence: attempt, ..
    } = attempt.parse().unwrap();
    change(state, |state| {
        if let Some(held) = state.reserved.get_mut(&unique_id) {
            held.attempt = held.attempt.max(attempt);
            return Some(held.clone());
        }
        if state.idle.len() < count {
            return None;
        }
        let ids: Vec<u64> = state.idle.iter().take(count).copied().collect();
        state.idle.retain(|id| !ids.contains(id));
        let held = Reservation { ids, attempt };
        state.reserved.insert(unique_id, held.clone());
        Some(held)
    })
}

async fn release(path: Path<String>, state: Data<Arc<watch::Sender<State>>>) -> HttpResponse {
    change(&state, |state| {
        if let Some(held) = state.reserved.remove(path.as_str()) {
            state.idle.extend(held.ids);
        }
    });
    HttpResponse::NoContent().finish()
}

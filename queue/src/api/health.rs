//! Health checks: whether the process works, and whether it is of use.

use actix_web::{HttpResponse, http::header::ContentType, web::Data};
use daemon::readiness;

use queue_core::{Health, View};

use super::{
    AppState,
    snapshot::{Snapshot, Snapshots},
};

/// `GET /healthz`: 200 while the core can be read. A core that is stuck holds its lock, and then
/// there is no response at all.
pub async fn alive(state: Data<AppState>) -> HttpResponse {
    state.event_loop.read(|_, _| ());
    HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body("alive\n")
}

/// `GET /readyz`: 200 once the startup grace period is over and at least one server has a fresh
/// report, until the queue is stopped. The body also has the problems.
pub async fn ready(state: Data<AppState>, snapshots: Data<Snapshots>) -> HttpResponse {
    if state.draining.has_begun() {
        let body = readiness::body(Some("the queue is being stopped"), &[]);
        return readiness::response(false, body);
    }
    let mut snapshot = Snapshot::latest(&snapshots, &state);
    if unready(&snapshot.view).is_none() != is_ready(&state) {
        snapshots.invalidate();
        snapshot = Snapshot::latest(&snapshots, &state);
    }
    let reason = unready(&snapshot.view);
    let render = || readiness::body(reason.as_deref(), &snapshot.view.problems).into();
    let body = snapshot.ready.get_or_init(render).clone();
    readiness::response(reason.is_none(), body)
}

/// Whether the queue assigns runners now.
fn is_ready(state: &AppState) -> bool {
    state.event_loop.read(|queue, now| {
        let fleet = queue.fleet();
        let mut servers = fleet.ids();
        queue.is_dispatching(now)
            && servers.any(|server| fleet.health(server, now) == Health::Fresh)
    })
}

/// Why the queue assigns no runners, in one sentence.
pub fn unready(view: &View) -> Option<String> {
    if !view.is_dispatching {
        return Some("the queue has just started".to_owned());
    }
    if view.servers.iter().any(|server| server.health == "fresh") {
        return None;
    }
    let names = view.servers.iter().map(|server| server.name.as_str());
    let of_servers = view
        .problems
        .iter()
        .find(|problem| names.clone().any(|name| name == problem.subject));
    Some(match of_servers {
        Some(problem) => format!("no server answers; {problem}"),
        None => "no server answers; the dashboard shows them".to_owned(),
    })
}

//! Health checks: whether the process works, and whether it is of use.

use actix_web::{HttpResponse, web::Data};
use daemon::error::{ApiError, Code};

use queue_core::Health;

use super::AppState;

/// `GET /healthz`: 200 while the core can be read. A core that is stuck holds its lock, and then
/// there is no response at all.
pub async fn alive(state: Data<AppState>) -> HttpResponse {
    state.event_loop.read(|_, _| ());
    HttpResponse::Ok().body("alive\n")
}

/// `GET /readyz`: 200 once the startup grace period is over and at least one server has a fresh
/// report.
pub async fn ready(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let (is_dispatching, is_any_fresh) = state.event_loop.read(|queue, now| {
        let fleet = queue.fleet();
        let is_any_fresh = fleet
            .ids()
            .any(|server| fleet.health(server, now) == Health::Fresh);
        (queue.is_dispatching(now), is_any_fresh)
    });
    match (is_dispatching, is_any_fresh) {
        (true, true) => Ok(HttpResponse::Ok().body("ready\n")),
        (false, _) => Err(not_ready("the queue has just started")),
        (true, false) => Err(not_ready("no server answers; the dashboard shows them")),
    }
}

fn not_ready(message: &str) -> ApiError {
    ApiError::new(Code::NotReady, message).retry_after(1)
}

//! Health checks: whether the monitor is alive, and whether it is ready.

use actix_web::{HttpResponse, http::header::ContentType, web::Data};
use daemon::error::{ApiError, Code};

use super::AppState;
use crate::readiness;

/// `GET /healthz`: 200 while the control loop makes iterations.
pub async fn alive(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    let gap = state.core.since_last_iteration();
    if gap > state.iteration_gap_max {
        let seconds = gap.as_secs();
        let message = format!(
            "the control loop has been stuck for {seconds} s; restart the monitor, and see its log"
        );
        return Err(ApiError::new(Code::Internal, message));
    }
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body("alive\n"))
}

/// `GET /readyz`: 200 once the first poll of the host and of GitHub has succeeded, and while the state can be
/// saved: without that, no runner is given out. The body also has the problems.
pub async fn ready(state: Data<AppState>) -> HttpResponse {
    let mut snapshot = state.snapshot();
    if snapshot.unready.is_none() != readiness::unready(&state.core).is_none() {
        state.snapshots.invalidate();
        snapshot = state.snapshot();
    }
    let reason = snapshot.unready.as_deref();
    let render = || daemon::readiness::body(reason, &snapshot.problems);
    let body = snapshot.ready.get_or(render);
    daemon::readiness::response(reason.is_none(), body)
}

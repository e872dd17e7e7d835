//! Health checks: whether the monitor is alive, and whether it is ready.

use actix_web::{HttpResponse, web::Data};
use daemon::error::{ApiError, Code};

use super::{AppState, state::not_ready};

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
    Ok(HttpResponse::Ok().body("alive\n"))
}

/// `GET /readyz`: 200 once the first poll of the host and of GitHub has succeeded, and while the state can be
/// saved: without that, no runner is given out.
pub async fn ready(state: Data<AppState>) -> Result<HttpResponse, ApiError> {
    if !state.core.read(|core| core.is_ready()) {
        return Err(not_ready());
    }
    if state.core.is_save_failing() {
        return Err(ApiError::new(
            Code::NotReady,
            "the monitor cannot save its state, so it gives out no runner; free some space in its data \
             folder, or make it writable",
        ));
    }
    Ok(HttpResponse::Ok().body("ready\n"))
}

//! Whether the monitor lives, and whether it can be of use.

use actix_web::{HttpResponse, web::Data};
use daemon::error::{ApiError, Code};

use super::{Desk, not_looked};

/// `GET /healthz`: 200 for as long as the driver turns.
pub async fn alive(desk: Data<Desk>) -> Result<HttpResponse, ApiError> {
    let silence = desk.pool.since_last_turn();
    if silence > desk.silence_max {
        let seconds = silence.as_secs();
        let message = format!("the loop that keeps the pool has not turned for {seconds} s");
        return Err(ApiError::new(Code::Internal, message));
    }
    Ok(HttpResponse::Ok().body("alive\n"))
}

/// `GET /readyz`: 200 once the world has been looked at.
pub async fn ready(desk: Data<Desk>) -> Result<HttpResponse, ApiError> {
    match desk.pool.read(|core| core.is_ready()) {
        true => Ok(HttpResponse::Ok().body("ready\n")),
        false => Err(not_looked()),
    }
}

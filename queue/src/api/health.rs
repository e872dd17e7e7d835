//! Whether the queue lives, and whether it can be of use.

use actix_web::{HttpResponse, web::Data};
use daemon::error::{ApiError, Code};

use super::Desk;
use queue_core::fleet::Health;

/// `GET /healthz`: 200 for as long as the core can be asked. When it cannot, nothing is answered.
pub async fn alive(desk: Data<Desk>) -> HttpResponse {
    desk.driver.look(|_, _| ());
    HttpResponse::Ok().body("alive\n")
}

/// `GET /readyz`: 200 once runners are given out and at least one server answers.
pub async fn ready(desk: Data<Desk>) -> Result<HttpResponse, ApiError> {
    let (is_settled, is_any_fresh) = desk.driver.look(|queue, now| {
        let fleet = queue.fleet();
        let is_any_fresh = fleet
            .ids()
            .any(|server| fleet.health(server, now) == Health::Fresh);
        (queue.is_settled(now), is_any_fresh)
    });
    match (is_settled, is_any_fresh) {
        (true, true) => Ok(HttpResponse::Ok().body("ready\n")),
        (false, _) => Err(not_ready("the queue has just started")),
        (true, false) => Err(not_ready("no server answers; see the dashboard")),
    }
}

fn not_ready(message: &str) -> ApiError {
    ApiError::new(Code::NotReady, message).retry_after(1)
}

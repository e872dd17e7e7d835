//! Giving back runners that nobody will use.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::{auth::Authorised, error::ApiError, web::segment};
use shared::values::UniqueId;

use super::{Desk, not_saved, parameters};

/// `DELETE /reservation/<unique_id>[?attempt=<attempt>][&destroy=true]`
pub async fn release(
    _: Authorised,
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let unique_id: UniqueId = segment(&request, "unique_id")?;
    let (attempt, destroys) = parameters::release(&request)?;
    let release =
        |core: &mut monitor_core::Monitor, now| core.release(&unique_id, attempt, destroys, now);
    let revision = desk.pool.change(release);
    desk.pool.saved(revision).await.map_err(not_saved)?;
    Ok(HttpResponse::NoContent().finish())
}

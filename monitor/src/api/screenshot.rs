//! What is on the screens of virtual machines, and what the last build that failed has said. Open to
//! all, like the dashboard.
//!
//! Owns which guest is meant. How often a picture is taken is limited by the hypervisor.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{CACHE_CONTROL, ContentType, X_CONTENT_TYPE_OPTIONS},
    web::{Data, Path},
};
use daemon::{
    error::{ApiError, Code},
    web::segment,
};
use shared::values::ProfileKey;

use super::Desk;
use crate::hypervisor::{Freshness, warn};
use monitor_core::RunnerId;

/// `GET /runner/{id}/screenshot.png`: a picture that is some seconds old at most.
pub async fn of_runner(desk: Data<Desk>, id: Path<String>) -> Result<HttpResponse, ApiError> {
    runner(&desk, &id, Freshness::Recent).await
}

/// `GET /runner/{id}/screenshot/now`: a picture of this moment.
pub async fn of_runner_now(desk: Data<Desk>, id: Path<String>) -> Result<HttpResponse, ApiError> {
    runner(&desk, &id, Freshness::Now).await
}

/// `GET /profile/{profile_key}/screenshot.png`: the guest that builds its image, or else what was
/// last seen of the last one that failed.
pub async fn of_profile(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let profile_key: ProfileKey = segment(&request, "profile_key")?;
    let name = desk.pool.read(|core| core.builder_name(&profile_key));
    if let Some(name) = name
        && let Some(png) = picture(&desk, &name, Freshness::Recent).await
    {
        return Ok(answer(png));
    }
    let last = desk.hypervisor.last_screenshot(&profile_key).await;
    last.map(answer).ok_or_else(none)
}

/// `GET /profile/{profile_key}/console.log`: the end of the console of the last build of its image that
/// failed.
pub async fn last_console(
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let profile_key: ProfileKey = segment(&request, "profile_key")?;
    let said = desk.hypervisor.last_console(&profile_key).await;
    let said = said.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            "no build of that profile's image has failed",
        )
    })?;
    // It is what a guest has written: nothing that a browser should take for a page.
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .insert_header((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(said))
}

async fn runner(desk: &Desk, id: &str, freshness: Freshness) -> Result<HttpResponse, ApiError> {
    let id: u64 = id.parse().map_err(|_| none())?;
    let name = desk.pool.read(|core| core.guest_name_of(RunnerId(id)));
    let name = name.ok_or_else(none)?;
    let png = picture(desk, &name, freshness).await;
    png.map(answer).ok_or_else(none)
}

async fn picture(desk: &Desk, name: &str, freshness: Freshness) -> Option<Vec<u8>> {
    match desk.hypervisor.screenshot(name, freshness).await {
        Ok(png) => png.map(|png| png.to_vec()),
        Err(error) => {
            warn(&error);
            None
        }
    }
}

fn answer(png: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::png())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(png)
}

fn none() -> ApiError {
    ApiError::new(Code::NotFound, "there is no screen to be seen of that")
}

//! Screenshots of virtual machines, and the consoles of builds. Public, like the dashboard.
//!
//! Responsible for the choice of the guest. The hypervisor limits how often a screenshot is taken.

use std::future::{Ready, ready};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{CACHE_CONTROL, ContentType},
    web::Data,
};
use daemon::{
    error::{ApiError, Code},
    repeated,
    web::Path,
};
use shared::{text::printable_lines, values::ProfileKey};

use super::AppState;
use crate::hypervisor::{Freshness, error_with_cause};
use monitor_core::RunnerId;

/// Extracts the runner in the path. Anything else than a number is a runner that does not exist.
pub struct RunnerPath(RunnerId);

impl FromRequest for RunnerPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request
            .match_info()
            .get("id")
            .and_then(|id| id.parse().ok());
        ready(id.map(RunnerId).map(Self).ok_or_else(no_screen))
    }
}

/// `GET /runner/{id}/screenshot.png`: at most some seconds old.
pub async fn of_runner(
    state: Data<AppState>,
    RunnerPath(id): RunnerPath,
) -> Result<HttpResponse, ApiError> {
    runner(&state, id, Freshness::Recent).await
}

/// `GET /runner/{id}/screenshot/now`: as recent as possible.
pub async fn of_runner_now(
    state: Data<AppState>,
    RunnerPath(id): RunnerPath,
) -> Result<HttpResponse, ApiError> {
    runner(&state, id, Freshness::Now).await
}

/// `GET /profile/{profile_key}/screenshot.png`: the guest that builds the profile's image, or else the
/// last screenshot of the last failed build.
pub async fn of_profile(
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
) -> Result<HttpResponse, ApiError> {
    let name = state.core.read(|core| core.builder_name(&profile_key));
    if let Some(name) = name
        && let Some(png) = screenshot(&state, &name, Freshness::Recent).await
    {
        return Ok(response(png));
    }
    let last = state.hypervisor.last_screenshot(&profile_key).await;
    last.map(response).ok_or_else(no_screen)
}

/// `GET /profile/{profile_key}/console.log`: the end of the console of the build of the profile's image that is
/// under way, or else of the last failed one.
pub async fn console(
    state: Data<AppState>,
    Path(profile_key): Path<ProfileKey>,
) -> Result<HttpResponse, ApiError> {
    let console = state.hypervisor.console(&profile_key).await;
    let console = console.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            "no build of that profile's image is under way or has failed",
        )
    })?;
    // A guest has written this, with any bytes; they may be shown by a terminal.
    let console = String::from_utf8_lossy(&console).replace("\r\n", "\n");
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(printable_lines(&console).into_owned()))
}

async fn runner(
    state: &AppState,
    id: RunnerId,
    freshness: Freshness,
) -> Result<HttpResponse, ApiError> {
    let name = state.core.read(|core| core.guest_name_of(id));
    let name = name.ok_or_else(no_screen)?;
    let png = screenshot(state, &name, freshness).await;
    png.map(response).ok_or_else(no_screen)
}

async fn screenshot(state: &AppState, name: &str, freshness: Freshness) -> Option<Vec<u8>> {
    match state.hypervisor.screenshot(name, freshness).await {
        Ok(png) => png.map(|png| png.to_vec()),
        Err(error) => {
            repeated::count_warning("screenshot_failed", || error_with_cause(&error));
            None
        }
    }
}

fn response(png: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ContentType::png())
        .insert_header((CACHE_CONTROL, "no-store"))
        .body(png)
}

fn no_screen() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "there is no such guest, or it has no screen",
    )
}

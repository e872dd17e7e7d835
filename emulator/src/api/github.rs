//! GitHub's paths, and what stands in front of all of them.

use actix_web::{
    HttpResponse,
    middleware::from_fn,
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

use super::{ApiError, access, apps, artifacts, request::Caller, runners, runs};
use crate::Emulator;

pub(super) fn routes(config: &mut ServiceConfig) {
    let organisation = web::scope("/orgs/{org}")
        .wrap(from_fn(access::github))
        .configure(runners::routes);
    let repository = web::scope("/repos/{owner}/{repo}")
        .wrap(from_fn(access::github))
        .configure(runners::routes)
        .configure(artifacts::routes)
        .configure(runs::routes);
    let rate_limit = web::resource("/rate_limit")
        .wrap(from_fn(access::github))
        .route(web::get().to(rate_limit));
    config
        .service(organisation)
        .service(repository)
        .service(rate_limit)
        .configure(apps::routes)
        .configure(artifacts::blob_routes)
        .default_service(web::to(not_found));
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NOT_FOUND)
}

/// Asking how much is left costs nothing, as at GitHub.
async fn rate_limit(emulator: Data<Emulator>, caller: Caller) -> HttpResponse {
    let allowance = emulator.model(|model, now| model.allowance(now, caller.0));
    let core = json!({
        "limit": allowance.limit,
        "used": allowance.used_count,
        "remaining": allowance.remaining_count(),
        "reset": emulator.faults().shown(allowance.reset_at).as_seconds(),
    });
    HttpResponse::Ok().json(json!({
        "resources": { "core": core, "search": core },
        "rate": core,
    }))
}

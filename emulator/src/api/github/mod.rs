//! GitHub's REST API.

mod apps;
mod artifacts;
mod middleware;
mod paging;
mod redirects;
mod runners;
mod runs;

use actix_web::{
    HttpResponse,
    middleware::from_fn,
    web::{self, Data, ServiceConfig},
};
use serde_json::json;

use super::ApiError;
use crate::Emulator;
pub(super) use artifacts::artifact_json;
use middleware::{Caller, github_middleware};

pub(super) fn routes(config: &mut ServiceConfig) {
    let organisation = web::scope("/orgs/{org}")
        .wrap(from_fn(github_middleware))
        .configure(runners::routes);
    let repository = web::scope("/repos/{owner}/{repo}")
        .wrap(from_fn(github_middleware))
        .configure(runners::routes)
        .configure(artifacts::routes)
        .configure(runs::routes);
    // The target of redirects from the former names of repositories.
    let by_id = web::scope("/repositories/{repository_id}")
        .wrap(from_fn(github_middleware))
        .configure(runners::routes)
        .configure(artifacts::routes)
        .configure(runs::routes);
    let rate_limit = web::resource("/rate_limit")
        .wrap(from_fn(github_middleware))
        .route(web::get().to(rate_limit));
    config
        .service(organisation)
        .service(repository)
        .service(by_id)
        .service(rate_limit)
        .configure(apps::routes)
        .configure(artifacts::blob_routes)
        .default_service(web::to(not_found));
}

async fn not_found() -> Result<HttpResponse, ApiError> {
    Err(ApiError::NOT_FOUND)
}

/// Does not count against the rate limit, as at GitHub.
async fn rate_limit(emulator: Data<Emulator>, caller: Caller) -> HttpResponse {
    let rate_limit = emulator.model(|model, now| model.rate_limit(now, caller.0));
    let core = json!({
        "limit": rate_limit.limit,
        "used": rate_limit.used_count,
        "remaining": rate_limit.remaining_count(),
        "reset": emulator.faults().with_clock_skew(rate_limit.reset_at).as_seconds(),
    });
    HttpResponse::Ok().json(json!({
        "resources": { "core": core, "search": core },
        "rate": core,
    }))
}

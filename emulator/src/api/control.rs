//! The control side: `/_emulator`, for the demo and for scripts. Bodies are JSON, and must say so.
//!
//! Owns no credential check: it is meant for the machine it runs on. As it can make runners execute
//! commands, a web page in a browser there must not reach it: such a page cannot send JSON to
//! another origin without being asked first, and a name that it has pointed at this machine is
//! refused.

mod artifacts;
mod faults;
mod jobs;
mod local;

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    error::JsonPayloadError,
    middleware::from_fn,
    web::{self, Data, Json, JsonConfig, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;

use super::{ApiError, request::part};
use crate::{Emulator, model::ListMode};

/// Largest body, in bytes: an artifact of 4 MiB in base64.
const BODY_MAX: usize = 8 << 20;

pub(super) fn routes(config: &mut ServiceConfig) {
    let control = web::scope("/_emulator")
        .wrap(from_fn(local::only_local_names))
        .app_data(json_bodies())
        .configure(jobs::routes)
        .configure(artifacts::routes)
        .configure(faults::routes)
        .route("/conditions", web::put().to(set_conditions))
        .route("/runners/{name}", web::delete().to(vanish))
        .service(
            web::resource("/requests")
                .route(web::get().to(requests))
                .route(web::delete().to(clear_requests)),
        );
    config.service(control);
}

fn json_bodies() -> JsonConfig {
    JsonConfig::default()
        .limit(BODY_MAX)
        .error_handler(|error, _| match error {
            JsonPayloadError::Deserialize(error) => ApiError::from(error).into(),
            error => error.into(),
        })
}

/// What is not as it should be, without any request being struck. What is left out stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditions {
    /// `"live"`, `"frozen"` or `{"lagging": <changes>}`.
    lists: Option<ListMode>,
    is_assignment_blocked: Option<bool>,
    clock_skew_seconds: Option<i64>,
    runner_software: Option<RunnerSoftware>,
}

/// The software of the runners that begin to listen from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunnerSoftware {
    version: String,
    /// For how long GitHub supports it; for ever if nothing is said.
    supported_seconds: Option<u32>,
}

async fn set_conditions(emulator: Data<Emulator>, conditions: Json<Conditions>) -> HttpResponse {
    emulator.model(|model, now| {
        if let Some(mode) = conditions.lists {
            model.set_list_mode(now, mode);
        }
        if let Some(is_blocked) = conditions.is_assignment_blocked {
            model.block_assignment(now, is_blocked);
        }
        if let Some(software) = &conditions.runner_software {
            let supported = software.supported_seconds.map(u64::from);
            let ends_at = supported.map(|seconds| now + Duration::from_secs(seconds));
            model.set_software(&software.version, ends_at);
        }
    });
    if let Some(seconds) = conditions.clock_skew_seconds {
        emulator.faults().set_clock_skew(seconds);
    }
    HttpResponse::NoContent().finish()
}

/// A registration goes away behind everybody's back.
async fn vanish(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let name: String = part(&request, "name")?;
    match emulator.model(|model, now| model.vanish(now, &name)) {
        0 => Err(ApiError::NOT_FOUND),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}

async fn requests(emulator: Data<Emulator>) -> HttpResponse {
    HttpResponse::Ok().json(json!({ "requests": emulator.requests().all() }))
}

async fn clear_requests(emulator: Data<Emulator>) -> HttpResponse {
    emulator.requests().clear();
    HttpResponse::NoContent().finish()
}

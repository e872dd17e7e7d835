//! `/_emulator`: control requests of the demo and of scripts. Bodies must have the content type JSON.
//!
//! There is no authentication, because the emulator is meant for local use. Control requests can make
//! runners execute commands, so that a web page in a local browser must not be able to send them. The
//! content type prevents that for other origins, which cannot send JSON without a CORS preflight.
//! Against DNS rebinding, `host_check` rejects host names.

mod artifacts;
mod faults;
mod host_check;
mod jobs;

use std::{collections::BTreeMap, time::Duration};

use actix_web::{
    HttpResponse,
    error::JsonPayloadError,
    middleware::from_fn,
    web::{self, Data, Json, JsonConfig, Path, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;
use shared::{
    clock::Timestamp,
    values::{InvalidValue, QualifiedRepo},
};

use super::ApiError;
use crate::{
    Emulator,
    model::{ListMode, Misreport, Model},
};

/// Maximum size of a body in bytes: an artifact of 4 MiB in base64.
const BODY_MAX: usize = 8 << 20;

pub(super) fn routes(config: &mut ServiceConfig) {
    let control = web::scope("/_emulator")
        .wrap(from_fn(host_check::only_local_hosts))
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

/// Changes to the model and the clock. What is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Conditions {
    /// `"live"`, `"frozen"` or `{"lagging": <changes>}`.
    lists: Option<ListMode>,
    is_assignment_blocked: Option<bool>,
    /// How long after their upload artifacts are listed.
    artifact_lag_seconds: Option<u32>,
    /// Names of registrations (`*` for all), and how they are misreported.
    #[serde(default)]
    misreports: BTreeMap<String, Misreport>,
    /// Repositories to rename, from their former names to their new ones.
    #[serde(default)]
    renamed_repos: BTreeMap<String, QualifiedRepo>,
    /// Organisations to rename.
    #[serde(default)]
    renamed_owners: BTreeMap<String, String>,
    /// Former names that new repositories take.
    #[serde(default)]
    reused_names: Vec<QualifiedRepo>,
    /// `/orgs/…` or `/repos/…`, and whether the caller may not see it.
    #[serde(default)]
    hidden: BTreeMap<String, bool>,
    clock_skew_seconds: Option<i64>,
    runner_software: Option<RunnerSoftware>,
}

/// The software version of runners that begin to listen from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RunnerSoftware {
    version: String,
    /// How long GitHub supports it; without end if absent.
    supported_seconds: Option<u32>,
}

impl Conditions {
    /// Changes names, and what the caller may see.
    fn rename_and_hide(&self, model: &mut Model, now: Timestamp) -> Result<(), InvalidValue> {
        for (from, to) in &self.renamed_repos {
            model.rename_repo(now, &from.parse()?, to);
        }
        for (from, to) in &self.renamed_owners {
            model.rename_owner(now, from, to);
        }
        for repo in &self.reused_names {
            model.reuse_name(now, repo);
        }
        for (scope, is_hidden) in &self.hidden {
            model.hide(now, &scope.parse()?, *is_hidden);
        }
        Ok(())
    }
}

async fn set_conditions(
    emulator: Data<Emulator>,
    conditions: Json<Conditions>,
) -> Result<HttpResponse, ApiError> {
    emulator.model(|model, now| {
        conditions.rename_and_hide(model, now)?;
        if let Some(seconds) = conditions.artifact_lag_seconds {
            model.set_artifact_lag(now, Duration::from_secs(seconds.into()));
        }
        for (name, misreport) in &conditions.misreports {
            model.misreport(now, name, *misreport);
        }
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
        Ok::<(), ApiError>(())
    })?;
    if let Some(seconds) = conditions.clock_skew_seconds {
        emulator.faults().set_clock_skew(seconds);
    }
    Ok(HttpResponse::NoContent().finish())
}

#[derive(Deserialize)]
struct RunnerPath {
    name: String,
}

/// Loses a registration.
async fn vanish(
    emulator: Data<Emulator>,
    path: Path<RunnerPath>,
) -> Result<HttpResponse, ApiError> {
    match emulator.model(|model, now| model.vanish(now, &path.name)) {
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

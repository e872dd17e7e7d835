//! `…/actions/runners`, of organisations and of repositories.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::LINK,
    web::{self, Bytes, Data, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    ApiError,
    paging::{ListQuery, link},
};
use crate::{
    Emulator,
    api::{
        extract::{Pool, json},
        time,
    },
    emulator::random_secret,
    jit::JitConfig,
    model::{LabelView, ModelError, NewRunner, RunnerId},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/actions/runners", web::get().to(list))
        .route(
            "/actions/runners/generate-jitconfig",
            web::post().to(register),
        )
        .route(
            "/actions/runners/deprecations/{version}",
            web::get().to(deprecations),
        )
        .service(
            web::resource("/actions/runners/{runner_id}")
                .route(web::get().to(show))
                .route(web::delete().to(delete)),
        )
        .service(
            web::resource("/actions/runners/{runner_id}/labels")
                .route(web::get().to(labels))
                .route(web::post().to(add_labels))
                .route(web::put().to(set_labels))
                .route(web::delete().to(clear_labels)),
        )
        .route(
            "/actions/runners/{runner_id}/labels/{name}",
            web::delete().to(remove_label),
        );
}

#[derive(Deserialize)]
struct RunnerPath {
    runner_id: RunnerId,
}

async fn list(
    emulator: Data<Emulator>,
    pool: Pool,
    query: Query<ListQuery>,
    request: HttpRequest,
) -> HttpResponse {
    let name = query.name.as_deref();
    let page = emulator.model(|model, now| model.runners(now, &pool.0, name, query.page()));
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(emulator.base_url(), &request, &page) {
        response.insert_header((LINK, link));
    }
    response.json(json!({ "total_count": page.total_count, "runners": page.items }))
}

/// The body of `generate-jitconfig`.
#[derive(Deserialize)]
struct Registration {
    name: String,
    runner_group_id: u64,
    labels: Vec<String>,
    work_folder: Option<String>,
}

async fn register(
    emulator: Data<Emulator>,
    pool: Pool,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let registration: Registration = json(&body)?;
    let new = NewRunner {
        name: registration.name,
        labels: registration.labels,
        runner_group_id: registration.runner_group_id,
    };
    let secret = random_secret();
    let runner = emulator.model(|model, now| {
        let registered = model.register(now, &pool.0, new, secret.clone());
        registered.map_err(|error| ApiError::with_retry_after(error, now))
    })?;
    let config = JitConfig {
        url: emulator.base_url().to_owned(),
        runner_id: runner.id,
        secret,
        work_folder: registration.work_folder,
    };
    Ok(HttpResponse::Created().json(json!({
        "runner": runner,
        "encoded_jit_config": config.encode().expose(),
    })))
}

#[derive(Deserialize)]
struct VersionPath {
    version: String,
}

/// The end of support of a version of the runner software. As at GitHub, without a date for
/// registration.
async fn deprecations(
    emulator: Data<Emulator>,
    path: Path<VersionPath>,
) -> Result<HttpResponse, ApiError> {
    let version = &path.version;
    let ends_at = emulator.model(|model, _| model.software_ends_at(version))?;
    let ends_at = ends_at.map(|at| {
        let at = emulator.faults().with_clock_skew(at);
        time::format_json(at).to_string()
    });
    Ok(HttpResponse::Ok().json(json!({
        "runner_version": version,
        "runtime_deprecates_at": ends_at,
    })))
}

async fn show(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<RunnerPath>,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    let runner = emulator.model(|model, now| model.runner(now, &pool.0, id))?;
    Ok(HttpResponse::Ok().json(runner))
}

async fn delete(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<RunnerPath>,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    emulator.model(|model, now| model.delete_runner(now, &pool.0, id))?;
    Ok(HttpResponse::NoContent().finish())
}

/// The body of a request that changes labels.
#[derive(Deserialize)]
struct LabelNames {
    labels: Vec<String>,
}

async fn labels(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<RunnerPath>,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    labels_response(emulator.model(|model, now| model.labels(now, &pool.0, id)))
}

async fn add_labels(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<RunnerPath>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    let names = json::<LabelNames>(&body)?.labels;
    labels_response(emulator.model(|model, now| model.add_labels(now, &pool.0, id, names)))
}

async fn set_labels(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<RunnerPath>,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    let names = json::<LabelNames>(&body)?.labels;
    labels_response(emulator.model(|model, now| model.set_labels(now, &pool.0, id, names)))
}

async fn clear_labels(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<RunnerPath>,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    labels_response(emulator.model(|model, now| model.set_labels(now, &pool.0, id, Vec::new())))
}

#[derive(Deserialize)]
struct LabelPath {
    runner_id: RunnerId,
    name: String,
}

async fn remove_label(
    emulator: Data<Emulator>,
    pool: Pool,
    path: Path<LabelPath>,
) -> Result<HttpResponse, ApiError> {
    let (id, name) = (path.runner_id, &path.name);
    labels_response(emulator.model(|model, now| model.remove_label(now, &pool.0, id, name)))
}

fn labels_response(labels: Result<Vec<LabelView>, ModelError>) -> Result<HttpResponse, ApiError> {
    let labels = labels?;
    Ok(HttpResponse::Ok().json(json!({ "total_count": labels.len(), "labels": labels })))
}

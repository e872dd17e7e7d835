//! `/_emulator/jobs`: jobs of workflows that nobody had to write.

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Data, Json, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;
use shared::values::{QualifiedRepo, RunId};

use crate::{
    Emulator,
    api::{ApiError, request::part},
    model::{JobId, NewJob},
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(
            web::resource("/jobs")
                .route(web::post().to(queue))
                .route(web::get().to(list)),
        )
        .service(
            web::resource("/jobs/{job_id}")
                .route(web::get().to(show))
                .route(web::delete().to(cancel)),
        );
}

/// A job to queue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    repo: QualifiedRepo,
    run_id: RunId,
    labels: Vec<String>,
    /// Shell text.
    command: String,
}

async fn queue(emulator: Data<Emulator>, wanted: Json<Wanted>) -> Result<HttpResponse, ApiError> {
    let wanted = wanted.into_inner();
    let new = NewJob {
        repo: wanted.repo,
        run_id: wanted.run_id,
        labels: wanted.labels,
        command: wanted.command,
    };
    let job = emulator.model(|model, now| {
        let id = model.queue_job(now, new)?;
        model.job(now, id)
    })?;
    Ok(HttpResponse::Created().json(job))
}

async fn list(emulator: Data<Emulator>) -> HttpResponse {
    let jobs = emulator.model(|model, now| model.jobs(now));
    HttpResponse::Ok().json(json!({ "jobs": jobs }))
}

async fn show(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = JobId(part(&request, "job_id")?);
    let job = emulator.model(|model, now| model.job(now, id))?;
    Ok(HttpResponse::Ok().json(job))
}

async fn cancel(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = JobId(part(&request, "job_id")?);
    emulator.model(|model, now| model.cancel_job(now, id))?;
    Ok(HttpResponse::Accepted().json(json!({})))
}

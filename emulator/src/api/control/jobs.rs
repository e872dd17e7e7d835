//! `/_emulator/jobs`: workflow jobs without a workflow.

use actix_web::{
    HttpResponse,
    web::{self, Data, Json, Path, ServiceConfig},
};
use serde::Deserialize;
use serde_json::json;
use shared::values::{QualifiedRepo, RunId};

use crate::{
    Emulator,
    api::ApiError,
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

#[derive(Deserialize)]
struct JobPath {
    job_id: JobId,
}

/// A job to queue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobBody {
    repo: QualifiedRepo,
    run_id: RunId,
    labels: Vec<String>,
    /// Shell text.
    command: String,
}

async fn queue(emulator: Data<Emulator>, body: Json<JobBody>) -> Result<HttpResponse, ApiError> {
    let body = body.into_inner();
    let new = NewJob {
        repo: body.repo,
        run_id: body.run_id,
        labels: body.labels,
        command: body.command,
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

async fn show(emulator: Data<Emulator>, path: Path<JobPath>) -> Result<HttpResponse, ApiError> {
    let job = emulator.model(|model, now| model.job(now, path.job_id))?;
    Ok(HttpResponse::Ok().json(job))
}

async fn cancel(emulator: Data<Emulator>, path: Path<JobPath>) -> Result<HttpResponse, ApiError> {
    emulator.model(|model, now| model.cancel_job(now, path.job_id))?;
    Ok(HttpResponse::Accepted().json(json!({})))
}

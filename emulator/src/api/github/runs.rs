//! Workflow runs: what they are, their jobs, and their cancellation.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::LINK,
    web::{self, Data, Path, Query, ServiceConfig},
};
use serde::Deserialize;
use serde_json::{Value, json};
use shared::values::RunId;

use super::{
    ApiError,
    paging::{ListQuery, link},
};
use crate::{
    Emulator,
    api::{extract::Repo, time},
    model::JobView,
};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/actions/runs/{run_id}", web::get().to(show))
        .route("/actions/runs/{run_id}/jobs", web::get().to(jobs))
        .route("/actions/runs/{run_id}/cancel", web::post().to(cancel));
}

#[derive(Deserialize)]
pub(super) struct RunPath {
    pub(super) run_id: RunId,
}

/// A run, which is the same for all: a push to `main`.
async fn show(repo: Repo, path: Path<RunPath>) -> HttpResponse {
    let repository = json!({ "id": 1, "full_name": repo.0.as_str() });
    HttpResponse::Ok().json(json!({
        "id": path.run_id,
        "name": "CI",
        "event": "push",
        "head_branch": "main",
        "head_sha": "0".repeat(40),
        "path": ".github/workflows/ci.yml",
        "repository": repository,
        "head_repository": repository,
    }))
}

async fn jobs(
    emulator: Data<Emulator>,
    repo: Repo,
    path: Path<RunPath>,
    query: Query<ListQuery>,
    request: HttpRequest,
) -> HttpResponse {
    let page =
        emulator.model(|model, now| model.jobs_of_run(now, &repo.0, path.run_id, query.page()));
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(emulator.base_url(), &request, &page) {
        response.insert_header((LINK, link));
    }
    let jobs: Vec<Value> = page
        .items
        .iter()
        .map(|job| job_json(&emulator, job))
        .collect();
    response.json(json!({ "total_count": page.total_count, "jobs": jobs }))
}

/// A job in the format of GitHub's API description, with the same commit and workflow for all.
fn job_json(emulator: &Emulator, job: &JobView) -> Value {
    let moment = |at| time::format_json(emulator.faults().with_clock_skew(at)).to_string();
    let repo_url = format!("{}/repos/{}", emulator.base_url(), job.repo);
    let url = format!("{repo_url}/actions");
    let web_url = format!("{}/{}/actions", emulator.base_url(), job.repo);
    json!({
        "id": job.id,
        "node_id": format!("CR_{}", job.id),
        "run_id": job.run_id,
        "run_url": format!("{url}/runs/{}", job.run_id),
        "run_attempt": 1,
        "url": format!("{url}/jobs/{}", job.id),
        "html_url": format!("{web_url}/runs/{}/job/{}", job.run_id, job.id),
        "check_run_url": format!("{repo_url}/check-runs/{}", job.id),
        "head_sha": "0".repeat(40),
        "head_branch": "main",
        "workflow_name": "CI",
        "name": format!("job {}", job.id),
        "status": job.phase,
        "conclusion": job.conclusion,
        "created_at": moment(job.queued_at),
        // Not null at GitHub: for a queued job it is the time at which the job was created.
        "started_at": moment(job.started_at.unwrap_or(job.queued_at)),
        "completed_at": job.completed_at.map(moment),
        "labels": job.labels,
        "runner_id": job.runner_id,
        "runner_name": job.runner_name,
        "runner_group_id": job.runner_id.map(|_| 1),
        "runner_group_name": job.runner_name.as_ref().map(|_| "Default"),
    })
}

async fn cancel(
    emulator: Data<Emulator>,
    repo: Repo,
    path: Path<RunPath>,
) -> Result<HttpResponse, ApiError> {
    emulator.model(|model, now| model.cancel_run(now, &repo.0, path.run_id))?;
    Ok(HttpResponse::Accepted().json(json!({})))
}

//! Workflow runs: the jobs of one, and its cancellation.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::LINK,
    web::{self, Data, Query, ServiceConfig},
};
use serde_json::{Value, json};

use super::{
    ApiError,
    paging::{ListQuery, link},
    request::{Repo, part},
    time,
};
use crate::{Emulator, model::JobView};

pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .route("/actions/runs/{run_id}/jobs", web::get().to(jobs))
        .route("/actions/runs/{run_id}/cancel", web::post().to(cancel));
}

async fn jobs(
    emulator: Data<Emulator>,
    repo: Repo,
    query: Query<ListQuery>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let run_id = part(&request, "run_id")?;
    let page = emulator.model(|model, now| model.jobs_of_run(now, &repo.0, run_id, query.page()));
    let mut response = HttpResponse::Ok();
    if let Some(link) = link(emulator.base_url(), &request, &page) {
        response.insert_header((LINK, link));
    }
    let jobs: Vec<Value> = page.items.iter().map(|job| shown(&emulator, job)).collect();
    Ok(response.json(json!({ "total_count": page.total_count, "jobs": jobs })))
}

/// A job with those of the keys of GitHub's description that there is something to say to.
fn shown(emulator: &Emulator, job: &JobView) -> Value {
    let moment = |at| time::in_json(emulator.faults().shown(at)).to_string();
    let url = format!("{}/repos/{}/actions", emulator.base_url(), job.repo);
    json!({
        "id": job.id,
        "run_id": job.run_id,
        "run_url": format!("{url}/runs/{}", job.run_id),
        "run_attempt": 1,
        "url": format!("{url}/jobs/{}", job.id),
        "name": format!("job {}", job.id),
        "status": job.phase,
        "conclusion": job.conclusion,
        "created_at": moment(job.queued_at),
        // GitHub has no null here: a job that waits was started when it was made.
        "started_at": moment(job.started_at.unwrap_or(job.queued_at)),
        "completed_at": job.completed_at.map(moment),
        "labels": job.labels,
        "runner_name": job.runner_name,
    })
}

async fn cancel(
    emulator: Data<Emulator>,
    repo: Repo,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let run_id = part(&request, "run_id")?;
    emulator.model(|model, now| model.cancel_run(now, &repo.0, run_id))?;
    Ok(HttpResponse::Accepted().json(json!({})))
}

//! `/_runner/{runner_id}`: the requests of runner agents, as described in
//! [`agent_protocol`](crate::agent_protocol).

use std::time::Duration;

use actix_web::{
    HttpResponse,
    web::{self, Bytes, Data, Path, ServiceConfig},
};
use serde::Deserialize;

use super::{
    ApiError,
    extract::{Bearer, json},
    long_poll::long_poll,
};
use crate::{
    Emulator,
    agent_protocol::{OfferedJob, Opened, Progress, Renewed, Report},
    model::{Completion, JobId, JobSignal, RunnerId, SessionId},
};

/// How long a poll for a job is held.
const POLL_HOLD: Duration = Duration::from_secs(20);
/// How long a renewal is held if the job is not cancelled. It is also how often the agent reports
/// its output.
const RENEWAL_HOLD: Duration = Duration::from_secs(1);

pub(super) fn routes(config: &mut ServiceConfig) {
    let job = web::scope("/jobs/{job_id}")
        .route("/start", web::post().to(start))
        .route("/renew", web::post().to(renew))
        .route("/complete", web::post().to(complete));
    let session = web::scope("/session/{session_id}")
        .route("", web::delete().to(close))
        .route("/poll", web::post().to(poll))
        .service(job);
    let runner = web::scope("/_runner/{runner_id}")
        .route("/session", web::post().to(open))
        .service(session);
    config.service(runner);
}

#[derive(Deserialize)]
struct RunnerPath {
    runner_id: RunnerId,
}

#[derive(Deserialize)]
struct SessionPath {
    runner_id: RunnerId,
    session_id: SessionId,
}

#[derive(Deserialize)]
struct JobPath {
    runner_id: RunnerId,
    session_id: SessionId,
    job_id: JobId,
}

fn check_secret(emulator: &Emulator, id: RunnerId, secret: &Bearer) -> Result<(), ApiError> {
    Ok(emulator.model(|model, _| model.check_secret(id, secret.0.expose()))?)
}

async fn open(
    emulator: Data<Emulator>,
    path: Path<RunnerPath>,
    secret: Bearer,
) -> Result<HttpResponse, ApiError> {
    let id = path.runner_id;
    let secret = secret.0.expose();
    let session_id = emulator.model(|model, now| model.open_session(now, id, secret))?;
    Ok(HttpResponse::Created().json(Opened { session_id }))
}

async fn close(
    emulator: Data<Emulator>,
    path: Path<SessionPath>,
    secret: Bearer,
) -> Result<HttpResponse, ApiError> {
    let (id, session) = (path.runner_id, path.session_id);
    check_secret(&emulator, id, &secret)?;
    emulator.model(|model, now| model.close_session(now, id, session))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn poll(
    emulator: Data<Emulator>,
    path: Path<SessionPath>,
    secret: Bearer,
) -> Result<HttpResponse, ApiError> {
    let (id, session) = (path.runner_id, path.session_id);
    check_secret(&emulator, id, &secret)?;
    let offer = || emulator.model(|model, now| model.poll_job(now, id, session));
    let Some(offer) = long_poll(&emulator, POLL_HOLD, offer).await? else {
        return Ok(HttpResponse::NoContent().finish());
    };
    Ok(HttpResponse::Ok().json(OfferedJob {
        job_id: offer.job_id,
        repo: offer.repo,
        run_id: offer.run_id,
        command: offer.command,
    }))
}

async fn start(
    emulator: Data<Emulator>,
    path: Path<JobPath>,
    secret: Bearer,
) -> Result<HttpResponse, ApiError> {
    let (id, session, job) = (path.runner_id, path.session_id, path.job_id);
    check_secret(&emulator, id, &secret)?;
    emulator.model(|model, now| model.start_job(now, id, session, job))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn renew(
    emulator: Data<Emulator>,
    path: Path<JobPath>,
    secret: Bearer,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let (id, session, job) = (path.runner_id, path.session_id, path.job_id);
    check_secret(&emulator, id, &secret)?;
    let output = json::<Progress>(&body)?.output_tail;
    let cancellation = || {
        let signal =
            emulator.model(|model, now| model.renew_job(now, id, session, job, output.clone()))?;
        Ok((signal == JobSignal::Cancel).then_some(()))
    };
    let cancellation = long_poll(&emulator, RENEWAL_HOLD, cancellation).await?;
    Ok(HttpResponse::Ok().json(Renewed {
        is_cancelled: cancellation.is_some(),
    }))
}

async fn complete(
    emulator: Data<Emulator>,
    path: Path<JobPath>,
    secret: Bearer,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let (id, session, job) = (path.runner_id, path.session_id, path.job_id);
    check_secret(&emulator, id, &secret)?;
    let report: Report = json(&body)?;
    let completion = Completion {
        exit_code: report.exit_code,
        output_tail: report.output_tail,
    };
    emulator.model(|model, now| model.complete_job(now, id, session, job, completion))?;
    Ok(HttpResponse::NoContent().finish())
}

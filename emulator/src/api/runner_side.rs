//! The runners' side: `/_runner/<runner_id>`, as described in [`runner_wire`](crate::runner_wire).

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    web::{self, Bytes, Data, ServiceConfig},
};

use super::{
    ApiError,
    held::held,
    request::{json, part, secret},
};
use crate::{
    Emulator,
    model::{Completion, JobId, JobSignal, RunnerId, SessionId},
    runner_wire::{OfferedJob, Opened, Progress, Renewed, Report},
};

/// How long a poll waits for a job.
const POLL_HOLD: Duration = Duration::from_secs(20);
/// How long a renewal waits for a cancellation; also how often the output is shown anew.
const RENEW_HOLD: Duration = Duration::from_secs(1);

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

/// The runner that asks, after its secret was checked, and its session.
fn listener(emulator: &Emulator, request: &HttpRequest) -> Result<(RunnerId, SessionId), ApiError> {
    let id = RunnerId(part(request, "runner_id")?);
    let secret = secret(request)?;
    emulator.model(|model, _| model.check_secret(id, secret))?;
    Ok((id, SessionId(part(request, "session_id")?)))
}

async fn open(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let id = RunnerId(part(&request, "runner_id")?);
    let secret = secret(&request)?;
    let session_id = emulator.model(|model, now| model.open_session(now, id, secret))?;
    Ok(HttpResponse::Created().json(Opened { session_id }))
}

async fn close(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (id, session) = listener(&emulator, &request)?;
    emulator.model(|model, now| model.close_session(now, id, session))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn poll(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (id, session) = listener(&emulator, &request)?;
    let ask = || emulator.model(|model, now| model.poll_job(now, id, session));
    let Some(offer) = held(&emulator, POLL_HOLD, ask).await? else {
        return Ok(HttpResponse::NoContent().finish());
    };
    Ok(HttpResponse::Ok().json(OfferedJob {
        job_id: offer.job_id,
        repo: offer.repo,
        run_id: offer.run_id,
        command: offer.command,
    }))
}

async fn start(emulator: Data<Emulator>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let (id, session) = listener(&emulator, &request)?;
    let job = JobId(part(&request, "job_id")?);
    emulator.model(|model, now| model.start_job(now, id, session, job))?;
    Ok(HttpResponse::NoContent().finish())
}

async fn renew(
    emulator: Data<Emulator>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let (id, session) = listener(&emulator, &request)?;
    let job = JobId(part(&request, "job_id")?);
    let output = json::<Progress>(&body)?.output_tail;
    let ask = || {
        let signal =
            emulator.model(|model, now| model.renew_job(now, id, session, job, output.clone()))?;
        Ok((signal == JobSignal::Cancel).then_some(()))
    };
    let is_cancelled = held(&emulator, RENEW_HOLD, ask).await?.is_some();
    Ok(HttpResponse::Ok().json(Renewed { is_cancelled }))
}

async fn complete(
    emulator: Data<Emulator>,
    request: HttpRequest,
    body: Bytes,
) -> Result<HttpResponse, ApiError> {
    let (id, session) = listener(&emulator, &request)?;
    let job = JobId(part(&request, "job_id")?);
    let report: Report = json(&body)?;
    let completion = Completion {
        exit_code: report.exit_code,
        output_tail: report.output_tail,
    };
    emulator.model(|model, now| model.complete_job(now, id, session, job, completion))?;
    Ok(HttpResponse::NoContent().finish())
}

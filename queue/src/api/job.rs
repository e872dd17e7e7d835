//! `/job/<unique_id>`: the status of a job, and its withdrawal.

use actix_web::{HttpResponse, web::Data};
use daemon::error::ApiError;

use queue_core::{Answer, Input};

use super::{AppState, extract::AccessibleJob, refused, unexpected};

/// `GET /job/<unique_id>`
pub async fn show(
    state: Data<AppState>,
    AccessibleJob(by): AccessibleJob,
) -> Result<HttpResponse, ApiError> {
    match state.event_loop.call(|call| Input::Inspect { call, by }) {
        Some(Answer::Status(status)) => Ok(HttpResponse::Ok().json(status)),
        Some(Answer::Refused(refusal)) => Err(refused(refusal)),
        answer => Err(unexpected(answer.as_ref())),
    }
}

/// `DELETE /job/<unique_id>`
pub async fn withdraw(
    state: Data<AppState>,
    AccessibleJob(by): AccessibleJob,
) -> Result<HttpResponse, ApiError> {
    match state.event_loop.call(|call| Input::Withdraw { call, by }) {
        Some(Answer::Withdrawn) => Ok(HttpResponse::NoContent().finish()),
        Some(Answer::Refused(refusal)) => Err(refused(refusal)),
        answer => Err(unexpected(answer.as_ref())),
    }
}

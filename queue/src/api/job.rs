//! `/job/<unique_id>`: the status of a job, and its withdrawal.

use actix_web::{HttpResponse, web::Data};
use daemon::error::ApiError;

use queue_core::{Answer, Input, JobReference};

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
    let (unique_id, authorised_by) = match &by {
        JobReference::Ticket(ticket) => (ticket.request.spec.unique_id.clone(), "by its ticket"),
        JobReference::Operator(unique_id) => (unique_id.clone(), "with the API token"),
    };
    match state.event_loop.call(|call| Input::Withdraw { call, by }) {
        Some(Answer::Withdrawn { is_repeated }) => {
            // A ticket holder can repeat it at will.
            if !is_repeated {
                log::info!("job {unique_id} was withdrawn {authorised_by}");
            }
            Ok(HttpResponse::NoContent().finish())
        }
        Some(Answer::Refused(refusal)) => Err(refused(refusal)),
        answer => Err(unexpected(answer.as_ref())),
    }
}

//! `POST /take/<unique_id>`: a job's runners, at once or as soon as there are some.

use actix_web::{HttpResponse, http::header::RETRY_AFTER, web::Data};
use daemon::{
    error::{ApiError, Code},
    web::PreferredWait,
};
use shared::{format, wire::WaitingBody};

use queue_core::{Answer, Refusal, WaitingAnswer};

use super::{
    AppState,
    extract::{AcceptsJson, JobTicket},
    refused,
    story::{self, StoryOf},
    unexpected,
};
use crate::event_loop::TakeReply;

/// `POST /take/<unique_id>`
pub async fn take(
    state: Data<AppState>,
    JobTicket(ticket): JobTicket,
    PreferredWait(hold): PreferredWait,
    AcceptsJson(accepts_json): AcceptsJson,
) -> Result<HttpResponse, ApiError> {
    let wanted = StoryOf::ticket(&ticket);
    let answer = match state.event_loop.take(ticket, hold) {
        TakeReply::Ready(answer) => Some(answer),
        TakeReply::Held(mut held) => tokio::select! {
            answer = held.answer() => answer,
            () = state.draining.begins() => return Err(stopping()),
        },
    };
    match answer {
        Some(Answer::Runners {
            runners, is_array, ..
        }) => Ok(if is_array {
            HttpResponse::Ok().json(&*runners)
        } else {
            HttpResponse::Ok().json(runners.first())
        }),
        Some(Answer::Waiting(waiting)) => waiting_response(&waiting, accepts_json),
        Some(Answer::Refused(Refusal::UnknownJob)) => {
            Err(story::unknown_recently(&state.journal, &wanted))
        }
        Some(Answer::Refused(refusal)) => Err(refused(refusal)),
        answer => Err(unexpected(answer.as_ref())),
    }
}

/// The job waits. Nearly all responses of a busy queue are this one without a body, so that one is
/// not made by way of an error with a body that would be dropped.
fn waiting_response(waiting: &WaitingAnswer, accepts_json: bool) -> Result<HttpResponse, ApiError> {
    if !accepts_json {
        return Ok(HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, waiting.retry_after_seconds))
            .finish());
    }
    let estimate = waiting.prospect.as_ref().ok().copied();
    let no_estimate_because = waiting.prospect.as_ref().err().map(ToString::to_string);
    let place = match waiting.ahead {
        0 => "this job is next".to_owned(),
        1 => "1 job is ahead of this one".to_owned(),
        ahead => format!("{ahead} jobs are ahead of this one"),
    };
    let wait = format::estimate(estimate, no_estimate_because.as_deref());
    let message = format!("{place}; estimated wait: {wait}; ask again");
    let ahead = waiting.ahead as u64;
    let error = ApiError::new(Code::Waiting, message.clone()).with(WaitingBody {
        code: Code::Waiting.as_str().to_owned(),
        message,
        position: ahead + 1,
        ahead,
        estimate,
        no_estimate_because,
    });
    Err(error.retry_after(waiting.retry_after_seconds))
}

fn stopping() -> ApiError {
    ApiError::new(
        Code::NotReady,
        "the queue is restarting; ask again with the same ticket",
    )
    .retry_after(1)
}

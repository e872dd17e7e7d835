//! Claiming runners: at once, or held until there are some.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::{
    auth::Bearer,
    error::{ApiError, Code},
    web::{preferred_wait, query, segment},
};
use serde::Deserialize;
use shared::{values::UniqueId, wire::WaitingBody};
use tokio::sync::oneshot;

use super::{Desk, refused, unanswered, unexpected};
use crate::driver::Driver;
use queue_core::events::{Answer, CallId, Input, WaitingAnswer};

#[derive(Deserialize)]
pub(super) struct TicketParameter {
    pub(super) token: Option<String>,
}

/// `POST /take/<unique_id>`
pub async fn take(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let unique_id: UniqueId = segment(&request, "unique_id")?;
    let parameters: TicketParameter = query(&request)?;
    let claims = desk.claims(
        &Bearer::of(&request),
        parameters.token.as_deref(),
        &unique_id,
    )?;
    let hold = preferred_wait(request.headers());
    let (call, answer) = desk.driver.call(|call| Input::Take { call, claims, hold });
    let mut presence = Presence {
        driver: &desk.driver,
        call,
        unique_id: &unique_id,
        answer,
        is_over: false,
    };
    let answer = tokio::select! {
        answer = &mut presence.answer => answer.map_err(|_| unanswered()),
        () = desk.draining.begins() => return Err(ending()),
    };
    presence.is_over = true;
    match answer? {
        Answer::Runners {
            runners,
            is_array: true,
            ..
        } => Ok(HttpResponse::Ok().json(&*runners)),
        Answer::Runners {
            runners,
            is_array: false,
            ..
        } => Ok(HttpResponse::Ok().json(runners.first())),
        Answer::Waiting(waiting) => Err(not_yet(&waiting)),
        Answer::Refused(refusal) => Err(refused(refusal)),
        answer => Err(unexpected(&answer)),
    }
}

fn not_yet(waiting: &WaitingAnswer) -> ApiError {
    let message = match waiting.ahead {
        0 => "this job is next; ask again".to_owned(),
        1 => "one job is before this one; ask again".to_owned(),
        ahead => format!("{ahead} jobs are before this one; ask again"),
    };
    let ahead = waiting.ahead as u64;
    ApiError::new(Code::Waiting, message.clone())
        .with(WaitingBody {
            code: Code::Waiting.as_str().to_owned(),
            message,
            position: ahead + 1,
            ahead,
            estimate: waiting.estimate,
        })
        .retry_after(waiting.retry_after_seconds)
}

fn ending() -> ApiError {
    ApiError::new(
        Code::NotReady,
        "the queue is being restarted; ask again with the same ticket",
    )
    .retry_after(1)
}

/// Says that the client hung up, when the handler is dropped before its answer came.
struct Presence<'a> {
    driver: &'a Driver,
    call: CallId,
    unique_id: &'a UniqueId,
    answer: oneshot::Receiver<Answer>,
    is_over: bool,
}

impl Drop for Presence<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.driver
                .hang_up(self.call, self.unique_id, &mut self.answer);
        }
    }
}

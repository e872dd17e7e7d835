//! One job: how it stands, and giving it up. By its ticket, or by an operator's API token.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::{
    auth::Bearer,
    error::ApiError,
    web::{query, segment},
};
use shared::values::UniqueId;

use super::{Desk, refused, take::TicketParameter, unanswered, unexpected};
use queue_core::events::{Answer, CallId, Input, JobReference};

/// `GET /job/<unique_id>`
pub async fn show(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match ask(&desk, &request, |call, by| Input::Inspect { call, by }).await? {
        Answer::Status(status) => Ok(HttpResponse::Ok().json(status)),
        Answer::Refused(refusal) => Err(refused(refusal)),
        answer => Err(unexpected(&answer)),
    }
}

/// `DELETE /job/<unique_id>`
pub async fn withdraw(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    match ask(&desk, &request, |call, by| Input::Withdraw { call, by }).await? {
        Answer::Withdrawn => Ok(HttpResponse::NoContent().finish()),
        Answer::Refused(refusal) => Err(refused(refusal)),
        answer => Err(unexpected(&answer)),
    }
}

async fn ask(
    desk: &Desk,
    request: &HttpRequest,
    input: impl FnOnce(CallId, JobReference) -> Input,
) -> Result<Answer, ApiError> {
    let unique_id: UniqueId = segment(request, "unique_id")?;
    let parameters: TicketParameter = query(request)?;
    let bearer = Bearer::of(request);
    let by = if desk.api_token.check(&bearer).is_ok() {
        JobReference::Operator(unique_id)
    } else {
        JobReference::Ticket(desk.claims(&bearer, parameters.token.as_deref(), &unique_id)?)
    };
    let (_, answer) = desk.driver.call(|call| input(call, by));
    answer.await.map_err(|_| unanswered())
}

//! `/job/<unique_id>`: the status and the story of a job, and its withdrawal.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::{error::ApiError, journal::Entry, web::Operator};

use queue_core::{Answer, Input, Refusal};
use shared::wire::JobReport;

use super::{
    AppState,
    extract::AccessibleJob,
    job_page, refused,
    search::JobIndex,
    story::{self, StoryOf},
    unexpected,
};

/// `GET /job/<unique_id>`, and `GET /job/<public id>` for browsers
pub async fn show(
    request: HttpRequest,
    state: Data<AppState>,
    index: Data<JobIndex>,
    access: Result<AccessibleJob, ApiError>,
) -> Result<HttpResponse, ApiError> {
    if let Some(public_id) = job_page::wanted(&request) {
        return job_page::show(&state, &index, public_id).await;
    }
    let AccessibleJob(by) = access?;
    let wanted = StoryOf::job(&by);
    let status = match state.event_loop.call(|call| Input::Inspect { call, by }) {
        Some(Answer::Status(status)) => Some(status),
        Some(Answer::Refused(Refusal::UnknownJob)) => None,
        Some(Answer::Refused(refusal)) => return Err(refused(refusal)),
        answer => return Err(unexpected(answer.as_ref())),
    };
    let (status, story) = match status {
        Some(status) => {
            let story = story::story_so_far(&state.journal, &wanted).await;
            (status, story)
        }
        None => {
            let story = story::story(&state.journal, &wanted).await?;
            let status = story::status(&story).ok_or_else(|| story::unknown(&story))?;
            (status, story)
        }
    };
    Ok(HttpResponse::Ok().json(JobReport {
        status,
        events: story::events(&story),
        is_truncated: story.is_truncated,
    }))
}

/// `DELETE /job/<unique_id>`
pub async fn withdraw(
    state: Data<AppState>,
    operator: Operator,
    AccessibleJob(by): AccessibleJob,
) -> Result<HttpResponse, ApiError> {
    let (wanted, withdrawn_by) = (StoryOf::job(&by), by.withdrawn_by());
    let unique_id = by.unique_id().clone();
    match state.event_loop.call(|call| Input::Withdraw { call, by }) {
        Some(Answer::Withdrawn { is_repeated }) => {
            // A ticket holder can repeat it at will.
            if !is_repeated {
                let now = state.event_loop.now();
                state.journal.record(Entry {
                    unique_id: Some(unique_id),
                    ..operator.audit(now, "withdraw", withdrawn_by.name())
                });
            }
            Ok(HttpResponse::NoContent().finish())
        }
        Some(Answer::Refused(Refusal::UnknownJob)) => {
            Err(story::unknown_recently(&state.journal, &wanted))
        }
        Some(Answer::Refused(refusal)) => Err(refused(refusal)),
        answer => Err(unexpected(answer.as_ref())),
    }
}

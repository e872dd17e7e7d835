//! Single runners: what has happened to them, and their removal by an operator.

use std::{
    future::{Ready, ready},
    sync::Arc,
};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, dev::Payload, http::header::ContentType, web::Data,
};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    journal::{Entry, Subject},
    web::{Operator, Query},
};
use monitor_core::{RemovalRefusal, RunnerId};
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use shared::{
    values::ProfileKey,
    wire::{DashboardRunner, RunnerStatus},
};

use super::AppState;
use crate::runner_entries::FIRST_EVENT;

/// Extracts the runner in the path.
pub struct RunnerInPath(RunnerId);

impl FromRequest for RunnerInPath {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id");
        let id = id.and_then(|id| id.parse().ok());
        ready(id.map(|id| Self(RunnerId(id))).ok_or_else(no_runner))
    }
}

/// Query parameters of a removal.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemovalParameters {
    /// Whether the runner is destroyed even if GitHub reports that it runs a job.
    #[serde(default, deserialize_with = "force_flag")]
    force: bool,
}

fn force_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse()
        .map_err(|_| D::Error::custom("force must be true or false"))
}

/// The story of a runner, also of one that is gone.
#[derive(Serialize)]
struct RunnerStory {
    id: u64,
    /// None if there is no record of it and its events have none.
    profile_key: Option<ProfileKey>,
    /// None if it is gone.
    status: Option<RunnerStatus>,
    /// What is shown of it on the dashboard; none if it is gone.
    runner: Option<DashboardRunner>,
    /// What has happened to it, oldest first.
    events: Vec<Arc<Entry>>,
    /// Whether its first events are missing, because they are too old or were lost.
    is_truncated: bool,
}

/// `GET /runner/<id>`
pub async fn show(
    _: Authorised,
    state: Data<AppState>,
    RunnerInPath(id): RunnerInPath,
) -> Result<HttpResponse, ApiError> {
    let subject = Subject::Runner(id.0);
    let story = state.core.journal().story(&subject, FIRST_EVENT, true);
    let story = story.await?;
    let published = state.core.published();
    let shown = published.as_ref().and_then(|published| {
        let mut runners = published.view.dashboard.runners.iter();
        runners.find(|runner| runner.id == id.0).cloned()
    });
    if story.entries.is_empty() && shown.is_none() {
        return Err(ApiError::new(
            Code::NotFound,
            "there is no such runner, and no event of one; events are kept for journal_max_age",
        ));
    }
    let of_events = story.entries.iter().find_map(|it| it.profile_key.clone());
    let of_record = shown.as_ref().and_then(|it| it.profile_key.clone());
    Ok(HttpResponse::Ok().json(RunnerStory {
        id: id.0,
        profile_key: of_record.or(of_events),
        status: shown.as_ref().and_then(|it| it.status),
        runner: shown,
        events: story.entries,
        is_truncated: story.is_truncated,
    }))
}

/// `GET /runner/<id>/console.log`: the last lines that its guest has printed, without words that may be secrets.
pub async fn console(
    _: Authorised,
    state: Data<AppState>,
    RunnerInPath(id): RunnerInPath,
) -> Result<HttpResponse, ApiError> {
    let name = state.core.read(|core| core.guest_name_of(id));
    let name = name.ok_or_else(no_runner)?;
    let lines = state.hypervisor.output(&name).await.ok_or_else(|| {
        ApiError::new(
            Code::NotFound,
            "the output of its guest cannot be read: the guest does not run, or its guest.xml has no serial port of \
             type file that the monitor may read",
        )
    })?;
    Ok(HttpResponse::Ok()
        .insert_header(ContentType::plaintext())
        .body(lines.join("\n") + "\n"))
}

/// `DELETE /runner/<id>[?force=true]`
pub async fn remove(
    _: Authorised,
    operator: Operator,
    state: Data<AppState>,
    RunnerInPath(id): RunnerInPath,
    Query(parameters): Query<RemovalParameters>,
) -> Result<HttpResponse, ApiError> {
    let RemovalParameters { force } = parameters;
    let removal = state
        .core
        .change(|core, now| core.remove_runner(id, force, now));
    let revision = removal.map_err(|RemovalRefusal::UnknownRunner| no_runner())?;
    state.audit("remove_runner", "api_token", &operator, |mut entry| {
        entry.runner = Some(id.0);
        entry.fact("force", force)
    });
    state.saved_change(revision).await?;
    Ok(HttpResponse::NoContent().finish())
}

fn no_runner() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "there is no such runner; the dashboard shows the ids of all runners",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::testing::{expect_bad_request, parse_query};

    #[test]
    fn a_removal_may_be_by_force() {
        for (query, force) in [("", false), ("force=true", true), ("force=false", false)] {
            let parameters = parse_query::<RemovalParameters>(query).unwrap();
            assert_eq!(parameters, RemovalParameters { force }, "{query}");
        }
        for (query, parameter) in [("force=yes", "force"), ("forced=true", "forced")] {
            expect_bad_request(parse_query::<RemovalParameters>(query), parameter);
        }
    }
}

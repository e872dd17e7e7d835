//! Removal of single runners by an operator.

use std::future::{Ready, ready};

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, web::Data};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::Query,
};
use monitor_core::{RemovalRefusal, RunnerId};
use serde::{Deserialize, Deserializer, de::Error};

use super::AppState;

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

/// `DELETE /runner/<id>[?force=true]`
pub async fn remove(
    _: Authorised,
    state: Data<AppState>,
    RunnerInPath(id): RunnerInPath,
    Query(parameters): Query<RemovalParameters>,
) -> Result<HttpResponse, ApiError> {
    let RemovalParameters { force } = parameters;
    let removal = state
        .core
        .change(|core, now| core.remove_runner(id, force, now));
    let revision = removal.map_err(|RemovalRefusal::UnknownRunner| no_runner())?;
    log::info!(
        "an operator removes runner {id}{}",
        if force { " by force" } else { "" }
    );
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
        expect_bad_request(parse_query::<RemovalParameters>("force=yes"), "force");
    }
}

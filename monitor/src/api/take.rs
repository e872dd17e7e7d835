//! Taking runners with the API token.

use actix_web::{HttpRequest, HttpResponse, web::Data};
use daemon::{auth::Authorised, error::ApiError, web::segment};
use shared::{
    job_spec::JobSpec,
    values::{Count, ProfileKey},
};

use super::{
    Desk,
    grant::{Granted, grant},
    parameters::{TakeParameters, asked},
};
use monitor_core::Take;

/// `POST /profile/<profile_key>/take?unique_id&qualified_repo&run_id[&attempt&enqueued_at]`
pub async fn one(
    _: Authorised,
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    Ok(take(&desk, &request, Count::ONE).await?.single())
}

/// `POST /profile/<profile_key>/take/<count>?…`
pub async fn several(
    _: Authorised,
    desk: Data<Desk>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let count = segment(&request, "count")?;
    Ok(take(&desk, &request, count).await?.several())
}

async fn take(desk: &Desk, request: &HttpRequest, count: Count) -> Result<Granted, ApiError> {
    let profile_key: ProfileKey = segment(request, "profile_key")?;
    let TakeParameters {
        claim,
        attempt,
        enqueued_at,
    } = asked(request)?;
    let job = JobSpec {
        unique_id: claim.unique_id,
        profile_key,
        count,
        qualified_repo: claim.qualified_repo,
        run_id: claim.run_id,
    };
    let take = Take {
        job,
        attempt,
        enqueued_at,
    };
    grant(desk, take).await
}

//! Takes without a token: an artifact shows which workflow run the job belongs to.

use actix_web::{HttpResponse, web::Data};
use daemon::{
    auth::Bearer,
    error::{ApiError, Code},
    web::{ClientAddress, Query},
};
use github::artifact_auth::{RunIdentity, UnverifiedIdentity};

use super::{AppState, grant::grant, take::TakeParameters};
use monitor_core::Take;

/// `POST /select-runner?unique_id&qualified_repo&run_id[&labels_from_response]`
pub async fn select_runner(
    state: Data<AppState>,
    client: ClientAddress,
    bearer: Bearer,
    parameters: Result<Query<TakeParameters>, ApiError>,
) -> Result<HttpResponse, ApiError> {
    // Before the parameters: a client that is at the wrong address should learn that first.
    if state.is_queue_member {
        return Err(ApiError::new(
            Code::QueueMember,
            "this server belongs to a queue, which assigns all its runners; enqueue the job there",
        ));
    }
    let Query(parameters) = parameters?;
    let labels_from_response = parameters.labels_from_response;
    let identity = UnverifiedIdentity {
        unique_id: parameters.unique_id,
        qualified_repo: parameters.qualified_repo,
        run_id: parameters.run_id,
    };
    let RunIdentity {
        job,
        is_array,
        artifact,
        facts: _,
    } = state
        .artifact_verifier
        .verify(identity, client.0, bearer.clone().into_token(), false)
        .await?;
    let claim = state.artifact_claims.begin(&artifact, &bearer)?;
    let take = Take {
        job,
        token: None,
        enqueued_at: None,
        proof: None,
        labels_from_response,
    };
    let granted = grant(&state, take).await?;
    claim.complete().await?;
    Ok(if is_array {
        granted.several()
    } else {
        granted.single()
    })
}

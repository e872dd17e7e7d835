//! Enqueueing a job: with the API token, or authenticated by an artifact.

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, ContentType},
    web::Data,
};
use daemon::{
    auth::{Authorised, Bearer},
    error::{ApiError, Code},
    web::{ClientAddress, Path, Query},
};
use github::artifact_auth::{RunIdentity, UnverifiedIdentity};
use shared::{
    job_spec::JobSpec,
    policy::RunFacts,
    values::{Count, ProfileKey},
};

use queue_core::{Answer, EnqueuedBy, Input, JobRequest};

use super::{AppState, extract::JobParameters, refused, unexpected};

/// `POST /profile/<profile_key>/enqueue`
pub async fn one(
    state: Data<AppState>,
    _: Authorised,
    Path(profile_key): Path<ProfileKey>,
    Query(parameters): Query<JobParameters>,
) -> Result<HttpResponse, ApiError> {
    let facts = parameters.facts();
    let request = request(parameters, profile_key, None)?;
    enqueue(&state, request, EnqueuedBy::ApiToken, facts)
}

/// `POST /profile/<profile_key>/enqueue/<count>`
pub async fn several(
    state: Data<AppState>,
    _: Authorised,
    Path(profile_key): Path<ProfileKey>,
    Path(count): Path<Count>,
    Query(parameters): Query<JobParameters>,
) -> Result<HttpResponse, ApiError> {
    let facts = parameters.facts();
    let request = request(parameters, profile_key, Some(count))?;
    enqueue(&state, request, EnqueuedBy::ApiToken, facts)
}

/// `POST /enqueue`
pub async fn with_artifact(
    state: Data<AppState>,
    client: ClientAddress,
    bearer: Bearer,
    Query(parameters): Query<JobParameters>,
) -> Result<HttpResponse, ApiError> {
    let Some(verifier) = &state.artifact_verifier else {
        return Err(ApiError::new(
            Code::NotAuthorised,
            "this queue was started without GITHUB_TOKEN, so that it cannot check artifacts; use the API token",
        ));
    };
    let labels_from_response = parameters.labels_from_response;
    let limits = parameters.limits()?;
    let identity = UnverifiedIdentity {
        unique_id: parameters.unique_id,
        qualified_repo: parameters.qualified_repo,
        run_id: parameters.run_id,
    };
    let needs_facts = state.event_loop.read(|queue, _| queue.needs_run_facts());
    let RunIdentity {
        job,
        is_array,
        artifact,
        // Not those that the client claims.
        facts,
    } = verifier
        .verify(identity, client.0, bearer.clone().into_token(), needs_facts)
        .await?;
    let claim = state.artifact_claims.begin(&artifact, &bearer)?;
    let request = JobRequest {
        spec: job,
        is_array,
        labels_from_response,
        limits,
    };
    let response = enqueue(&state, request, EnqueuedBy::Artifact, facts)?;
    // If this fails, the client does not get the ticket, and the job is abandoned after a while.
    claim.complete().await?;
    Ok(response)
}

fn request(
    parameters: JobParameters,
    profile_key: ProfileKey,
    count: Option<Count>,
) -> Result<JobRequest, ApiError> {
    let limits = parameters.limits()?;
    Ok(JobRequest {
        spec: JobSpec {
            unique_id: parameters.unique_id,
            profile_key,
            count: count.unwrap_or(Count::ONE),
            qualified_repo: parameters.qualified_repo,
            run_id: parameters.run_id,
        },
        is_array: count.is_some(),
        labels_from_response: parameters.labels_from_response,
        limits,
    })
}

fn enqueue(
    state: &AppState,
    request: JobRequest,
    by: EnqueuedBy,
    facts: RunFacts,
) -> Result<HttpResponse, ApiError> {
    let nonce = rand::random();
    let answer = state.event_loop.call(|call| Input::Enqueue {
        call,
        request,
        nonce,
        by,
        facts,
    });
    match answer {
        Some(Answer::Enqueued(content)) => Ok(HttpResponse::Ok()
            .insert_header(ContentType::plaintext())
            .insert_header((CACHE_CONTROL, "no-store"))
            .body(state.ticket_key.sign(&content, state.ticket_lifetime))),
        Some(Answer::Refused(refusal)) => Err(refused(refusal)),
        answer => Err(unexpected(answer.as_ref())),
    }
}

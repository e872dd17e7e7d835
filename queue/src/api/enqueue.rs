//! Joining the queue: with the API token, or with the proof of an artifact.

use actix_web::{
    HttpRequest,
    http::header::{CacheControl, CacheDirective},
    web::Data,
};
use actix_web::{HttpResponse, http::header::ContentType};
use daemon::{
    auth::Authorised,
    error::{ApiError, Code},
    web::{query, segment},
};
use github::artifact_auth::UnverifiedIdentity;
use serde::Deserialize;
use shared::{
    job_spec::JobSpec,
    values::{Count, ProfileKey},
};

use super::{Desk, refused, unanswered, unexpected};
use queue_core::{
    events::{Answer, Input},
    job::JobRequest,
};

#[derive(Deserialize)]
struct Parameters {
    unique_id: String,
    qualified_repo: String,
    run_id: String,
}

/// `POST /profile/<profile_key>/enqueue`
pub async fn one(
    desk: Data<Desk>,
    request: HttpRequest,
    _: Authorised,
) -> Result<HttpResponse, ApiError> {
    let profile_key = segment(&request, "profile_key")?;
    enqueue(&desk, &claim(&request)?, profile_key, None).await
}

/// `POST /profile/<profile_key>/enqueue/<count>`
pub async fn several(
    desk: Data<Desk>,
    request: HttpRequest,
    _: Authorised,
) -> Result<HttpResponse, ApiError> {
    let profile_key = segment(&request, "profile_key")?;
    let count = segment(&request, "count")?;
    enqueue(&desk, &claim(&request)?, profile_key, Some(count)).await
}

/// `POST /enqueue`
pub async fn by_proof(desk: Data<Desk>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let claim = claim(&request)?;
    let Some(proofs) = &desk.proofs else {
        return Err(ApiError::new(
            Code::NotAuthorised,
            "this queue was started without GITHUB_TOKEN, so it can check no artifact; use the API token",
        ));
    };
    let proof = proofs.verify(claim.clone()).await?;
    enqueue(&desk, &claim, proof.profile_key, proof.count).await
}

fn claim(request: &HttpRequest) -> Result<UnverifiedIdentity, ApiError> {
    let parameters: Parameters = query(request)?;
    Ok(UnverifiedIdentity {
        unique_id: parameters.unique_id.parse()?,
        qualified_repo: parameters.qualified_repo.parse()?,
        run_id: parameters.run_id.parse()?,
    })
}

async fn enqueue(
    desk: &Desk,
    claim: &UnverifiedIdentity,
    profile_key: ProfileKey,
    count: Option<Count>,
) -> Result<HttpResponse, ApiError> {
    let request = JobRequest {
        spec: JobSpec {
            unique_id: claim.unique_id.clone(),
            profile_key,
            count: count.unwrap_or(Count::ONE),
            qualified_repo: claim.qualified_repo.clone(),
            run_id: claim.run_id,
        },
        is_array: count.is_some(),
    };
    let (_, answer) = desk.driver.call(|call| Input::Enqueue {
        call,
        request,
        nonce: rand::random(),
    });
    match answer.await.map_err(|_| unanswered())? {
        Answer::Enqueued(claims) => Ok(HttpResponse::Ok()
            .insert_header(ContentType::plaintext())
            .insert_header(CacheControl(vec![CacheDirective::NoStore]))
            .body(desk.ticket_key.sign(&claims, desk.ticket_lifetime))),
        Answer::Refused(refusal) => Err(refused(refusal)),
        answer => Err(unexpected(&answer)),
    }
}

//! Asks GitHub what is needed to check a claim, in the order that costs least.
//!
//! Owns that order and the age of an artifact. Time is GitHub's on both sides of the comparison,
//! so our own clock has no say.

use std::time::Duration;

use super::{
    ARTIFACT_NAME_PREFIX, Claim, Proof, ProofError, ProofRefusal, ProofSettings, ZIP_LENGTH_MAX,
    archive::only_text, statement,
};
use crate::{Artifact, Github, GithubError};
use http_client::StatusCode;
use shared::clock::Timestamp;

/// How far the clocks of GitHub's machines may lie apart.
const SKEW_MAX: Duration = Duration::from_secs(60);

/// Checks `claim` against the artifact that its run should have uploaded.
pub async fn prove(
    github: &Github,
    settings: &ProofSettings,
    claim: &Claim,
) -> Result<Proof, ProofError> {
    let (repo, run_id) = (&claim.qualified_repo, claim.run_id);
    let prefix = &settings.allowed_qualified_repo_prefix;
    if !repo.as_str().starts_with(prefix.as_str()) {
        return Err(ProofRefusal::ForeignRepo.into());
    }

    let name = format!("{ARTIFACT_NAME_PREFIX}{}", claim.unique_id);
    let listed = github.list_run_artifacts(repo, run_id, &name).await;
    let listed = listed.map_err(|error| refusal_or(error, ProofRefusal::UnknownRun))?;
    let artifact = newest(listed.artifacts).ok_or(ProofRefusal::NoArtifact)?;
    check_age(&artifact, listed.listed_at, settings.artifact_max_age)?;

    let zip = github
        .download_artifact(repo, &artifact, ZIP_LENGTH_MAX)
        .await;
    let zip = zip.map_err(|error| match error {
        GithubError::TooLarge { .. } => ProofRefusal::ZipTooLarge.into(),
        error => refusal_or(error, ProofRefusal::NoArtifact),
    })?;
    Ok(check_artifact(&zip, claim)?)
}

/// Checks what an artifact says, as it was downloaded.
///
/// # Errors
/// What is wrong with it, or what does not match the claim.
pub fn check_artifact(zip: &[u8], claim: &Claim) -> Result<Proof, ProofRefusal> {
    statement::check(&only_text(zip)?, claim)
}

/// The artifact to go by when a job that ran again has uploaded its artifact again.
fn newest(artifacts: Vec<Artifact>) -> Option<Artifact> {
    let artifacts = artifacts.into_iter().filter(|artifact| !artifact.expired);
    artifacts.max_by_key(|artifact| (artifact.created_at, artifact.id))
}

fn check_age(artifact: &Artifact, now: Timestamp, max_age: Duration) -> Result<(), ProofRefusal> {
    let too_old = ProofRefusal::TooOld { max_age };
    let created_at = artifact.created_at.ok_or(too_old.clone())?;
    if created_at > now + SKEW_MAX {
        return Err(ProofRefusal::FromTheFuture);
    }
    if now.since(created_at) > max_age {
        return Err(too_old);
    }
    Ok(())
}

/// `refusal` if GitHub says that what was asked for is not there; otherwise GitHub could not tell.
fn refusal_or(error: GithubError, refusal: ProofRefusal) -> ProofError {
    match error.status() {
        Some(StatusCode::NOT_FOUND | StatusCode::GONE) => refusal.into(),
        _ => ProofError::Unavailable(error),
    }
}

//! The checks of one identity, cheapest first, and the requests to GitHub that they need.
//!
//! Responsible for their order and for the age of the artifact. Both times in that comparison are by
//! GitHub's clock; our own is not involved.

use std::time::Duration;

use super::{
    ARTIFACT_NAME_PREFIX, ArtifactContent, Rejection, RunIdentity, UnverifiedIdentity,
    VerifiedArtifact, VerifierSettings, VerifyError, ZIP_LENGTH_MAX, archive::only_text, content,
};
use crate::{Artifact, Github, GithubError};
use http_client::StatusCode;
use shared::{clock::Timestamp, policy::RunFacts};

/// How far the clocks of GitHub's machines may differ.
pub const SKEW_MAX: Duration = Duration::from_secs(60);

/// Verifies `identity` against the artifact that its run has uploaded. `needs_facts` asks GitHub for what it
/// knows of the run.
///
/// # Errors
/// When a check fails, or GitHub is unavailable.
pub async fn verify(
    github: &Github,
    settings: &VerifierSettings,
    identity: &UnverifiedIdentity,
    needs_facts: bool,
) -> Result<RunIdentity, VerifyError> {
    let (repo, run_id) = (&identity.qualified_repo, identity.run_id);
    if !repo.has_prefix(&settings.allowed_qualified_repo_prefix) {
        return Err(Rejection::ForeignRepo.into());
    }

    let name = format!("{ARTIFACT_NAME_PREFIX}{}", identity.unique_id);
    let listed = github.list_run_artifacts(repo, run_id, &name).await;
    let listed = listed.map_err(|error| rejected_or_unavailable(error, Rejection::UnknownRun))?;
    let artifact = newest(listed.artifacts).ok_or(Rejection::NoArtifact)?;
    let created_at = check_age(&artifact, listed.listed_at, settings.artifact_max_age)?;

    let zip = github
        .download_artifact(repo, &artifact, ZIP_LENGTH_MAX)
        .await;
    let zip = zip.map_err(|error| match error {
        GithubError::TooLarge { .. } => Rejection::ZipTooLarge.into(),
        error => rejected_or_unavailable(error, Rejection::NoArtifact),
    })?;
    let ArtifactContent {
        job,
        is_array,
        secret_sha256,
    } = check_artifact(&zip, identity)?;
    Ok(RunIdentity {
        job,
        is_array,
        artifact: VerifiedArtifact {
            id: artifact.id,
            created_at,
            listed_at: listed.listed_at,
            secret_sha256,
        },
        facts: match needs_facts {
            true => facts(github, identity).await,
            false => RunFacts::default(),
        },
    })
}

/// What GitHub knows of the run. Without an answer the job has no place of its own, but its runners.
async fn facts(github: &Github, identity: &UnverifiedIdentity) -> RunFacts {
    let (repo, run_id) = (&identity.qualified_repo, identity.run_id);
    github
        .run_facts(repo, run_id)
        .await
        .unwrap_or_else(|error| {
            log::warn!(
                "{error}: job {} of {repo} is enqueued as if nothing were known of its run",
                identity.unique_id
            );
            RunFacts::default()
        })
}

/// Verifies `identity` against a downloaded artifact.
///
/// # Errors
/// The first check that fails.
pub fn check_artifact(
    zip: &[u8],
    identity: &UnverifiedIdentity,
) -> Result<ArtifactContent, Rejection> {
    content::check(&only_text(zip)?, identity)
}

/// The newest artifact: a job that was repeated has uploaded several.
fn newest(artifacts: Vec<Artifact>) -> Option<Artifact> {
    let artifacts = artifacts.into_iter().filter(|artifact| !artifact.expired);
    artifacts.max_by_key(|artifact| (artifact.created_at, artifact.id))
}

/// When the artifact was created, which must not be too long ago.
fn check_age(
    artifact: &Artifact,
    now: Timestamp,
    max_age: Duration,
) -> Result<Timestamp, Rejection> {
    let too_old = Rejection::TooOld { max_age };
    let created_at = artifact.created_at.ok_or(too_old.clone())?;
    if created_at > now + SKEW_MAX {
        return Err(Rejection::FromTheFuture);
    }
    if now.since(created_at) > max_age {
        return Err(too_old);
    }
    Ok(created_at)
}

/// `rejection` if GitHub responded that there is no such run or artifact; for other errors the check
/// could not be made.
fn rejected_or_unavailable(error: GithubError, rejection: Rejection) -> VerifyError {
    match error.status() {
        Some(StatusCode::NOT_FOUND) => rejection.into(),
        Some(StatusCode::GONE) => Rejection::Deleted.into(),
        _ => VerifyError::Unavailable(error),
    }
}

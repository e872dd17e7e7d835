//! Artifact authentication: a workflow run proves its identity by uploading an artifact, which only
//! a job of that run can do. So workflows need no token for the queue.
//!
//! Responsible for every check between the claims of an unauthenticated client and the right to a
//! runner. It costs GitHub two requests; fewer if an early check fails, none for a repository
//! that is not allowed, and one more if a scheduling policy looks at the run.
//!
//! ```text
//! claims ── repository ── list ── age, size ── download ── one small text file ── same values ── RunIdentity
//!               │           │         │            │                │                  │
//!               └───────────┴─────────┴─ rejected, or GitHub unavailable ──────────────┘
//! ```
//!
//! `verifier` is the entrance, `admission` decides whose claim is checked next, `missing` how long a missing
//! artifact may still appear, `verify` checks one claim, `archive` reads the zip, `content` the text file in it.

mod admission;
mod archive;
mod content;
mod missing;
mod rejection;
#[cfg(test)]
mod tests;
mod verifier;
mod verify;

use std::time::Duration;

pub use archive::ZIP_LENGTH_MAX;
pub use content::{ArtifactContent, check as check_content};
pub use rejection::{Rejection, VerifyError};
pub use verifier::{ArtifactVerifier, VerifierWorker};
pub use verify::{SKEW_MAX, check_artifact, verify};

use shared::{
    clock::Timestamp,
    job_spec::JobSpec,
    policy::RunFacts,
    sha256::Sha256,
    values::{QualifiedRepo, RunId, UniqueId},
};

/// The artifact of a job is named by this prefix and the job's `unique_id`.
pub const ARTIFACT_NAME_PREFIX: &str = "servo-ci-runners_";

/// What is accepted.
#[derive(Clone, Debug)]
pub struct VerifierSettings {
    /// The prefix of allowed repositories, such as `servo/`.
    pub allowed_qualified_repo_prefix: String,
    /// The highest age of an artifact.
    pub artifact_max_age: Duration,
}

/// What an unauthenticated client claims about itself in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types explain the fields")]
pub struct UnverifiedIdentity {
    pub unique_id: UniqueId,
    pub qualified_repo: QualifiedRepo,
    pub run_id: RunId,
}

/// The verified identity of a workflow run, and the runners that its artifact requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the types explain the fields")]
pub struct RunIdentity {
    pub job: JobSpec,
    /// Whether the artifact contains a count: the response is then an array, otherwise a single
    /// object.
    pub is_array: bool,
    pub artifact: VerifiedArtifact,
    /// What GitHub knows of the run; empty unless it was asked for, or if GitHub did not answer.
    pub facts: RunFacts,
}

/// The artifact that verifies an identity. All that it contains is public, so the request for its job's
/// runners has to carry the secret, or to be the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedArtifact {
    /// GitHub's id, which is never used again.
    pub id: u64,
    /// When it was uploaded, by GitHub's clock, to the second.
    pub created_at: Timestamp,
    /// When GitHub listed it, by its clock, to the second.
    pub listed_at: Timestamp,
    /// The digest of the secret that only the job knows. `None` from older clients.
    pub secret_sha256: Option<Sha256>,
}

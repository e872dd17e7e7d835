//! Artifact authentication: a workflow run proves its identity by uploading an artifact, which only
//! a job of that run can do. So workflows need no token for the queue.
//!
//! Responsible for every check between the claims of an unauthenticated client and the right to a
//! runner. It costs GitHub two requests; fewer if an early check fails, and none for a repository
//! that is not allowed.
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
pub use content::check as check_content;
pub use rejection::{Rejection, VerifyError};
pub use verifier::{ArtifactVerifier, VerifierWorker};
pub use verify::{check_artifact, verify};

use shared::{
    job_spec::JobSpec,
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
}

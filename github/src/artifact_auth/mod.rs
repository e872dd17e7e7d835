//! The tokenless proof: a workflow run shows that it is itself by uploading an artifact, which
//! only a job of that run can do.
//!
//! Owns every check between a claim from anyone on the network and the right to a runner. Costs
//! GitHub two requests, fewer where an early check fails, and none for a repository that we do
//! not work for. `prove` checks one claim; how many are checked at once is up to `desk`.
//!
//! ```text
//! claim ── repository ── list ── age, size ── download ── one small text file ── same values ── proof
//!              │           │         │            │                │                  │
//!              └───────────┴─────────┴─ refused, or GitHub unavailable ───────────────┘
//! ```

mod archive;
mod desk;
mod prove;
mod refusal;
mod statement;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use archive::ZIP_LENGTH_MAX;
pub use desk::{ClosedDesk, ProofDesk};
pub use prove::{check_artifact, prove};
pub use refusal::{ProofError, ProofRefusal};
pub use statement::check as check_statement;

use shared::values::{Count, ProfileKey, QualifiedRepo, RunId, UniqueId};

/// What the artifact of a job is called: this and its `unique_id`.
pub const ARTIFACT_NAME_PREFIX: &str = "servo-ci-runners_";

/// Whose claims are heard, and for how long their proof counts.
#[derive(Clone, Debug)]
pub struct ProofSettings {
    /// What the names of our repositories begin with, such as `servo/`.
    pub allowed_qualified_repo_prefix: String,
    /// How old an artifact may be.
    pub artifact_max_age: Duration,
}

/// What a client without a token says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The job.
    pub unique_id: UniqueId,
    /// The repository whose workflow it belongs to.
    pub qualified_repo: QualifiedRepo,
    /// The run of that workflow.
    pub run_id: RunId,
}

/// A claim that holds, and what its job asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The job.
    pub unique_id: UniqueId,
    /// Its repository.
    pub qualified_repo: QualifiedRepo,
    /// Its run.
    pub run_id: RunId,
    /// The kind of runner it wants.
    pub profile_key: ProfileKey,
    /// How many; none if the artifact does not say, which means one, answered as a single object.
    pub count: Option<Count>,
}

//! Errors of the model. The texts are sent to clients; `api` maps them to status codes.

use shared::{clock::Timestamp, values::InvalidValue};

/// Why the model rejects a request, which has no effect then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    #[error("Not Found")]
    NotFound,
    #[error("Invalid request: {0}")]
    Invalid(#[from] InvalidValue),
    /// A name that GitHub does not accept; its reason is in `errors`.
    #[error("Validation Failed")]
    NameTooLong {
        /// In characters.
        length_max: usize,
    },
    #[error("Already exists - A runner with the name {name:?} already exists")]
    NameTaken { name: String },
    /// GitHub does not delete a runner that runs a job.
    #[error("Runner {name:?} is currently running a job and cannot be deleted")]
    RunnerBusy { name: String },
    #[error("Label {name:?} is read-only and cannot be removed")]
    LabelReadOnly { name: String },
    #[error("You have exceeded a secondary rate limit for runner registrations")]
    TooManyRegistrations {
        /// When the next registration is allowed.
        retry_at: Timestamp,
    },
    /// A limit of the emulator is reached.
    #[error("Too many {what}")]
    Full { what: &'static str },
    /// The secret of a JIT configuration is wrong or expired.
    #[error("The runner's credential is not valid")]
    InvalidSecret,
    /// The runner is online with another session.
    #[error("A session for this runner already exists")]
    SessionExists,
    /// The job is assigned to another runner, queued again, or completed.
    #[error("The job is not assigned to this runner")]
    JobNotAssigned,
    #[error("An artifact with the name {name:?} already exists in this run")]
    ArtifactExists { name: String },
    #[error("Artifact has expired")]
    ArtifactExpired,
    #[error("Cannot cancel a workflow run that is completed")]
    RunCompleted,
}

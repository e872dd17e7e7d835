//! Why the model said no. The texts go to clients; which HTTP status each is, `api` decides.

use shared::{clock::Timestamp, values::InvalidValue};

/// A request that changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such thing in that scope.
    #[error("Not Found")]
    NotFound,
    /// A value has the wrong form.
    #[error("Invalid request: {0}")]
    Invalid(#[from] InvalidValue),
    /// A runner of that name is registered in that scope.
    #[error("Already exists - A runner with the name {name:?} already exists")]
    NameTaken {
        /// The name asked for.
        name: String,
    },
    /// GitHub does not let go of a runner that has a job.
    #[error("Runner {name:?} is currently running a job and cannot be deleted")]
    RunnerBusy {
        /// The runner's name.
        name: String,
    },
    /// Labels that describe the machine itself stay.
    #[error("Label {name:?} is read-only and cannot be removed")]
    LabelReadOnly {
        /// The label's name.
        name: String,
    },
    /// More registrations in a short time than GitHub takes.
    #[error("You have exceeded a secondary rate limit for runner registrations")]
    TooManyRegistrations {
        /// When the next one will be taken.
        retry_at: Timestamp,
    },
    /// The store of such things is full.
    #[error("Too many {what}")]
    Full {
        /// What there are too many of.
        what: &'static str,
    },
    /// The secret of a JIT configuration is wrong or too old.
    #[error("The runner's credential is not valid")]
    BadCredential,
    /// The runner listens already, with another session.
    #[error("A session for this runner already exists")]
    SessionExists,
    /// The job was given to another runner, went back to the queue, or is over.
    #[error("The job is not assigned to this runner")]
    JobNotYours,
    /// An artifact of that name exists in that run.
    #[error("An artifact with the name {name:?} already exists in this run")]
    ArtifactExists {
        /// The name asked for.
        name: String,
    },
    /// An artifact was kept no longer.
    #[error("Artifact has expired")]
    ArtifactExpired,
    /// Nothing is left to cancel.
    #[error("Cannot cancel a workflow run that is completed")]
    RunOver,
}

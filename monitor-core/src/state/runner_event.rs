//! The steps in the life of a runner, for its history.
//!
//! Responsible for what is recorded of a step. Each is recorded by the transition that makes the change.
//! No decision depends on them, and none contains a secret or a label.

use shared::{
    clock::Timestamp,
    values::{ProfileKey, QualifiedRepo, RunId, UniqueId},
};

use crate::RunnerId;

/// Maximum length of a sentence that an adapter gives as a cause, in bytes.
const CAUSE_LENGTH_MAX: usize = 1000;

/// One step in the life of a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerEvent {
    pub at: Timestamp,
    pub runner: RunnerId,
    pub profile_key: ProfileKey,
    /// The job that the runner has, or is reserved for.
    pub job: Option<RunnerJob>,
    pub step: RunnerStep,
}

/// The job of a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerJob {
    /// None for a job that has the runner without a reservation.
    pub unique_id: Option<UniqueId>,
    pub qualified_repo: QualifiedRepo,
    pub run_id: RunId,
}

/// What happened to a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerStep {
    /// Its creation began.
    Created { reason: Cause },
    /// A list shows it, and there is no record of it.
    Found,
    /// Its guest runs.
    GuestStarted,
    /// Its guest fetched its JIT configuration.
    CredentialFetched,
    /// GitHub lists it as online for the first time.
    Online,
    /// It is reserved for the job of the event.
    Reserved,
    /// The reservation for the job of the event ended before the job started.
    Released,
    /// GitHub shows for the first time that it runs a job.
    Busy,
    /// The lists of the hypervisor lack its guest, whose end it has not reported.
    GuestMissing,
    /// The hypervisor reported the end of its guest, which is not being destroyed.
    Ended { end: GuestEnd },
    /// Nothing is left of it.
    Destroyed { reason: Cause },
    /// Something failed with it. `cause` follows "failed to", but that of a guest is a clause of its own.
    /// Destructions are attempted again.
    Failed { what: FailedStep, cause: String },
}

/// What failed with a runner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedStep {
    Creation,
    /// Its guest ended, or never came online, without having had a job.
    Guest,
    Destruction,
}

impl FailedStep {
    /// Its name in snake case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Creation => "creation",
            Self::Guest => "guest",
            Self::Destruction => "destruction",
        }
    }
}

impl RunnerStep {
    /// Its name in snake case, such as `guest_started`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Found => "found",
            Self::GuestStarted => "guest_started",
            Self::CredentialFetched => "credential_fetched",
            Self::Online => "online",
            Self::Reserved => "reserved",
            Self::Released => "released",
            Self::Busy => "busy",
            Self::GuestMissing => "guest_missing",
            Self::Ended { .. } => "ended",
            Self::Destroyed { .. } => "destroyed",
            Self::Failed { .. } => "failed",
        }
    }
}

/// Why something was done to a runner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// In snake case, such as `below_target`: one of a fixed list.
    pub code: &'static str,
    /// A clause for people, such as `there are fewer than the target`.
    pub text: String,
}

impl Cause {
    /// The reason of a destruction that an earlier process began.
    pub(crate) fn unknown() -> Self {
        Self {
            code: "unknown_reason",
            text: "the reason is not known".to_owned(),
        }
    }
}

/// How a guest ended, as far as the hypervisor knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GuestEnd {
    /// A clause such as `exit status: 1`.
    pub exit_status: Option<String>,
    /// The last lines of its output, without what may be a secret.
    pub output: Vec<String>,
}

/// Why something that was attempted outside of the core failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// A clause that follows "failed to".
    pub cause: String,
    /// The pause that the other side asked for.
    pub retry_after: Option<std::time::Duration>,
    /// Whether access to GitHub failed, which is a problem of its own: then this is none beside it.
    pub is_of_access: bool,
}

impl From<&str> for Failure {
    fn from(cause: &str) -> Self {
        Self {
            cause: cause.to_owned(),
            ..Self::default()
        }
    }
}

impl Failure {
    /// The cause, shortened if it is too long for a history.
    pub(crate) fn short_cause(&self) -> String {
        let length = self.cause.floor_char_boundary(CAUSE_LENGTH_MAX);
        self.cause[..length].to_owned()
    }
}

#[cfg(test)]
mod tests;

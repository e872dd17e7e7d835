//! Why an identity is rejected, or cannot be verified now.
//!
//! Responsible for one sentence per check. The sentences contain nothing of the artifact.

use std::time::Duration;

use super::archive::{TEXT_LENGTH_MAX, ZIP_LENGTH_MAX};
use crate::GithubError;
use shared::values::InvalidValue;

/// How soon a client asks again for an artifact that is not listed yet.
const LISTED_RETRY: Duration = Duration::from_secs(2);

/// Why an identity was not verified.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// A check failed: 403, and the same request would fail again.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// GitHub does not list the artifact, or knows the run, yet: 503, to be retried. It can take
    /// seconds after the upload.
    #[error("{0}; it may appear within seconds")]
    NotYet(Rejection),
    /// Too many artifacts are being checked: 503, to be retried.
    #[error("too many artifacts are being checked")]
    Busy,
    /// GitHub was unavailable: 503, to be retried.
    #[error("check the artifact: failed to {0}")]
    Unavailable(GithubError),
}

impl VerifyError {
    /// How long to wait before a retry, if GitHub or its rate limit demands it.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NotYet(_) => Some(LISTED_RETRY),
            Self::Rejected(_) | Self::Busy => None,
            Self::Unavailable(error) => error.retry_after(),
        }
    }
}

/// The check that failed, as a sentence for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The repository does not have the allowed prefix.
    #[error("qualified_repo is not a repository that this server accepts")]
    ForeignRepo,
    /// GitHub reports no such run.
    #[error("qualified_repo has no such run_id, or this server has no access to it")]
    UnknownRun,
    /// The run has no artifact of that name.
    #[error("the run has no artifact with the name of this unique_id")]
    NoArtifact,
    /// The content of the artifact has been deleted.
    #[error("the artifact has been deleted")]
    Deleted,
    /// The artifact is older than `artifact_max_age`, or its age is unknown.
    #[error("the artifact is older than {} s", max_age.as_secs())]
    TooOld {
        /// The highest age that is accepted.
        max_age: Duration,
    },
    /// The artifact was created later than now, by GitHub's clock.
    #[error("the artifact is from the future")]
    FromTheFuture,
    /// The zip is too long.
    #[error("the artifact is longer than {ZIP_LENGTH_MAX} bytes")]
    ZipTooLarge,
    /// The zip is damaged, encrypted, or has an unsupported compression.
    #[error("the artifact is not a readable zip")]
    NotAZip,
    /// The zip has no entry, or several.
    #[error("the artifact does not contain exactly one file")]
    NotOneFile,
    /// The entry is a folder or a link, or is inside a folder.
    #[error("the artifact contains something other than a regular file outside of folders")]
    NotAPlainFile,
    /// The uncompressed file is too long.
    #[error("the file in the artifact is longer than {TEXT_LENGTH_MAX} bytes")]
    FileTooLarge,
    /// The file is not UTF-8.
    #[error("the file in the artifact is not UTF-8 text")]
    NotText,
    /// A line has no equals sign.
    #[error("line {number} of the artifact's file is not of the form key=value")]
    NotKeyValue {
        /// The number of the line, from 1.
        number: usize,
    },
    /// A known key occurs more than once.
    #[error("{key} is in the artifact more than once")]
    Repeated {
        /// The name of the key.
        key: &'static str,
    },
    /// A required key is missing.
    #[error("{key} is not in the artifact")]
    Missing {
        /// The name of the key.
        key: &'static str,
    },
    /// A value has an invalid form.
    #[error("{key} in the artifact must be {}", invalid.allowed)]
    Invalid {
        /// The name of the key.
        key: &'static str,
        /// What is allowed.
        invalid: InvalidValue,
    },
    /// A value differs from the one in the request.
    #[error("{key} in the artifact differs from the one in this request")]
    Mismatch {
        /// The name of the key.
        key: &'static str,
    },
}

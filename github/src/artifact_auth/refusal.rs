//! Why a claim is not believed, or cannot be checked now.
//!
//! Owns the one sentence for each check. Repeats nothing of the artifact.

use std::time::Duration;

use super::archive::{TEXT_LENGTH_MAX, ZIP_LENGTH_MAX};
use crate::GithubError;
use shared::values::InvalidValue;

/// Why there is no proof.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The claim does not hold: 403, and asking again would not help.
    #[error(transparent)]
    Refused(#[from] ProofRefusal),
    /// Too many claims are being checked: 503, and the claim may be made again.
    #[error("too many artifacts are being checked")]
    Busy,
    /// GitHub could not be asked: 503, and the claim may be made again.
    #[error("check the artifact: failed to {0}")]
    Unavailable(GithubError),
}

impl ProofError {
    /// How long GitHub wants to be left alone, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(_) | Self::Busy => None,
            Self::Unavailable(error) => error.retry_after(),
        }
    }
}

/// The check that failed, as a sentence for whoever made the claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofRefusal {
    /// The repository does not begin with the prefix of ours.
    #[error("qualified_repo is not a repository that this server works for")]
    ForeignRepo,
    /// GitHub shows us no such run.
    #[error("there is no such run_id in qualified_repo, or this server may not see it")]
    UnknownRun,
    /// The run has no artifact of that name, or no longer has its content.
    #[error("the run has no artifact with the name of this unique_id")]
    NoArtifact,
    /// It is older than `artifact_max_age`, or GitHub does not say how old it is.
    #[error("the artifact is older than {} s", max_age.as_secs())]
    TooOld {
        /// How old it may be.
        max_age: Duration,
    },
    /// It was made later than now, by GitHub's own clock.
    #[error("the artifact is from the future")]
    FromTheFuture,
    /// The zip is longer than we read.
    #[error("the artifact is longer than {ZIP_LENGTH_MAX} bytes")]
    ZipTooLarge,
    /// It cannot be read: damaged, encrypted, or compressed in an unusual way.
    #[error("the artifact is not a zip that can be read")]
    NotAZip,
    /// There is not exactly one thing in it.
    #[error("the artifact does not contain exactly one file")]
    NotOneFile,
    /// That thing is a folder, a link, or lies in a folder.
    #[error("the artifact contains something other than a plain file at its top")]
    NotAPlainFile,
    /// The file is longer than we read.
    #[error("the file in the artifact is longer than {TEXT_LENGTH_MAX} bytes")]
    FileTooLarge,
    /// The file is not UTF-8.
    #[error("the file in the artifact is not UTF-8 text")]
    NotText,
    /// A line has no equals sign.
    #[error("line {number} of the artifact's file is not of the form key=value")]
    NotKeyValue {
        /// The line, from 1.
        number: usize,
    },
    /// A key that we read is there more than once.
    #[error("{key} is in the artifact more than once")]
    Repeated {
        /// The key.
        key: &'static str,
    },
    /// A key that we need is not there.
    #[error("{key} is not in the artifact")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value is not of its form.
    #[error("{key} in the artifact must be {}", invalid.allowed)]
    Invalid {
        /// The key.
        key: &'static str,
        /// What it must be.
        invalid: InvalidValue,
    },
    /// A value is another than the claim's.
    #[error("{key} in the artifact is not the one of this request")]
    Mismatch {
        /// The key.
        key: &'static str,
    },
}

//! Why a command failed, and the exit status for it.
//!
//! Responsible for that mapping, in one place. The text of a failure is a fragment that follows
//! "failed to".

use crate::{client::RequestError, exit::Exit, output::OutputError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A request to a queue or monitor failed.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The output cannot be written.
    #[error("{0}")]
    Output(#[from] OutputError),
    /// The command needs the API token, and its variable is not set.
    #[error(
        "find the API token: SERVO_CI_MONITOR_API_TOKEN is not set, and no api_token_file of a fleet is for this \
         address; there is no option for it, because every account of this host can read a command line"
    )]
    NoApiToken,
    /// A variable with a proxy cannot be used.
    #[error("use the proxy: {0}")]
    Proxy(String),
    /// The options are valid one by one, but not together.
    #[error("{0}")]
    Usage(String),
    /// What the command line names is something else, or does not exist.
    #[error("{0}")]
    WrongName(String),
    /// No signal handler could be installed.
    #[error("handle signals: {0}")]
    Signals(#[source] std::io::Error),
    /// Anything else, as a fragment that follows "failed to".
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// The exit status.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Request(error) => exit_of(error),
            // The reader closed the pipe, as `head -1` does: it has what it wanted.
            Self::Output(OutputError::Closed) => Exit::Done,
            Self::NoApiToken | Self::Proxy(_) | Self::Usage(_) => Exit::Usage,
            Self::WrongName(_) => Exit::Refused,
            Self::Output(OutputError::Failed(_)) | Self::Signals(_) | Self::Other(_) => {
                Exit::Failed
            }
        }
    }
}

fn exit_of(error: &RequestError) -> Exit {
    if error.is_transient() {
        return Exit::TryLater;
    }
    match error {
        RequestError::Refused(response) => match response.status.as_u16() {
            401 | 403 => Exit::NotAllowed,
            _ => Exit::Refused,
        },
        RequestError::Http(_) => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::client::tests::{refused, unreachable};

    #[test]
    fn every_failure_has_an_exit_status() {
        let failed = io::Error::other("full");
        for (failure, exit) in [
            (Failure::Request(unreachable()), Exit::TryLater),
            (
                Failure::Request(refused(503, "not_ready", None)),
                Exit::TryLater,
            ),
            (
                Failure::Request(refused(429, "too_many_jobs", None)),
                Exit::TryLater,
            ),
            (
                Failure::Request(refused(401, "unauthorised", None)),
                Exit::NotAllowed,
            ),
            (
                Failure::Request(refused(403, "wrong_token", None)),
                Exit::NotAllowed,
            ),
            (
                Failure::Request(refused(403, "wrong_ticket", None)),
                Exit::NotAllowed,
            ),
            (
                Failure::Request(refused(400, "bad_request", None)),
                Exit::Refused,
            ),
            (
                Failure::Request(refused(404, "unknown_job", None)),
                Exit::Refused,
            ),
            (
                Failure::Request(refused(422, "unsatisfiable", None)),
                Exit::Refused,
            ),
            (Failure::Output(OutputError::Closed), Exit::Done),
            (Failure::Output(OutputError::Failed(failed)), Exit::Failed),
            (Failure::NoApiToken, Exit::Usage),
            (Failure::Proxy(String::new()), Exit::Usage),
            (Failure::WrongName(String::new()), Exit::Refused),
            (Failure::Usage(String::new()), Exit::Usage),
            (Failure::Other(String::new()), Exit::Failed),
        ] {
            assert_eq!(failure.exit(), exit, "{failure:?}");
        }
    }
}

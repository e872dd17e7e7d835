//! Why a command failed, and with which status it then ends.
//!
//! Owns that mapping, in one place. What is said of a failure fits after "failed to".

use crate::{client::CallError, exit::Exit, output::OutputError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A call at a queue or monitor.
    #[error("{0}")]
    Call(#[from] CallError),
    /// Nothing more could be printed.
    #[error("{0}")]
    Output(#[from] OutputError),
    /// The API token is needed and not there.
    #[error(
        "find the API token: SERVO_CI_MONITOR_API_TOKEN is not set; it is taken from that variable \
         only, because everybody on this host can read a command line"
    )]
    NoApiToken,
    /// What was typed makes no sense as a whole.
    #[error("{0}")]
    Usage(String),
    /// Ctrl-C could not be listened for.
    #[error("listen for signals: {0}")]
    Signals(#[source] std::io::Error),
    /// Anything else, as a fragment that follows "failed to".
    #[error("{0}")]
    Other(String),
}

impl Failure {
    /// How the command ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Call(error) => of_call(error),
            // Whoever read the output had enough of it.
            Self::Output(OutputError::Closed) => Exit::Done,
            Self::NoApiToken | Self::Usage(_) => Exit::Usage,
            Self::Output(OutputError::Failed(_)) | Self::Signals(_) | Self::Other(_) => {
                Exit::Failed
            }
        }
    }
}

fn of_call(error: &CallError) -> Exit {
    if error.is_transient() {
        return Exit::TryLater;
    }
    match error {
        CallError::Refused(refusal) => match refusal.status.as_u16() {
            401 | 403 => Exit::NotAllowed,
            _ => Exit::Refused,
        },
        CallError::Http(_) => Exit::Failed,
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::client::tests::{refused, unreachable};

    #[test]
    fn every_failure_has_its_status() {
        let failed = io::Error::other("full");
        for (failure, exit) in [
            (Failure::Call(unreachable()), Exit::TryLater),
            (
                Failure::Call(refused(503, "not_ready", None)),
                Exit::TryLater,
            ),
            (
                Failure::Call(refused(429, "too_many_jobs", None)),
                Exit::TryLater,
            ),
            (
                Failure::Call(refused(401, "unauthorised", None)),
                Exit::NotAllowed,
            ),
            (
                Failure::Call(refused(403, "wrong_token", None)),
                Exit::NotAllowed,
            ),
            (
                Failure::Call(refused(403, "wrong_ticket", None)),
                Exit::NotAllowed,
            ),
            (
                Failure::Call(refused(400, "bad_request", None)),
                Exit::Refused,
            ),
            (
                Failure::Call(refused(404, "unknown_job", None)),
                Exit::Refused,
            ),
            (
                Failure::Call(refused(422, "unsatisfiable", None)),
                Exit::Refused,
            ),
            (Failure::Output(OutputError::Closed), Exit::Done),
            (Failure::Output(OutputError::Failed(failed)), Exit::Failed),
            (Failure::NoApiToken, Exit::Usage),
            (Failure::Usage(String::new()), Exit::Usage),
            (Failure::Other(String::new()), Exit::Failed),
        ] {
            assert_eq!(failure.exit(), exit, "{failure:?}");
        }
    }
}

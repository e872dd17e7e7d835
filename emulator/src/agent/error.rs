//! How an agent can fail. Each text is a fragment that follows "failed to".

use http_client::{HttpError, StatusCode};

use crate::jit::NotJitConfig;

/// Why an agent gave up. Contains no secret.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There was no answer, or none that could be understood.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// There was an answer, but not the one hoped for.
    #[error("{attempted}: the answer was {status}")]
    Refused {
        /// What was to be done.
        attempted: &'static str,
        /// The answer's status.
        status: StatusCode,
    },
    /// The monitor handed out something else.
    #[error(transparent)]
    Credential(#[from] NotJitConfig),
    /// GitHub does not know the runner or its session. Turned into
    /// [`RegistrationGone`](super::AgentOutcome::RegistrationGone) at the end.
    #[error("find the runner's registration")]
    Gone,
}

impl AgentError {
    /// Whether the same may well work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::Credential(_) | Self::Gone => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_worth_another_try() {
        for (status, is_transient) in [
            (500, true),
            (503, true),
            (429, true),
            (408, true),
            (400, false),
            (409, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = AgentError::Refused {
                attempted: "poll for a job",
                status,
            };
            assert_eq!(error.is_transient(), is_transient, "{error}");
        }
        assert!(!AgentError::Gone.is_transient());
        assert!(!AgentError::from(NotJitConfig).is_transient());
    }
}

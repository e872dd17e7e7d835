//! How an agent can fail. Each text is a fragment that follows "failed to".

use http_client::{HttpError, StatusCode};

use crate::jit::NotJitConfig;

/// Why an agent gave up. Contains no secret.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There was no response, or it could not be read.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The response has an unexpected status.
    #[error("{attempted}: the status was {status}")]
    Status {
        attempted: &'static str,
        status: StatusCode,
    },
    /// The monitor returned something else than a JIT configuration.
    #[error(transparent)]
    JitConfig(#[from] NotJitConfig),
    /// GitHub does not know the runner or its session. Becomes
    /// [`RegistrationGone`](super::AgentOutcome::RegistrationGone) in the end.
    #[error("find the runner's registration")]
    NotFound,
}

impl AgentError {
    /// Whether the same request can succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Http(error) => error.is_transient(),
            Self::Status { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::JitConfig(_) | Self::NotFound => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_overload_and_server_errors_are_transient() {
        for (status, is_transient) in [
            (500, true),
            (503, true),
            (429, true),
            (408, true),
            (400, false),
            (409, false),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = AgentError::Status {
                attempted: "poll for a job",
                status,
            };
            assert_eq!(error.is_transient(), is_transient, "{error}");
        }
        assert!(!AgentError::NotFound.is_transient());
        assert!(!AgentError::from(NotJitConfig).is_transient());
    }
}

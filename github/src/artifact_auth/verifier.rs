//! The entrance to artifact authentication: a few artifacts are checked at a time, a few requests
//! wait, further ones are refused.
//!
//! Responsible for these limits, which keep unauthenticated clients from using up GitHub's rate
//! limit. The worker runs in the thread that owns the connections to GitHub; handles to it can be
//! sent to any thread.

use std::{cell::RefCell, rc::Rc, sync::Arc};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{
    Rejection, RunIdentity, UnverifiedIdentity, VerifierSettings, VerifyError,
    early::EarlyRequests, verify,
};
use crate::Github;

/// How many artifacts are checked at once.
const CHECKED_MAX: usize = 4;
/// How many more requests may wait.
const WAITING_MAX: usize = 32;

type Request = (
    UnverifiedIdentity,
    oneshot::Sender<Result<RunIdentity, VerifyError>>,
);

/// Verifies identities by means of its [`VerifierWorker`]. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ArtifactVerifier {
    requests: mpsc::Sender<Request>,
    allowed_qualified_repo_prefix: Arc<str>,
}

/// The worker of an [`ArtifactVerifier`], before it runs.
#[derive(Debug)]
pub struct VerifierWorker(mpsc::Receiver<Request>);

impl ArtifactVerifier {
    /// A verifier of runs in repositories with that prefix, and the worker that has to be run for it.
    pub fn new(allowed_qualified_repo_prefix: &str) -> (Self, VerifierWorker) {
        let (requests, receiver) = mpsc::channel(WAITING_MAX);
        let verifier = Self {
            requests,
            allowed_qualified_repo_prefix: allowed_qualified_repo_prefix.into(),
        };
        (verifier, VerifierWorker(receiver))
    }

    /// Verifies `identity` against the artifact that its run has uploaded. A foreign repository is
    /// rejected at once, and takes no place of one that is allowed.
    ///
    /// # Errors
    /// When a check fails, when GitHub is unavailable, or when too many others are being verified.
    pub async fn verify(&self, identity: UnverifiedIdentity) -> Result<RunIdentity, VerifyError> {
        let prefix = &*self.allowed_qualified_repo_prefix;
        if !identity.qualified_repo.has_prefix(prefix) {
            return Err(Rejection::ForeignRepo.into());
        }
        let (respond, response) = oneshot::channel();
        self.requests
            .try_send((identity.clone(), respond))
            .map_err(|_| VerifyError::Busy)?;
        let outcome = response.await.unwrap_or(Err(VerifyError::Busy));
        if let Err(error) = &outcome {
            log_failure(&identity, error);
        }
        outcome
    }
}

impl VerifierWorker {
    /// Verifies identities until the last [`ArtifactVerifier`] has been dropped.
    pub async fn run(mut self, github: Github, settings: VerifierSettings) {
        let (github, settings) = (Rc::new(github), Rc::new(settings));
        let permits = Arc::new(Semaphore::new(CHECKED_MAX));
        let early = Rc::new(RefCell::new(EarlyRequests::default()));
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else {
                return;
            };
            let Some((identity, respond)) = self.0.recv().await else {
                return;
            };
            let (github, settings) = (github.clone(), settings.clone());
            let early = early.clone();
            actix_web::rt::spawn(async move {
                // The client may have disconnected while its request was waiting.
                if !respond.is_closed() {
                    let outcome = verify(&github, &settings, &identity).await;
                    let outcome = early.borrow_mut().judge(&identity, github.now(), outcome);
                    let _ = respond.send(outcome);
                }
                drop(permit);
            });
        }
    }
}

fn log_failure(identity: &UnverifiedIdentity, error: &VerifyError) {
    let UnverifiedIdentity {
        unique_id,
        qualified_repo,
        ..
    } = identity;
    match error {
        VerifyError::Rejected(rejection) => {
            log::debug!("rejected job {unique_id} of {qualified_repo}: {rejection}");
        }
        VerifyError::NotYet(rejection) => {
            log::debug!("asked job {unique_id} of {qualified_repo} to ask again: {rejection}");
        }
        VerifyError::Busy => {}
        VerifyError::Unavailable(cause) => {
            log::debug!(
                "failed to check the artifact of job {unique_id} of {qualified_repo}: {cause}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::values::RunId;

    #[tokio::test]
    async fn a_foreign_repository_is_rejected_without_the_worker() {
        let (verifier, _worker) = ArtifactVerifier::new("acme/");
        for repo in ["evil/widgets", "acmee/widgets"] {
            let identity = UnverifiedIdentity {
                unique_id: "a".parse().unwrap(),
                qualified_repo: repo.parse().unwrap(),
                run_id: RunId(7),
            };
            let rejection = VerifyError::Rejected(Rejection::ForeignRepo);
            assert_eq!(verifier.verify(identity).await, Err(rejection), "{repo}");
        }
        assert_eq!(verifier.requests.capacity(), WAITING_MAX);
    }
}

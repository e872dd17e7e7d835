//! The desk where claims are checked: a few at a time, a few in line, and no more.
//!
//! Owns the limits that keep strangers from using up what GitHub allows us to ask, since anyone
//! may make a claim. The desk works on one thread, where its connections to GitHub are; handles
//! to it go anywhere.

use std::{rc::Rc, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Claim, Proof, ProofError, ProofSettings, prove};
use crate::{
    error::{ApiError, Code},
    github::Github,
};

/// How many claims are checked at once.
const CHECKED_MAX: usize = 4;
/// How many more may stand in line.
const WAITING_MAX: usize = 32;
/// How long a client waits that came when the line was full, in seconds.
const FULL_RETRY_SECONDS: u64 = 5;
/// The longest wait that a client is sent away with, in seconds.
const RETRY_SECONDS_MAX: u64 = 60;

type Request = (Claim, oneshot::Sender<Result<Proof, ProofError>>);

/// A way to the desk. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProofDesk(mpsc::Sender<Request>);

/// The desk itself, still closed.
#[derive(Debug)]
pub struct ClosedDesk(mpsc::Receiver<Request>);

impl ProofDesk {
    /// A desk, and the way to it.
    pub fn new() -> (Self, ClosedDesk) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Self(sender), ClosedDesk(receiver))
    }

    /// Checks a claim.
    ///
    /// # Errors
    /// 403 `not_authorised` saying which check failed; 503 `not_ready` when GitHub cannot be
    /// asked or too many others are.
    pub async fn check(&self, claim: Claim) -> Result<Proof, ApiError> {
        let (answer, answered) = oneshot::channel();
        let full = || {
            ApiError::new(
                Code::NotReady,
                "too many requests are being checked against GitHub; ask again",
            )
            .retry_after(FULL_RETRY_SECONDS)
        };
        self.0
            .try_send((claim.clone(), answer))
            .map_err(|_| full())?;
        let outcome = answered.await.map_err(|_| full())?;
        outcome.map_err(|error| refusal(&claim, &error))
    }
}

impl ClosedDesk {
    /// Opens the desk. Ends when the last way to it is gone.
    pub async fn open(mut self, github: Github, settings: ProofSettings) {
        let (github, settings) = (Rc::new(github), Rc::new(settings));
        let places = Arc::new(Semaphore::new(CHECKED_MAX));
        loop {
            let Ok(place) = places.clone().acquire_owned().await else {
                return;
            };
            let Some((claim, answer)) = self.0.recv().await else {
                return;
            };
            let (github, settings) = (github.clone(), settings.clone());
            actix_web::rt::spawn(async move {
                // Nobody is there any more: that saves GitHub's time.
                if !answer.is_closed() {
                    let _ = answer.send(prove(&github, &settings, &claim).await);
                }
                drop(place);
            });
        }
    }
}

fn refusal(claim: &Claim, error: &ProofError) -> ApiError {
    match error {
        ProofError::Refused(refusal) => {
            log::info!(
                "{} of {}: not authorised: {refusal}",
                claim.unique_id,
                claim.qualified_repo
            );
            ApiError::new(Code::NotAuthorised, refusal.to_string())
        }
        ProofError::Unavailable(cause) => {
            log::warn!(
                "failed to check {} of {}: {cause}",
                claim.unique_id,
                claim.qualified_repo
            );
            let seconds = error
                .retry_after()
                .unwrap_or(Duration::from_secs(FULL_RETRY_SECONDS))
                .as_secs();
            ApiError::new(
                Code::NotReady,
                "GitHub could not be asked whether this run may have a runner; ask again",
            )
            .retry_after(seconds.clamp(1, RETRY_SECONDS_MAX))
        }
    }
}

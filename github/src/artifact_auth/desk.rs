//! The desk where claims are checked: a few at a time, a few in line, and no more.
//!
//! Owns the limits that keep strangers from using up what GitHub allows us to ask, since anyone
//! may make a claim. The desk works on one thread, where its connections to GitHub are; handles
//! to it go anywhere.

use std::{rc::Rc, sync::Arc};

use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Claim, Proof, ProofError, ProofSettings, prove};
use crate::Github;

/// How many claims are checked at once.
const CHECKED_MAX: usize = 4;
/// How many more may stand in line.
const WAITING_MAX: usize = 32;
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
    /// When the check failed, when GitHub cannot be asked, or when too many others are being checked.
    pub async fn check(&self, claim: Claim) -> Result<Proof, ProofError> {
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send((claim.clone(), answer))
            .map_err(|_| ProofError::Busy)?;
        let outcome = answered.await.unwrap_or(Err(ProofError::Busy));
        if let Err(error) = &outcome {
            log_failure(&claim, error);
        }
        outcome
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

fn log_failure(claim: &Claim, error: &ProofError) {
    let Claim {
        unique_id,
        qualified_repo,
        ..
    } = claim;
    match error {
        ProofError::Refused(refusal) => {
            log::info!("{unique_id} of {qualified_repo}: not authorised: {refusal}");
        }
        ProofError::Busy => {}
        ProofError::Unavailable(cause) => {
            log::warn!("failed to check {unique_id} of {qualified_repo}: {cause}");
        }
    }
}

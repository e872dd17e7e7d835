//! The entrance to artifact authentication: claims wait for their turn, and a few are checked at a time.
//!
//! Responsible for the tasks that check claims, and for their answers. Not responsible for whose turn it is:
//! see `admission`; nor for what is answered from memory: see `missing`. The worker runs in the thread that
//! owns the connections to GitHub; handles to it can be sent to any thread.

use std::{net::IpAddr, rc::Rc, sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use super::{
    Rejection, RunIdentity, UnverifiedIdentity, VerifiedArtifact, VerifierSettings, VerifyError,
    admission::{Admission, Check, Finding, Source},
    missing::{Missing, key_of},
    verify,
};
use crate::Github;
use shared::{clock::Timestamp, secret::Secret};

/// How many requests may be on their way to the worker, which takes each at once.
const REQUESTS_MAX: usize = 1024;
/// The longest sleep of the worker.
const SLEEP_MAX: Duration = Duration::from_secs(60);

struct Request {
    identity: UnverifiedIdentity,
    client: Option<IpAddr>,
    secret: Option<Secret>,
    needs_facts: bool,
    respond: oneshot::Sender<Outcome>,
}

type Outcome = Result<RunIdentity, VerifyError>;

/// A claim that waits for its check.
struct Claim {
    identity: UnverifiedIdentity,
    secret: Option<Secret>,
    needs_facts: bool,
    respond: oneshot::Sender<Outcome>,
}

/// A check that has ended.
struct Checked {
    check: Check,
    claim: Claim,
    outcome: Outcome,
}

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
        let (requests, receiver) = mpsc::channel(REQUESTS_MAX);
        let verifier = Self {
            requests,
            allowed_qualified_repo_prefix: allowed_qualified_repo_prefix.into(),
        };
        (verifier, VerifierWorker(receiver))
    }

    /// Verifies the `identity` that `client` claims against the artifact that its run has uploaded. A
    /// foreign repository is rejected at once, and takes no place of one that is allowed.
    ///
    /// Whether `secret` is that of the artifact decides only whether the claim counts as right. The caller
    /// compares it. `needs_facts` asks GitHub for what it knows of the run, which costs one more request.
    ///
    /// # Errors
    /// When a check fails, when GitHub is unavailable, or when too many others wait.
    pub async fn verify(
        &self,
        identity: UnverifiedIdentity,
        client: Option<IpAddr>,
        secret: Option<Secret>,
        needs_facts: bool,
    ) -> Result<RunIdentity, VerifyError> {
        let prefix = &*self.allowed_qualified_repo_prefix;
        if !identity.qualified_repo.has_prefix(prefix) {
            return Err(Rejection::ForeignRepo.into());
        }
        let (respond, response) = oneshot::channel();
        let request = Request {
            identity: identity.clone(),
            client,
            secret,
            needs_facts,
            respond,
        };
        self.requests
            .try_send(request)
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
        let github = Rc::new(github);
        let settings = Rc::new(settings);
        let (report, mut checked) = mpsc::unbounded_channel();
        let mut admission = Admission::default();
        let mut missing = Missing::default();
        loop {
            tokio::select! {
                request = self.0.recv() => match request {
                    Some(request) => receive(request, &mut admission, &missing, github.now()),
                    None => return,
                },
                Some(ended) = checked.recv() => {
                    end(ended, &mut admission, &mut missing, github.now());
                }
                () = tokio::time::sleep(sleep_of(&admission, github.now())) => {}
            }
            for expired in admission.remove_expired(github.now()) {
                refuse(expired);
            }
            while let Some((check, claim)) = admission.next(github.now()) {
                // The client may have disconnected while its claim was waiting.
                if claim.respond.is_closed() {
                    admission.finish(check, Finding::Nothing, github.now());
                    continue;
                }
                let (github, settings) = (github.clone(), settings.clone());
                let report = report.clone();
                actix_web::rt::spawn(async move {
                    let outcome =
                        verify(&github, &settings, &claim.identity, claim.needs_facts).await;
                    // A worker that has ended needs no report.
                    let _ = report.send(Checked {
                        check,
                        claim,
                        outcome,
                    });
                });
            }
        }
    }
}

impl Claim {
    /// Whether it has the secret of an artifact, or the artifact has none.
    fn has_secret_of(&self, artifact: &VerifiedArtifact) -> bool {
        artifact.secret_sha256.is_none_or(|digest| {
            let secret = self.secret.as_ref();
            secret.is_some_and(|secret| digest.matches(secret.expose().as_bytes()))
        })
    }
}

/// Answers a claim from memory, or lets it wait for its check.
fn receive(request: Request, admission: &mut Admission<Claim>, missing: &Missing, now: Timestamp) {
    let Request {
        identity,
        client,
        secret,
        needs_facts,
        respond,
    } = request;
    if let Some(answer) = missing.recall(&identity, now) {
        // The client may have disconnected.
        let _ = respond.send(Err(answer));
        return;
    }
    let source = Source::new(client, key_of(&identity.qualified_repo));
    let claim = Claim {
        identity,
        secret,
        needs_facts,
        respond,
    };
    if let Some(refused) = admission.enter(source, claim, now) {
        refuse(refused);
    }
}

/// Answers a claim that was checked.
fn end(ended: Checked, admission: &mut Admission<Claim>, missing: &mut Missing, now: Timestamp) {
    let finding = match &ended.outcome {
        Ok(verified) if ended.claim.has_secret_of(&verified.artifact) => Finding::Right,
        // What is public about a job makes no claim right.
        Ok(_) => Finding::Wrong,
        Err(VerifyError::Rejected(_) | VerifyError::NotYet(_)) => Finding::Wrong,
        Err(VerifyError::Busy | VerifyError::Unavailable(_)) => Finding::Nothing,
    };
    admission.finish(ended.check, finding, now);
    let Claim {
        identity, respond, ..
    } = ended.claim;
    // The client may have disconnected.
    let _ = respond.send(missing.judge(&identity, now, ended.outcome));
}

fn refuse(claim: Claim) {
    // The client may have disconnected.
    let _ = claim.respond.send(Err(VerifyError::Busy));
}

fn sleep_of(admission: &Admission<Claim>, now: Timestamp) -> Duration {
    let next_at = admission.next_at();
    next_at.map_or(SLEEP_MAX, |next_at| next_at.since(now).min(SLEEP_MAX))
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
    use shared::{sha256::Sha256, values::RunId};

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
            let outcome = verifier.verify(identity, None, None, false).await;
            assert_eq!(outcome, Err(rejection), "{repo}");
        }
        assert_eq!(verifier.requests.capacity(), REQUESTS_MAX);
    }

    /// Otherwise a stranger who repeats what is public about a job would count as honest.
    #[test]
    fn a_claim_is_right_only_with_the_secret_of_the_artifact() {
        let has_secret_of = |secret: Option<&str>, digest: Option<Sha256>| {
            let claim = Claim {
                identity: UnverifiedIdentity {
                    unique_id: "a".parse().unwrap(),
                    qualified_repo: "acme/widgets".parse().unwrap(),
                    run_id: RunId(7),
                },
                secret: secret.map(Secret::new),
                needs_facts: false,
                respond: oneshot::channel().0,
            };
            claim.has_secret_of(&VerifiedArtifact {
                id: 1,
                created_at: Timestamp::from_seconds(1),
                listed_at: Timestamp::from_seconds(1),
                secret_sha256: digest,
            })
        };
        let digest = Some(Sha256::of(b"hunter2"));
        for (secret, digest, expected) in [
            (Some("hunter2"), digest, true),
            (Some("hunter3"), digest, false),
            (None, digest, false),
            (None, None, true),
            (Some("hunter3"), None, true),
        ] {
            assert_eq!(has_secret_of(secret, digest), expected, "{secret:?}");
        }
    }
}

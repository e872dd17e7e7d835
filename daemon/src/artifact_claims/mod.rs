//! Who may claim the runners that an artifact requests: everything in an artifact is public, except the
//! secret whose digest it contains.
//!
//! Responsible for the secret, and for the one answer to an artifact of an older client, which has no
//! secret: that answer is recorded on disk before it is sent. Not responsible for whether the artifact is
//! genuine.
//!
//! ```text
//! verified artifact ── with a secret ── the request has it ───────────────────────▶ answered each time
//!                   └─ without ── not answered before ── carried out ── recorded ──▶ answered once
//! ```

mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actix_web::rt::task::spawn_blocking;
use github::artifact_auth::{SKEW_MAX, VerifiedArtifact};
use parking_lot::Mutex;
use shared::clock::{Clock, Timestamp};

use crate::{
    auth::Bearer,
    error::{ApiError, Code},
    repeated,
};
use record::ANSWERED_MAX;
pub use record::{Record, RecordError};

/// The file in the folder of the daemon.
const FILE: &str = "artifact-claims";
/// `Retry-After` while another request with the same artifact is carried out, in seconds.
const BUSY_RETRY_SECONDS: u64 = 2;
/// `Retry-After` when too many artifacts are remembered, in seconds.
const FULL_RETRY_SECONDS: u64 = 60;
/// What a client without a secret can do.
const REMEDY: &str = "upload an artifact with `secret_sha256=<SHA-256 of a secret>` and send that secret as \
                      `Authorization: Bearer <secret>`, use the API token, or fall back to hosted runners";

/// Decides on requests with verified artifacts. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ArtifactClaims(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    clock: Clock,
    started_at: Timestamp,
    /// For how long an artifact is remembered.
    remembered: Duration,
    state: Mutex<State>,
    /// Held while the file is written, so that a later state is not replaced by an earlier one.
    writing: Mutex<()>,
}

#[derive(Debug)]
struct State {
    origin: Origin,
    record: Record,
    /// Ids of the artifacts whose requests are carried out now.
    in_progress: HashSet<u64>,
}

/// Where the record of this process comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The file of an earlier process.
    File,
    /// There was no earlier process.
    New,
    /// An earlier process had one, which is lost.
    Lost,
}

/// A request that may be carried out. If it is dropped, it counts as not answered.
#[must_use = "the answer has to be recorded before it is sent"]
#[derive(Debug)]
pub struct Claim(Option<Unanswered>);

/// An artifact without a secret, whose request is being carried out.
#[derive(Debug)]
struct Unanswered {
    claims: ArtifactClaims,
    id: u64,
    created_at: Timestamp,
}

impl ArtifactClaims {
    /// Reads the record in `folder`. `has_run_before` tells a first start from a loss of the record.
    /// Artifacts are remembered for `max_age`, the highest age that is accepted.
    pub fn load(folder: &Path, has_run_before: bool, clock: Clock, max_age: Duration) -> Self {
        let path = folder.join(FILE);
        let (origin, record) = match Record::read(&path) {
            Ok(Some(record)) => (Origin::File, record),
            Ok(None) if has_run_before => {
                log::info!(
                    "{} does not exist; artifacts without a secret that were created before this start are refused",
                    path.display()
                );
                (Origin::Lost, Record::default())
            }
            Ok(None) => (Origin::New, Record::default()),
            Err(error) => {
                log::warn!(
                    "failed to read {}: {error}; artifacts without a secret that were created before this start are refused",
                    path.display()
                );
                (Origin::Lost, Record::default())
            }
        };
        // So that the next start is not a loss. After a loss it is written with the first answer, whose
        // artifact tells the time of the loss.
        if origin == Origin::New
            && let Err(error) = record.write(&path)
        {
            log::warn!("{error}; retrying with the first artifact that has no secret");
        }
        Self(Arc::new(Shared {
            path,
            clock,
            started_at: clock.now(),
            remembered: max_age + SKEW_MAX,
            state: Mutex::new(State {
                origin,
                record,
                in_progress: HashSet::new(),
            }),
            writing: Mutex::new(()),
        }))
    }

    /// Allows a request to be carried out.
    ///
    /// # Errors
    /// 403 without the secret of the artifact; 409 if an artifact without one was answered before, or
    /// may have been; 503 while another request with it is carried out.
    pub fn begin(&self, artifact: &VerifiedArtifact, bearer: &Bearer) -> Result<Claim, ApiError> {
        if let Some(digest) = &artifact.secret_sha256 {
            let refused = |message| Err(ApiError::new(Code::NotAuthorised, message));
            return match bearer {
                Bearer::Token(secret) if digest.matches(secret.expose().as_bytes()) => {
                    Ok(Claim(None))
                }
                Bearer::Token(_) => refused(
                    "the secret in this request is not the one whose SHA-256 the artifact contains",
                ),
                Bearer::Garbled => {
                    refused("the Authorization header must be one `Bearer <secret>`")
                }
                Bearer::Missing => refused(
                    "the artifact contains secret_sha256, so this request needs the secret, as `Authorization: Bearer <secret>`",
                ),
            };
        }
        let mut state = self.0.state.lock();
        if artifact.created_at < self.earliest(&mut state, artifact.listed_at) {
            return Err(ApiError::new(
                Code::AlreadyClaimed,
                format!(
                    "this artifact has no secret_sha256 and is older than this daemon's record of answered ones, which was lost; {REMEDY}"
                ),
            ));
        }
        state.record.forget(artifact.listed_at, self.0.remembered);
        if state.record.answered.contains_key(&artifact.id) {
            return Err(ApiError::new(
                Code::AlreadyClaimed,
                format!(
                    "an artifact without secret_sha256 is answered once, and this one was answered already; {REMEDY}"
                ),
            ));
        }
        if state.record.answered.len() + state.in_progress.len() >= ANSWERED_MAX {
            return Err(ApiError::new(
                Code::TooManyJobs,
                format!("too many artifacts without secret_sha256 have to be remembered; try again later, or {REMEDY}"),
            )
            .retry_after(FULL_RETRY_SECONDS));
        }
        if !state.in_progress.insert(artifact.id) {
            return Err(ApiError::new(
                Code::NotReady,
                "another request with this artifact is being carried out; try again",
            )
            .retry_after(BUSY_RETRY_SECONDS));
        }
        Ok(Claim(Some(Unanswered {
            claims: self.clone(),
            id: artifact.id,
            created_at: artifact.created_at,
        })))
    }

    /// The time of creation before which an artifact may have been answered without a record of it.
    fn earliest(&self, state: &mut State, listed_at: Timestamp) -> Timestamp {
        if let Some(earliest) = state.record.earliest {
            return earliest;
        }
        let to_second = |time: Timestamp| Timestamp::from_seconds(time.as_seconds());
        let by_github = to_second(listed_at - self.0.clock.now().since(self.0.started_at));
        let earliest = match state.origin {
            Origin::File => return Timestamp::from_seconds(0),
            // In case the whole data directory was lost. The earlier clock counts: that there was an
            // earlier process is not known.
            Origin::New => by_github.min(to_second(self.0.started_at)),
            // Times are to the second, and the clocks of GitHub's machines may differ.
            Origin::Lost => by_github + Duration::from_secs(1) + SKEW_MAX,
        };
        state.record.earliest = Some(earliest);
        earliest
    }
}

impl Claim {
    /// Records that the request was carried out. Its answer may be sent afterwards.
    ///
    /// # Errors
    /// 503 if the disk fails; the request may be repeated.
    pub async fn complete(self) -> Result<(), ApiError> {
        let Some(unanswered) = self.0 else {
            return Ok(());
        };
        // Goes on if the client disconnects: the job may have its runners.
        let written = spawn_blocking(move || unanswered.record()).await;
        written.unwrap_or(Err(RecordError::Stopped)).map_err(|error| {
            repeated::count_alarm("artifact_claim_not_saved", || {
                format!("{error}; requests with artifacts without a secret are refused until it succeeds")
            });
            ApiError::new(
                Code::NotReady,
                "this daemon failed to record that it has answered this artifact; its log has the cause; try again",
            )
            .retry_after(BUSY_RETRY_SECONDS)
        })
    }
}

impl Unanswered {
    fn record(&self) -> Result<(), RecordError> {
        let shared = &self.claims.0;
        let _writing = shared.writing.lock();
        let record = {
            let mut state = shared.state.lock();
            state.record.answered.insert(self.id, self.created_at);
            state.record.clone()
        };
        record.write(&shared.path).inspect_err(|_| {
            shared.state.lock().record.answered.remove(&self.id);
        })
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        self.claims.0.state.lock().in_progress.remove(&self.id);
    }
}

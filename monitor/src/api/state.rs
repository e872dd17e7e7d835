//! What the handlers of all routes share, and the errors that several of them return.

use std::{path::PathBuf, sync::Arc, time::Duration};

use daemon::{
    artifact_claims::ArtifactClaims,
    auth::ApiToken,
    error::{ApiError, Code},
    journal::{Entry, StreamPlaces},
    repeated,
    serve::Draining,
    snapshot::SnapshotCache,
    web::Operator,
};
use github::{ApiStatusCell, artifact_auth::ArtifactVerifier};
use shared::settings::Settings;
use tokio::sync::Semaphore;

use super::{
    snapshot::{Links, Rendered, Snapshot},
    webhook, webhook_body,
};
use crate::{
    hypervisor::Hypervisor, mirrors::Repositories, readiness, shared_core::SharedCore,
    store::StoreError,
};

/// Maximum number of dashboard requests with a token that are held at a time. Others are answered at once.
pub const HELD_MAX: usize = 1000;
/// Maximum number of dashboard requests without a token that are held at a time: they have places of
/// their own, so that they cannot take those of the queue.
pub const PUBLIC_HELD_MAX: usize = 200;
/// How long the control loop may make no iteration, in addition to the poll interval, before the health
/// check fails.
const ITERATION_GAP_MAX: Duration = Duration::from_secs(30);
/// `Retry-After` while the monitor is not ready, in seconds.
pub const NOT_READY_RETRY_SECONDS: u64 = 1;

/// State of the HTTP handlers. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub core: Arc<SharedCore>,
    /// The copy of the core that pages and metrics are rendered from.
    pub snapshots: Arc<SnapshotCache<Snapshot>>,
    pub links: Arc<Links>,
    pub api_token: ApiToken,
    pub artifact_verifier: ArtifactVerifier,
    /// Which artifacts may be claimed by whom.
    pub artifact_claims: ArtifactClaims,
    pub draining: Draining,
    /// One permit for each held request with a token.
    pub hold_permits: Arc<Semaphore>,
    /// One permit for each held request without a token.
    pub public_hold_permits: Arc<Semaphore>,
    pub is_queue_member: bool,
    pub iteration_gap_max: Duration,
    /// How long a take waits until GitHub has the labels of its reservation.
    pub answer_timeout: Duration,
    pub lib_monitor_dir: Option<PathBuf>,
    /// The streams of events that there may be.
    pub stream_places: StreamPlaces,
    pub webhook_key: Option<webhook::Key>,
    pub webhook_bodies: webhook_body::Bodies,
    pub github: ApiStatusCell,
    pub image_deps_dir: Option<PathBuf>,
    /// The git repositories that guests may clone.
    pub repositories: Repositories,
    /// For the addresses and the screenshots of guests only.
    pub hypervisor: Hypervisor,
}

impl AppState {
    pub fn new(
        core: Arc<SharedCore>,
        hypervisor: Hypervisor,
        settings: &Settings,
        artifact_verifier: ArtifactVerifier,
        artifact_claims: ArtifactClaims,
        draining: Draining,
        github: ApiStatusCell,
    ) -> Self {
        let webhook_secret = settings.secrets.github_webhook_secret.as_ref();
        Self {
            core,
            snapshots: Arc::default(),
            links: Arc::new(Links::of(settings)),
            api_token: ApiToken::of(&settings.secrets)
                .with_queue_tokens(settings.secrets.queue_tokens.clone()),
            artifact_verifier,
            artifact_claims,
            draining,
            hold_permits: Arc::new(Semaphore::new(HELD_MAX)),
            public_hold_permits: Arc::new(Semaphore::new(PUBLIC_HELD_MAX)),
            is_queue_member: settings.pool.queue_member,
            iteration_gap_max: ITERATION_GAP_MAX + settings.pool.monitor_poll_interval,
            answer_timeout: settings.pool.monitor_thread_recv_timeout,
            lib_monitor_dir: settings.lib_monitor_dir.clone(),
            stream_places: StreamPlaces::default(),
            webhook_key: webhook_secret.map(webhook::Key::new),
            webhook_bodies: webhook_body::Bodies::default(),
            github,
            image_deps_dir: settings.image_deps_dir.clone(),
            repositories: Repositories::of(settings),
            hypervisor,
        }
    }

    /// What pages and metrics are rendered from: a copy that is a quarter of a second old at most, and
    /// contains every change that was answered before this call.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let now = self.core.now();
        self.snapshots.get(now, || Snapshot {
            now,
            published: self.core.published(),
            problems: self.core.problems(),
            unready: readiness::unready(&self.core),
            github: self.github.read(),
            links: Arc::clone(&self.links),
            refused: repeated::totals(),
            page: Rendered::default(),
            live_part: Rendered::default(),
            public_dashboard: Rendered::default(),
            metrics: Rendered::default(),
            ready: Rendered::default(),
        })
    }

    /// Records a change that was authorised by credentials. `facts` adds what was changed.
    pub fn audit(
        &self,
        action: &'static str,
        authorised_by: &'static str,
        operator: &Operator,
        facts: impl FnOnce(Entry) -> Entry,
    ) {
        let entry = operator.audit(self.core.now(), action, authorised_by);
        self.core.journal().record(facts(entry));
    }

    /// Waits until a reservation is on disk. Pages and metrics show it then.
    ///
    /// # Errors
    /// 503 `not_ready` if the disk fails. Then the reservation has been ended.
    pub async fn saved_take(&self, revision: u64) -> Result<(), ApiError> {
        let message =
            "the monitor cannot save its state at the moment, so it gives out no runner; ask again";
        self.saved_or(revision, message).await
    }

    /// Waits until any other change is on disk. Pages and metrics show it then.
    ///
    /// # Errors
    /// 503 `not_ready` if the disk fails. The change is made nevertheless: parts of it may have been
    /// carried out already, so it could not be undone completely.
    pub async fn saved_change(&self, revision: u64) -> Result<(), ApiError> {
        let message = "the change is made, but the monitor cannot save its state at the moment, so a restart \
                       may undo it; free some space in its data folder and repeat the request";
        self.saved_or(revision, message).await
    }

    /// The log has the error of the disk.
    async fn saved_or(&self, revision: u64, message: &'static str) -> Result<(), ApiError> {
        let saved = self.core.saved(revision).await;
        self.snapshots.invalidate();
        saved.map_err(|_: StoreError| {
            ApiError::new(Code::NotReady, message).retry_after(NOT_READY_RETRY_SECONDS)
        })
    }
}

/// A first poll of the host or of GitHub has not succeeded yet; the message says which, and why.
pub fn not_ready(core: &SharedCore) -> ApiError {
    let reason = readiness::unready(core);
    let reason = reason.unwrap_or_else(|| "the monitor was not ready; ask again".to_owned());
    ApiError::new(Code::NotReady, reason).retry_after(NOT_READY_RETRY_SECONDS)
}

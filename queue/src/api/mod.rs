//! The queue's HTTP API: the routes and what their handlers share.

mod dashboard;
mod enqueue;
mod extract;
mod health;
mod history;
mod job;
mod job_page;
mod metrics;
mod openapi;
mod pause;
mod search;
mod snapshot;
mod story;
mod take;

use std::{sync::Arc, time::Duration};

use actix_web::web::{Data, ServiceConfig};
use daemon::{
    artifact_claims::ArtifactClaims,
    auth::ApiToken,
    error::{ApiError, Code},
    journal::{Journal, Story, StreamPlaces},
    problems::ProblemBoard,
    serve::Draining,
    web::route,
};
use github::{ApiStatusCell, artifact_auth::ArtifactVerifier};

use queue_core::{Answer, Refusal};

pub use metrics::STATE_METRICS;
pub use openapi::description;

use crate::{event_loop::EventLoop, pauses::PausesFile, ticket::TicketKey, waits::Waits};
use search::JobIndex;
use snapshot::Snapshots;

/// What the handlers share. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    /// The core.
    pub event_loop: EventLoop,
    /// Signs and verifies tickets.
    pub ticket_key: Arc<TicketKey>,
    /// How long a ticket is valid.
    pub ticket_lifetime: Duration,
    /// The token of operators and of clients that enqueue with it.
    pub api_token: ApiToken,
    /// Authenticates jobs by artifact; `None` without GitHub credentials.
    pub artifact_verifier: Option<ArtifactVerifier>,
    /// Which artifacts may be claimed by whom.
    pub artifact_claims: ArtifactClaims,
    /// Rate limit and permissions at GitHub; `None` without GitHub credentials.
    pub github_status: Option<ApiStatusCell>,
    /// What adapters report as wrong.
    pub problem_board: ProblemBoard,
    /// Where it is kept which profiles are paused.
    pub pauses_file: PausesFile,
    /// What has happened.
    pub journal: Journal,
    /// How long jobs waited lately.
    pub waits: Waits,
    /// The streams of events that there may be.
    pub stream_places: StreamPlaces,
    /// The base URL of GitHub's pages.
    pub github_web_url: Arc<str>,
    /// Resolves when held requests must be answered because the daemon stops.
    pub draining: Draining,
}

/// All routes of the queue.
pub fn routes(state: AppState) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    let snapshots = Data::new(Snapshots::default());
    let index = Data::new(JobIndex::default());
    move |config| {
        // Routes are tried in this order, so the frequent requests come first.
        config
            .app_data(Data::new(state.api_token.clone()))
            .app_data(Data::new(state.clone()))
            .app_data(snapshots.clone())
            .app_data(index.clone())
            .service(route("/take/{unique_id}").post(take::take))
            .service(route("/profile/{profile_key}/enqueue").post(enqueue::one))
            .service(route("/profile/{profile_key}/enqueue/{count}").post(enqueue::several))
            .service(route("/enqueue").post(enqueue::with_artifact))
            .service(
                route("/job/{unique_id}")
                    .get(job::show)
                    .delete(job::withdraw),
            )
            .service(
                route("/profile/{profile_key}/pause")
                    .get(pause::show)
                    .post(pause::begin)
                    .delete(pause::end),
            )
            .service(route("/").get(dashboard::html))
            .configure(daemon::page::configure)
            .service(route("/dashboard.txt").get(dashboard::text))
            .service(route("/dashboard.json").get(dashboard::json))
            .service(route("/history.json").get(history::history))
            .service(route("/events").get(history::events))
            .service(route("/metrics").get(metrics::metrics))
            .service(route("/openapi.json").get(openapi::show))
            .service(route("/healthz").get(health::alive))
            .service(route("/readyz").get(health::ready));
    }
}

/// `Retry-After` while the reports of some servers are missing, in seconds.
const NOT_READY_RETRY_SECONDS: u64 = 2;
/// `Retry-After` when a limit on the number of jobs is reached, in seconds.
const TOO_MANY_RETRY_SECONDS: u64 = 5;

/// A refusal of the core as an error response.
fn refused(refusal: Refusal) -> ApiError {
    let too_many =
        |message| ApiError::new(Code::TooManyJobs, message).retry_after(TOO_MANY_RETRY_SECONDS);
    match refusal {
        Refusal::AlreadyEnqueued => ApiError::new(
            Code::AlreadyEnqueued,
            "this unique_id belongs to a job with other parameters; choose another, preferably a UUID",
        ),
        Refusal::Unsatisfiable { profile_key, target, because } => {
            let prospect = match because.as_str() {
                "" => "it would wait forever".to_owned(),
                because => format!("of those that could be added, {because}"),
            };
            let message = format!("the targets of all servers for profile {profile_key} add up to {target}, which is fewer than this job needs; {prospect}");
            ApiError::new(Code::Unsatisfiable, message)
        }
        Refusal::NotReady { because } => ApiError::new(
            Code::NotReady,
            format!("the servers that answer do not have enough runners of this profile, and others may: {because}; try again"),
        )
        .retry_after(NOT_READY_RETRY_SECONDS),
        Refusal::WaitTooLong(reason) => ApiError::new(
            Code::WaitTooLong,
            format!("hosted runners are the better choice, so the job is not enqueued: {reason}"),
        ),
        Refusal::NoLongerWorthIt(reason) => ApiError::new(
            Code::NoLongerWorthIt,
            format!("hosted runners are the better choice now, so the job is withdrawn: {reason}"),
        ),
        Refusal::TooManyJobs { jobs_max } => too_many(format!(
            "the queue already has {jobs_max} jobs, the maximum that [queue] jobs_max allows; try again later"
        )),
        Refusal::TooManyJobsOfRepository { jobs_max } => too_many(format!(
            "this repository already has {jobs_max} jobs in the queue, the maximum that [queue] jobs_per_repo_max allows; try again later"
        )),
        Refusal::UnknownProfile => ApiError::new(
            Code::UnknownProfile,
            "no server has this profile; the dashboard shows which there are",
        ),
        Refusal::TooManyPauses { pauses_max } => ApiError::new(
            Code::BadRequest,
            format!("at most {pauses_max} profiles can be paused at a time; resume one first"),
        ),
        Refusal::UnknownJob => story::unknown(&Story::default()),
    }
}

/// The core broke its contract: no answer, or one that does not fit the call.
fn unexpected(answer: Option<&Answer>) -> ApiError {
    log::error!("internal error: the core answered a call with {answer:?}; please report this");
    ApiError::new(
        Code::Internal,
        "internal error of the queue; its log has the details",
    )
}

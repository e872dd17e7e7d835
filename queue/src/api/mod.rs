//! The queue over HTTP: the tree of routes is the tree of URLs.

mod dashboard;
mod enqueue;
mod health;
mod job;
mod metrics;
mod take;

use std::{sync::Arc, time::Duration};

use actix_web::web::{Data, ServiceConfig, get, post, resource};
use daemon::{
    auth::{ApiToken, Bearer},
    error::{ApiError, Code},
    serve::Draining,
    web::method_not_allowed,
};
use github::{ApiStatusCell, artifact_auth::ArtifactVerifier};

use crate::{driver::Driver, ticket::TicketKey};
use queue_core::{
    events::{Answer, Refusal},
    job::Claims,
};

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// The core.
    pub driver: Driver,
    /// What signs tickets.
    pub ticket_key: Arc<TicketKey>,
    /// How long a ticket is valid.
    pub ticket_lifetime: Duration,
    /// What opens the calls of operators.
    pub api_token: ApiToken,
    /// Where claims without a token are checked; none without a token for GitHub.
    pub proofs: Option<ArtifactVerifier>,
    /// How we stand with GitHub, where it is asked.
    pub github: Option<ApiStatusCell>,
    /// When held requests are to be answered.
    pub draining: Draining,
}

/// All routes of the queue.
pub fn routes(desk: Desk) -> impl Fn(&mut ServiceConfig) + Clone + Send + 'static {
    move |config| {
        config
            .app_data(Data::new(desk.api_token.clone()))
            .app_data(Data::new(desk.clone()))
            .service(
                resource("/")
                    .route(get().to(dashboard::page))
                    .default_service(method_not_allowed("GET")),
            )
            .service(
                resource("/dashboard.txt")
                    .route(get().to(dashboard::text))
                    .default_service(method_not_allowed("GET")),
            )
            .service(
                resource("/dashboard.json")
                    .route(get().to(dashboard::json))
                    .default_service(method_not_allowed("GET")),
            )
            .service(
                resource("/enqueue")
                    .route(post().to(enqueue::by_proof))
                    .default_service(method_not_allowed("POST")),
            )
            .service(
                resource("/profile/{profile_key}/enqueue")
                    .route(post().to(enqueue::one))
                    .default_service(method_not_allowed("POST")),
            )
            .service(
                resource("/profile/{profile_key}/enqueue/{count}")
                    .route(post().to(enqueue::several))
                    .default_service(method_not_allowed("POST")),
            )
            .service(
                resource("/take/{unique_id}")
                    .route(post().to(take::take))
                    .default_service(method_not_allowed("POST")),
            )
            .service(
                resource("/job/{unique_id}")
                    .route(get().to(job::show))
                    .route(actix_web::web::delete().to(job::withdraw))
                    .default_service(method_not_allowed("GET, DELETE")),
            )
            .service(
                resource("/metrics")
                    .route(get().to(metrics::metrics))
                    .default_service(method_not_allowed("GET")),
            )
            .service(
                resource("/healthz")
                    .route(get().to(health::alive))
                    .default_service(method_not_allowed("GET")),
            )
            .service(
                resource("/readyz")
                    .route(get().to(health::ready))
                    .default_service(method_not_allowed("GET")),
            );
    }
}

impl Desk {
    /// What the ticket in a request says: from `Authorization`, else from the query.
    ///
    /// # Errors
    /// 401 without a ticket, 403 for one that is not ours or is another job's.
    fn claims(
        &self,
        bearer: &Bearer,
        in_query: Option<&str>,
        unique_id: &shared::values::UniqueId,
    ) -> Result<Claims, ApiError> {
        let wrong = |message| ApiError::new(Code::WrongTicket, message);
        let verified = match (bearer, in_query) {
            (Bearer::Token(ticket), _) => self.ticket_key.verify(ticket.expose()),
            (Bearer::Garbled, _) => {
                return Err(wrong(
                    "the Authorization header must be one `Bearer <ticket>`",
                ));
            }
            (Bearer::Missing, Some(ticket)) => self.ticket_key.verify(ticket),
            (Bearer::Missing, None) => {
                return Err(ApiError::new(
                    Code::Unauthorised,
                    "this call needs the job's ticket, as `?token=<ticket>` or `Authorization: Bearer <ticket>`",
                ));
            }
        };
        let claims = verified.map_err(|_| {
            wrong(
                "that is not a ticket of this queue; if the queue's key has changed, enqueue again",
            )
        })?;
        if claims.request.spec.unique_id != *unique_id {
            return Err(wrong("that ticket is for another job"));
        }
        Ok(claims)
    }
}

/// A refusal of the core, for the wire.
fn refused(refusal: Refusal) -> ApiError {
    match refusal {
        Refusal::AlreadyEnqueued => ApiError::new(
            Code::AlreadyEnqueued,
            "that unique_id belongs to a job with other parameters; choose another, best a UUID",
        ),
        Refusal::Unsatisfiable { profile_key, target } => ApiError::new(
            Code::Unsatisfiable,
            format!("all servers together are set up for {target} runners of profile {profile_key}: waiting cannot help"),
        ),
        Refusal::NotReady => ApiError::new(
            Code::NotReady,
            "not all servers have been heard of yet, and those that have do not have enough such runners; ask again",
        )
        .retry_after(NOT_READY_RETRY_SECONDS),
        Refusal::TooManyJobs { jobs_max } => {
            too_many(format!("{jobs_max} jobs are in the queue already, the most that [queue] jobs_max allows"))
        }
        Refusal::TooManyJobsOfRepository { jobs_max } => too_many(format!(
            "{jobs_max} jobs of this repository are in the queue already, the most that [queue] jobs_per_repo_max allows"
        )),
        Refusal::UnknownJob => ApiError::new(
            Code::UnknownJob,
            "no such job: its ticket has expired, it was withdrawn or abandoned, or its runner is long gone",
        ),
    }
}

/// When it is worth asking again whether servers have been heard of.
const NOT_READY_RETRY_SECONDS: u64 = 2;
/// When it is worth asking again whether there is room.
const TOO_MANY_RETRY_SECONDS: u64 = 5;

fn too_many(message: String) -> ApiError {
    ApiError::new(Code::TooManyJobs, message).retry_after(TOO_MANY_RETRY_SECONDS)
}

/// An answer that does not belong to the question.
fn unexpected(answer: &Answer) -> ApiError {
    log::error!("the core gave an answer that does not belong to the question: {answer:?}");
    ApiError::new(
        Code::Internal,
        "the queue has made a mistake; its log says which",
    )
}

/// The core dropped a call without an answer.
fn unanswered() -> ApiError {
    log::error!("the core dropped a call without an answer");
    ApiError::new(
        Code::Internal,
        "the queue has made a mistake; its log says which",
    )
}

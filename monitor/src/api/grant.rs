//! From a take to its response: the runners are reserved, saved and labelled, and only then granted.
//!
//! Responsible for that order, and for the error responses to refused takes.

use actix_web::HttpResponse;
use daemon::error::{ApiError, Code};
use shared::{
    job_spec::JobSpec,
    values::{Count, ProfileKey, UniqueId},
    wire::TakenRunner,
};

use super::{AppState, state::not_ready};
use monitor_core::{Take, TakeOutcome, TakeRefusal};

/// `Retry-After` of a take that no runner is idle for, in seconds.
const NO_CAPACITY_RETRY_SECONDS: u64 = 5;

/// Reserved runners, ready for the job.
pub struct Granted(Vec<TakenRunner>);

impl Granted {
    /// The response to a take without a count: one object.
    pub fn single(&self) -> HttpResponse {
        HttpResponse::Ok().json(self.0.first())
    }

    /// The response to a take with a count: an array.
    pub fn several(&self) -> HttpResponse {
        HttpResponse::Ok().json(&self.0)
    }
}

/// Takes runners. When this returns they are reserved on disk and on the dashboard. If the client is
/// gone by then, a repeated take returns the same runners.
///
/// # Errors
/// `not_ready` if the reservation exists but is not complete; a repeated take finds it. After other
/// errors nothing is reserved for the job.
pub async fn grant(state: &AppState, take: Take) -> Result<Granted, ApiError> {
    let JobSpec {
        unique_id,
        profile_key,
        count,
        ..
    } = take.job.clone();
    let revision = state.core.change(|core, now| core.take(take, now));
    let revision = revision.map_err(|refusal| refused(state, refusal, &profile_key, count))?;
    state.saved_take(revision).await?;
    let granted = tokio::select! {
        granted = labelled(state, &unique_id) => granted,
        () = state.draining.begins() => return Err(still_reserved("the monitor is being restarted")),
        () = tokio::time::sleep(state.answer_timeout) => {
            return Err(still_reserved("GitHub has not confirmed the labels yet"));
        }
    };
    // Before the response: what the client reads afterwards contains its reservation.
    state.snapshots.invalidate();
    granted.ok_or_else(|| {
        ApiError::new(
            Code::NoCapacity,
            "GitHub has not added the labels to the runner, so its reservation has ended; ask again",
        )
        .retry_after(NO_CAPACITY_RETRY_SECONDS)
    })
}

/// Waits until GitHub has the labels of the reservation. None if the reservation has ended instead.
async fn labelled(state: &AppState, unique_id: &UniqueId) -> Option<Granted> {
    let mut changes = state.core.subscribe();
    loop {
        changes.borrow_and_update();
        match state.core.read(|core| core.take_outcome(unique_id)) {
            TakeOutcome::Runners(runners) => return Some(Granted(runners)),
            TakeOutcome::Ended => return None,
            TakeOutcome::AwaitingLabels => changes.changed().await.ok()?,
        }
    }
}

/// The runners stay reserved, and a repeated take returns them.
fn still_reserved(why: &str) -> ApiError {
    ApiError::new(Code::NotReady, format!("{why}; ask again")).retry_after(1)
}

fn refused(
    state: &AppState,
    refusal: TakeRefusal,
    profile_key: &ProfileKey,
    count: Count,
) -> ApiError {
    match refusal {
        TakeRefusal::NotReady => not_ready(&state.core),
        TakeRefusal::NoCapacity => ApiError::new(
            Code::NoCapacity,
            format!("there are no {count} idle runners of profile {profile_key}; ask again"),
        )
        .retry_after(NO_CAPACITY_RETRY_SECONDS),
        TakeRefusal::Drained => ApiError::new(
            Code::NoCapacity,
            "an operator has drained this server, so it assigns no runners; ask another one",
        )
        .retry_after(NO_CAPACITY_RETRY_SECONDS),
        TakeRefusal::UnknownProfile => ApiError::new(
            Code::UnknownProfile,
            format!("this server has no profile {profile_key}; its dashboard shows which it has"),
        ),
        TakeRefusal::OutdatedToken => ApiError::new(
            Code::StaleAttempt,
            "this job was released by this or a later attempt",
        ),
        TakeRefusal::OtherParameters => ApiError::new(
            Code::AlreadyReserved,
            "that unique_id holds runners of another profile or count; choose another, best a UUID",
        ),
        TakeRefusal::Finished => ApiError::new(
            Code::AlreadyReserved,
            "that unique_id has had its runners, and they are gone; choose another, best a UUID",
        ),
    }
}
